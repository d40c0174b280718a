"""A master that dies: its children go on, the next master takes over, no connection is refused."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import GatewayCase, is_alive, wait_for
import tap


class Takeover(GatewayCase):
    def start_next(self):
        mark = self.g.mark()
        begun = time.monotonic()
        self.g.spawn()
        self.g.wait_event('ready', since=mark, process='master')
        return self.g.since(begun)

    def test_children_serve_without_a_master(self):
        self.g.lose_master()
        time.sleep(1)
        self.assertEqual({self.g.get()[0] for _ in range(20)}, {200})

    @tap.alone
    def test_next_master_takes_over_under_load(self):
        """Row 20: serving again within 250 ms, no connection refused, none reset."""
        self.g.come_first(self)
        load = self.load(threads=4)
        rounds, waits = 10, []
        for i in range(rounds):
            old = self.g.pids()
            self.g.lose_master()
            time.sleep(0.05)
            waits.append(self.start_next())
            wait_for(lambda: not any(is_alive(p) for p in old), 20)
            self.assertEqual(self.g.get()[0], 200)
        load.stop()
        self.g.check_restarts(self, waits)
        self.assertEqual(load.others(), {})
        self.assertEqual(self.g.status()['node'][0]['master_generation'], rounds + 1)

    def test_old_requests_end_while_the_new_master_serves(self):
        result = []
        t = threading.Thread(target=lambda: result.append(self.g.get('/hold/1500')[0]))
        t.start()
        wait_for(lambda: sum(w['inflight'] for w in self.g.status()['worker']) == 1)
        self.g.lose_master()
        self.start_next()
        t.join()
        self.assertEqual(result, [200])

    def test_all_killed_at_once(self):
        self.g.kill_all()
        self.start_next()
        self.assertEqual(self.g.get()[0], 200)
        self.assertEqual(self.g.stop(), 0)

    def test_master_and_worker_die_together(self):
        worker = self.g.status()['worker'][0]['pid']
        os.kill(worker, signal.SIGKILL)
        self.g.lose_master()
        self.start_next()
        self.assertEqual({self.g.get()[0] for _ in range(20)}, {200})

    def test_keeper_that_waits_for_the_old_ones_lock_is_not_killed(self):
        mark = self.g.mark()
        self.g.lose_master()
        self.start_next()
        time.sleep(1.5)
        self.assertEqual(self.g.events('child_killed', mark), [])

    def test_stopped_orphan_with_the_lock_is_killed(self):
        mark = self.g.mark()
        self.g.lose_master()
        self.g.ask('hold-lock-1')
        time.sleep(0.3)
        self.g.unask('hold-lock-1')
        self.start_next()
        self.g.wait_event('orphan_killed', 5, mark, contains='holds the writer lock')


if __name__ == '__main__':
    tap.main()
