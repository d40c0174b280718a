"""Every command of aigwctl against a whole node, as text and as JSON."""
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest
from decimal import Decimal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap
from canary import PROVIDER_KEY
from gateway import wait_for
from node import NodeCase, model

TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z')


class Case(NodeCase):
    MODELS = {'m1': model('oai/sim?tokens=4&input=10'), 'slow': model('oai/sim?tokens=100&rate=5'),
              'twice': model('oai/sim?tokens=1', 'ant/sim?tokens=1', fallbacks=['m1']), 'gratis': dict(model('oai/sim'), price='free'),
              'by-request': dict(model('oai/sim?tokens=1'), price={'request': '0.01'})}
    CONFIG = {'providers': {'closed': {'dialect': 'openai', 'base_url': 'http://127.0.0.1:9/v1', 'keys': ['env:MOCK_KEY']}}}

    def text(self, *words, status=0):
        p = self.node.ctl_raw(*words)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p.stdout

    def rows(self, *words):
        """A table's rows as dictionaries by header, cut by the headers' places where columns are left-aligned."""
        lines = self.text(*words).rstrip('\n').split('\n')
        return [re.split(r' {2,}', line.strip()) for line in lines]

    def exact(self, *words):
        return json.loads(self.node.ctl_raw(*words, '--json').stdout, parse_float=Decimal)

    def one_request(self):
        """A settled request's id."""
        answer = self.node.ctl('chat', 'm1', 'hi', '--key', self.key)
        self.node.record(answer['request_id'])
        return answer['request_id']


class Node(Case):
    def test_status(self):
        s = self.node.ctl('status')
        self.assertEqual((s['node']['state'], s['node']['region'], s['node']['workers_ready']), ('serving', 'test', 2))
        self.assertEqual(s['node']['pid'], self.node.master.pid)
        self.assertEqual((s['ledger']['state'], s['ledger']['imbalance_usd']), ('good', 0))
        self.assertEqual([(l['port'], l['admin'], l['tls']) for l in s['listeners']],
                         [(self.node.port, False, False), (self.node.admin_port, True, False)])
        self.assertEqual([w['state'] for w in s['workers']], ['ready', 'ready'])
        text = self.text('status')
        for word in ('serving', 'ledger', 'listeners', 'keeper', 'workers', '127.0.0.1:%d' % self.node.port):
            self.assertIn(word, text)

    def test_worker_list(self):
        s = self.node.ctl('worker', 'list')
        self.assertEqual(sorted(w['pid'] for w in s['workers']), sorted(self.node.children('worker')))
        self.assertEqual([s['keeper']['pid']], self.node.children('keeper'))
        self.assertIn('SLOT', self.text('worker', 'list'))

    def test_config(self):
        self.assertIn(': ok, 3 providers, 5 models', self.text('config', 'check'))
        shown = self.text('config', 'show')
        self.assertIn('region: test', shown)
        self.assertNotIn(PROVIDER_KEY, shown)
        self.assertEqual(self.node.ctl('config', 'show')['yaml'], shown)
        self.assertIn('aigw.yaml:', self.text('config', 'show', '--origin'))
        self.assertEqual(self.node.ctl('config', 'check')['messages'], [])
        # What show prints parses again.
        path = os.path.join(self.node.dir, 'shown.yaml')
        with open(path, 'w') as f:
            f.write(shown.replace('***', 'env:MOCK_KEY'))
        p = subprocess.run([os.environ['AIGWCTL'], 'config', 'check', path], capture_output=True, text=True,
                           env=dict(os.environ, MOCK_KEY='x'))
        self.assertIn(': ok, 3 providers, 5 models', p.stdout)

    def test_top_without_a_terminal_is_printed_once(self):
        text = self.text('top')
        self.assertRegex(text, r'requests/s \d+\.\d')
        for word in ('SLOT', 'oai', 'ant', 'main', 'ledger good'):
            self.assertIn(word, text)
        s = self.node.ctl('top')
        self.assertEqual({p['name'] for p in s['providers']}, {'oai', 'ant', 'closed'})
        self.assertIn('main', [a['name'] for a in s['accounts']])
        self.assertIn('requests_per_s', s['workers'][0])


