"""Drain: TERM, QUIT, INT and 'stop'; what runs may end, what is late is cut, nothing is left behind."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import GatewayCase, is_alive, wait_for
import tap


class Drain(GatewayCase):
    SETTINGS = {'drain_timeout': '3s'}

    def setUp(self):
        super().setUp()
        self.results = []

    def hold(self, ms, count):
        def one():
            try:
                self.results.append(self.g.get('/hold/%d' % ms, timeout=20)[0])
            except OSError as e:
                self.results.append(repr(e))
        threads = [threading.Thread(target=one) for _ in range(count)]
        for t in threads:
            t.start()
        wait_for(lambda: sum(w['inflight'] for w in self.g.status()['worker']) == count)
        return threads

    def finish(self, threads, seconds=15):
        self.assertEqual(self.g.master.wait(seconds), 0)
        for t in threads:
            t.join()
        for pid in self.g.pids():
            self.assertFalse(is_alive(pid))

    def test_running_requests_end_and_new_ones_are_refused(self):
        for sig in (signal.SIGTERM, signal.SIGQUIT):
            with self.subTest(sig):
                self.results = []
                threads = self.hold(800, 50)
                self.g.signal(sig)
                self.g.wait_event('drain_started')
                time.sleep(0.1)
                with self.assertRaises(ConnectionRefusedError):
                    self.g.get()
                self.finish(threads)
                self.assertEqual(self.results, [200] * 50)
                self.g.start()

    def test_late_ones_are_cut_at_the_timeout(self):
        threads = self.hold(60000, 20)
        begun = time.monotonic()
        self.g.signal(signal.SIGTERM)
        self.finish(threads)
        self.assertAlmostEqual(time.monotonic() - begun, 3.0, delta=0.5)
        self.assertEqual(self.results, [500] * 20)
        self.assertIn('0 requests finished, 20 cut', self.g.events('drained')[-1]['message'])

    def test_int_drains_and_the_second_one_stops_now(self):
        threads = self.hold(60000, 5)
        self.g.signal(signal.SIGINT)
        self.g.wait_event('drain_started')
        time.sleep(0.3)
        self.assertIsNone(self.g.master.poll())
        begun = time.monotonic()
        self.g.signal(signal.SIGINT)
        self.finish(threads)
        self.assertLess(time.monotonic() - begun, 1.0)
        self.assertEqual(self.results, [500] * 5)

    def test_signals_at_the_very_end_do_not_change_the_status(self):
        for _ in range(5):
            while self.g.master.poll() is None:
                self.g.signal(signal.SIGINT)
                time.sleep(0.0002)
            self.assertEqual(self.g.master.returncode, 0)
            self.g.start()

    @tap.alone
    def test_every_connection_made_before_the_end_is_answered(self):
        """The end of a listener resets none: a client is answered or refused."""
        load = self.load(threads=8)
        time.sleep(0.3)
        self.g.signal(signal.SIGTERM)
        self.assertEqual(self.g.master.wait(10), 0)
        load.stop()
        self.assertGreater(load.results[200], 50)
        self.assertEqual(load.others('refused', 503), {})

    def test_delay_keeps_accepting_while_readyz_says_no(self):
        self.g.configure(drain_delay='1s')
        self.g.control('reload')
        self.g.signal(signal.SIGTERM)
        self.g.wait_event('drain_started')
        self.assertEqual(self.g.get()[0], 503)
        self.assertEqual(self.g.master.wait(10), 0)

    def test_worker_that_dies_in_the_delay_is_replaced(self):
        """The listeners are open: nobody may wait in the queue of an empty slot."""
        self.g.configure(drain_delay='3s')
        self.g.control('reload')
        old = [w['pid'] for w in self.g.status()['worker']]
        self.g.signal(signal.SIGTERM)
        self.g.wait_event('drain_started')
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        for _ in range(40):
            self.assertEqual(self.g.get(timeout=2)[0], 503)
        self.assertEqual(self.g.master.wait(10), 0)
        for pid in self.g.pids():
            self.assertFalse(is_alive(pid))

    def test_stop_waits_and_reports(self):
        threads = self.hold(500, 3)
        end, _, _ = self.g.control('stop')
        self.assertEqual((end['status'], end['message']), (0, 'stopped'))
        self.finish(threads)
        self.assertEqual(self.results, [200] * 3)

    def test_worker_that_hangs_is_killed_in_the_end(self):
        os.kill(self.g.status()['worker'][0]['pid'], signal.SIGSTOP)
        self.g.signal(signal.SIGINT)
        self.g.signal(signal.SIGINT)
        self.assertEqual(self.g.master.wait(15), 0)

    def test_worker_that_dies_while_draining_is_not_started_again(self):
        threads = self.hold(1000, 2)
        self.g.signal(signal.SIGTERM)
        self.g.wait_event('drain_started')
        mark = self.g.mark()
        for w in self.g.status()['worker']:
            try:
                if w['pid']:
                    os.kill(w['pid'], signal.SIGKILL)
            except ProcessLookupError:
                pass # it had no request, and has drained in this moment
        self.assertEqual(self.g.master.wait(10), 0)
        for t in threads:
            t.join()
        self.assertEqual(self.g.events('child_started', mark), [])

    def test_reload_is_refused(self):
        self.hold(1000, 1)
        self.g.signal(signal.SIGTERM)
        self.g.wait_event('drain_started')
        end, _, _ = self.g.control('reload')
        self.assertEqual((end['status'], end['code']), (1, 'draining'))
        self.assertEqual(self.g.master.wait(10), 0)


if __name__ == '__main__':
    tap.main()
