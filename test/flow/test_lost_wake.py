"""A wake-up for the live store's writer lock that was lost with the processes that died: the master nudges those who wait. The kernel
wakes one of them when the holder dies; was that one killed as well, the others sleep, although nobody holds the lock."""
import glob
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import wait_for
from node import NodePerTest, model
from page import Page, WORKER
import tap


class LostWake(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=5&input=11')}

    def setUp(self):
        self.begin()
        self.page = Page(self.node)

    def lose_while_one_waits(self):
        """A request whose worker waits for the lock when its holder dies and nobody is woken. (thread, its answer, what its worker wanted)."""
        folder, = glob.glob(os.path.join(self.node.live, '*', 'data.mdb'))
        with subprocess.Popen([os.environ['LOST_WAKE'], os.path.dirname(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
            self.assertEqual(p.stdout.readline(), 'held\n')
            answers = []
            t = threading.Thread(target=lambda: answers.append(self.chat('m')), daemon=True)
            t.start()
            waiting, = wait_for(lambda: [r for r in self.page.rows(WORKER) if r.wants != r.has], 5, 0.001)
            p.communicate('lose it\n')
            self.assertEqual(p.returncode, -signal.SIGKILL)
        return t, answers, waiting

    def row(self, r):
        return next(o for o in self.page.rows() if o.index == r.index)

    def test_who_waits_gets_on(self):
        """With a tick of the master that is on time, before the watchdog would think of killing anybody."""
        mark = self.node.mark()
        for _ in range(5):
            t, answers, waiting = self.lose_while_one_waits()
            t.join(20)
            self.assertEqual([a.status for a in answers], [200])
            self.assertGreater(self.row(waiting).has, waiting.has)
        self.assertEqual(self.node.events('child_killed', mark), [])
        self.check_books()


if __name__ == '__main__':
    tap.main()