class Reload(Case):
    test_zz_books_are_right_and_no_secret_shows = None # a refused reload is an error in the log

    def test_reload(self):
        self.assertIn('nothing has changed', self.text('reload'))
        self.node.configure(models={'new': model('oai/sim')})
        try:
            self.assertIn('added', self.text('reload'))
            self.node.configure(region='elsewhere', models={'new': None})
            changes = self.node.ctl('reload')['changes']
            self.assertIn({'path': 'models.new', 'change': 'removed', 'waits_for_restart': False}, changes)
            self.node.configure(limits={'bdy': '1MiB'})
            p = self.node.ctl_raw('reload')
            self.assertEqual(p.returncode, 1)
            self.assertRegex(p.stderr, r'aigw\.yaml:\d+:\d+: error: unknown key `limits\.bdy` \(did you mean `body`\?\)|'
                                       r'aigw\.yaml:\d+:\d+: error: .*bdy')
            error = json.loads(self.node.ctl_raw('reload', '--json').stderr)['error']
            self.assertEqual(error['code'], 'reload_refused')
            self.assertTrue(error['file'].endswith('aigw.yaml') and error['line'] > 0, error)
            p = self.node.ctl_raw('config', 'check')
            self.assertEqual(p.returncode, 6)
            self.assertIn('bdy', p.stdout)
        finally:
            self.node.more.pop('limits', None)
            self.node.configure(region='test', models={'new': None})
            self.node.ctl('reload')


class Large(Case):
    """Answers that are far larger than what a socket takes at once."""
    MODELS = {'a-model-with-a-name-of-some-length-%05d' % i: model('oai/sim?tokens=%d' % i) for i in range(12000)}

    def test_answers_come_whole(self):
        shown = self.text('config', 'show', '--origin')
        self.assertGreater(len(shown), 9 << 19)
        self.assertEqual(shown.count('sim?tokens='), 12000)
        self.assertEqual(len(self.node.ctl('config', 'show')['yaml'].split('sim?tokens=')), 12001)
        self.assertEqual(len(self.node.ctl('model', 'list')['models']), 12000)


