"""The watchdog: a process that keeps others from the live store, whose loop stands still, or that speaks nonsense."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import GatewayCase, wait_for
import tap


class Watchdog(GatewayCase):
    def killed(self, ask, reason, seconds, name='worker 1'):
        mark = self.g.mark()
        begun = time.monotonic()
        self.g.ask(ask)
        e = self.g.wait_event('child_killed', seconds + 5, mark, contains=reason)
        took = time.monotonic() - begun
        self.g.unask(ask)
        self.assertIn(name, e['message'])
        self.assertLess(took, seconds)
        wait_for(lambda: all(r['state'] == 'ready' for r in self.g.status()['worker'] + self.g.status()['keeper']))
        self.assertEqual(self.g.get()[0], 200)

    @tap.alone
    def test_holder_of_the_lock_that_does_not_move(self):
        """Row 21: others are served again within 2 s."""
        self.killed('hold-lock-1', 'holds the writer lock', 2.0)

    @tap.alone
    def test_one_that_stopped_between_lock_and_word(self):
        self.killed('want-lock-1', 'keeps others from the writer lock', 2.5)

    def test_keeper_is_watched_alike(self):
        self.g.ask('crash-1')
        self.g.unask('crash-1')
        mark = self.g.mark()
        keeper = self.g.status()['keeper'][0]['pid']
        os.kill(keeper, signal.SIGSTOP)
        self.g.wait_event('child_killed', 40, mark, contains='its loop does not turn')  # a master whose own ticks come late counts none
        wait_for(lambda: self.g.status()['keeper'][0]['pid'] not in (0, keeper))

    def test_loop_that_stands_still(self):
        self.killed('no-beat-1', 'its loop does not turn', 12.0)

    def test_nonsense_ends_the_peer(self):
        mark = self.g.mark()
        self.g.ask('bad-message-1')
        self.g.wait_event('child_protocol', 5, mark, contains='worker 1')
        self.g.unask('bad-message-1')
        wait_for(lambda: self.g.status()['worker'][1]['state'] == 'ready')

    def test_stopped_master_kills_nobody_when_it_goes_on(self):
        mark = self.g.mark()
        os.kill(self.g.master.pid, signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(self.g.master.pid, signal.SIGCONT)
        time.sleep(1)
        self.assertEqual(self.g.events('child_killed', mark), [])


if __name__ == '__main__':
    tap.main()
