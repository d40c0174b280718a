"""A disk that is full or fails: nothing is acknowledged that is not on it, requests are refused by name, it recovers by itself."""
import glob
import json
import os
import shutil
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import Gateway, wait_for
from money import Spender, check_books
from node import LONG, CtlError, FiveScopes, NodePerTest, chat_body, charge_nusd, model, nusd
import tap

MODELS = {'m': model('oai/sim?tokens=8&input=20'), 'slow': model('oai/sim?tokens=20&rate=40&input=20'),
          'calm': model('oai/sim?tokens=30&rate=15&input=20'),
          'late': model('oai/sim?tokens=500&size=3000000&delay=1500ms&input=20')}


class Base(FiveScopes, NodePerTest):
    MODELS = MODELS
    PROGRAM = 'AIGWD_FAULTY'

    def setUp(self):
        self.begin(log={'access': 'off'})
        self.other = self.node.key('main')

    def state(self):
        return self.node.status()['ledger'][0]['state']

    def refused(self):
        """The answer to a new request, once they are refused; `served` is how many were not."""
        self.served = 0

        def look():
            a = self.chat('m')
            self.served += a.status == 200
            return a if a.status != 200 else None
        return wait_for(look, 15, 0.05)

    def serves_again(self):
        wait_for(lambda: self.chat('m').status == 200, 15, 0.05)

    def check_refusal(self, a):
        self.assertEqual((a.status, a.error['code']), (503, 'ledger_unavailable'), a)
        self.assertGreaterEqual(int(a.get('retry-after')), 1)


