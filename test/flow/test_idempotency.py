"""Contract A8: an `Idempotency-Key` stands for one request of one API key for 24 hours, whatever dies meanwhile."""
import hashlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import is_alive, stand_still, wait_for
from node import BACKS, LONG, NodeCase, chat_body, model, nusd, on_both
import tap
from test_clock import ClockNode


class Keys:
    def ask(self, idem, name='m-oai', stream=False, key=None, path='/v1/chat/completions', headers=(), **fields):
        return self.node.ask('POST', path, chat_body(name, stream, **fields), key or self.key, [('idempotency-key', idem), *headers])

    def refused(self, a, status, code, of=None):
        self.assertEqual((a.status, a.error['code']), (status, code), a)
        self.assertEqual(a.get('x-should-retry'), 'true' if status == 409 else 'false')
        self.assertEqual(a.get('retry-after'), '1' if status == 409 else None)
        self.assertEqual(a.get('retry-after-ms') is not None, status == 409)
        if of:
            self.assertEqual(a.error['metadata']['generation_id'], of)
        return a

    def charges(self, *ids):
        """How many records with a charge there are of these requests."""
        return len([r for r in map(self.node.record, ids) if nusd(r['charge_usd']) > 0])


class Idempotency(Keys, NodeCase):
    MODELS = {**on_both('m', 'tokens=4'), **on_both('slow', 'tokens=40&rate=40'), **on_both('bad', 'status=400'), 'once-oai': model('oai/sim?status=500&fail_first=1'), 'once-ant': model('ant/sim?status=500&fail_first=1&tokens=5'),
              **on_both('gone', 'tokens=10&rate=20&delay=400ms'), 'emb': model('oai/sim?input=9'), 'free': model('oai/sim?tokens=3', price='free')}

    def test_completed(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back=back, stream=stream):
                    idem = str(uuid.uuid4())
                    a = self.ask(idem, 'm-' + back, stream)
                    self.assertEqual(a.status, 200, a)
                    rid = a.get('x-request-id')
                    for _ in range(3):
                        self.refused(self.ask(idem, 'm-' + back, stream), 422, 'idempotency_completed', rid)
                    self.assertEqual(self.node.record(rid)['charged'], True)

    def test_running(self):
        idem = str(uuid.uuid4())
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('slow-oai', True), [('idempotency-key', idem)], self.key)
            c.until(b'\r\n\r\n')
            first = self.refused(self.ask(idem, 'slow-oai', True), 409, 'idempotency_in_progress')
            while b'[DONE]' not in c.buffer and c.fill():
                pass
        self.refused(wait_for(lambda: (a := self.ask(idem, 'slow-oai', True)).status == 422 and a), 422, 'idempotency_completed',
                     first.error['metadata']['generation_id'])

    def test_another_request(self):
        idem = str(uuid.uuid4())
        self.assertEqual(self.ask(idem).status, 200)
        for other in (dict(text='ho'), dict(path='/chat/completions'), dict(temperature=1), dict(name='m-ant')):
            with self.subTest(other):
                self.refused(self.ask(idem, **other), 422, 'idempotency_mismatch')
        self.refused(self.ask(idem), 422, 'idempotency_completed')

    def test_scope_is_the_api_key(self):
        idem, other = str(uuid.uuid4()), self.node.key('main')
        self.assertEqual(self.ask(idem).status, 200)
        self.assertEqual(self.ask(idem, key=other).status, 200)
        self.refused(self.ask(idem, key=other), 422, 'idempotency_completed')

    def test_no_charge_frees_the_key(self):
        poor = self.node.customer('poor', '0')
        for name, status, key in (('bad-oai', 400, None), ('bad-ant', 400, None), ('m-oai', 402, poor), ('nobody', 404, None)):
            with self.subTest(name=name, status=status):
                idem = str(uuid.uuid4())
                for _ in range(3):
                    self.assertEqual(self.ask(idem, name, key=key).status, status)
                if key is None:
                    self.assertEqual(self.ask(idem).status, 200)  # another body: nothing is bound any more
        for back in BACKS:
            with self.subTest(back):
                idem = str(uuid.uuid4())
                self.assertEqual(self.ask(idem, 'once-' + back).status, 502)
                a = self.ask(idem, 'once-' + back)
                self.assertEqual(a.status, 200, a)
                self.refused(self.ask(idem, 'once-' + back), 422, 'idempotency_completed', a.get('x-request-id'))

    def test_free_models_count_as_charged(self):
        idem = str(uuid.uuid4())
        a = self.ask(idem, 'free')
        self.refused(self.ask(idem, 'free'), 422, 'idempotency_completed', a.get('x-request-id'))

    def test_every_route_that_asks_a_model(self):
        for path, body in (('/v1/completions', {'model': 'm-oai', 'prompt': 'x'}), ('/v1/embeddings', {'model': 'emb', 'input': 'x'})):
            with self.subTest(path):
                headers = [('idempotency-key', str(uuid.uuid4()))]
                a = self.node.ask('POST', path, body, self.key, headers)
                self.assertEqual(a.status, 200, a)
                self.refused(self.node.ask('POST', path, body, self.key, headers), 422, 'idempotency_completed', a.get('x-request-id'))
        for _ in range(2):  # it says nothing where nothing is charged
            self.assertEqual(self.node.ask('GET', '/v1/models', None, self.key, [('idempotency-key', 'x')]).status, 200)

    def test_what_is_no_key(self):
        for idem in ('', 'a b', 'x' * 256, 'caf\u00e9', 'a\tb'):
            with self.subTest(idem):
                a = self.ask(idem)
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'invalid_value', 'idempotency-key'), a)
                self.assertIn('idempotency-key', a.error['message'])
        for idem in ('x', '~' * 255, '!"#$%&\'()'):
            self.assertEqual(self.ask(idem).status, 200)

    def test_it_never_crosses(self):
        self.ask('crosses-never')
        self.assertNotIn('idempotency-key', [n.lower() for n, _ in self.sim.last()[1]])

    def test_many_at_once(self):
        """Of many requests at the same time exactly one is answered."""
        for name, stream in (('m-oai', False), ('gone-ant', True)):
            with self.subTest(name):
                idem, got, lock = str(uuid.uuid4()), [], threading.Lock()

                def run():
                    a = self.ask(idem, name, stream)
                    with lock:
                        got.append((a.status, a.error['code'] if a.status != 200 else None))
                threads = [threading.Thread(target=run) for _ in range(24)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
                self.assertEqual(got.count((200, None)), 1, got)
                self.assertLessEqual(set(got), {(200, None), (409, 'idempotency_in_progress'), (422, 'idempotency_completed')})

    def test_retry_as_sdks_do_it(self):
        """A client that loses its connection asks again with the same key until the first one is settled: charged once, never twice."""
        idem = str(uuid.uuid4())
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('gone-oai', True), [('idempotency-key', idem)], self.key)
            c.until(b'"content":"')
            c.reset()
        seen = []

        def settled():
            a = self.ask(idem, 'gone-oai', True)
            seen.append(a.status)
            return a.status != 409 and a
        a = wait_for(settled, 10, 0.05)
        self.refused(a, 422, 'idempotency_completed')
        r = self.node.record(a.error['metadata']['generation_id'])
        self.assertEqual((r['end'], r['charged']), ('client_gone', True))

    def test_the_record_has_a_hash(self):
        a = self.ask('a-secret-word')
        self.node.record(a.get('x-request-id'))
        line = next(json.loads(x) for x in self.node.ctl_raw('ledger', 'export').stdout.split('\n') if a.get('x-request-id') in x)
        self.assertEqual(len(line['idem']), 64)
        self.assertNotIn('a-secret-word', json.dumps(line))


