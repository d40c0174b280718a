"""Row 55: a limit of requests a minute under five times as many, which come to two workers at an even pace over several windows. Windows
are of a minute from the first use on; in each exactly the limit is admitted. In the first one all at once, in those that follow as the
uses of the one before fall out of the sliding window. AIGW_LONG=1: 1,000 a minute over three windows, else 300 and a part of the second."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from node import LONG, NodeCase, chat_body, model
import tap

WINDOW = 60.0
LIMIT = 1000 if LONG else 300
PAUSE = WINDOW / (5 * LIMIT)


class Paced(NodeCase):
    MODELS = {'fast': model('oai/sim?tokens=1&input=5')}
    CONFIG = {'workers': 2}

    def pace(self, key, begin, until):
        """Requests at the pace from `begin` to `until`, each at its own moment; (sent, answered, answer) of all."""
        seen, lock, at = [], threading.Lock(), [begin]

        def run():
            while True:
                with lock:
                    mine = at[0]
                    at[0] += PAUSE
                if mine >= until:
                    return
                time.sleep(max(mine - time.monotonic(), 0))
                with Conn(self.node.port) as c:  # each time another one: both workers get their part
                    sent = time.monotonic()
                    c.request('POST', '/v1/chat/completions', chat_body('fast'), key=key)
                    seen.append((sent, c.answer(), time.monotonic()))
        threads = [threading.Thread(target=run) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return seen

    def check_window(self, seen, i, first, last):
        """The limit was admitted in the i-th window after a moment between the two, up to those of which nobody can say on which side they were; and up to what fell free
        when nobody asked any more: each refusal says that at its moment all was taken."""
        admitted, begin, end = [s for s in seen if s[1].status == 200], i * WINDOW, (i + 1) * WINDOW
        surely = sum(1 for sent, _, answered in admitted if last + begin <= sent and answered < first + end)
        maybe = sum(1 for sent, _, answered in admitted if first + begin <= answered and sent < last + end)
        full = max(sent for sent, a, answered in seen if a.status == 429 and answered < first + end)
        unasked = int((last + end - full) * LIMIT / WINDOW) if i else 0  # nothing falls free in the first
        print('# %d to %d admitted, %d wanted, %d fell free unasked' % (surely, maybe, LIMIT, unasked))
        self.assertTrue(surely <= LIMIT <= maybe + unasked, (surely, maybe, unasked))
        return unasked

    def test_exact_in_every_window(self):
        key = self.node.customer('paced', rpm=LIMIT)
        if LONG:
            seen = self.pace(key, time.monotonic(), time.monotonic() + 3 * WINDOW + 1)
        else:
            begin = time.monotonic()
            seen = self.pace(key, begin, begin + 14)
            seen += self.pace(key, begin + 58, begin + 72)
        admitted = [s for s in seen if s[1].status == 200]
        refused = [a for _, a, _ in seen if a.status != 200]
        # The window began while the first request was under way, between these two; workers read the clock once a turn.
        first, last = min(s[0] for s in admitted) - 0.02, min(s[2] for s in admitted)
        whole = 3 if LONG else 1
        unasked = sum(self.check_window(seen, i, first, last) for i in range(whole))
        # What is admitted of a window that is not over is what fell out of the one before.
        rest, end = len(admitted) - whole * LIMIT, max(s[2] for s in seen)
        share = [LIMIT * (end - begin - whole * WINDOW) / WINDOW for begin in (last, first)]
        print('# of the next one %d, %.1f to %.1f wanted' % (rest, *share))
        self.assertTrue(share[0] - 3 - unasked <= rest < share[1] + 1, (rest, share))
        for a in refused:
            self.assertEqual((a.status, a.error['code']), (429, 'rate_limit_exceeded'), a)
            self.assertTrue(1 <= int(a.get('retry-after')) <= 60, a)
        lines = self.node.access(*(a.get('x-request-id') for _, a, _ in admitted))
        for worker in ('worker-0', 'worker-1'):
            self.assertGreater(sum(1 for e in lines.values() if e['process'] == worker), len(lines) // 8)


if __name__ == '__main__':
    tap.main()