class Money(Case):
    def test_account_life(self):
        a = self.exact('account', 'create', 'life', '--credit', '5', '--overdraft', '0.5', '--note', 'a test')
        self.assertEqual((a['name'], a['mode'], a['status']), ('life', 'prepaid', 'active'))
        self.assertEqual((a['balance_usd'], a['overdraft_usd'], a['available_usd']), (5, Decimal('0.5'), Decimal('5.5')))
        self.assertRegex(a['created_at'], TIME)
        self.assertTrue(a['durable'])
        self.assertEqual(self.exact('account', 'credit', 'life', '--add', '0.000000001')['balance_usd'], Decimal('5.000000001'))
        self.assertEqual(self.exact('account', 'credit', 'life', '--take', '5.000000001', '--note', 'back')['balance_usd'], 0)
        self.assertEqual(self.exact('account', 'suspend', 'life')['status'], 'suspended')
        self.assertEqual(self.exact('account', 'show', 'life')['status'], 'suspended')
        self.assertEqual(self.exact('account', 'resume', 'life')['status'], 'active')
        self.assertEqual(self.exact('account', 'show', str(a['id']))['name'], 'life')
        post = self.exact('account', 'create', 'life-post', '--postpaid')
        self.assertEqual((post['mode'], post['available_usd']), ('postpaid', None))
        names = [x['name'] for x in self.exact('account', 'list')['accounts']]
        self.assertTrue({'life', 'life-post', 'main'} <= set(names))
        shown = [r[0] for r in self.rows('account', 'list')[1:]]
        self.assertEqual(shown, sorted(shown))
        self.assertIn('$0.00', self.text('account', 'show', 'life'))
        self.assertIn('no limit', self.text('account', 'show', 'life-post'))

    def test_key_life(self):
        self.node.account('keys', 1)
        k = self.exact('key', 'create', '--account', 'keys', '--name', 'one', '--rpm', '60', '--tpm', '1000', '--rpd', '100',
                       '--tpd', '10000', '--concurrency', '2', '--budget', '0.25', '--period', 'day', '--rolling', 'on',
                       '--models', 'm1,!slow', '--ip', '127.0.0.0/8', '--expires', '1d', '--clamp', 'on', '--keepalive', '20s')
        self.node.canary.plant(k['key'])
        self.assertTrue(k['key'].startswith('sk-aigw-%s-' % k['id']))
        self.assertEqual((k['rpm'], k['tpm'], k['rpd'], k['tpd'], k['concurrency']), (60, 1000, 100, 10000, 2))
        self.assertEqual((k['budget_usd'], k['budget_period'], k['rolling'], k['clamp']), (Decimal('0.25'), 'day', True, True))
        self.assertIn('127.0.0.0/8', k['ip'])
        self.assertEqual(k['keepalive_ms'], 20000)
        self.assertRegex(k['expires_at'], TIME)
        shown = self.exact('key', 'show', k['id'])
        self.assertNotIn('key', shown)
        self.assertEqual(self.exact('key', 'show', k['key'])['id'], k['id'])
        u = self.exact('key', 'update', k['id'], '--rpm', 'none', '--models', 'none', '--ip', 'none', '--expires', 'never',
                       '--budget', '1', '--suspended', 'on')
        self.assertEqual((u['rpm'], u['tpm'], u['models'], u['ip'], u['expires_at']), (None, 1000, '', '', None))
        self.assertEqual((u['budget_usd'], u['status']), (1, 'suspended'))
        self.assertEqual(self.exact('key', 'update', k['id'], '--suspended', 'off')['status'], 'active')
        self.assertEqual([x['id'] for x in self.exact('key', 'list', '--account', 'keys')['keys']], [k['id']])
        self.assertEqual(self.exact('key', 'revoke', k['id'], '--now')['status'], 'revoked')
        self.assertIn('revoked', self.text('key', 'list', '--account', 'keys'))
        text = self.text('key', 'show', k['id'])
        self.assertIn('no limit', text)
        self.assertIn('never', text)
        self.assertRegex(text, r'keepalive +20\.0 s')
        self.assertRegex(self.text('key', 'show', self.key.split('-')[2]), r"keepalive +the node's")

    def test_new_key_as_text(self):
        p = self.node.ctl_raw('key', 'create', '--account', 'main')
        key = p.stdout.rstrip('\n').split('\n')[-1]
        self.node.canary.plant(key)
        self.assertRegex(key, r'^sk-aigw-[a-z0-9]{12}-[A-Za-z0-9_-]{43}$')
        self.assertIn('will not be shown again', p.stderr)
        self.assertEqual(self.chat('m1', key=key).status, 200)

    def test_usage(self):
        key = self.node.customer('used', 1)
        for _ in range(3):
            self.assertEqual(self.chat('m1', key=key).status, 200)
        self.node.settled('used')
        want = Decimal('0.000018') # 10 in at 1, 4 out at 2 dollars a million
        wait_for(lambda: self.exact('usage', '--account', 'used')['total']['requests'] == 3)
        t = self.exact('usage', '--account', 'used')['total']
        self.assertEqual((t['input'], t['output'], t['charge_usd'], t['uncollected_usd']), (30, 12, 3 * want, 0))
        u = self.exact('usage', '--by', 'model,provider', '--account', 'used', '--margin')
        self.assertEqual([(r['model'], r['provider'], r['requests']) for r in u['rows']], [('m1', 'oai', 3)])
        self.assertEqual(u['rows'][0]['margin_usd'], u['rows'][0]['charge_usd'] - u['rows'][0]['cost_usd'])
        text = self.text('usage', '--by', 'day,key', '--account', 'used')
        self.assertIn('CHARGE $', text)
        self.assertTrue(text.rstrip('\n').split('\n')[-1].startswith('total'))
        rows = list(csv.DictReader(io.StringIO(self.text('usage', '--by', 'account,model', '--csv', '--account', 'used'))))
        self.assertEqual([(r['account'], r['model'], r['requests'], Decimal(r['charge_usd'])) for r in rows],
                         [('used', 'm1', '3', 3 * want)])
        # What it cost us stands in both, asked for or not: --margin is needed for tables.
        self.assertTrue('cost_usd' in rows[0] and 'margin_usd' not in rows[0])
        self.assertIn('cost_usd', self.exact('usage', '--by', 'model')['rows'][0])
        self.assertIn('which --csv and --json always have', self.text('usage', '--help').replace('\n', ' ').replace('  ', ''))
        self.assertEqual(self.exact('usage', '--until', '2020-01-01')['total']['requests'], 0)
        self.assertEqual(self.text('usage', '--by', 'model', '--csv', '--until', '2020-01-01').count('\n'), 1)
        self.assertEqual(self.exact('usage', '--since', '1h', '--key', key)['total']['requests'], 3)
        # Who means one day gives the next one as its end.
        for words in (('usage',), ('ledger', 'export')):
            for until in ('2026-11-24', '2026-11-25'):
                p = self.node.ctl_raw(*words, '--since', '2026-11-25', '--until', until)
                self.assertEqual((p.returncode, p.stdout), (2, ''))
                self.assertIn('until: nothing is between since and until', p.stderr)

    def test_usage_for_spreadsheets(self):
        """An end user that calls itself by a formula: told as it is, and as CSV so that no spreadsheet runs it."""
        key, tags = self.node.customer('sheet', 1), ['=HYPERLINK("http://x","y")', '@x', "'q", 'plain']
        for tag in tags:
            self.assertEqual(self.chat('m1', key=key, headers=[('x-aigw-user', tag)]).status, 200)
        words = ('usage', '--by', 'tag', '--account', 'sheet')
        self.assertEqual({r['tag'] for r in self.exact(*words)['rows']}, set(tags))
        rows = list(csv.DictReader(io.StringIO(self.text(*words, '--csv'))))
        self.assertEqual({r['tag'] for r in rows}, {'\'=HYPERLINK("http://x","y")', "'@x", "''q", 'plain'})
        self.assertEqual({r['requests'] for r in rows}, {'1'})

    def test_usage_by_team_and_end_user(self):
        """Once from the records alone, once from the roll-ups that the checkpoint has written."""
        self.node.account('teams', 1)
        self.node.ctl('team', 'create', 'red', '--account', 'teams')
        red, none = self.node.key('teams', team='red'), self.node.key('teams')
        for key, user in ((red, 'ann'), (red, 'ann'), (red, 'bob'), (red, None), (none, 'ann')):
            headers = [('x-aigw-user', user)] if user else []
            self.assertEqual(self.chat('m1', key=key, headers=headers).status, 200)
        self.node.settled('teams')
        want = {('', 'ann'): 1, ('teams/red', ''): 1, ('teams/red', 'ann'): 2, ('teams/red', 'bob'): 1}
        for wait_s in 0, 6:
            time.sleep(wait_s)
            rows = self.node.ctl('usage', '--by', 'team,tag', '--account', 'teams')['rows']
            self.assertEqual({(r['team'], r['tag']): r['requests'] for r in rows}, want)
            rows = self.node.ctl('usage', '--by', 'model,tag', '--account', 'teams')['rows']
            self.assertEqual({r['tag']: r['requests'] for r in rows}, {'': 1, 'ann': 3, 'bob': 1})
        self.assertTrue(self.node.verify()['good'])

    def test_request_show(self):
        request_id = self.one_request()
        r = self.exact('request', 'show', request_id)
        self.assertEqual((r['id'], r['account'], r['front'], r['status'], r['end'], r['model'], r['provider']),
                         (request_id, 'main', 'chat.completions', 200, 'done', 'm1', 'oai'))
        self.assertEqual((r['input'], r['output'], r['charge_usd']), (10, 4, Decimal('0.000018')))
        self.assertRegex(r['admitted_at'], TIME)
        self.assertEqual([a['provider'] for a in r['attempts']], ['oai'])
        prices = {t['class']: t['price_usd_per_million'] for t in r['tokens']}
        self.assertEqual((prices['input'], prices['output']), (1, 2))
        text = self.text('request', 'show', request_id)
        self.assertIn('$0.000018', text)
        self.assertIn('attempts', text)

    def test_price_of_a_request(self):
        answer = self.node.ctl('chat', 'by-request', 'hi', '--key', self.key)
        self.node.record(answer['request_id'])
        r = self.exact('request', 'show', answer['request_id'])
        self.assertEqual((r['charge_usd'], r['request_price_usd']), (Decimal('0.01'), Decimal('0.01')))

    def test_names_that_are_refused(self):
        for name in ('x' * 65, 'a b', 'a\tb', 'a/b'):
            p = self.node.ctl_raw('account', 'create', name)
            self.assertEqual((p.returncode, p.stderr.split('\n')[0]),
                             (2, 'aigwctl: name: at most 64 bytes of UTF-8 without spaces, slashes and control characters'), p.stdout)
        self.node.account('unslashed', 1)
        p = self.node.ctl_raw('team', 'create', 'a/b', '--account', 'unslashed')
        self.assertEqual((p.returncode, p.stderr.startswith('aigwctl: team: at most 64 bytes of UTF-8 without spaces, slashes ')), (2, True), p.stderr)

    def test_a_team_that_is_called_none(self):
        self.node.account('teamless', 1)
        p = self.node.ctl_raw('team', 'create', 'none', '--account', 'teamless')
        self.assertEqual((p.returncode, p.stderr.split('\n')[0]), (2, "aigwctl: team: 'none' stands for no team"), p.stdout)

    def test_empty_lists(self):
        self.node.account('nothing', 1)
        self.assertEqual(self.text('key', 'list', '--account', 'nothing'), 'no keys\n')

    def test_limit_explain(self):
        key = self.node.customer('limited', 1, rpm=5, budget='0.5')
        self.chat('m1', key=key)
        self.node.settled('limited')
        limits = {(x['scope'], x['limit']): x for x in self.exact('limit', 'explain', key)['limits']}
        self.assertEqual((limits['key', 'rpm']['max'], limits['key', 'rpm']['used']), (5, 1))
        self.assertEqual((limits['key', 'budget']['unit'], limits['key', 'budget']['max']), ('usd', Decimal('0.5')))
        self.assertEqual(limits['key', 'budget']['used'], Decimal('0.000018'))
        text = self.text('limit', 'explain', key.split('-')[2])
        self.assertEqual(set(limits), {('account', 'credit'), ('key', 'rpm'), ('key', 'budget')})
        self.assertIn('0.499982', text)

    def test_limit_explain_tells_who_refuses(self):
        """What refuses a request whatever its limits are: a status, an end, models, addresses, of each scope."""
        def scopes(*user):
            return {x['scope']: x for x in self.exact('limit', 'explain', key, *user)['scopes']}
        self.node.account('strict', 1)
        self.node.ctl('team', 'create', 'shut', '--account', 'strict', '--models', 'm*,!m1')
        key = self.node.key('strict', team='shut', ip='10.0.0.0/8').split('-')[2]
        ends = self.node.ctl('key', 'update', key, '--expires', '2s')['expires_at']
        wait_for(lambda: self.node.ctl('key', 'show', key)['status'] == 'expired')
        self.node.ctl('user', 'update', '*', '--account', 'strict', '--models', 'm2')
        self.node.ctl('user', 'update', 'mallory', '--account', 'strict', '--suspended', 'on')
        found = scopes()
        self.assertEqual({s: x['status'] for s, x in found.items()}, {'account': 'active', 'team': 'active', 'key': 'expired'})
        self.assertEqual((found['team']['name'], found['team']['models'], found['key']['ip'], found['key']['expires_at']),
                         ('shut', 'm*, !m1', '10.0.0.0/8', ends))
        self.node.ctl('team', 'suspend', 'shut', '--account', 'strict')
        self.node.ctl('account', 'suspend', 'strict')
        found = scopes('--user', 'mallory')
        self.assertEqual({s: x['status'] for s, x in found.items()},
                         {'account': 'suspended', 'team': 'suspended', 'key': 'expired', 'user': 'suspended'})
        self.assertEqual(scopes('--user', 'ann')['user']['models'], 'm2')
        text = self.text('limit', 'explain', key, '--user', 'mallory')
        self.assertRegex(text, r'team +shut +suspended +m\*, !m1 +anywhere')

    def test_ledger_verify(self):
        self.one_request()
        wait_for(lambda: self.node.ctl('ledger', 'verify', '--charges')['charges'] > 0)
        v = self.node.ctl('ledger', 'verify', '--charges')
        self.assertTrue(v['good'] and v['findings'] == [], v)
        self.assertIn('good                    yes', self.text('ledger', 'verify'))