class Deaths(Keys, NodeCase):
    """Claims stand and fall with their holds and charges, whoever dies."""
    MODELS = {**on_both('m', 'tokens=4'), **on_both('slow', 'tokens=400&rate=40'), **on_both('mute', 'tokens=4&delay=60s')}

    def begin(self, idem, name):
        """A request that runs; its id once it is known (a stream)."""
        c = Conn(self.node.port)
        c.request('POST', '/v1/chat/completions', chat_body(name, True), [('idempotency-key', idem)], self.key)
        if name.startswith('slow'):
            c.until(b'"content":"')
        else:
            wait_for(lambda: self.node.show('main')['holds'] > 0)
        return c

    def settled_as(self, idem, name, status):
        a = wait_for(lambda: (a := self.ask(idem, name, True)).status not in (409, 503) and a, 15, 0.05)
        self.assertEqual(a.status, status, a)
        return a

    def test_worker(self):
        """What was delivered of a dead worker's stream is charged: completed; nothing was: free again."""
        for back in BACKS:
            with self.subTest(back):
                idem, mute = str(uuid.uuid4()), str(uuid.uuid4())
                with self.begin(idem, 'slow-' + back), self.begin(mute, 'mute-' + back):
                    for pid in self.node.children('worker'):
                        os.kill(pid, signal.SIGKILL)
                    a = self.settled_as(idem, 'slow-' + back, 422)
                    self.assertEqual(self.node.record(a.error['metadata']['generation_id'])['end'], 'worker_died')
                    self.node.settled('main')
                self.settled_as(mute, 'm-' + back, 200)  # another body: it is free

    def test_keeper(self):
        idem, done = str(uuid.uuid4()), str(uuid.uuid4())
        rid = self.ask(done).get('x-request-id')
        with self.begin(idem, 'slow-oai'):
            self.node.kill('keeper')
            self.refused(self.ask(done), 422, 'idempotency_completed', rid)
            self.refused(self.ask(idem, 'slow-oai', True), 409, 'idempotency_in_progress')
        self.settled_as(idem, 'slow-oai', 422)

    def kill_all(self):
        pids = [self.node.master.pid, *self.node.children()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.node.master.wait()
        wait_for(lambda: not any(is_alive(p) for p in pids))

    def test_everything(self):
        idem, done = str(uuid.uuid4()), str(uuid.uuid4())
        rid = self.ask(done).get('x-request-id')
        with self.begin(idem, 'slow-oai'):
            self.kill_all()
        self.node.start()
        self.refused(self.ask(done), 422, 'idempotency_completed', rid)
        self.settled_as(idem, 'slow-oai', 422)

    def test_the_live_store_is_lost(self):
        """As at a reboot: claims of charges come back from the ledger, what ran is free."""
        idem, done = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in range(40)]
        ids = [self.ask(d).get('x-request-id') for d in done]
        for rid in ids:
            self.node.record(rid)
        wait_for(lambda: self.node.metrics().get('aigw_outbox_records') == 0)
        with self.begin(idem, 'slow-oai'):
            self.kill_all()
        live = [os.path.join(self.node.live, d, f) for d in os.listdir(self.node.live) for f in ('data.mdb',)]
        for path in live:
            os.unlink(path)
        mark = self.node.mark()
        self.node.start()
        self.node.wait_event('live_store_rebuilt', since=mark)
        for d, rid in zip(done, ids):
            self.refused(self.ask(d), 422, 'idempotency_completed', rid)
            self.refused(self.ask(d, text='other'), 422, 'idempotency_mismatch')
        self.assertEqual(self.ask(idem).status, 200)

    def test_zz_books_are_right_and_no_secret_shows(self):
        """The rebuilding is an error that an operator is told."""
        for account in self.node.ctl('account', 'list')['accounts']:
            self.node.settled(account['name'])
        self.assertTrue(self.node.verify('--charges')['good'])


