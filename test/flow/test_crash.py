"""Money and service under kills: worker, keeper, master, all at once, inside a transaction; the live store lost, copied or full."""
import contextlib
import errno
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import is_alive, wait_for
from load import StreamLoad
from money import records
from node import FAR_BUDGETS, LONG, CtlError, FiveScopes, NodePerTest, charge_nusd, chat_body, model, nusd, on_both
import tap

COST = {'input': 3, 'output': '0.5'}
MODELS = {
    **on_both('run', 'tokens=40&rate=40&input=11', max_output=100),
    **on_both('quick', 'tokens=5&input=11', max_output=100),
    **on_both('short', 'tokens=20&rate=40&input=11', max_output=100),
    **on_both('calm', 'tokens=4&rate=4&input=11', max_output=100),
    'costly': model(offers={'oai/sim?tokens=40&rate=40&input=11&usage=every': {'cost': COST}}, max_output=100),
    'second': model('oai/sim?status=500', 'ant/sim?tokens=40&rate=40&input=11', max_output=100),
    'quick-cent': model('oai/sim?tokens=5&input=11', price={'request': '0.01'}),
}
PRICE = {'input': 1, 'output': 2}
SMALL_TMPFS_MIB = 32


class Streams(StreamLoad):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, user='ann', **kwargs)