class Routes(Case):
    def test_providers(self):
        listed = self.node.ctl('provider', 'list')['providers']
        self.assertEqual({p['name']: p['dialect'] for p in listed}, {'oai': 'openai', 'ant': 'anthropic', 'closed': 'openai'})
        self.assertEqual([r[0] for r in self.rows('provider', 'list')[1:]], ['ant', 'closed', 'oai'])
        p = self.node.ctl('provider', 'show', 'oai')
        self.assertEqual((p['name'], p['keys'][0]['source'], p['keys'][0]['state']), ('oai', 'env:MOCK_KEY', 'good'))
        self.assertIn('sim?tokens=4&input=10', [o['upstream'] for o in p['offers']])
        self.assertIn('env:MOCK_KEY', self.text('provider', 'show', 'oai'))

    def test_provider_test(self):
        t = self.node.ctl('provider', 'test', 'oai')['tests']
        self.assertEqual([(x['provider'], x['ok'], x['status']) for x in t], [('oai', True, 200)])
        p = self.node.ctl_raw('provider', 'test', 'closed')
        self.assertEqual(p.returncode, 1)
        self.assertIn('connection refused', p.stdout)

    def test_models(self):
        listed = {m['name']: m for m in self.exact('model', 'list')['models']}
        self.assertEqual((listed['m1']['input_usd_per_million'], listed['m1']['output_usd_per_million']), (1, 2))
        self.assertTrue(listed['gratis']['free'])
        self.assertEqual([listed[m]['request_usd'] for m in ('m1', 'by-request')], [0, Decimal('0.01')])
        self.assertIn('REQUEST $', self.text('model', 'list'))
        m = self.node.ctl('model', 'show', 'twice')
        self.assertEqual([o['provider'] for o in m['offers']], ['oai', 'ant'])
        self.assertEqual(m['fallbacks'], [{'name': 'm1'}])
        self.assertIn('$1.00 a million tokens', self.text('model', 'show', 'm1'))


