"""What a request may ask of malloc and of the kernel: counted, so that a step back shows on any machine. Figures are those of today with
little room; who lowers one writes the lower one here."""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from node import NodeCase, model
import tap

ROWS = ('allocations', 'recv', 'send', 'sendmsg', 'read', 'write', 'writev', 'pwrite', 'epoll_ctl', 'epoll_wait', 'clock_gettime',
        'getpid')
EVENTS = 200
MESSAGES = [{'role': 'user', 'content': 'Hello there, gateway. ' * 20}]


@tap.alone
class Cost(NodeCase):
    MODELS = {'whole': model('oai/sim?tokens=20&size=40&input=9'),
              'stream': model('oai/sim?tokens=%d&rate=1000&input=9' % EVENTS),
              'other': model('ant/sim?tokens=%d&rate=1000&input=9' % EVENTS)}
    CONFIG = {'workers': 1}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = os.path.join(cls.node.dir, 'tally')
        os.mkdir(cls.folder)
        os.chmod(cls.folder, 0o777)
        if not cls.node.is_sanitized():
            cls.node.stop()
            cls.node.start(LD_PRELOAD=os.environ['TALLY'], AIGW_TEST_TALLY=cls.folder)

    def setUp(self):
        if self.node.is_sanitized():
            self.skipTest('sanitizers need malloc for themselves')
        self.worker = self.node.status()['worker'][0]['pid']

    def counts(self):
        with open(os.path.join(self.folder, str(self.worker)), 'rb') as f:
            return struct.unpack('%dQ' % len(ROWS), f.read())

    def during(self, what):
        """Counts while what() runs, and its seconds."""
        before, begun = self.counts(), time.monotonic()
        what()
        return [b - a for a, b in zip(before, self.counts())], time.monotonic() - begun

    def a_request(self, model, n, **body):
        """What each of n requests takes on a connection that has served some, by name; what the worker does by itself is left out."""
        with Conn(self.node.port) as c:
            def run(times):
                for _ in range(times):
                    a = c.request('POST', '/v1/chat/completions', {'model': model, 'messages': MESSAGES, **body}, key=self.key).answer()
                    self.assertEqual(a.status, 200, a)
            run(min(n // 5, 20))
            idle, idle_s = self.during(lambda: time.sleep(1))
            busy, busy_s = self.during(lambda: run(n))
        found = {name: max(0, b - i / idle_s * busy_s) / n for name, i, b in zip(ROWS, idle, busy)}
        found['pages'] = found['pwrite'] + found['writev']  # LMDB's, those that lie side by side at once
        return found

    def check(self, found, **limits):
        over = {name: (round(found[name], 2), most) for name, most in limits.items() if found[name] > most}
        self.assertFalse(over, 'found and allowed of what is above; all: %r' % {k: round(v, 2) for k, v in found.items()})

    def test_whole_answer(self):
        found = self.a_request('whole', 200)
        self.check(found, allocations=28, recv=2.1, send=1.05, sendmsg=1.05, epoll_wait=2.3, epoll_ctl=0.05, clock_gettime=25,
                   getpid=0, read=0.05, write=1.05, pages=10.6)

    def check_stream(self, found, allocations):
        """An event is one read, one write, one turn, and nothing of malloc or LMDB."""
        self.check(found, allocations=allocations, recv=EVENTS + 5, send=EVENTS + 5, sendmsg=1.1, epoll_wait=EVENTS + 20, epoll_ctl=0.5,
                   clock_gettime=4.5 * EVENTS, getpid=0, read=1, write=2, pages=12)

    def test_stream(self):
        self.check_stream(self.a_request('stream', 10, stream=True), 34)

    def test_translated_stream(self):
        self.check_stream(self.a_request('other', 10, stream=True), 45)


if __name__ == '__main__':
    tap.main()
