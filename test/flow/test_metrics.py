"""What /metrics says (contract B4): every metric with exactly its labels, a text that Prometheus reads, label values from the configuration
only, counters by key only when asked for, and that all of it outlives workers."""
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, ask
from gateway import wait_for
from node import NodeCase, NodePerTest, charge_nusd, chat_body, model
import tap

# name: (type, labels beside le)
METRICS = {
    'aigw_requests_total': ('counter', {'front', 'model', 'provider', 'code'}),
    'aigw_request_duration_seconds': ('histogram', {'front', 'model', 'provider'}),
    'aigw_time_to_first_token_seconds': ('histogram', {'front', 'model', 'provider'}),
    'aigw_gateway_duration_seconds': ('histogram', set()),
    'aigw_tokens_total': ('counter', {'model', 'provider', 'class'}),
    'aigw_cost_usd_total': ('counter', {'model', 'provider'}),
    'aigw_charged_usd_total': ('counter', {'model', 'provider'}),
    'aigw_uncollected_usd_total': ('counter', set()),
    'aigw_upstream_attempts_total': ('counter', {'provider', 'result'}),
    'aigw_upstream_connections': ('gauge', {'provider', 'state'}),
    'aigw_offer_state': ('gauge', {'model', 'provider'}),
    'aigw_inflight_requests': ('gauge', set()),
    'aigw_holds': ('gauge', set()),
    'aigw_held_usd': ('gauge', set()),
    'aigw_live_bytes': ('gauge', set()),
    'aigw_hold_age_seconds': ('gauge', set()),
    'aigw_outbox_records': ('gauge', set()),
    'aigw_ledger_lag_seconds': ('gauge', set()),
    'aigw_ledger_imbalance_nanousd': ('gauge', set()),
    'aigw_config_generation': ('gauge', set()),
    'aigw_config_last_reload_success': ('gauge', set()),
    'aigw_worker_restarts_total': ('counter', {'reason'}),
    'aigw_build_info': ('gauge', {'version'}),
    # not in the contract
    'aigw_shadow_refusals_total': ('counter', {'scope'}),
    'aigw_late_settlements_total': ('counter', {'result'}),
    'aigw_client_connections': ('gauge', set()),
    'aigw_series_dropped_total': ('counter', set()),
}
BY_KEY = {
    'aigw_key_requests_total': ('counter', {'account', 'key', 'code'}),
    'aigw_key_tokens_total': ('counter', {'account', 'key', 'class'}),
    'aigw_key_charged_usd_total': ('counter', {'account', 'key'}),
}
LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.]+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')


class Family:
    def __init__(self, help, type):
        self.help, self.type, self.samples = help, type, []


def parse(text):
    """{metric: Family}, samples as (name, labels, value); AssertionError for what the text format does not allow."""
    families, current = {}, None
    assert text.endswith('\n'), text[-80:]
    lines = text[:-1].split('\n')
    for i, line in enumerate(lines):
        if line.startswith('# HELP '):
            name, _, help = line[7:].partition(' ')
            kind = re.fullmatch(r'# TYPE %s (counter|gauge|histogram)' % name, lines[i + 1])
            assert kind and help and name not in families, line # once, its samples all together
            current = families[name] = Family(help, kind[1])
        elif not line.startswith('# TYPE '):
            m = LINE.match(line)
            assert m, line
            labels = dict(LABEL.findall(m[2] or ''))
            assert ''.join('%s="%s",' % kv for kv in labels.items()).rstrip(',') == (m[2] or ''), line
            known = [n for n, f in families.items() if f is current][0]
            assert m[1] == known or (current.type == 'histogram' and m[1] in [known + s for s in ('_bucket', '_sum', '_count')]), line
            current.samples.append((m[1], labels, float(m[3])))
    return families


class Case(NodeCase):
    MODELS = {'m': model('oai/sim?tokens=2&input=5'), 'bad': model('oai/sim?status=500'), 'slow': model('oai/sim?tokens=2&input=5&delay=10s')}
    CONFIG = {'workers': 1}

    def read(self):
        self.answer = ask(self.node.admin_port, 'GET', '/metrics')
        return parse(self.answer.body.decode())

    def value(self, families, name, **labels):
        return sum(v for n, have, v in families[name].samples if n == name and labels.items() <= have.items()) if name in families else 0

    def counted(self, name, least, **labels):
        """The families, once the sum of these samples is `least` or more."""
        def found():
            families = self.read()
            return families if self.value(families, name, **labels) >= least else None
        return wait_for(found, 5, 0.05)

    def some_requests(self):
        for name in ('m', 'bad', 'no-such-model-of-a-client'):
            self.chat(name)
        self.chat('m', True)
        self.node.ask('POST', '/v1/chat/completions', {'model': 'm'}, 'sk-aigw-of-nobody')

    def test_promtool_agrees(self):
        self.some_requests()
        self.read()
        try:
            p = subprocess.run(['promtool', 'check', 'metrics'], input=self.answer.body, capture_output=True, timeout=30)
        except FileNotFoundError:
            self.skipTest('promtool is not installed')
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def settle(self):
        wait_for(lambda: self.value(self.read(), 'aigw_inflight_requests') == 0, 5, 0.05)


