"""Children that die: how soon they are back, what happens to their sockets, back-off in a crash loop."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from figures import cpu_seconds
from gateway import Gateway, GatewayCase, wait_for
from node import LONG
import tap


class Respawn(GatewayCase):
    def rows(self, kind):
        return self.g.status()[kind]

    @tap.alone
    def test_worker_is_back_soon_and_the_keeper_is_told(self):
        self.g.come_first(self)
        self.g.check_restarts(self, [self.g.kill('worker', i % 2) for i in range(10)], part=1, sanitized_s=0.25)
        self.g.wait_event('role_child_died', contains='slot 1')

    @tap.alone
    def test_keeper_is_back_soon_and_workers_stay(self):
        self.g.come_first(self)
        workers = [w['pid'] for w in self.rows('worker')]
        self.g.check_restarts(self, [self.g.kill('keeper') for _ in range(10)], part=1, sanitized_s=0.25)
        self.assertEqual(workers, [w['pid'] for w in self.rows('worker')])

    def test_no_connection_is_refused_while_workers_die(self):
        load = self.load(threads=4)
        for i in range(30):
            self.g.kill('worker', i % 2)
        load.stop()
        self.assertEqual(load.others('reset'), {})
        self.assertGreater(load.results[200], 100)

    @tap.alone
    def test_crash_loop_backs_off_and_the_sockets_are_lent(self):
        """Row 35: back-off, little work, recovery when the cause is gone; half of the connections would wait without lending."""
        mark = self.g.mark()
        self.g.ask('crash-1')
        os.kill(self.rows('worker')[1]['pid'], signal.SIGKILL)
        self.g.wait_event('socket_lent', since=mark, contains='worker 1 is away')
        for _ in range(50):
            self.assertEqual(self.g.get(timeout=2)[1][1], 0)
        # The master's own time below 1 %; in the short run three ticks of the kernel's clock.
        cpu, seconds = cpu_seconds(self.g.master.pid), 55 if LONG else 2
        time.sleep(seconds)
        self.assertLess(cpu_seconds(self.g.master.pid) - cpu, max(0.01 * seconds, 0.035))
        waits = [int(e['message'].rpartition(' in ')[2].removesuffix(' ms')) for e in self.g.events('child_backoff', mark)]
        n = 10 if LONG else 5
        self.assertEqual(waits[:n], [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000][:n])
        self.g.unask('crash-1')
        wait_for(lambda: self.rows('worker')[1]['state'] == 'ready', 35)
        self.g.wait_event('socket_returned', since=mark, contains='worker 1')
        wait_for(lambda: {self.g.get()[1][1] for _ in range(20)} == {0, 1})
        self.assertEqual(self.rows('worker')[1]['early_deaths'], 0)

    def test_crash_loop_of_all_keeps_the_queue_open(self):
        self.g.ask('crash')
        for w in self.rows('worker'):
            os.kill(w['pid'], signal.SIGKILL)
        time.sleep(0.5)
        load = self.load(threads=3)
        time.sleep(0.5)
        self.g.unask('crash')
        wait_for(lambda: all(w['state'] == 'ready' for w in self.rows('worker')), 20)
        load.stop()
        self.assertEqual(load.others(), {})
        self.assertGreater(load.longest, 0.4)

    def test_keeper_that_cannot_start_at_first_is_tried_again(self):
        g = Gateway()
        self.addCleanup(g.close)
        g.ask('crash-keeper')
        g.start(wait='child_backoff')
        g.unask('crash-keeper')
        g.wait_event('ready')
        self.assertEqual(g.get()[0], 200)


if __name__ == '__main__':
    tap.main()
