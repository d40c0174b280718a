"""Kills and stops of processes inside their transactions of the live store, which a build with test hooks makes long. Rows 19, 21, 22."""
import os
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import is_alive, wait_for
from load import StreamLoad
from node import LONG
from test_crash import Kills as Base
import tap


class Inside(Base):
    PROGRAM = os.environ['AIGWD_HOOKS']

    # Only the new tests; those of the base run with the ordinary program.
    for name in [n for n in dir(Base) if n.startswith('test_')]:
        locals()[name] = None
    del name

    def gaps(self, load, times):
        """For each of these moments the time until the next answer was complete."""
        ends = sorted(o.ended for o in load.of('done'))
        return [next((e - t for e in ends if e > t), 9) for t in times]

    def test_killed_inside_write_transactions(self):
        """Row 19: as row 18, and the next one commits at once."""
        self.begin(AIGW_TEST_TXN_SLEEP_US='3000')
        load = StreamLoad(self.node.port, self.key, ['quick-oai', 'quick-ant'], 16)
        time.sleep(0.3)
        kills = []
        for _ in range(1000 if LONG else 40):
            workers = wait_for(lambda: len(self.node.children('worker')) == 2 and self.node.children('worker'), 35)
            kills.append(time.monotonic())
            self.kill(random.choice(workers))
            time.sleep(0.1)
        time.sleep(1)
        load.stop()
        self.assertTrue(load.of('done'))
        self.check_failures(load, kills)
        gaps = sorted(self.gaps(load, kills))
        self.assertLess(gaps[len(gaps) // 2], 0.1, gaps)
        self.check_books(load)

    def test_keeper_killed_inside_its_transactions(self):
        self.begin(AIGW_TEST_TXN_SLEEP_US='3000')
        load = StreamLoad(self.node.port, self.key, ['quick-oai', 'quick-ant'], 8)
        for _ in range(100 if LONG else 10):
            time.sleep(0.15)
            self.kill(*wait_for(lambda: self.node.children('keeper'), 35))
        time.sleep(0.5)
        load.stop()
        self.assertEqual(set(load.kinds()), {'done'})
        self.check_books(load)

    def test_stopped_inside_a_transaction(self):
        """Row 21: the watchdog kills it, others are served again within 2 s."""
        self.begin(AIGW_TEST_TXN_SLEEP_US='20000')
        begun = time.monotonic()
        self.chat('quick-oai')
        self.assertGreater(time.monotonic() - begun, 0.04)  # the hook is in: hold and settlement
        load = StreamLoad(self.node.port, self.key, ['quick-oai', 'quick-ant'], 8)
        time.sleep(0.5)
        stops = []
        for _ in range(20 if LONG else 3):
            pid = random.choice(wait_for(lambda: len(self.node.children('worker')) == 2 and self.node.children('worker'), 10))
            stops.append(time.monotonic())
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: not is_alive(pid), 8)
            time.sleep(0.5)
        load.stop()
        self.assertLess(max(self.gaps(load, stops)), 2.2, self.gaps(load, stops))
        self.check_books(load)

    def test_readers_killed_inside_read_transactions(self):
        """Row 22: dead readers do not make the store grow."""
        self.begin(AIGW_TEST_READ_SLEEP_US='2000')
        load = StreamLoad(self.node.port, self.key, ['quick-oai', 'quick-ant'], 16)
        time.sleep(0.5)
        before, kills = self.node.metrics()['aigw_live_bytes'], []
        for _ in range(60 if LONG else 12):
            workers = wait_for(lambda: len(self.node.children('worker')) == 2 and self.node.children('worker'), 35)
            kills.append(time.monotonic())
            self.kill(random.choice(workers))
            time.sleep(0.4)
        load.stop()
        self.assertLess(self.node.metrics()['aigw_live_bytes'] - before, 1 << 20)
        self.check_failures(load, kills)
        self.check_books(load)


del Base

if __name__ == '__main__':
    tap.main()
