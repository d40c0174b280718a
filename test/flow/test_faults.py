"""Workers that die or stop inside a transaction of the live store: others go on, the books are right."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import Gateway, wait_for
from money import Spender, check_books
from node import LONG, NodePerTest, model, nusd
import tap


class Faults(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=8&input=20')}
    PROGRAM = 'AIGWD_FAULTY'

    def setUp(self):
        self.make(log={'access': 'off'})
        self.node.env['AIGW_TEST_DIR'] = self.node.state
        self.start()

    def happen(self, what):
        """Asks for it and waits until a worker has taken it."""
        path = os.path.join(self.node.state, 'test-' + what)
        Gateway.ask(self.node, what)
        wait_for(lambda: not os.path.exists(path), 20, 0.001)

    def ready(self):
        wait_for(lambda: all(w['state'] == 'ready' for w in self.node.status()['worker']), 20)

    def test_a_balance_that_changed_by_itself_is_found(self):
        """Design 3.5: told within about a second, by gauge, log, status and verify; the account's requests are refused, others' are not."""
        self.assertEqual(self.node.show('main')['id'], 1)
        other = self.node.customer('other')
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        self.assertEqual(self.node.metrics()['aigw_ledger_imbalance_nanousd'], 0)
        Gateway.ask(self.node, 'skew')
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        wait_for(lambda: self.node.metrics()['aigw_ledger_imbalance_nanousd'] == 1, 3)
        self.node.wait_event('imbalance', contains='by 1 nano-dollars in 1 accounts, first account 1')
        self.assertEqual(nusd(self.node.ctl('status')['ledger']['imbalance_usd']), 1)
        a = self.chat('m')
        self.assertEqual((a.status, a.error['code']), (500, 'internal_error'), a)
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        p = self.node.ctl_raw('ledger', 'verify', '--json')
        self.assertEqual(p.returncode, 6)
        self.assertEqual({f['what'] for f in json.loads(p.stdout)['findings']}, {'live'})
        # And by what looks at the books of every test, which fails for it: by the gauge, and by the account's row alone.
        wrong = self.node.conservation.wrong
        wait_for(lambda: len(wrong) > 3, 10)
        self.assertIn('the imbalance is 1 nano-dollars', ' '.join(wrong))
        self.assertRegex(' '.join(wrong), r'T\d\d:\d\d:\d\d\.\d+\+00:00 account main: granted \d+, balance \d+, held 0, settled \d+, overdraft 0: off by -1')
        with self.assertRaisesRegex(AssertionError, r'(?s)the books were out of balance:\n.*account main: granted'):
            self.node.end_conservation()

    @tap.alone
    def test_killed_in_a_write_transaction(self):
        """Row 19: the next commit by another worker within 50 ms; nothing lost, nothing twice."""
        load = Spender(self.node, self.key, 'm')
        gaps = []
        for _ in range(1000 if LONG else 60):
            self.happen('kill-in-write')
            begun, count = time.monotonic(), len(load.answered)
            wait_for(lambda: len(load.answered) > count + 1, 5, 0.0005)
            gaps.append(time.monotonic() - begun)
        load.stop()
        gaps.sort()
        print('# another commit after %.1f ms (median), %.1f ms (longest)' % (gaps[len(gaps) // 2] * 1e3, gaps[-1] * 1e3))
        self.assertLess(gaps[len(gaps) // 2], 0.05)
        # Only what the killed worker had taken fails, by its connection's end.
        self.assertEqual(set(load.statuses) - {0, 200}, set(), load.failed)
        self.ready()
        check_books(self, self.node, 'main', load)
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)

    @tap.alone
    def test_stopped_in_a_write_transaction(self):
        """Row 21: the watchdog kills it, others are served again within 2 s."""
        load = Spender(self.node, self.key, 'm')
        for _ in range(10 if LONG else 2):
            time.sleep(0.5)
            mark = self.node.mark()
            begun = time.monotonic()
            self.happen('stop-in-write')
            time.sleep(0.1)
            count = len(load.answered)
            wait_for(lambda: len(load.answered) > count + 4, 5, 0.001)
            self.assertLess(time.monotonic() - begun, 2.0 if not self.node.is_sanitized() else 4.0)
            self.node.wait_event('child_killed', since=mark, contains='holds the writer lock')
        load.stop()
        self.ready()
        check_books(self, self.node, 'main', load)

    @tap.alone
    def test_killed_in_a_read_transaction(self):
        """Row 22: the dead reader is cleared, the store does not grow."""
        load = Spender(self.node, self.key, 'm', threads=8)
        time.sleep(1)
        before = self.node.status()['ledger'][0]['live_bytes']
        for _ in range(5):
            self.happen('kill-in-read')
            time.sleep(0.2)
        wait_for(lambda: len(load.answered) > (100000 if LONG else 8000), 600)
        load.stop()
        self.ready()
        self.assertLess(self.node.status()['ledger'][0]['live_bytes'] - before, 1 << 20)
        check_books(self, self.node, 'main', load)


if __name__ == '__main__':
    tap.main()