class Chat(Case):
    def test_chat(self):
        p = self.node.ctl_raw('chat', 'm1', 'hello', '--key', self.key, '--system', 'be short', '--max-tokens', '3')
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertTrue(p.stdout.endswith('\n'))
        self.assertRegex(p.stderr, r'^10 tokens in, 3 out, \$0\.000016, by oai, .*request gen_\w{26}\n$')
        sent = json.loads(self.sim.last()[2])
        self.assertEqual([m['role'] for m in sent['messages']], ['system', 'user'])

    def test_chat_as_json(self):
        a = self.exact('chat', 'm1', 'hello', '--key', self.key)
        self.assertEqual((a['input'], a['output'], a['cost_usd'], a['finish_reason']), (10, 4, Decimal('0.000018'), 'stop'))
        self.assertTrue(a['text'])

    def test_chat_reads_standard_input_and_environment(self):
        p = subprocess.run([os.environ['AIGWCTL'], 'chat', 'm1', '-', '--url', 'http://127.0.0.1:%d/v1' % self.node.port],
                           input='from a pipe', capture_output=True, text=True, timeout=20, env=dict(os.environ, AIGW_API_KEY=self.key))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(json.loads(self.sim.last()[2])['messages'][-1]['content'], 'from a pipe')

    def test_interrupt_cancels(self):
        p = subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'chat', 'slow', 'x', '--key', self.key],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertTrue(p.stdout.read(1)) # it streams
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=10)
        self.assertEqual(p.returncode, 1)
        request_id = re.search(r'cancelled; .*\(request (gen_\w+)\)', err).group(1)
        self.assertEqual(self.node.record(request_id)['end'], 'client_gone')