class UnderFire(Keys, NodeCase):
    """Clients that ask again with their keys until they know, while workers and keepers are killed: every word is charged exactly once."""
    MODELS = {**on_both('m', 'tokens=3'), **on_both('slow', 'tokens=12&rate=60'), **on_both('flaky', 'status=500&fail_first=5&tokens=4')}
    CLIENTS, SECONDS = 8, 60 if LONG else 8

    def insist(self, idem, name, stream):
        """Until the answer came whole, or it is known to have been charged."""
        for _ in range(400):
            try:
                a = self.ask(idem, name, stream)
                if a and (a.status == 200 and a.is_whole or a.status == 422):
                    return a
                if a and a.status:  # else nothing came before the connection ended
                    self.assertIn(a.status, (200, 409, 429, 502, 503), a)
            except OSError:
                pass
            time.sleep(0.03)
        raise AssertionError('no end for %s' % idem)

    def client(self, n, until, words, failures):
        rng, i = tap.dice('client %d' % n), 0
        try:
            while time.monotonic() < until:
                i += 1
                idem = str(uuid.uuid4())
                name, stream = rng.choice(('m-', 'm-', 'slow-', 'flaky-')) + rng.choice(('oai', 'ant')), rng.random() < 0.7
                words.append(idem)
                self.insist(idem, name, stream)
                if rng.random() < 0.3:
                    self.refused(self.insist(idem, name, stream), 422, 'idempotency_completed')
        except BaseException as e:
            failures.append(e)

    def killer(self, until):
        rng = tap.dice('killer')
        while time.monotonic() < until:
            time.sleep(0.25)
            victims = self.node.children(rng.choice(('worker', 'worker', 'worker', 'keeper')))
            if victims:
                os.kill(rng.choice(victims), signal.SIGKILL)

    def test_charged_exactly_once(self):
        until, words, failures = time.monotonic() + self.SECONDS, [], []
        threads = [threading.Thread(target=self.client, args=(n, until, words, failures)) for n in range(self.CLIENTS)]
        for t in threads:
            t.start()
        self.killer(until)
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        self.node.settled('main', 30)
        wait_for(lambda: self.node.metrics().get('aigw_outbox_records') == 0, 20, 0.1)
        found = {}
        for line in self.node.ctl_raw('ledger', 'export').stdout.split('\n'):
            r = json.loads(line) if '"idem"' in line else {}
            if r.get('idem') and 'usage' in r and r['flags'] & 16:  # charged
                found.setdefault(r['idem'][:32], []).append(r['id'])
        self.assertGreater(len(words), 50)
        for word in words:
            self.assertEqual(len(found.get(hashlib.sha256(word.encode()).hexdigest()[:32], ())), 1, word)

    def test_zz_books_are_right_and_no_secret_shows(self):
        """What is killed is an error in the log."""
        self.assertTrue(self.node.verify('--charges')['good'])