class Disk(Base):
    def test_full(self):
        """Rows 26, 27: retried each second; running requests end well; what gives is refused, what takes is in force."""
        running = Spender(self.node, self.key, 'slow', 4, stream=True)
        time.sleep(0.3)
        self.node.ctl('account', 'update', 'main', '--overdraft', '2', '--rpm', '100000')
        Gateway.ask(self.node, 'enospc')
        self.check_refusal(self.refused())
        self.assertEqual(self.state(), 'commit failed')
        with self.assertRaises(CtlError) as e:
            self.node.ctl('account', 'credit', 'main', '--add', '5')
        self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'ledger_unavailable'))
        self.assertEqual(self.node.show('main')['granted_usd'], 1000)
        with self.assertRaises(CtlError):
            self.node.account('second', '1')
        # What is taken is gone from the balance, but no script may think that it stands in the ledger.
        p = self.node.ctl_raw('account', 'credit', 'main', '--take', '3', '--json')
        self.assertEqual((p.returncode, json.loads(p.stderr)['error']['code']), (1, 'not_durable'), p)
        self.assertEqual([json.loads(p.stdout)[k] for k in ('granted_usd', 'durable')], [997, False], p.stdout)
        revoked = self.node.ctl('key', 'revoke', self.other)
        self.assertEqual((revoked['status'], revoked['durable']), ('revoked', False))
        # Said once more it is no more durable than before.
        again = self.node.ctl('key', 'revoke', self.other)
        self.assertEqual((again['status'], again['durable']), ('revoked', False))
        # Of two records one is in force; of two that are in force none is durable.
        with self.assertRaises(CtlError) as e:
            self.node.ctl('account', 'update', 'main', '--overdraft', '1', '--rpm', 'none')
        self.assertEqual(e.exception.error['code'], 'partly')
        self.assertIn('payment were changed (in force, not durable yet), the limits were not', e.exception.error['message'])
        self.assertIs(self.node.ctl('account', 'update', 'main', '--overdraft', '0', '--rpm', '99')['durable'], False)
        running.going = False
        wait_for(lambda: self.node.show('main')['holds'] == 0, 10)
        self.node.unask('enospc')
        self.serves_again()
        self.assertEqual(self.state(), 'good')
        self.assertIs(self.node.ctl('key', 'revoke', self.other)['durable'], True)
        running.stop()
        self.assertEqual([f for f in running.failed if not f.startswith('503')], [])
        self.assertEqual(len(self.node.children('keeper')), 1)
        check_books(self, self.node, 'main', running)
        # The revocation has followed.
        self.node.kill('keeper')
        self.assertEqual(self.node.ctl('key', 'show', self.other)['status'], 'revoked')
        self.assertEqual(self.node.ctl('account', 'credit', 'main', '--take', '1')['durable'], True)
        self.node.ctl('account', 'credit', 'main', '--add', '9')
        self.assertEqual(self.node.show('main')['granted_usd'], 1005)

    def test_prices_of_a_reload_are_on_disk_first(self):
        """Design 2: every receipt can be recomputed; a price that the ledger cannot take is not in force anywhere."""
        self.assertEqual(self.chat('m').status, 200)
        Gateway.ask(self.node, 'enospc')
        self.node.configure(models={'m': {'price': {'input': 5, 'output': 6}}})
        p = self.node.ctl_raw('reload')
        self.assertEqual(p.returncode, 1)
        self.assertIn('keeper rejects it: the prices cannot be written to the ledger: no space left', p.stdout + p.stderr)
        # What can be read is told all the same, and that it is not all.
        for words, code in ((('usage',), 'incomplete'), (('ledger', 'verify'), 'ledger_unavailable')):
            p = self.node.ctl_raw(*words, '--json')
            self.assertEqual((p.returncode, json.loads(p.stderr)['error']['code']), (1, code), p)
        self.assertIn('what has ended since is not in it', self.node.ctl_raw('usage').stderr)
        self.assertRegex(self.node.ctl_raw('usage').stdout, r'requests +0\n')
        self.node.unask('enospc')
        self.serves_again()
        self.node.ctl('reload')
        self.assertGreater(self.node.ctl('usage')['total']['requests'], 0)
        a = self.chat('m')
        self.assertEqual(nusd(a.usage['cost']), charge_nusd({'input': 20, 'output': 8}, {'input': 5, 'output': 6}))
        self.assertTrue(self.node.verify('--charges')['good'])

    def spend_all_but_the_ledger(self):
        """The cost of requests that only the live store knows, with a disk that is full from then on."""
        load = Spender(self.node, self.key, 'm', 2)
        time.sleep(0.5)
        Gateway.ask(self.node, 'enospc')
        self.refused()
        load.stop()
        return load

    def test_backup_says_what_it_lacks(self):
        """What has ended and the ledger cannot take: how many, in the answer, in the backup and at its restore; not an epoch's that is over."""
        for _ in range(20):
            self.assertEqual(self.chat('m').status, 200)
        spent = self.node.settled('main')['settled_usd']
        self.assertEqual(self.node.stop(), 0)
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        Gateway.ask(self.node, 'enospc')
        self.refused()
        waits = self.served
        self.assertGreater(waits, 0)
        wait_for(lambda: self.node.status()['ledger'][0]['outbox_records'] == waits, 5)
        folders = [os.path.join(self.node.dir, 'backup-%d' % i) for i in range(2)]
        p = self.node.ctl_raw('ledger', 'backup', folders[0], '--json')
        self.assertEqual((p.returncode, json.loads(p.stderr)['error']['code'], json.loads(p.stdout)['missing_records']), (1, 'incomplete', waits), p)
        self.assertIn('%d records that wait for it are not in the backup' % waits, p.stderr)
        self.assertEqual(self.manifest(folders[0]), (waits, 'no space left'))
        self.node.unask('enospc')
        self.serves_again()
        self.assertEqual(self.node.ctl('ledger', 'backup', folders[1])['missing_records'], 0)
        self.assertEqual(self.manifest(folders[1]), (0, None))
        self.node.stop()
        for folder, words in zip(folders, ('%d records that were there' % waits, '')):
            p = self.node.ctl_raw('ledger', 'restore', folder, '--state', self.node.state)
            self.assertEqual((p.returncode, 'records that were there' in p.stdout), (0, words != ''), p)
            self.assertIn(words, p.stdout)
        self.node.ctl_raw('ledger', 'restore', folders[0], '--state', self.node.state)
        self.node.start()
        self.assertEqual(self.node.settled('main')['settled_usd'], spent)
        self.assertTrue(self.node.verify('--charges')['good'])

    def manifest(self, folder):
        with open(os.path.join(folder, 'backup.json')) as f:
            m = json.load(f)
        return m['missing_records'], m['missing_why']

    def test_drain_waits_for_space(self):
        """The end tries again each second, and is a good one once somebody has made room."""
        load = self.spend_all_but_the_ledger()
        self.node.signal(signal.SIGTERM)
        self.node.wait_event('drain_no_space')
        time.sleep(1.5)
        self.assertIsNone(self.node.master.poll())
        self.node.unask('enospc')
        self.assertEqual(self.node.master.wait(5), 0)
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        check_books(self, self.node, 'main', load)

    @unittest.skipUnless(LONG, 'takes 20 s')
    def test_drain_without_space_says_so(self):
        """Not for ever: the status is 1, and what the ledger lacks waits in the live store for the next start."""
        load = self.spend_all_but_the_ledger()
        p = self.node.ctl_raw('stop')
        self.assertEqual(p.returncode, 1)
        self.assertIn('see the log', p.stderr)
        self.assertEqual(self.node.master.wait(5), 1)
        self.assertIn('they stay in the live store', self.node.log_text())
        self.node.unask('enospc')
        self.node.start()
        check_books(self, self.node, 'main', load)

    def test_broken(self):
        """EIO: the keeper ends; the next one serves only after it has verified the ledger."""
        load = Spender(self.node, self.key, 'm', 2)
        time.sleep(0.3)
        old = self.node.children('keeper')[0]
        Gateway.ask(self.node, 'eio')
        self.check_refusal(self.refused())
        wait_for(lambda: self.node.children('keeper') != [old])
        self.assertEqual(self.state(), 'read-only')
        mark = self.node.mark()
        self.node.unask('eio')
        self.node.wait_event('ledger_verify', since=mark)
        self.serves_again()
        self.assertEqual(self.state(), 'good')
        load.stop()
        self.assertEqual([f for f in load.failed if not f.startswith('503')], [])
        check_books(self, self.node, 'main', load)
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)


