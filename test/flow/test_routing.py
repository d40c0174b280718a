"""Which provider answers: priority, weight, failover, fallbacks, keys that rotate, cool and go out, breakers shared by all workers; and that
nothing else is ever connected to (row 47) or injected (row 46). Rows 14, 50, 54."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, message
from gateway import wait_for
from load import StreamLoad
from node import BACKS, LONG, Node, NodeCase, Sim, charge_nusd, chat_body, model, nusd
from provider import Server
import tap

GOOD = 'oai/sim?tokens=2&input=5'


def weighted(**offers):
    return model(offers={GOOD + '&size=%d' % w: {'weight': w} for w in offers.values()})


class Order(NodeCase):
    MODELS = {
        'good': model(GOOD), 'good-ant': model('ant/sim?tokens=2&input=5'),
        'second': model('oai/sim?status=500', 'ant/sim?tokens=2&input=5'),
        'third': model('oai/sim?status=500', 'dead/x', 'ant/sim?tokens=2&input=5'),
        'weights': weighted(a=80, b=20), 'standby': weighted(a=5, b=0),
        'falls': model('oai/sim?status=503', fallbacks=['dear']), 'dear': model('ant/sim?tokens=3&input=7', input=10, output=20),
        'wide': model('oai/sim?status=400&code=context_length_exceeded', context=1000, max_output=100, fallbacks=['good']),
        'timid': model('oai/sim?fault=silent', 'ant/sim?tokens=2&input=5'),
        'hasty': model('oai/sim?tokens=2&delay=30s'),
        'gratis': model('oai/sim?tokens=2&input=6', price='free'), 'priced': model('oai/sim?tokens=2&input=6', 'oai/sim?tokens=2&input=8'),
        'same': model('oai/sim?tokens=2&input=8'),
        'guarded': model('oai/sim?status=500', fallbacks=['priced', 'good']),
    }
    CONFIG = {'breaker': {'failures': 32, 'requests': 32}, 'retry': {'minimum': 100000},
              'timeouts': {'first_byte': '500ms', 'first_byte_whole': '20s', 'connect': '500ms'},
              'providers': {'dead': {'dialect': 'openai', 'base_url': 'http://127.0.0.1:1/v1'}}}

    def test_next_offer(self):
        for name, attempts in (('second', '2'), ('third', '3')):
            for stream in (False, True):
                with self.subTest(name, stream=stream):
                    a = self.chat(name, stream)
                    self.assertEqual((a.status, a.get('x-aigw-provider'), a.get('x-aigw-attempts')), (200, 'ant', attempts), a)
                    record = self.node.record(a.get('x-request-id'))
                    self.assertEqual([t['provider'] for t in record['attempts']], ['oai', 'ant'] if name == 'second' else ['oai', 'dead', 'ant'])

    def test_no_answer_in_time_goes_to_the_next(self):
        a = self.chat('timid', True)
        self.assertEqual((a.status, a.get('x-aigw-provider')), (200, 'ant'))

    def test_no_fallback(self):
        a = self.chat('second', headers=[('x-aigw-no-fallback', '1')])
        self.assertEqual((a.status, a.get('x-aigw-attempts'), a.get('x-should-retry')), (502, '1', 'true'), a)
        self.assertEqual(self.chat('falls', headers=[('x-aigw-no-fallback', '1')]).status, 502)

    def test_two_attempts_are_not_worth_a_retry(self):
        """A3: 502 says x-should-retry: false once two or more attempts were made."""
        self.node.configure(models={'lost': model('oai/sim?status=500', 'dead/x')})
        self.node.ctl('reload')
        a = self.chat('lost')
        self.assertEqual((a.status, a.get('x-should-retry'), len(a.error['metadata']['attempts'])), (502, 'false', 2), a)

    def test_weights(self):
        n = 1000 if LONG else 400
        self.sim.reset()
        for _ in range(n):
            self.chat('weights')
        heavy = len([r for r in self.sim.requests() if r['model'].endswith('size=80')])
        self.assertTrue(abs(heavy - 0.8 * n) < 0.08 * n, heavy)
        self.sim.reset()
        for _ in range(50):
            self.chat('standby')
        self.assertEqual({r['model'][-6:] for r in self.sim.requests()}, {'size=5'})

    def test_fallback_model_is_charged_at_its_own_price(self):
        a = self.chat('falls')
        self.assertEqual((a.status, a.get('x-aigw-model'), a.get('x-aigw-provider')), (200, 'dear', 'ant'), a)
        self.assertEqual(nusd(a.usage['cost']), charge_nusd({'input': 7, 'output': 3}, {'input': 10, 'output': 20}))
        line = self.node.access(a.get('x-request-id'))[a.get('x-request-id')]
        self.assertEqual((line['model'], line['model_used']), ('falls', 'dear'))

    def test_larger_model_where_the_context_is_too_long(self):
        a = self.chat('wide')
        self.assertEqual((a.status, a.get('x-aigw-model')), (200, 'good'), a)

    def test_provider_and_model_by_name(self):
        a = self.chat(GOOD)
        self.assertEqual((a.status, a.get('x-aigw-provider')), (200, 'oai'), a)
        self.assertEqual(self.chat('oai/sim?not=offered').status, 404)

    def test_an_offer_at_two_prices_has_no_name(self):
        """Nobody decided which of them a client pays, so it cannot choose the one that costs nothing."""
        self.sim.reset()
        for key, named in ((self.key, '`gratis`, `priced`'), (self.node.key('main', models='gratis'), '`gratis`'),
                           (self.node.key('main', models='!gratis'), '`priced`')):
            a = self.chat('oai/sim?tokens=2&input=6', key=key)
            self.assertEqual((a.status, a.error['code'], a.error['param']), (404, 'model_not_found', 'model'), a)
            self.assertTrue(a.error['message'].endswith('at more than one price; ask for one of %s.' % named), a)
        self.assertEqual(self.sim.requests(), [])
        self.assertEqual(nusd(self.chat('gratis').usage['cost']), 0)
        self.assertGreater(nusd(self.chat('priced').usage['cost']), 0)

    def test_an_offer_is_that_of_a_model_which_the_key_may_use(self):
        for models, status, charged in (('*', 200, 'priced'), ('same', 200, 'same'), ('!priced', 200, 'same'), ('good', 403, None)):
            with self.subTest(models):
                a = self.chat('oai/sim?tokens=2&input=8', key=self.node.key('main', models=models))
                self.assertEqual((a.status, a.get('x-aigw-model')), (status, charged), a)
                if status == 403:
                    self.assertEqual(a.error['code'], 'model_not_allowed')
                    continue
                record = self.node.record(a.get('x-request-id'))
                self.assertEqual((record['model'], nusd(record['charge_usd'])),
                                 (charged, charge_nusd({'input': record['input'], 'output': record['output']}, {'input': 1, 'output': 2})))

    def test_fallbacks_are_those_that_the_key_may_use(self):
        a = self.chat('guarded', key=self.node.key('main', models='guarded,good'))
        self.assertEqual((a.status, a.get('x-aigw-model')), (200, 'good'), a)
        a = self.chat('guarded', key=self.node.key('main', models='guarded'))
        self.assertEqual((a.status, a.get('x-aigw-attempts')), (502, '1'), a)
        self.assertEqual(self.chat('guarded').get('x-aigw-model'), 'priced')

    def test_clients_time_out_less_two_seconds(self):
        """A7: the gateway ends the request (504, settled) and not the client."""
        begun = time.monotonic()
        a = self.chat('hasty', headers=[('x-stainless-timeout', '3')])
        self.assertTrue(0.7 < time.monotonic() - begun < 1.8)
        self.assertEqual((a.status, a.error['code'], a.get('x-should-retry')), (504, 'upstream_timeout', 'false'), a)

    def test_balance_of_workers(self):
        """Row 54: 200 long streams, the busier worker has at most 0.60 of them. The kernel gives each connection to a worker by chance, so one
        lot in 270 is beyond that (2.9 sigma of 200 throws of a coin): the median of three lots is, one in 25,000 times."""
        self.node.configure(models={'long': model('oai/sim?tokens=12&rate=4&input=5')})
        self.node.ctl('reload')
        lots = []
        for _ in range(3):
            load = StreamLoad(self.node.port, self.key, ['long'], 200, once=True)
            try:
                busy = wait_for(lambda: self.all_of(200))
            finally:
                load.stop()
            self.assertEqual(load.kinds(), {'done': 200})
            lots.append(max(busy))
            wait_for(lambda: self.all_of(0))
        self.assertLessEqual(sorted(lots)[1], 120, lots)

    def all_of(self, n):
        """The workers' requests in flight, once they are `n` in all."""
        busy = [w['inflight'] for w in self.node.ctl('worker', 'list')['workers']]
        return sum(busy) == n and busy

    def test_provider_connections_are_reused(self):
        """Row 14: at least 99.9 % of the requests of many clients on reused connections."""
        self.chat('good')
        before = self.sim.counts()
        n = 20000 if LONG else 3000

        def run():
            with Conn(self.node.port) as c:
                for _ in range(n // 30):
                    c.request('POST', '/v1/chat/completions', chat_body('good'), key=self.key).answer()
        threads = [threading.Thread(target=run) for _ in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        after = self.sim.counts()
        self.assertEqual(after['requests'] - before['requests'], n)
        # Not more than were in use at once; /sim/counts itself is one.
        self.assertLessEqual(after['connections'] - before['connections'], 61)

    def test_header_injection(self):
        """Row 46: nothing of the kind reaches an upstream header or stands raw in a log line."""
        names = ('traceparent', 'tracestate', 'openai-beta', 'anthropic-beta', 'anthropic-version', 'x-request-id', 'x-client-request-id',
                 'user-agent', 'x-stainless-timeout', 'idempotency-key')
        with self.subTest('bytes that end a line'):
            self.sim.reset()
            for name in names:
                for value in (b'a\rx-evil: 1', b'a\nx-evil: 1', b'a\r\n x-evil: 1', b'a\r\n\tx-evil: 1', b'a\0b', b'\0'):
                    raw = message('POST', '/v1/chat/completions', chat_body('good'), [(name, 'HERE')], self.key).replace(b'HERE', value)
                    with Conn(self.node.port) as c:
                        c.send(raw)
                        a = c.answer()
                        self.assertEqual((a.status, a.get('connection')), (400, 'close'), (name, value, a))
            self.assertEqual(self.sim.requests(), [])
        with self.subTest('JSON strings that are passed on'):
            evil = 'a\r\nx-evil: 1\0\x7f\u2028caf\xe9'
            for m in ('good', 'good-ant'):
                a = self.chat(m, user=evil)
                self.assertEqual((a.status, a.error['param']), (400, 'user'), a)  # it is kept with the charge
                for fields in ({'stop': [evil]}, {'text': evil}, {'metadata': {evil: evil}} if m == 'good' else {'text': evil * 2},
                               {'tools': [{'type': 'function', 'function': {'name': 'f', 'description': evil, 'parameters': {}}}]}):
                    a = self.chat(m, **fields)
                    self.assertEqual(a.status, 200, a)
                    _, headers, body = self.sim.last()
                    self.assertNotIn('x-evil', [n for n, _ in headers])
                    json.loads(body)
        with self.subTest('headers'):
            for name in names:
                for value in ('caf\xe9', 'a\x01b', 'a\x7fb', 'x\tevil'):
                    for m in ('good', 'good-ant'):
                        a = self.chat(m, headers=[(name, value)])
                        self.assertIn(a.status, (200, 400), a)
                        if a.status == 200:
                            _, headers, _ = self.sim.last()
                            self.assertNotIn(value.encode('latin-1').decode('latin-1'), str([v for n, v in headers]))
                            for n, v in headers:
                                self.assertTrue(all(' ' <= ch <= '~' for ch in v), (n, v))
        with self.subTest('JSON strings and paths'):
            for text in ('a\r\nx-evil: 1', 'a\nevent=forged status=200', 'a\0b', 'a\x1b[31m', '\u2028x', '"}'):
                self.assertEqual(self.chat(text).status, 404)
                a = self.node.ask('GET', '/v1/models/' + ''.join('%%%02x' % b for b in text.encode()), key=self.key)
                self.assertIn(a.status, (400, 404))
                self.assertNotIn('x-evil', a.names)
        with open(self.node.log_path, 'rb') as f:
            for line in f.read().split(b'\n'):
                self.assertFalse([b for b in line if b < 0x20 or b == 0x7f], line)
                if line.startswith(b'{'):
                    json.loads(line)


class Keys(NodeCase):
    """Provider keys: used in turn; a 429 cools one, 401/402/403 take it out; both shared by all workers."""
    MODELS = {
        'turn': model('two/sim?tokens=2&input=5'),
        'limited': model('lim/sim?status=429&retry_after=2&bad_key=aaa&tokens=2'),
        'all-limited': model('lima/sim?status=429&retry_after=3'),
        **{'out-%d' % n: model('out%d/sim?status=%d&bad_key=aaa&tokens=2' % (n, n)) for n in (401, 402, 403)},
        'busy': model('ant529/sim?status=529'),
    }

    @classmethod
    def setUpClass(cls):
        providers = {}
        for name in ('two', 'lim', 'lima', 'out401', 'out402', 'out403'):
            providers[name] = {'dialect': 'openai', 'base_url': None, 'keys': ['env:KEY_A', 'env:KEY_B']}
        providers['ant529'] = {'dialect': 'anthropic', 'base_url': None, 'keys': ['env:KEY_A']}
        from node import Sim
        sim = Sim()
        cls.addClassCleanup(sim.close)
        for p in providers.values():
            p['base_url'] = 'http://127.0.0.1:%d/v1' % sim.port
        cls.node = Node(cls.MODELS, sim=sim, providers=providers, retry={'minimum': 100000}, breaker={'failures': 32, 'requests': 32})
        cls.node.env.update(KEY_A='sk-canary-7e1f93-aaa', KEY_B='sk-canary-7e1f93-bbb')
        cls.addClassCleanup(cls.node.close)
        cls.node.start()
        cls.key = cls.node.customer('main', '1000')
        cls.sim = sim

    def used(self):
        keys = [r['key'][-3:] for r in self.sim.requests()]
        self.sim.reset()
        return keys

    def test_in_turn(self):
        self.sim.reset()
        for _ in range(20):
            self.assertEqual(self.chat('turn').status, 200)
        keys = self.used()
        self.assertTrue(6 <= keys.count('aaa') <= 14, keys)

    def test_429_cools_the_key_for_all_workers(self):
        self.sim.reset()
        for _ in range(12):
            self.assertEqual(self.chat('limited').status, 200)
        self.assertEqual(self.used().count('aaa'), 1)
        time.sleep(2.3)
        for _ in range(4):
            self.assertEqual(self.chat('limited').status, 200)
        self.assertEqual(self.used().count('aaa'), 1)

    def test_all_keys_cooling_is_429(self):
        a = self.chat('all-limited')
        self.assertEqual((a.status, a.error['code'], a.error['type']), (429, 'upstream_rate_limited', 'rate_limit_error'), a)
        self.assertTrue(1 <= int(a.get('retry-after')) <= 3, a)
        self.assertEqual(a.get('x-should-retry'), 'true')
        self.assertRegex(a.error['message'], r'try again in \d+ second')
        self.assertNotRegex(a.error['message'], r'(?i)reset at|quota|credit|billing')
        self.sim.reset()
        for _ in range(5):
            self.assertEqual(self.chat('all-limited').status, 429)
        self.assertEqual(self.used(), [])

    def test_refused_key_is_out(self):
        for status in (401, 402, 403):
            with self.subTest(status):
                self.sim.reset()
                for _ in range(10):
                    a = self.chat('out-%d' % status)
                    self.assertEqual(a.status, 200, a)
                self.assertEqual(self.used().count('aaa'), 1)
                self.assertTrue(self.node.events('provider_key_refused'))

    def test_overloaded_is_503(self):
        a = self.chat('busy')
        self.assertEqual((a.status, a.error['code']), (503, 'overloaded'), a)
        self.assertTrue(a.get('retry-after'))


class SlowStart(NodeCase):
    """An offer that comes back gets a growing share of what others serve as well; where there is no other, all of it."""
    MODELS = {'alone': model('oai/sim?tokens=2&status=500&fail_first=3'),
              'two': model('oai/sim?tokens=3&status=500&fail_first=3', 'ant/sim?tokens=3')}
    CONFIG = {'workers': 1, 'breaker': {'failures': 3, 'requests': 10, 'cool_down': '100ms', 'slow_start': '10m'}, 'retry': {'minimum': 100000}}

    def open_and_close(self, name, status):
        for _ in range(3):
            self.assertEqual(self.chat(name).status, status)
        wait_for(lambda: self.chat(name).get('x-aigw-provider') == 'oai', 5, 0.02) # the probe

    def test_an_only_offer_is_used_at_once(self):
        self.open_and_close('alone', 502)
        self.assertEqual({self.chat('alone').status for _ in range(30)}, {200})

    def test_another_offer_takes_the_rest(self):
        self.open_and_close('two', 200)
        used = [self.chat('two') for _ in range(40)]
        self.assertEqual({a.status for a in used}, {200})
        self.assertGreater(sum(a.get('x-aigw-provider') == 'ant' for a in used), 20)


class Breakers(NodeCase):
    MODELS = {
        'down': model('oai/sim?status=500'),
        'heals': model('oai/sim?status=500&fail_first=3&tokens=2&input=5'),
        'backed': model('oai/sim?status=502', 'ant/sim?tokens=2&input=5'),
    }
    CONFIG = {'breaker': {'failures': 3, 'requests': 10, 'cool_down': '700ms', 'slow_start': '0s'}, 'retry': {'minimum': 100000}}

    def test_open_for_all_workers(self):
        for _ in range(3):
            self.assertEqual(self.chat('down').status, 502)
        self.sim.reset()
        for _ in range(10):
            a = self.chat('down')
            self.assertEqual((a.status, a.error['code'], a.get('x-should-retry')), (503, 'overloaded', 'true'), a)
            self.assertTrue(a.get('retry-after') and a.get('retry-after-ms'))
        self.assertEqual(self.sim.requests(), [])

    def test_one_probe_closes_it(self):
        for _ in range(3):
            self.chat('heals')
        self.assertEqual(self.chat('heals').status, 503)
        time.sleep(1.1)
        self.assertEqual([self.chat('heals').status for _ in range(5)], [200] * 5)

    def test_open_offer_is_skipped(self):
        for _ in range(3):
            self.assertEqual(self.chat('backed').status, 200)
        self.sim.reset()
        for _ in range(5):
            self.assertEqual((self.chat('backed').get('x-aigw-attempts')), '1')
        self.assertEqual({r['model'] for r in self.sim.requests()}, {'sim?tokens=2&input=5'})


class LostProbe(NodeCase):
    """A probe dies with its worker: the next one does not wait for what it would have said, which would be a minute."""
    MODELS = {'slow': model('oai/sim?status=500&fail_first=3&delay=1s&tokens=2&input=5')}
    CONFIG = {'breaker': {'failures': 3, 'requests': 10, 'cool_down': '700ms', 'cool_down_max': '1s', 'slow_start': '0s'},
              'retry': {'minimum': 100000}}

    def probe(self):
        """Until one is on its way."""
        while not self.sim.requests():
            try:
                self.chat('slow')
            except OSError:
                pass

    def test_another_probes(self):
        for _ in range(3):
            self.assertEqual(self.chat('slow').status, 502)
        self.assertEqual(self.chat('slow').status, 503)
        self.sim.reset()
        prober = threading.Thread(target=self.probe)
        prober.start()
        wait_for(self.sim.requests)
        workers = self.node.children('worker')
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        prober.join()
        wait_for(lambda: len(set(self.node.children('worker')) - set(workers)) == len(workers))
        wait_for(lambda: self.chat('slow').status == 200, 20, 0.1)

    def test_zz_books_are_right_and_no_secret_shows(self):
        """That workers died is told as an error."""
        self.node.settled('main')
        self.assertTrue(self.node.verify('--charges')['good'])


class NoHosts(unittest.TestCase):
    """A machine without /etc/hosts, as a small container is: `localhost` is the loopback address all the same (RFC 6761)."""
    HIDE = '[ ! -e %s ] || mount --bind /dev/null %s || exit 9\n'

    def setUp(self):
        sim = Sim()
        self.addCleanup(sim.close)
        self.node = Node({'m': model('local/sim?tokens=2&input=5'), 'other': model('other/sim?tokens=2')}, sim=sim, providers={
            name: {'dialect': 'openai', 'base_url': 'http://%s:%d/v1' % (host, sim.port)}
            for name, host in (('local', 'LocalHost'), ('other', 'localhost.invalid'))})
        self.addCleanup(self.node.close)

    def test_localhost(self):
        inside = os.path.join(self.node.dir, 'inside')
        with open(inside, 'w') as f:
            f.write(''.join(self.HIDE % (path, path) for path in ('/etc/hosts', '/etc/resolv.conf', '/etc/nsswitch.conf')) + 'exec "$@"\n')
        if os.geteuid() != 0 or subprocess.run(['unshare', '-m', 'sh', inside, 'true'], stderr=subprocess.DEVNULL).returncode:
            self.skipTest('files cannot be hidden here')
        found = subprocess.run(['unshare', '-m', 'sh', inside, 'getent', 'ahosts', 'localhost'], stdout=subprocess.DEVNULL).returncode
        self.assertNotEqual(found, 0, 'the resolver knows it')
        with open(inside + '.aigwd', 'w') as f:
            f.write('#!/bin/sh\nexec unshare -m sh %s %s "$@"\n' % (inside, self.node.program))
        os.chmod(inside + '.aigwd', 0o755)
        self.node.program = inside + '.aigwd'
        self.node.start()
        key = self.node.customer('main', '5')
        self.assertEqual(self.node.chat(key, 'm').status, 200)
        a = self.node.chat(key, 'other')
        self.assertEqual((a.status, a.error['metadata']['attempts'][0]['code']), (502, 'dns_failed'), a)


class Trap(Server):
    """Listens where nobody should come, on every address of this machine, those of version 6 included where it has them; keeps what they say."""

    def __init__(self):
        self.came, dual = [], socket.has_dualstack_ipv6()
        super().__init__(socket.create_server(('::' if dual else '', 0), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual))

    def serve(self, c):
        self.came.append(c.recv(65536))


class Elsewhere(unittest.TestCase):
    """Row 47: no connection to anything but configured upstreams. Row 50: no two processes share their randomness."""

    def test_no_request_leads_elsewhere(self):
        trap = Trap()
        self.addCleanup(trap.close)
        here = '127.0.0.1:%d' % trap.port
        hosts = [host + ':%d' % trap.port for host in ('127.0.0.1', 'localhost', '0.0.0.0', '[::]', '[::1]', '[::ffff:127.0.0.1]', '169.254.169.254', '2130706433')]
        node = Node({'r%d-%s' % (i, b): model('%s/sim?fault=redirect&location=%s' % (b, host)) for b in BACKS for i, host in enumerate(hosts)} |
                    {'m-' + b: model('%s/sim?tokens=2&input=5' % b, context=1000000) for b in BACKS})
        self.addCleanup(node.close)
        node.start()
        key = node.customer('main', '1000')
        for b in BACKS:
            for i in range(len(hosts)):
                for stream in (False, True):
                    begun = time.monotonic()
                    self.assertEqual(node.chat(key, 'r%d-%s' % (i, b), stream).status, 502)
                    self.assertLess(time.monotonic() - begun, 3)  # a connection to nowhere would be waited for
            url = 'http://%s/x.png' % here
            image = [{'role': 'user', 'content': [{'type': 'text', 'text': 'x'}, {'type': 'image_url', 'image_url': {'url': url}}]}]
            node.chat(key, 'm-' + b, messages=image)
            for host in hosts:
                node.chat(key, 'm-' + b, messages=json.loads(json.dumps(image).replace(here, host)))
                node.ask('POST', 'http://%s/v1/chat/completions' % host, chat_body('m-' + b), key)
            for headers in ([('host', here)], [('x-forwarded-host', here)], [('x-original-url', url)], [('forwarded', 'host=' + here)]):
                self.assertIn(node.chat(key, 'm-' + b, headers=headers).status, (200, 400))
            a = node.ask('POST', 'http://%s/v1/chat/completions' % here, chat_body('m-' + b), key)
            self.assertIn(a.status, (200, 400))
            node.ask('CONNECT', here, None, key)
            node.chat(key, url)
            node.chat(key, 'm-' + b, base_url=url, api_base=url)
        time.sleep(0.3)
        self.assertEqual((trap.accepted, trap.came), (0, []))

    def test_randomness_differs(self):
        trap = Trap()
        self.addCleanup(trap.close)
        n = 10000 if LONG else 200
        models = max(n // 25, 1)  # each with a breaker of its own
        node = Node({'tls-%d' % i: model('tls/x%d' % i) for i in range(models)}, breaker={'failures': 32, 'requests': 32, 'cool_down': '10ms', 'cool_down_max': '10ms'},
                    retry={'attempts': 1},
                    providers={'tls': trap.config(scheme='https')})
        self.addCleanup(node.close)
        node.start()
        key = node.customer('main', '1000')
        ids = [node.chat(key, 'tls-%d' % (i % models)).get('x-request-id') for i in range(n)]
        self.assertEqual(len(set(ids)), n)
        hellos = [h[11:43] for h in trap.came if h[:1] == b'\x16']
        self.assertGreater(len(hellos), n // 2)
        self.assertEqual(len(set(hellos)), len(hellos))
        workers = {e['process'] for e in node.events('request')}
        self.assertEqual(len(workers), 2)


if __name__ == '__main__':
    tap.main()