class Aged(Keys, NodeCase):
    """24 hours of the wall clock, then the key is free and its claim is removed."""
    NODE = ClockNode
    MODELS = on_both('m', 'tokens=4')

    def test_a_day(self):
        idem = str(uuid.uuid4())
        rid = self.ask(idem).get('x-request-id')
        self.node.age(24 * 3600 - 60)
        self.refused(self.ask(idem), 422, 'idempotency_completed', rid)
        self.node.age(120)
        a = wait_for(lambda: (lambda a: a if a.status == 200 else None)(self.ask(idem, text='another')), 10, 0.1)
        self.refused(self.ask(idem, text='another'), 422, 'idempotency_completed', a.get('x-request-id'))
        for i in range(300):
            self.ask('many-%d' % i)
        wait_for(lambda: self.node.metrics()['aigw_live_bytes'] > 48 * 1024, 10, 0.2)
        self.node.age(2 * 24 * 3600)
        wait_for(lambda: self.node.metrics()['aigw_live_bytes'] < 32 * 1024, 30, 0.2)

    def test_clock_ahead(self):
        """What was charged is not charged again by a clock that is days ahead for a while, nor when the live store is made anew meanwhile."""
        early, late = 'early', 'late'
        self.assertEqual(self.ask(early).status, 200)
        self.node.age(23 * 3600)
        rid = self.ask(late).get('x-request-id')
        self.node.step(2 * 24 * 3600)
        self.refused(self.ask(late), 422, 'idempotency_completed', rid)
        self.node.wait_event('clock_jumped', 10)
        self.node.age(2 * 3600)
        wait_for(lambda: self.ask(early).status == 200, 10, 0.1)  # its time has come
        self.refused(self.ask(late), 422, 'idempotency_completed', rid)
        self.node.stop()
        shutil.rmtree(self.node.live)
        self.node.start()
        self.refused(self.ask(late), 422, 'idempotency_completed', rid)
        self.node.step(-2 * 24 * 3600)
        self.refused(self.ask(late), 422, 'idempotency_completed', rid)


