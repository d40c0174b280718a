"""The real processes under load: deaths, reloads and drains that no client notices, and books that are right after each of them.
AIGW_LONG=1 runs the full counts of the proofs."""
import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import ask
from gateway import Load, is_alive, wait_for
from load import StreamLoad
from money import records
from node import LONG, FiveScopes, NodeCase, NodePerTest, chat_body, merge, model
import tap

MODELS = {'fast': model('oai/sim'), 'slow': model('oai/sim?tokens=80&rate=40')}


class Leftovers(unittest.TestCase):
    def test_a_class_that_cannot_begin_leaves_nothing(self):
        """Its node is closed, though none of its tests ran and unittest never calls tearDownClass()."""
        class Unbegun(NodeCase):
            MODELS = MODELS

            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                cls.pids = [cls.node.master.pid, cls.sim.p.pid, *cls.node.children()]
                raise AssertionError('amiss')
        result = unittest.TestResult()
        unittest.TestSuite([Unbegun('test_zz_books_are_right_and_no_secret_shows')]).run(result)
        self.assertEqual((result.testsRun, len(result.errors)), (0, 1))
        self.assertEqual([p for p in Unbegun.pids if is_alive(p)], [])
        self.assertFalse(os.path.exists(Unbegun.node.dir))


class Base(NodePerTest):
    MODELS = MODELS

    def setUp(self):
        self.begin()

    def rows(self, kind):
        return self.node.status()[kind]

    def chats(self, threads=3):
        def one():
            a = self.chat('fast')
            return a.status if a and a.status and a.is_whole else 'cut'
        return Load(one, threads)

    def only(self, load, *allowed):
        self.assertEqual(load.others(*allowed), {})
        self.assertGreater(load.results[200], 50)


class Deaths(FiveScopes, Base):
    """Row 20; those of keeper, master and all at once are in test_keeper_crash.py and test_crash.py."""
    ROUNDS = 100 if LONG else 8

    @tap.alone
    def test_workers(self):
        """Only what runs in the killed worker fails."""
        self.node.come_first(self)
        load, waits = self.chats(), []
        for i in range(self.ROUNDS):
            waits.append(self.node.kill('worker', i % 2))
            time.sleep(0.05)
        load.stop()
        self.node.check_restarts(self, waits)
        self.only(load, 'cut', 'reset')
        failed = load.results['cut'] + load.results['reset']
        self.assertLessEqual(failed, len(load.threads) * self.ROUNDS)
        self.check_books()
        wait_for(lambda: self.node.verify()['charges'] >= load.results[200], 10, 0.1)
        ends = collections.Counter(found[0]['end'] for found in records(self.node).values())
        self.assertLessEqual(set(ends), {'done', 'worker_died'}, ends)
        self.assertLessEqual(ends['worker_died'] + ends['done'] - load.results[200], failed, ends)
        self.check_scopes()

    def test_old_stream_goes_on_beside_the_new_master(self):
        result = []
        t = threading.Thread(target=lambda: result.append(self.chat('slow', True)))
        t.start()
        wait_for(lambda: sum(w['inflight'] for w in self.rows('worker')) == 1)
        self.node.lose_master()
        self.node.start()
        t.join()
        self.assertTrue(result[0].is_done, result)
        self.check_books()

    def test_stopped_worker_is_replaced(self):
        """Row 21, outside of a transaction: its loop does not turn."""
        old = self.rows('worker')[0]['pid']
        os.kill(old, signal.SIGSTOP)
        wait_for(lambda: self.rows('worker')[0]['pid'] not in (0, old), 20)
        self.assertEqual(self.chat('fast').status, 200)
        self.check_books()


