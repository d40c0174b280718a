"""Workers that die at the end of a transaction of the live store or in the middle of a read one, and a balance that changes by itself. Rows 19
and 22; more of these is in test_crash_inside.py."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from conservation import Conservation
from gateway import Gateway, wait_for
from money import Spender, check_books
from node import LONG, FiveScopes, NodePerTest, chat_body, model, nusd
import tap


class Faults(FiveScopes, NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=8&input=20'), 'slow': model('oai/sim?tokens=8&input=20&rate=2'),
              'late': model('oai/sim?tokens=8&input=20&delay=4s')}
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

    def test_a_definition_that_was_lost_is_put_back(self):
        """A limit that the live store does not know any more refuses nobody: it is told, and is there again with the next look."""
        self.node.ctl('user', 'update', 'ann', '--account', 'main', '--limit', 'requests=1/day')
        self.assertEqual([self.chat('m').status for _ in range(2)], [200, 429])
        Gateway.ask(self.node, 'lose')
        self.assertEqual(self.node.chat(self.key, 'm', user='ben').status, 200)
        self.assertEqual(self.chat('m').status, 200)
        p = self.node.ctl_raw('ledger', 'verify', '--json')
        self.assertEqual((p.returncode, {f['what'] for f in json.loads(p.stdout)['findings']}), (6, {'lost'}))
        self.node.wait_event('live_rows_lost', 20, contains='1 things that the ledger has, the first of account 1; definitions put back: 1')
        self.assertEqual(self.chat('m').status, 429)
        self.assertTrue(self.node.verify()['good'])

    def expect_damage_alone(self):
        p = self.node.ctl_raw('ledger', 'verify', '--json')
        self.assertEqual((p.returncode, [(f['what'], f['at']) for f in json.loads(p.stdout)['findings']]), (6, [('damaged', 1)]))

    def test_a_damaged_row_keeps_nothing_else_waiting(self):
        """What is used of the account and its scopes cannot be read: it is told, once; a limit beside it that was lost is put back all the same."""
        other, keeper = self.node.customer('other'), self.node.children('keeper')
        self.assertEqual(self.chat('m').status, 200)
        for what in ('damage-state', 'lose'):
            Gateway.ask(self.node, what)
            self.assertEqual(self.node.chat(other, 'm').status, 200)
            self.node.settled('other')
        self.node.wait_event('live_row_damaged', 20, contains='the first of account 1;')
        self.node.wait_event('live_rows_lost', 20, contains='1 things that the ledger has, the first of account 1; definitions put back: 1')
        a = self.chat('m')
        self.assertEqual((a.status, a.error['code']), (500, 'internal_error'), a)
        self.expect_damage_alone()
        Gateway.ask(self.node, 'lose')
        mark = self.node.mark()
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        self.node.wait_event('live_rows_lost', 20, since=mark)  # a round later
        self.assertEqual(len(self.node.events('live_row_damaged')), 1)
        self.assertEqual(self.node.children('keeper'), keeper)
        with self.assertRaisesRegex(AssertionError, r'(?s)the books were out of balance:\n.*the imbalance is 1 nano-dollars'):
            self.node.end_conservation()  # what its keys hold is in that row

    def test_a_damaged_account_ends_no_keeper(self):
        other, keeper = self.node.customer('other'), self.node.children('keeper')
        Gateway.ask(self.node, 'damage-account')
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        self.node.wait_event('imbalance', 5, contains='rows that cannot be read: 1, first account 1')
        self.assertEqual(self.node.metrics()['aigw_ledger_imbalance_nanousd'], 1)
        a = self.chat('m')
        self.assertEqual((a.status, a.error['code']), (500, 'internal_error'), a)
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        self.assertEqual(nusd(self.node.settled('other')['settled_usd']), 2 * (20 * 1000 + 8 * 2000))
        self.node.wait_event('live_row_damaged', 20, contains='the first of account 1;')
        self.expect_damage_alone()
        self.assertEqual(self.node.children('keeper'), keeper)
        with self.assertRaisesRegex(AssertionError, r'(?s)the books were out of balance:\n.*the imbalance is 1 nano-dollars'):
            self.node.end_conservation()

    def test_a_damaged_hold_ends_no_keeper(self):
        """It cannot be settled once its worker is gone: all others of the worker's are, and it is told, once."""
        other, keeper = self.node.customer('other'), self.node.children('keeper')
        conns = [Conn(self.node.port).request('POST', '/v1/chat/completions', chat_body('slow', True, user='ann'), (), self.key) for _ in range(6)]
        for c in conns:
            self.addCleanup(c.close)
        wait_for(lambda: self.node.show('main')['holds'] == 6, 5)
        Gateway.ask(self.node, 'damage-hold')
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        for pid in self.node.children('worker'):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.node.show('main')['holds'] == 1, 20)
        self.node.wait_event('watch_hindered', 5, contains='settling the holds of a dead process: stored data is corrupt')
        self.ready()
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        self.node.settled('other')
        self.expect_damage_alone()
        self.assertEqual(len(self.node.events('watch_hindered')), 1)
        self.assertEqual(self.node.children('keeper'), keeper)
        wait_for(lambda: self.node.conservation.wrong, 10)
        with self.assertRaisesRegex(AssertionError, r'(?s)the books were out of balance:\n.*the imbalance is 1 nano-dollars'):
            self.node.end_conservation()

    def test_a_damaged_definition_is_put_back(self):
        other = self.node.customer('other')
        self.assertEqual(self.chat('m').status, 200)
        Gateway.ask(self.node, 'damage-definition')
        self.assertEqual(self.node.chat(other, 'm').status, 200)
        self.node.wait_event('live_rows_lost', 20, contains='1 things that the ledger has, the first of account 1; definitions put back: 1')
        self.assertEqual(self.chat('m').status, 200)
        self.assertTrue(self.node.verify()['good'])
        self.assertEqual(self.node.events('live_row_damaged'), [])

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

    def test_a_store_that_takes_no_settlement_for_three_seconds(self):
        """The clients are answered after two. The charges are made once the store takes them, once each, by the same workers."""
        conns = [Conn(self.node.port).request('POST', '/v1/chat/completions', chat_body(name, name == 'slow', user='ann'), (), self.key)
                 for name in ('late', 'slow', 'slow')]
        for c in conns:
            self.addCleanup(c.close)
        wait_for(lambda: self.node.show('main')['holds'] == 3, 3)
        workers = self.node.children('worker')
        Gateway.ask(self.node, 'no-live')
        answers = [c.answer() for c in conns]
        self.assertEqual([a.status for a in answers], [503, 200, 200])
        self.assertEqual([a.error['code'] for a in answers[:1]] + [a.data()[-1]['error']['code'] for a in answers[1:]], 3 * ['ledger_unavailable'])
        time.sleep(1.5)
        self.assertEqual(self.node.show('main')['holds'], 3)
        Gateway.unask(self.node, 'no-live')
        account = self.node.settled('main', 5)
        self.assertEqual(nusd(account['settled_usd']), 3 * (20 * 1000 + 8 * 2000))
        for a in answers:
            r = self.node.record(a.get('x-request-id'))
            self.assertEqual((r['end'], nusd(r['charge_usd']), r['status']), ('ledger_unavailable', 36000, a.status))
        self.assertEqual(self.node.children('worker'), workers)
        m = self.node.metrics()
        self.assertEqual([m.get('aigw_late_settlements_total{result="%s"}' % r) for r in ('late', 'settled', 'left')], [3, 3, None])
        self.check_books()
        self.check_scopes()

    @tap.alone
    def test_killed_in_a_write_transaction(self):
        """Row 19: the next commit by another worker within 50 ms; nothing lost, nothing twice."""
        load = Spender(self.node, self.key, 'm')
        gaps = []
        for _ in range(1000 if LONG else 20):
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

    def settle(self, n):
        """So many requests by a program that is faster than this one."""
        path = os.path.join(self.node.dir, 'body')
        with open(path, 'w') as f:
            json.dump(chat_body('m', user='ann'), f)
        words = ['--port', self.node.port, '--path', '/v1/chat/completions', '--body', path, '--key', self.key, '--connections', 16,
                 '--requests', n, '--seconds', 300]
        done = json.loads(subprocess.run([os.environ['LOAD'], *map(str, words)], check=True, capture_output=True, text=True).stdout)
        self.assertEqual((done['requests'], done['errors']), (n, 0), done)

    @tap.alone
    def test_killed_in_a_read_transaction(self):
        """Row 22: the dead reader is cleared, the store does not grow in all that is settled from then on."""
        load = Spender(self.node, self.key, 'm', threads=8)
        time.sleep(0.5)
        before = self.node.status()['ledger'][0]['live_bytes']
        for _ in range(5):
            self.happen('kill-in-read')
            time.sleep(0.2)
        load.stop()
        self.ready()
        self.settle(100000 if LONG else 20000)
        grown = self.node.status()['ledger'][0]['live_bytes'] - before
        print('# the live store grew by %d KiB' % (grown // 1024))
        self.assertLess(grown, 1 << 20)
        check_books(self, self.node, 'main', load)


class Looks(NodePerTest):
    """What looks at the books of every test finds fault with itself when it has not looked."""
    MODELS = {'m': model('oai/sim')}

    def test_where_nobody_answers(self):
        watch = Conservation('/nowhere/control.sock', 1, lambda: True)
        time.sleep(2.5)
        self.assertRegex(' '.join(watch.end()), r'gauge: too few looks, 0 while it was up for 2\.\d s .*accounts: too few looks, 0 while')

    def test_once_a_second(self):
        self.begin()
        watch, more = self.node.conservation, Conservation(self.node.socket, None, lambda: True)
        time.sleep(4)
        self.assertEqual(more.end(), [])
        for w in watch.watches + more.watches:
            self.assertTrue(3 <= w.looks <= 7, (w.name, w.looks))
        seldom = watch.watches[0]
        seldom.answered_s += 600
        with self.assertRaisesRegex(AssertionError, r'gauge: too few looks, \d while it was up for \d\.\d s and answered for 6\d\d\.\d s$'):
            self.node.end_conservation()


if __name__ == '__main__':
    tap.main()