class Metrics(Case):
    def test_every_metric_has_its_type_and_labels(self):
        self.some_requests()
        families = self.counted('aigw_requests_total', 1, model='other')
        self.assertEqual(self.answer.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
        none_yet = ('aigw_worker_restarts_total', 'aigw_shadow_refusals_total', 'aigw_late_settlements_total')
        want = {n: t for n, (t, _) in METRICS.items() if n not in none_yet}
        self.assertEqual({n: f.type for n, f in families.items()}, want)
        for name in want:
            labels = METRICS[name][1]
            self.assertTrue(families[name].samples, name)
            for sample, have, _ in families[name].samples:
                self.assertEqual(set(have) - {'le'}, labels, (sample, have))
        self.assertEqual([n for n, f in families.items() if (f.type == 'counter') != n.endswith('_total')], [])

    def test_histograms_are_cumulative(self):
        self.chat('m')
        families = self.counted('aigw_requests_total', 1)
        for name in [n for n, f in families.items() if f.type == 'histogram']:
            series = {}
            for sample, labels, value in families[name].samples:
                key = tuple(sorted((k, v) for k, v in labels.items() if k != 'le'))
                series.setdefault(key, []).append((sample[len(name):], labels.get('le'), value))
            for key, samples in series.items():
                buckets = [(float(le), v) for kind, le, v in samples if kind == '_bucket']
                self.assertEqual(buckets, sorted(buckets), key)
                self.assertEqual([v for _, v in buckets], sorted(v for _, v in buckets))
                self.assertEqual(buckets[-1][0], float('inf'))
                self.assertEqual([s[0] for s in samples[-2:]], ['_sum', '_count'])
                self.assertEqual(samples[-1][2], buckets[-1][1])
                self.assertTrue(samples[-1][2] == 0 or samples[-2][2] > 0, key)

    def test_label_values_come_from_the_configuration(self):
        self.some_requests()
        families = self.counted('aigw_requests_total', 1, model='other')
        values = {(k, v) for f in families.values() for _, labels, _ in f.samples for k, v in labels.items()}
        self.assertEqual({v for k, v in values if k == 'model'} - {'m', 'bad', 'slow'}, {'other'})
        self.assertEqual({v for k, v in values if k == 'provider'} - {'oai', 'ant'}, {'none'})
        self.assertEqual(self.value(families, 'aigw_requests_total', model='other', code='404') > 0, True)
        self.assertNotIn(b'no-such-model', self.answer.body)

    def test_all_are_in_the_manual(self):
        manual = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'master', 'aigwd.8')
        with open(manual) as f:
            section = f.read().partition('\n.SH METRICS\n')[2].partition('\n.SH ')[0]
        told = set(re.findall(r'^\.B (aigw_\w+)', section, re.MULTILINE))
        self.assertEqual(told, set(METRICS) | set(BY_KEY))

    def test_admin_address_is_read_only(self):
        a = ask(self.node.admin_port, 'POST', '/metrics', b'')
        self.assertEqual((a.status, a.get('allow')), (405, 'GET, HEAD'))
        self.assertEqual(ask(self.node.admin_port, 'HEAD', '/metrics').body, b'')

class Attempts(Case):
    MODELS = {**Case.MODELS, 'cut': model('oai/sim?tokens=9&fault=cut@4'), 'over': model('oai/sim?tokens=300&over=1', input=0)}

    def test_attempts_are_ok_or_say_how_they_failed(self):
        for name, fields in (('m', {}), ('m', {'stream': True}), ('cut', {'stream': True}), ('over', {'stream': True, 'max_tokens': 9}), ('bad', {})):
            self.chat(name, **fields)
        families = self.counted('aigw_upstream_attempts_total', 5)
        self.assertEqual({labels['result']: v for _, labels, v in families['aigw_upstream_attempts_total'].samples},
                         {'ok': 2, 'answer_cut': 1, 'hold_used_up': 1, 'error': 1})

