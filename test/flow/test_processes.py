"""The real processes under load: deaths, reloads and drains that no client notices, and books that are right after each of them.
AIGW_LONG=1 runs the full counts of the proofs."""
import collections
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import ask
from figures import cpu_seconds
from gateway import Load, is_alive, wait_for
from node import LONG, NodePerTest, chat_body, model
import tap

MODELS = {'fast': model('oai/sim'), 'slow': model('oai/sim?tokens=80&rate=40'), 'endless': model('oai/sim?tokens=4000&rate=20')}


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


class Deaths(Base):
    """Row 20."""
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
        self.assertLessEqual(load.results['cut'] + load.results['reset'], 4 * self.ROUNDS)
        self.check_books()

    def test_random_worker_under_streams(self):
        """Row 18: only streams of killed workers fail, each charged for what it delivered, no hold is left."""
        lock, ends, going = threading.Lock(), collections.Counter(), [True]

        def stream():
            while going[0]:
                try:
                    a = self.chat('slow', True)
                    end = 'done' if a and a.is_done else 'cut' if a is None or a.ended in ('cut', 'reset') else repr(a)
                except OSError:
                    end = 'cut'
                with lock:
                    ends[end] += 1
        threads = [threading.Thread(target=stream, daemon=True) for _ in range(200 if LONG else 60)]
        for t in threads:
            t.start()
        rnd = random.Random(18)
        end = time.monotonic() + (60 if LONG else 6)
        while time.monotonic() < end:
            time.sleep(0.2)
            pid = self.rows('worker')[rnd.randrange(2)]['pid']
            if pid:
                os.kill(pid, signal.SIGKILL)
        going[0] = False
        for t in threads:
            t.join()
        self.assertEqual(set(ends) - {'done', 'cut'}, set())
        self.assertGreater(ends['done'], 0)
        account = self.check_books()
        self.assertGreater(account['settled_usd'], 0)
        self.assertGreaterEqual(account['balance_usd'], 0)

    def test_keeper(self):
        """Nobody notices."""
        load = self.chats()
        for _ in range(self.ROUNDS):
            self.node.kill('keeper')
            time.sleep(0.1)
        load.stop()
        self.only(load)
        self.check_books()

    def test_master(self):
        """Nobody notices; at most one connection a closing socket may be reset."""
        load = self.chats()
        for _ in range(self.ROUNDS):
            old = self.node.pids()
            self.node.lose_master()
            self.node.start()
            wait_for(lambda: not any(is_alive(p) for p in old), 20)
        load.stop()
        self.only(load, 'reset', 'cut')
        self.assertLessEqual(load.results['cut'] + load.results['reset'], 2 * self.ROUNDS)
        self.check_books()

    def test_all_at_once(self):
        load = self.chats()
        for _ in range(self.ROUNDS):
            time.sleep(0.2)
            self.node.kill_all()
            self.node.start()
        load.stop()
        self.only(load, 'refused', 'reset', 'cut')
        self.check_books()

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
    """Rows 30 and 31."""
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
        """No request fails, nothing grows, and beside the times without reloads, taken in turns, those with them are not twice as long."""
        texts = [json.dumps(dict(self.node.make(), region='r%d' % i)) for i in (0, 1)]
        quiet, busy, memory, n = [], [], [], 0
        for _ in range(30 if LONG else 6):
            quiet.append(self.p99_ms(self.load(2 if LONG else 1)))
            load = self.load(2 if LONG else 1)
            while load.poll() is None:
                n += 1
                self.node.configure(text=texts[n % 2])
                self.node.signal(signal.SIGHUP)
                time.sleep(0.1)
            busy.append(self.p99_ms(load))
            memory.append(self.memory_kib())
        quiet, busy = sorted(quiet)[len(quiet) // 2], sorted(busy)[len(busy) // 2]
        print('# p99 %.1f ms, while reloading %.1f ms; %d KiB, then %d KiB' % (quiet, busy, memory[len(memory) // 3], memory[-1]))
        self.assertGreater(self.node.status()['node'][0]['config_generation'], n // 3)
        if not self.node.is_sanitized():
            self.assertLess(memory[-1], memory[len(memory) // 3] * 1.1)
            # A thread that parses has its core until the kernel's next tick.
            self.assertLess(busy, 2 * quiet + 4)
        self.check_books()

    def broken(self, rnd):
        """A mutation that cannot be good: cut short, or with a key that nobody knows."""
        with open(self.node.config) as f:
            text = f.read().rstrip()
        if rnd.random() < 0.5:
            return text[:rnd.randrange(1, len(text) - 1)]
        at = rnd.choice([i for i, c in enumerate(text[:4000]) if c == '{']) + 1
        return text[:at] + '"zzz": 1, ' + text[at:]

    def test_broken_files_change_nothing(self):
        rnd = random.Random(os.environ.get('AIGW_SEED', '31'))
        load = self.chats(threads=2)
        for i in range(200 if LONG else 40):
            text = self.broken(rnd)
            self.node.configure(text=text)
            end, rows, _ = self.node.control('reload')
            self.assertEqual((end['status'], end['code']), (1, 'reload_refused'), text[-200:])
            self.assertGreater(end['line'], 0)
            self.node.configure()
        load.stop()
        self.only(load)
        self.assertEqual(self.node.status()['node'][0]['config_generation'], 1)
        self.check_books()


class Drains(Base):
    """Row 32."""
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

    def test_streams_come_to_their_end(self):
        for sig in (signal.SIGTERM, signal.SIGQUIT):
            threads, results = self.streams('slow')
            self.node.signal(sig)
            self.node.wait_event('worker_drain')
            time.sleep(0.2)
            with self.assertRaises(ConnectionRefusedError):
                self.chat('fast')
            self.end(threads, 20)
            self.assertEqual([a for a in results if not (a.status == 200 and a.is_done)], [])
            self.node.start()
        self.check_books()

    def test_late_streams_get_the_error_item(self):
        self.node.configure(timeouts={'drain_timeout': '1s'})
        self.node.ctl('reload')
        threads, results = self.streams('endless')
        begun = time.monotonic()
        self.node.signal(signal.SIGTERM)
        self.end(threads, 20)
        self.assertLess(time.monotonic() - begun, 5)
        for a in results:
            self.assertEqual((a.status, a.ended, a.is_done), (200, 'cut', False), a)
            self.assertIn('error', a.data()[-1])
        self.node.start()
        self.check_books()

    def test_readyz_says_no_while_the_listeners_go_on(self):
        self.node.configure(timeouts={'drain_delay': '1s'})
        self.node.ctl('reload')
        self.assertEqual(ask(self.node.admin_port, 'GET', '/readyz').status, 200)
        self.node.signal(signal.SIGTERM)
        self.node.wait_event('drain_started')
        self.assertEqual(ask(self.node.admin_port, 'GET', '/readyz').status, 503)
        self.assertEqual(self.chat('fast').status, 200)
        self.assertEqual(self.node.master.wait(20), 0)

    def test_stop_waits_until_all_is_in_the_ledger(self):
        threads, results = self.streams('slow')
        p = self.node.ctl_raw('stop', timeout=30)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.end(threads, 5)
        self.node.start()
        self.assertEqual(self.node.verify()['charges'], self.STREAMS)
        self.check_books()


class Descriptors(Base):
    """Rows 36 and 54."""
    CONFIG = {'limits': {'open_files': 256}}

    @tap.alone
    @unittest.skipUnless(os.geteuid() == 0, 'only root may look into processes that are not dumpable')
    def test_used_up(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.chat('slow', True))) for _ in range(10)]
        for t in threads:
            t.start()
        wait_for(lambda: sum(w['inflight'] for w in self.rows('worker')) == 10)
        idle = [socket.create_connection(('127.0.0.1', self.node.port)) for _ in range(1000)]
        workers = [w['pid'] for w in self.rows('worker')]
        wait_for(lambda: all(len(os.listdir('/proc/%d/fd' % p)) > 240 for p in workers))
        before = cpu_seconds(*workers)
        time.sleep(1)
        self.assertLess(cpu_seconds(*workers) - before, 0.2 * len(workers))
        for s in idle:
            s.close()
        begun = time.monotonic()
        self.assertEqual(self.chat('fast').status, 200)
        self.assertLess(time.monotonic() - begun, 1)
        for t in threads:
            t.join()
        self.assertEqual([a for a in results if not (a.status == 200 and a.is_done)], [])
        self.check_books()

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