class Full(Keys, NodeCase):
    """What was charged is not forgotten for another: where there is no room for a new key, its request is refused."""
    MODELS = on_both('m', 'tokens=1')
    CONFIG = {'live_size': '4MiB', 'log': {'access': False}}

    def fill(self, most, clients=4):
        """Answered requests with keys of their own, until one is refused."""
        done, body = [0] * clients, json.dumps(chat_body('m-oai'))

        def run(n):
            c = http.client.HTTPConnection('127.0.0.1', self.node.port)
            for i in range(most // clients):
                c.request('POST', '/v1/chat/completions', body, {'authorization': 'Bearer ' + self.key, 'content-type': 'application/json',
                                                                 'idempotency-key': 'fill-%d-%d' % (n, i)})
                a = c.getresponse()
                a.read()
                if a.status != 200:
                    break
                done[n] += 1
            c.close()
        threads = [threading.Thread(target=run, args=(n,)) for n in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sum(done)

    def test_no_room(self):
        rid = self.ask('pay-invoice-1').get('x-request-id')
        n = self.fill(6000)
        self.assertLess(2000, n)
        self.assertLess(n, 3000)
        before = self.node.settled('main')
        for back in BACKS:
            a = self.ask('one-more', 'm-' + back)
            self.assertEqual((a.status, a.error['type'], a.error['code']), (429, 'rate_limit_error', 'idempotency_full'), a)
            self.assertIn(' has %d of ' % (n + 1), a.error['message'])
            self.assertEqual(a.get('x-should-retry'), 'false')
            self.assertLess(86000, int(a.get('retry-after')))
            self.assertLessEqual(int(a.get('retry-after')), 86400)
            meta = a.error['metadata']
            self.assertEqual((meta['limit'], meta['remaining']), (n + 1, 0))
            self.assertRegex(meta['scope'], '^key .*: idempotency keys of 24 hours$')
            self.assertIn('reset', meta)
        self.assertEqual(self.node.settled('main'), before)
        self.refused(self.ask('pay-invoice-1'), 422, 'idempotency_completed', rid)
        self.refused(self.ask('fill-0-0'), 422, 'idempotency_completed')
        self.assertEqual(self.chat('m-oai').status, 200)
        self.assertEqual(self.ask('one-more', key=self.node.key('main')).status, 200)


class Reversed(Keys, NodeCase):
    """Durability settle: a charge that could not be made durable was taken back, and the key with it."""
    MODELS = on_both('m', 'tokens=4')
    CONFIG = {'durability': 'settle', 'ledger_lag_max': '30s'}

    def test_a_charge_taken_back_frees_the_key(self):
        for back in BACKS:
            with self.subTest(back):
                idem = str(uuid.uuid4())
                keeper = wait_for(lambda: self.node.children('keeper'))[0]
                stand_still(keeper)
                try:
                    a = self.ask(idem, 'm-' + back)
                finally:
                    os.kill(keeper, signal.SIGCONT)
                self.assertEqual((a.status, a.error['code']), (503, 'ledger_unavailable'), a)
                b = wait_for(lambda: (b := self.ask(idem, 'm-' + back)).status != 503 and b, 10)
                self.assertEqual(b.status, 200, b)
                self.refused(self.ask(idem, 'm-' + back), 422, 'idempotency_completed', b.get('x-request-id'))


if __name__ == '__main__':
    tap.main()