class Outliving(Case):
    CONFIG = {'workers': 1, 'metrics': {'by_key': 'on'}}
    test_zz_books_are_right_and_no_secret_shows = None # a worker that is killed is an error in the log

    def test_counters_outlive_workers(self):
        def counters():
            return {(n, tuple(sorted(labels.items()))): v for f in self.read().values() if f.type != 'gauge' for n, labels, v in f.samples}
        self.some_requests()
        self.settle()
        before = counters()
        self.node.kill('worker')
        after = counters()
        self.assertEqual({k: (v, after.get(k)) for k, v in before.items() if after.get(k, -1) < v}, {})
        families = self.read()
        self.assertEqual(families['aigw_worker_restarts_total'].samples, [('aigw_worker_restarts_total', {'reason': 'signal'}, 1)])
        self.chat('m')
        self.counted('aigw_requests_total', self.sum_of(before, 'aigw_requests_total') + 1)

    def sum_of(self, counters, name):
        return sum(v for (n, _), v in counters.items() if n == name)


class ByKey(Case):
    CONFIG = {'workers': 1, 'metrics': {'by_key': 'on'}}

    def test_keys_and_accounts_are_labels(self):
        key = self.node.customer('by-key', '1')
        public = key.split('-')[2]
        for _ in range(3):
            self.assertEqual(self.chat('m', key=key).status, 200)
        self.assertEqual(self.chat('none', key=key).status, 404)
        self.assertEqual(self.chat('bad', key=key).status, 502)
        families = self.counted('aigw_key_requests_total', 5, key=public)
        label = {'account': 'by-key', 'key': public}
        for name, (kind, labels) in BY_KEY.items():
            self.assertEqual(families[name].type, kind)
            self.assertEqual({frozenset(have) for _, have, _ in families[name].samples}, {frozenset(labels)})
        requests = {code: self.value(families, 'aigw_key_requests_total', code=code, **label) for code in ('2xx', '4xx', '5xx', 'none')}
        self.assertEqual(requests, {'2xx': 3, '4xx': 1, '5xx': 1, 'none': 0})
        self.assertEqual(self.value(families, 'aigw_key_tokens_total', **{'class': 'input'}, **label), 15)
        self.assertEqual(self.value(families, 'aigw_key_tokens_total', **{'class': 'output'}, **label), 6)
        self.assertEqual(round(self.value(families, 'aigw_key_charged_usd_total', **label) * 1e9),
                         3 * charge_nusd({'input': 5, 'output': 2}, {'input': 1, 'output': 2}))
        self.assertNotIn(key.split('-', 3)[3].encode(), self.answer.body)

    def test_a_client_that_left_before_an_answer(self):
        key = self.node.customer('left', '1')
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('slow'), key=key)
            wait_for(lambda: self.node.show('left')['holds'] == 1)
        self.counted('aigw_key_requests_total', 1, key=key.split('-')[2], code='none')

    def test_switched_by_a_reload(self):
        self.chat('m')
        public = self.key.split('-')[2]
        n = self.value(self.counted('aigw_key_requests_total', 1, key=public), 'aigw_key_requests_total', key=public)
        try:
            self.node.configure(metrics={'by_key': 'off'})
            self.node.ctl('reload')
            self.chat('m')
            self.settle()
            self.assertEqual(set(self.read()) & set(BY_KEY), set())
            self.assertNotIn(public.encode(), self.answer.body)
        finally:
            self.node.configure(metrics={'by_key': 'on'})
            self.node.ctl('reload')
        self.assertEqual(self.value(self.read(), 'aigw_key_requests_total', key=public), n)


class NewStore(NodePerTest):
    MODELS = {'slow': model('oai/sim?tokens=100&rate=5')}

    def test_no_gauge_is_of_a_store_that_is_gone(self):
        """The page outlives keeper and store: it tells of the new store from the moment that a keeper has it."""
        self.begin()
        for _ in range(3):
            self.one_store_more()

    def one_store_more(self):
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('slow', stream=True), key=self.key)
            wait_for(lambda: self.node.metrics()['aigw_holds'] == 1)
            keeper, mark = self.node.status()['keeper'][0]['pid'], self.node.mark()
            shutil.rmtree(self.node.live)
            os.kill(keeper, signal.SIGKILL)
            self.node.wait_event('keeper_ready', since=mark)
            now = wait_for(self.told, 5, 0.005)
            self.assertEqual([now[g] for g in ('aigw_holds', 'aigw_held_usd', 'aigw_hold_age_seconds', 'aigw_outbox_records')], [0, 0, 0, 0])
        self.node.wait_event('worker_ready', since=mark)

    def told(self):
        """None while the worker with the admin port is replaced."""
        try:
            return self.node.metrics()
        except (OSError, AssertionError):
            return None


del Case
if __name__ == '__main__':
    tap.main()