class Reloads(Base):
    """Row 30."""
    MODELS = dict({'m%d' % i: model('oai/sim') for i in range(1000)}, **MODELS)

    def memory_kib(self):
        """Of all processes, without the stores' mapped files."""
        total = 0
        for pid in [self.node.master.pid] + list(self.node.children()):
            with open('/proc/%d/status' % pid) as f:
                total += int(f.read().partition('RssAnon:')[2].split()[0])
        return total

    def load(self, seconds):
        """Even load from a process of its own: what this one does must not show in the times."""
        body = os.path.join(self.node.dir, 'body')
        with open(body, 'w') as f:
            json.dump(chat_body('fast'), f)
        return subprocess.Popen([os.environ['LOAD'], '--port', str(self.node.port), '--path', '/v1/chat/completions', '--body', body,
                                 '--key', self.key, '--connections', '16', '--rate', '200', '--seconds', str(seconds)],
                                stdout=subprocess.PIPE, text=True)

    def p99_ms(self, load):
        r = json.loads(load.communicate(timeout=60)[0])
        self.assertEqual((r['errors'], r['status']), (0, 0), r)
        return r['latency_us']['p99'] / 1e3

    @tap.alone
    def test_hup_every_100_ms(self):
        """No request and no stream fails, nothing grows, and beside the times without reloads, taken in turns, those with them are not twice as
        long."""
        texts = [json.dumps(merge(self.node.make(), {'region': 'r%d' % i, 'models': {'m0': model('oai/sim?size=%d' % (5000 + i))}})) for i in (0, 1)]
        streams = StreamLoad(self.node.port, self.key, ['slow'], 2)
        self.addCleanup(setattr, streams, 'going', False)
        quiet, busy, memory, n, children = [], [], [], 0, self.node.children()
        for _ in range(30 if LONG else 12):
            quiet.append(self.p99_ms(self.load(2 if LONG else 1)))
            load = self.load(2 if LONG else 1)
            while load.poll() is None:
                n += 1
                self.node.configure(text=texts[n % 2])
                self.node.signal(signal.SIGHUP)
                time.sleep(0.1)
            busy.append(self.p99_ms(load))
            memory.append(self.memory_kib())
        self.assertEqual(set(streams.stop().kinds()), {'done'})
        self.assertEqual(self.node.children(), children)
        quiet, busy = sorted(quiet)[len(quiet) // 2], sorted(busy)[len(busy) // 2]
        # In the first half caches fill: what is remembered of keys, rows of the roll-ups.
        print('# p99 %.1f ms, while reloading %.1f ms; %d KiB, then %d KiB' % (quiet, busy, memory[len(memory) // 2], memory[-1]))
        self.assertGreater(self.node.status()['node'][0]['config_generation'], n // 3)
        if not self.node.is_sanitized():
            self.assertLess(memory[-1], memory[len(memory) // 2] * 1.1)
            # A thread that parses has its core until the kernel's next tick.
            self.assertLess(busy, 2 * quiet + 4)
        self.check_books()


class Drains(Base):
    """More of row 32; the rest is in test_operations.py."""
    STREAMS = 200 if LONG else 60

    def streams(self, name):
        results = []
        def one():
            try:
                results.append(self.chat(name, True))
            except OSError as e:
                results.append(e)
        threads = [threading.Thread(target=one) for _ in range(self.STREAMS)]
        for t in threads:
            t.start()
        wait_for(lambda: sum(w['inflight'] for w in self.rows('worker')) == self.STREAMS, 20)
        return threads, results

    def end(self, threads, seconds):
        self.assertEqual(self.node.master.wait(seconds), 0)
        for t in threads:
            t.join()
        self.assertEqual([p for p in self.node.pids() if is_alive(p)], [])

    def test_readyz_says_no_while_the_listeners_go_on(self):
        self.node.configure(timeouts={'drain_delay': '1s'})
        self.node.ctl('reload')
        self.assertEqual(ask(self.node.admin_port, 'GET', '/readyz').status, 200)
        self.node.signal(signal.SIGTERM)
        self.node.wait_event('drain_started')
        self.assertEqual(ask(self.node.admin_port, 'GET', '/readyz').status, 503)
        self.assertEqual(self.chat('fast').status, 200)
        self.assertEqual(self.node.master.wait(20), 0)

    @tap.alone
    def test_new_connections_are_answered_or_refused(self):
        """The end of the listeners resets none."""
        load = self.chats(8)
        wait_for(lambda: load.results[200] > 100, 20)
        self.node.signal(signal.SIGTERM)
        self.assertEqual(self.node.master.wait(20), 0)
        load.stop()
        self.only(load, 'refused')

    def test_stop_waits_until_all_is_in_the_ledger(self):
        threads, results = self.streams('slow')
        p = self.node.ctl_raw('stop', timeout=30)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.end(threads, 5)
        self.node.start()
        self.assertEqual(self.node.verify()['charges'], self.STREAMS)
        self.check_books()


class Balance(Base):
    """Row 54."""

    def test_long_streams_are_spread_over_the_workers(self):
        threads = [threading.Thread(target=lambda: self.chat('slow', True)) for _ in range(200)]
        for t in threads:
            t.start()
        wait_for(lambda: sum(w['inflight'] for w in self.rows('worker')) == 200, 20)
        share = max(w['inflight'] for w in self.rows('worker')) / 200
        for t in threads:
            t.join()
        print('# the busier worker has %.2f' % share)
        self.assertLessEqual(share, 0.60)


class Counters(Base):
    """Counters survive workers, keeper and master."""

    def test_they_go_on(self):
        key = [k for k in self.count_after(3) if k.startswith('aigw_requests_total{') and 'model="fast"' in k]
        self.assertEqual(len(key), 1)
        for step in ('worker', 'keeper', 'master'):
            if step == 'master':
                self.node.lose_master()
                self.node.start()
            else:
                self.node.kill(step)
            before = self.node.metrics()[key[0]]
            self.count_after(2)
            # A request is counted once its last byte is out: the client may be faster.
            wait_for(lambda: self.node.metrics()[key[0]] >= before + 2)
        restarts = [v for k, v in self.node.metrics().items() if k.startswith('aigw_worker_restarts_total')]
        self.assertEqual(sum(restarts), 1)

    def count_after(self, n):
        for _ in range(n):
            self.assertEqual(self.chat('fast').status, 200)
        return self.node.metrics()


if __name__ == '__main__':
    tap.main()