class Settle(Base):
    """Durability settle: what cannot be made durable in 2 s is taken back and told; nothing of the end goes out before."""
    CONFIG = {'durability': 'settle'}

    def test_full(self):
        before = self.node.settled('main')
        with Conn(self.node.port) as stream, Conn(self.node.port) as whole:
            stream.request('POST', '/v1/chat/completions', chat_body('calm', True), key=self.key)
            head = stream.head()
            whole.request('POST', '/v1/chat/completions', chat_body('late'), key=self.key)
            wait_for(lambda: self.node.show('main')['holds'] == 2, 5, 0.01)
            Gateway.ask(self.node, 'enospc')
            body, last = b'', time.monotonic()
            for part in stream.parts(head):
                if b'"error"' in part:
                    self.assertTrue(1.5 < time.monotonic() - last < 3)
                else:
                    last = time.monotonic()
                body += part
            a = whole.answer()
        self.assertIn(b'ledger_unavailable', body)
        self.assertNotIn(b'[DONE]', body)
        self.assertNotIn(b'"usage":{', body)
        self.check_refusal(a)
        self.check_refusal(self.refused())
        now = self.node.settled('main')
        self.assertEqual((now['balance_usd'], now['settled_usd']), (before['balance_usd'], before['settled_usd']))
        self.node.unask('enospc')
        self.serves_again()
        for rid in (head.get('x-request-id'), a.get('x-request-id')):
            shown = self.node.record(rid)
            self.assertTrue(shown['reversed'])
            self.assertGreater(shown['cost_usd'], 0)
            self.assertEqual(shown['margin_usd'], -shown['cost_usd'])
            receipt = self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).json()
            self.assertEqual((receipt['reversed'], receipt['durable']), (True, True), receipt)
        a = self.chat('late')
        self.assertEqual((a.status, a.is_whole, len(a.json()['choices'][0]['message']['content'])), (200, True, 3000000))
        self.assertEqual(nusd(a.get('x-aigw-cost-usd')), charge_nusd({'input': 20, 'output': 500}, {'input': 1, 'output': 2}))
        after = self.node.settled('main')
        self.assertEqual(self.node.ctl('usage', '--account', 'main')['total']['charge_usd'], after['settled_usd'])
        self.assertTrue(self.node.verify('--charges')['good'])


if __name__ == '__main__':
    tap.main()