class Terminal(Case):
    def on_terminal(self, *words, columns=80, keys=b'', until=None, **env):
        """(exit status, what appeared) of a run on a terminal of that width; `keys` are typed once `until` appeared."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(env, TERM='xterm')
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 30, columns, 0, 0))
            os.execv(os.environ['AIGWCTL'], ['aigwctl', '--socket', self.node.socket, *words])
        seen, end = b'', time.monotonic() + 20
        while True:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self.fail('still runs after 20 s: %r' % seen[-2000:])
            try:
                part = os.read(fd, 65536)
            except OSError: # the other side has ended
                part = b''
            if not part:
                break
            seen += part
            if until and until in seen:
                os.write(fd, keys)
                until = None
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    def test_tables_fit_the_terminal(self):
        self.node.key('main', name='a key with a rather long name')
        for columns in 80, 200:
            status, seen = self.on_terminal('key', 'list', columns=columns, NO_COLOR='1')
            self.assertEqual(status, 0)
            table, hint, left_out = seen.replace('\r', '').partition('--wide also shows ')
            self.assertEqual([line for line in table.split('\n') if len(line) > columns], [])
            self.assertNotIn('\033', seen)
            self.assertEqual('MODELS' in left_out, columns == 80, seen)
        _, seen = self.on_terminal('key', 'list', '--wide')
        self.assertIn('MODELS', seen)
        self.assertIn('\033[32mactive\033[0m', seen)

    def test_a_backup_shows_how_far_it_is(self):
        folder = os.path.join(self.node.dir, 'on-a-terminal')
        status, seen = self.on_terminal('ledger', 'backup', folder, NO_COLOR='1')
        self.assertEqual(status, 0, seen)
        self.assertRegex(seen, r'\r\033\[K100 % of \d+ MB\r\033\[K')
        self.assertEqual(sorted(os.listdir(folder)), ['backup.json', 'ledger', 'pepper'])
        state = os.path.join(self.node.dir, 'new-machine')
        os.mkdir(state)
        status, seen = self.on_terminal('ledger', 'restore', folder, '--state', state, NO_COLOR='1')
        self.assertEqual(status, 0, seen)
        self.assertIn('restored the ledger of', seen)

    def test_top_at_the_right_edge(self):
        """A line as wide as the terminal is not followed by an erase, which would take its last character."""
        name = 'n' * 64
        self.node.account(name, '123456.123456789')
        _, seen = self.on_terminal('top', keys=b'q', until=b'123456.123456789', NO_COLOR='1')
        line = [x for x in seen.replace('\r', '').replace('\033[K', '<erased>').split('\n') if 'nnnnn' in x][0]
        self.assertEqual(len(line), 80, line)
        self.assertTrue(line.endswith('0.00'), line)

    def test_top_runs_until_q_or_an_interrupt(self):
        for keys in b'q', b'\x03':
            status, seen = self.on_terminal('top', keys=keys, until=b'requests/s 0.')
            self.assertEqual(status, 0, seen)
            self.assertGreaterEqual(seen.count('\033[H'), 2) # drawn anew
            self.assertTrue(seen.endswith('\033[?7h\033[?25h\033[?1049l'), seen[-100:])


class Shells(Case):
    def complete(self, *words):
        script = '. <("$AIGWCTL" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _aigwctl; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        return subprocess.run(['bash', '-c', script, 'bash', os.environ['AIGWCTL'], *words], capture_output=True, text=True,
                              check=True).stdout.split()

    def completed(self, shell, ready, line, want):
        """Types the line and a tab into an interactive shell, which must make `want` of it."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM='dumb', AIGW_SOCKET=self.node.socket, HOME=self.node.dir, PS1='$ ', BUILD=os.path.dirname(os.environ['AIGWCTL']))
            os.chdir(self.node.dir)
            os.execvp(shell[0], shell)
        os.write(fd, ready.encode() + b'\n')
        seen, end, asked = b'', time.monotonic() + 20, False
        while want.encode() not in seen:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                break
            seen += os.read(fd, 65536)
            if not asked and b'is-ready' in seen:
                seen, asked = b'', True
                os.write(fd, line.encode() + b'\t')
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
        self.assertIn(want, seen.decode(), line)

    LINES = (('aigwctl acc', 'aigwctl account '), ('aigwctl account susp', 'aigwctl account suspend '),
             ('aigwctl key create --acc', 'aigwctl key create --account '), ('aigwctl account show mai', 'aigwctl account show main '),
             ('aigwctl key create --account mai', 'aigwctl key create --account main '),
             ('aigwctl team show nightsh', 'aigwctl team show nightshift '), ('aigwctl key create --team nightsh', 'aigwctl key create --team nightshift '),
             ('aigwctl user show some', 'aigwctl user show somebody '), ('aigwctl key import many-k', 'aigwctl key import many-keys.ndjson '),
             ('aigwctl key update x --postpaid of', 'aigwctl key update x --postpaid off '),
             ('aigwctl team update --postpaid on nightsh', 'aigwctl team update --postpaid on nightshift '),
             ('aigwctl ledger restore --config many-k', 'aigwctl ledger restore --config many-keys.ndjson '))

    def setUp(self):
        super().setUp()
        if not os.path.exists(os.path.join(self.node.dir, 'many-keys.ndjson')):
            self.node.ctl('team', 'create', 'nightshift', '--account', 'main')
            self.node.ctl('user', 'update', 'somebody', '--account', 'main', '--rpm', '5')
            os.makedirs(os.path.join(self.node.dir, 'fpath'))
            with open(os.path.join(self.node.dir, 'many-keys.ndjson'), 'w'):
                pass

    @unittest.skipUnless(shutil.which('zsh'), 'zsh is not installed')
    def test_zsh_completes(self):
        for ready in ('. <(aigwctl completion zsh)', 'aigwctl completion zsh >fpath/_aigwctl; fpath=($PWD/fpath $fpath); compinit -u -D'):
            for line, want in self.LINES:
                with self.subTest(line, ready=ready):
                    self.completed(['zsh', '-f', '-i'], 'PATH=$BUILD:$PATH; autoload -U compinit; compinit -u -D; %s; echo is""-ready' % ready,
                                   line, want)

    def test_bash_completes_at_a_terminal(self):
        for line, want in self.LINES:
            with self.subTest(line):
                self.completed(['bash', '--norc', '-i'], 'PATH=$BUILD:$PATH; . <(aigwctl completion bash); echo is""-ready', line, want)

    @unittest.skipUnless(shutil.which('fish'), 'fish is not installed')
    def test_fish_completes(self):
        env = dict(os.environ, AIGW_SOCKET=self.node.socket, HOME=self.node.dir)
        for line, want in self.LINES:
            with self.subTest(line):
                script = 'set PATH %s $PATH; aigwctl completion fish | source; complete -C "%s"' % (os.path.dirname(os.environ['AIGWCTL']), line)
                p = subprocess.run(['fish', '-c', script], capture_output=True, text=True, env=env, cwd=self.node.dir)
                self.assertEqual([w.split('\t')[0] for w in p.stdout.split('\n') if w], [want.split()[-1]], p.stderr)

    def test_bash_completes(self):
        self.assertEqual(self.complete('acc'), ['account'])
        self.assertEqual(self.complete('--socket', 'x', 'account', 's'), ['show', 'suspend'])
        self.assertEqual(self.complete('key', 'create', '--per'), ['--period'])
        self.assertIn('month', self.complete('key', 'create', '--account', 'a', '--period', ''))
        self.assertEqual(self.complete('completion', 'z'), ['zsh'])
        # An option that has a value with one verb and none with another.
        for at_end in ('team', 'user', 'key', 'account'):
            self.assertEqual(self.complete(at_end, 'update', 'a', '--postpaid', ''), ['on', 'off'])
        self.assertEqual(self.complete('key', 'create', '--postpaid', ''), [])
        self.assertEqual(self.complete('--socket', '/none', 'key', 'update', '--postpaid', 'off', 'a', '--cr'), ['--credit'])
        self.assertIn('a', self.complete('--socket', self.node.socket, 'team', 'update', '--postpaid', 'on', 'nightsh', '--account', 'mai')[0])
        self.assertEqual(self.complete('account', 'create', 'acme', '--cr'), ['--credit'])
        at = ('--socket', self.node.socket)
        self.assertIn('main', self.complete(*at, 'account', 'show', ''))
        self.assertEqual(self.complete(*at, 'provider', 'test', 'o'), ['oai'])
        self.assertEqual(self.complete(*at, 'model', 'show', 'm'), ['m1'])
        self.assertEqual(self.complete(*at, 'chat', 'tw'), ['twice'])
        self.assertIn(self.key.split('-')[2], self.complete(*at, 'key', 'revoke', ''))
        self.assertIn(self.key.split('-')[2], self.complete(*at, 'usage', '--key', ''))
        self.assertEqual(self.complete(*at, 'account', 'create', ''), [])
        self.assertEqual(self.complete('--socket', '/none', 'account', 'show', ''), [])
        # A name that the shell would run is not offered.
        self.node.account('$(touch${IFS}bad)', 1)
        self.assertNotIn('touch', ''.join(self.complete(*at, 'account', 'show', '')))
        self.assertEqual(self.complete(*at, 'account', 'show', '$'), [])

    def test_help_at_each_level(self):
        top = self.text('--help')
        groups = re.findall(r'^  (\w+)  ', top, re.MULTILINE)
        self.assertIn('account', groups)
        for group in groups:
            text = self.text(group, '--help')
            self.assertTrue(text.startswith('usage: aigwctl %s' % group), text)
            if ' VERB ' in text:
                for verb in re.findall(r'^  (\w+)  ', text, re.MULTILINE):
                    self.assertTrue(self.text(group, verb, '--help').startswith('usage: aigwctl %s %s' % (group, verb)))


del Case
if __name__ == '__main__':
    tap.main()