class Kills(FiveScopes, NodePerTest):
    MODELS = MODELS

    def setUp(self):
        self.make()

    def kill(self, *pids):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def wait_for_ledger(self):
        """Until every charge is on disk: who dies then takes none along. Asks the ledger itself; the gauge of the outbox is as old as the
        keeper's last look."""
        def all_in_the_ledger():
            charged = self.node.ctl('usage', '--account', 'main')['total']['charge_usd']
            return nusd(charged) == nusd(self.node.show('main')['settled_usd'])
        wait_for(all_in_the_ledger, 10, 0.05)

    def check_books(self, *loads):
        """granted = balance + held + settled, no hold left, no charge twice; what ended well is there at the cost that was told."""
        def no_holds():
            try:
                return self.node.show('main')['holds'] == 0
            except CtlError as e:
                if e.error.get('code') == 'unavailable':
                    return False  # the keeper is being started again
                raise
        wait_for(no_holds, 20, 0.1)

        self.wait_for_ledger()
        verdict = self.node.verify('--charges')
        self.assertTrue(verdict['good'], verdict)
        a = self.node.show('main')
        self.assertEqual(nusd(a['granted_usd']), nusd(a['balance_usd']) + nusd(a['held_usd']) + nusd(a['settled_usd']))
        self.assertEqual(nusd(a['held_usd']), 0)
        self.check_scopes()
        found = records(self.node)
        self.assertEqual([r for r in found.values() if len(r) != 1], [])
        done = [o for load in loads for o in load.of('done')]
        self.assertTrue(done or not loads)
        for o in done:
            record = found[o.request_id][0]
            self.assertEqual((record['end'], record['status'], record['charge_nusd']), ('done', 200, o.cost_nusd), record)
        return a

    def check_failures(self, outcomes, kills, others=0):
        """Only streams of killed workers have failed: each was cut while somebody was killed (`kills`: [(when, when he was dead)]) and, once admitted,
        its record says that its worker died, or that all was sent but the last bytes. Who was cut before he saw his head may have a record that
        nobody knows, as may each of `others`, requests of the test's own; else he was cut before he was admitted."""
        self.assertLessEqual({o.kind for o in outcomes}, {'done', 'cut'})
        ends = {request_id: found[0]['end'] for request_id, found in records(self.node).items()}
        self.assertLessEqual(set(ends.values()), {'done', 'worker_died'})
        cuts = [o for o in outcomes if o.kind == 'cut']
        for o in cuts:
            near = min(kills, key=lambda k: abs(k[1] - o.begun), default=None)
            self.assertTrue(any(o.begun <= dead and o.ended >= begun for begun, dead in kills), (o, o.ended - o.begun, near))
            self.assertTrue(not o.request_id or o.request_id in ends, o)
        unknown, headless = set(ends) - {o.request_id for o in outcomes}, sum(not o.request_id for o in cuts)
        print('# %d kills, %d streams were cut, of which %d had no head; %d records of these' % (len(kills), len(cuts), headless, len(unknown)))
        self.assertLessEqual(len(unknown), headless + others)
        died = [e for e in self.node.events('child_died') if e['message'].startswith('worker')]
        self.assertLessEqual(len(died), len(kills))

    def test_random_worker_every_200_ms(self):
        """Row 18."""
        self.start()
        load = Streams(self.node.port, self.key, ['run-oai', 'run-ant'], 200 if LONG else 60)
        kills, end, dice = [], time.monotonic() + (60 if LONG else 6), tap.dice('victims')
        time.sleep(0.5)
        while time.monotonic() < end:
            workers = self.node.children('worker')
            if workers:
                begun, victim = time.monotonic(), dice.choice(workers)
                self.kill(victim)
                wait_for(lambda: not is_alive(victim), 20, 0.001)
                kills.append((begun, time.monotonic()))
            time.sleep(0.2)
        time.sleep(1.5)
        load.stop()
        self.assertGreater(len(kills), 20)
        self.assertTrue(load.of('done'), load.kinds())
        self.check_books(load)
        self.check_failures(load.outcomes, kills)
        restarts = sum(v for k, v in self.node.metrics().items() if k.startswith('aigw_worker_restarts_total'))
        self.assertGreaterEqual(restarts, len(kills) // 2)
        self.assertEqual(self.node.metrics()['aigw_ledger_imbalance_nanousd'], 0)

    def killed_stream(self, name, ids=None):
        """The record of a stream whose worker is killed in its midst, and what came of it; of chat, or of a prompt of ids."""
        with Conn(self.node.port) as c:
            if ids:
                c.request('POST', '/v1/completions', {'model': name, 'prompt': ids, 'max_tokens': 100, 'stream': True, 'user': 'ann'}, key=self.key)
            else:
                c.request('POST', '/v1/chat/completions', chat_body(name, True, user='ann'), key=self.key)
            head, got, killed = c.head(), b'', False
            for part in c.parts(head):
                got += part
                if got.count(b'"text"' if ids else b'"content"') > 12 and not killed:
                    self.kill(*self.node.children('worker'))
                    killed = True
        self.assertEqual(head.ended, 'cut')
        return self.node.record(head.get('x-request-id')), got

    def test_killed_worker_charges_its_streams_from_their_progress(self):
        self.start()
        record, got = self.killed_stream('run-oai')
        sent = got.count(b'"content":"') - 1
        self.assertGreaterEqual(record['output'], sent - 1, record)
        self.assertLessEqual(record['output'], 40)
        self.assertGreater(nusd(record['charge_usd']), 0)
        self.check_books()

    def test_killed_worker_charges_ids_by_their_number(self):
        self.start()
        record, _ = self.killed_stream('run-oai', [7] * 1000)
        self.assertEqual((record['end'], record['input'], record['estimated']), ('worker_died', 1000 + 96 // 2, True), record)
        self.check_books()

    def test_killed_worker_leaves_its_attempts(self):
        """All that its streams were sent to, in every form that a record has: which status, when, and how long, but for the one that ran."""
        self.start()
        for name, failed in (('run-oai', []), ('second', [('oai', 500, 'failed')])):
            with self.subTest(name):
                begun = time.monotonic()
                record, _ = self.killed_stream(name)
                took_ms = (time.monotonic() - begun) * 1000
                tried = record['attempts']
                self.assertEqual([(t['provider'], t['status'], t['error']) for t in tried], failed + [(record['provider'], 200, 'worker_died')])
                self.assertEqual(sum(nusd(t['cost_usd']) for t in tried), nusd(record['cost_usd']))
                self.assertEqual([t['ms'] is None for t in tried], [False] * len(failed) + [True])
                at = 0
                for t in tried:
                    self.assertTrue(at <= t['start_ms'] <= took_ms, record)
                    at = t['start_ms'] + (t['ms'] or 0)
                receipt = self.node.ask('GET', '/v1/receipts/' + record['id'], key=self.key).json()
                self.assertEqual([(t['provider_name'], t['status'], t['ms'], t['error']) for t in receipt['attempts']],
                                 [(t['provider'], t['status'], t['ms'], t['error']) for t in tried])
                found = self.node.ask('GET', '/v1/generation?id=' + record['id'], key=self.key).json()['data']['provider_responses']
                self.assertEqual([(t['provider_name'], t['latency']) for t in found], [(t['provider'], t['ms']) for t in tried])
                wait_for(lambda: all(w['state'] == 'ready' for w in self.node.status()['worker']), 20)
        self.check_books()

    def test_killed_worker_leaves_no_false_margin(self):
        """What its streams cost is known too: what is said so, else their price."""
        self.start()
        for name, cost in (('costly', COST), ('run-ant', PRICE)):
            with self.subTest(name):
                record, _ = self.killed_stream(name)
                used = {'input': record['input'], 'output': record['output']}
                self.assertEqual((record['end'], nusd(record['charge_usd'])), ('worker_died', charge_nusd(used, PRICE)), record)
                self.assertEqual(nusd(record['cost_usd']), charge_nusd(used, cost), record)
                total = self.node.ctl('usage', '--model', name, '--margin')['total']
                self.assertEqual(nusd(total['cost_usd']), charge_nusd(used, cost))
                self.assertEqual(nusd(total['margin_usd']), nusd(record['charge_usd']) - charge_nusd(used, cost))
        self.check_books()

    @tap.alone
    def test_master(self):
        """Row 20: orphans serve on; the next master takes over within 250 ms, without a refused connection."""
        self.start()
        self.node.come_first(self)
        load, rounds = Streams(self.node.port, self.key, ['quick-oai', 'quick-ant', 'run-ant'], 12), 100 if LONG else 8
        took = []
        for _ in range(rounds):
            time.sleep(0.2)
            old = self.node.pids()
            self.node.lose_master()
            time.sleep(0.1)
            self.assertEqual(self.chat('quick-oai').status, 200)
            begun = time.monotonic()
            self.node.start()
            took.append(self.node.since(begun))
            wait_for(lambda: not any(is_alive(p) for p in old), 20)
        load.stop()
        self.assertEqual(set(load.kinds()), {'done'}, load.kinds())
        self.check_books(load)
        ends = {request_id: found[0]['end'] for request_id, found in records(self.node).items()}
        self.assertEqual(set(ends.values()), {'done'})
        self.assertEqual(len(set(ends) - {o.request_id for o in load.outcomes}), rounds)  # the test's own
        self.node.check_restarts(self, took)

    @tap.alone
    def test_all_at_once(self):
        """Row 20: serving again at once, no manual step, the books right."""
        self.start()
        self.node.come_first(self)
        took, loads, kills, own = [], [], [], 0
        for i in range(100 if LONG else 8):
            loads.append(Streams(self.node.port, self.key, ['quick-oai', 'short-oai', 'short-ant'], 12))
            time.sleep(0.4)
            kills.append((time.monotonic(), self.node.kill_all() or time.monotonic()))
            mark, begun = self.node.mark(), time.monotonic()
            self.node.spawn()

            def served():
                nonlocal own
                own += 1
                try:
                    return self.chat('quick-oai').status == 200
                except (ConnectionRefusedError, ConnectionResetError, AttributeError):
                    return False
            wait_for(served, 10, 0.005)
            took.append(self.node.since(begun))
            self.node.wait_event('ready', pid=self.node.master.pid, process='master', since=mark)
            loads[-1].stop()
        self.check_books(*loads)
        self.check_failures([o for load in loads for o in load.outcomes if o.kind != 'refused'], kills, own)
        self.node.check_restarts(self, took)

    def test_live_store_is_copied_and_put_back(self):
        """Row 24: a copy made under load is not taken for the store; it is rebuilt from the ledger."""
        self.start()
        load = Streams(self.node.port, self.key, ['quick-oai', 'quick-ant'], 12)
        time.sleep(0.3)
        copies = []
        for i in range(4):
            copies.append(os.path.join(self.node.dir, 'copy%d' % i))
            shutil.copytree(self.node.live, copies[-1])
            time.sleep(0.1)
        load.stop()
        settled = nusd(self.node.settled('main')['settled_usd'])
        self.wait_for_ledger()
        for copy in copies[:1] + copies[-1:]:
            self.node.kill_all()
            for old in os.listdir(self.node.live):
                path = os.path.join(self.node.live, old)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
            shutil.copytree(copy, self.node.live, dirs_exist_ok=True)
            for root, _, files in os.walk(self.node.live):
                for name in [root, *(os.path.join(root, f) for f in files)]:
                    os.chown(name, os.stat(self.node.live).st_uid, os.stat(self.node.live).st_gid)
            self.node.start()
            self.assertEqual(nusd(self.check_books()['settled_usd']), settled)
            a = self.chat('quick-oai')
            self.assertEqual(a.status, 200)
            settled += charge_nusd({'input': 11, 'output': 5}, PRICE)
            wait_for(lambda: nusd(self.node.show('main')['settled_usd']) == settled, 5, 0.05)
            self.wait_for_ledger()

    def test_live_store_is_unlinked_under_load(self):
        """Issue 2 section 6: nothing lost, nothing twice, one store at the end."""
        self.start()
        load = Streams(self.node.port, self.key, ['quick-oai', 'quick-ant', 'calm-oai'], 12)
        time.sleep(0.5)
        for path in glob.glob(os.path.join(self.node.live, '*', '*')):
            os.unlink(path)
        wait_for(lambda: self.node.events('live_lost') or any('live' in e.get('event', '') and e.get('level') in ('warn', 'error')
                                                              for e in self.node.events()), 10)
        time.sleep(3)
        load.stop()
        served = wait_for(lambda: self.chat('quick-oai').status == 200, 10, 0.1)
        self.assertTrue(served)
        self.check_books()
        stores = glob.glob(os.path.join(self.node.live, '*', 'data.mdb'))
        self.assertEqual(len(stores), 1, stores)
        for o in load.of('done')[-20:]:
            self.assertEqual(self.node.record(o.request_id)['end'], 'done')
        self.assertLessEqual(set(load.kinds()), {'done', 'cut', 'error_item', 'status 503', 'status 500'}, load.kinds())


class Full(FiveScopes, NodePerTest):
    """Row 26: a live store of 4 MiB that is full."""

    def test_full(self):
        self.begin(MODELS, live_size='4MiB')
        node, key = self.node, self.key
        load = Streams(node.port, key, ['quick-oai', 'run-ant'], 8)
        made = 0
        try:
            while made < 40000:
                end, _, _ = node.control('key create', account='main', models='x' * 1000)
                if end['status']:
                    break
                made += 1
        finally:
            load.stop()
        self.assertNotEqual(end['status'], 0, made)
        self.assertEqual(end['code'], 'full')
        self.assertIn('live_size', end['message'])
        self.assertGreater(made, 500)
        self.assertLessEqual(set(load.kinds()), {'done', 'status 503'}, load.kinds())
        # Definitions leave room for requests; when many of them fill that too, the rest are told so, and the key is not blamed.
        self.assertEqual(self.chat('quick-oai').status, 200)
        with contextlib.ExitStack() as stack:
            conns = [stack.enter_context(Conn(node.port)) for _ in range(100)]
            for c in conns:
                c.request('POST', '/v1/chat/completions', chat_body('calm-oai'), [('x-aigw-user', 'ann')], key=key)
            answers = [c.answer() for c in conns]
        told = {(a.status, None if a.status == 200 else (a.error['code'], a.error['message'])) for a in answers}
        self.assertEqual(told, {(200, None), (503, ('ledger_unavailable', 'The ledger cannot take charges now: the live store has no room; '
                                                   'try again in 1 second.'))})
        self.assertEqual(self.chat('quick-oai').status, 200)
        self.check_books()
        self.check_scopes()
        # What restricts still works, and so does a start.
        node.ctl('key', 'revoke', key)
        self.assertEqual(self.chat('quick-oai').status, 401)
        self.assertEqual(node.stop(), 0)
        node.start()
        self.assertTrue(node.verify('--charges')['good'])
        self.assertFalse([e for e in node.events('child_died')])


class TmpfsFull(FiveScopes, NodePerTest):
    """Row 26: the tmpfs below the live store is full. All that is needed there was allocated at the start."""

    def setUp(self):
        self.make(MODELS, live_size='4MiB')
        mount = ['mount', '-t', 'tmpfs', '-o', 'mode=755,size=%dm' % SMALL_TMPFS_MIB, 'tmpfs', self.node.live]
        if os.geteuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
            self.skipTest('a tmpfs cannot be mounted here')
        self.addCleanup(subprocess.run, ['umount', '-l', self.node.live])
        self.filler = os.path.join(self.node.live, 'filler')

    def fill(self):
        with open(self.filler, 'wb', buffering=0) as f, self.assertRaises(OSError) as raised:
            while True:
                f.write(bytes(4096))
        self.assertEqual(raised.exception.errno, errno.ENOSPC)

    def test_service_goes_on_and_a_start_says_what_is_missing(self):
        self.start()
        node, key = self.node, self.key
        self.fill()
        load = Streams(node.port, key, ['quick-oai', 'run-ant'], 8)
        try:
            wait_for(lambda: load.kinds().get('done', 0) > 50, 20)
        finally:
            load.stop()
        self.assertEqual(set(load.kinds()), {'done'}, load.kinds())
        for kind in ('worker', 'keeper'):
            node.kill(kind)
            wait_for(lambda: self.chat('quick-oai').status == 200)
        self.check_books()
        self.check_scopes()
        self.assertEqual(node.stop(), 0)
        node.start()  # with the same live store
        self.assertEqual(self.chat('quick-oai').status, 200)
        settled = nusd(node.settled('main')['settled_usd'])
        self.assertEqual(node.stop(), 0)

        for folder in glob.glob(node.live + '/*/'):
            shutil.rmtree(folder)
        self.fill()
        mark = len(node.log_text())
        self.assertEqual(node.spawn().wait(20), 1)
        self.assertRegex(node.log_text()[mark:], r'MiB are needed in .*make that tmpfs larger or lower live_size')
        os.unlink(self.filler)
        node.start()
        self.assertEqual(self.chat('quick-oai').status, 200)
        self.assertGreater(nusd(node.settled('main')['settled_usd']), settled)
        self.assertTrue(node.verify('--charges')['good'])


class Durable(NodePerTest):
    """What outlives the processes; durability settle: what a client has seen to its end is on disk, whatever dies then."""

    def test_charge_is_there_after_everything_died(self):
        self.begin(MODELS, durability='settle')
        node, key = self.node, self.key
        for i in range(20 if LONG else 5):
            ids = []
            for name in ('quick-oai', 'quick-ant'):
                for stream in (False, True):
                    a = node.chat(key, name, stream)
                    self.assertEqual((a.status, a.is_whole), (200, True), a)
                    ids.append(a.get('x-request-id'))
            node.kill_all()
            shutil.rmtree(glob.glob(os.path.join(node.live, '*'))[0])
            node.start()
            for rid in ids:
                self.assertEqual(nusd(node.record(rid)['charge_usd']), charge_nusd({'input': 11, 'output': 5}, PRICE))
        self.assertTrue(node.verify('--charges')['good'])

    def used_up(self, rule, n):
        """{scope: the key of an account of whose scopes this one has a limit that `n` requests have used up}"""
        found = {}
        for scope in ('account', 'team', 'key', 'user'):
            found[scope] = self.node.family('%s-%s' % (scope, rule.partition('=')[0]), **{scope: rule})
            for _ in range(n):
                self.assertEqual(self.node.chat(found[scope], 'quick-cent', user='ann').status, 200)
        return found

    def test_windows_go_on_after_everything_died(self):
        """Row 56, in every scope, for all models and for some: rates live as long as the live store, budgets as long as the ledger."""
        self.begin(MODELS)
        rates, some = self.used_up('requests=3/minute', 3), self.used_up('tokens=20/day models=quick-*', 2)
        budgets = self.used_up('budget=0.025/year models=quick-*', 2)
        for lose in (False, True):
            with self.subTest(live_store_lost=lose):
                self.node.kill_all()
                if lose:
                    shutil.rmtree(glob.glob(os.path.join(self.node.live, '*'))[0])
                self.node.start()
                for keys, status, code in ((rates, 429, 'rate_limit_exceeded'), (some, 429, 'rate_limit_exceeded'), (budgets, 402, 'budget_exceeded')):
                    for scope, key in keys.items():
                        a = self.node.chat(key, 'quick-cent', user='ann')
                        if lose and keys is not budgets:
                            self.assertEqual(a.status, 200, (scope, a))
                            continue
                        self.assertEqual((a.status, a.error['code']), (status, code), (scope, a))
                        self.assertIn(scope, str(a.error['metadata']['scope']))
                for scope, key in budgets.items():
                    used = self.node.budgets_used(key, 'ann')
                    self.assertEqual(used, {s: [2 * 10**7] * (FAR_BUDGETS + (s == scope)) for s in used})

    def test_orphans_wait_for_the_next_keeper_and_no_longer(self):
        """A worker of the master before is not rung by the keeper of the next one."""
        self.begin(MODELS, durability='settle')
        node, key = self.node, self.key
        for name in ('calm-oai', 'calm-ant'):
            with self.subTest(name), Conn(node.port) as c:
                c.request('POST', '/v1/chat/completions', chat_body(name, True), key=key)
                head = c.head()
                node.lose_master()
                node.start()
                body, last = b'', time.monotonic()
                for part in c.parts(head):
                    now = time.monotonic()
                    if b'[DONE]' in part:
                        self.assertLess(now - last, 1)
                    body, last = body + part, now
                self.assertIn(b'[DONE]', body)
                self.assertEqual(nusd(node.record(head.get('x-request-id'))['charge_usd']), charge_nusd({'input': 11, 'output': 4}, PRICE))


if __name__ == '__main__':
    tap.main()
