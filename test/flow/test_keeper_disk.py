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
from node import LONG, CtlError, Node, chat_body, charge_nusd, model, nusd
import tap

MODELS = {'m': model('oai/sim?tokens=8&input=20'), 'slow': model('oai/sim?tokens=20&rate=40&input=20'),
          'calm': model('oai/sim?tokens=30&rate=15&input=20'),
          'late': model('oai/sim?tokens=500&size=3000000&delay=1500ms&input=20')}


class Base:
    CONFIG = {}

    def setUp(self):
        self.n = Node(MODELS, program=os.environ['AIGWD_FAULTY'], log={'access': 'off'}, **self.CONFIG)
        self.n.start()
        self.key = self.n.customer('main', '1000')
        self.other = self.n.key('main')

    def tearDown(self):
        self.n.close()

    def explain(self):
        return self.n.tail()

    def state(self):
        return self.n.status()['ledger'][0]['state']

    def refused(self):
        """The answer to a new request, once they are refused."""
        def look():
            a = self.n.chat(self.key, 'm')
            return a if a.status != 200 else None
        return wait_for(look, 15, 0.05)

    def serves_again(self):
        wait_for(lambda: self.n.chat(self.key, 'm').status == 200, 15, 0.05)

    def check_refusal(self, a):
        self.assertEqual((a.status, a.error['code']), (503, 'ledger_unavailable'), a)
        self.assertGreaterEqual(int(a.get('retry-after')), 1)


class Disk(Base, unittest.TestCase):
    def test_full(self):
        """Rows 26, 27: retried each second; running requests end well; what gives is refused, what takes is in force."""
        running = Spender(self.n, self.key, 'slow', 4, stream=True)
        time.sleep(0.3)
        Gateway.ask(self.n, 'enospc')
        self.check_refusal(self.refused())
        self.assertEqual(self.state(), 'commit failed')
        with self.assertRaises(CtlError) as e:
            self.n.ctl('account', 'credit', 'main', '--add', '5')
        self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'ledger_unavailable'))
        self.assertEqual(self.n.show('main')['granted_usd'], 1000)
        with self.assertRaises(CtlError):
            self.n.account('second', '1')
        revoked = self.n.ctl('key', 'revoke', self.other)
        self.assertEqual((revoked['status'], revoked['durable']), ('revoked', False))
        running.going = False
        wait_for(lambda: self.n.show('main')['holds'] == 0, 10)
        self.n.unask('enospc')
        self.serves_again()
        self.assertEqual(self.state(), 'good')
        running.stop()
        self.assertEqual([f for f in running.failed if not f.startswith('503')], [])
        self.assertEqual(len(self.n.children('keeper')), 1)
        check_books(self, self.n, 'main', running)
        # The revocation has followed.
        self.n.kill('keeper')
        self.assertEqual(self.n.ctl('key', 'show', self.other)['status'], 'revoked')
        self.n.ctl('account', 'credit', 'main', '--add', '5')
        self.assertEqual(self.n.show('main')['granted_usd'], 1005)

    def test_prices_of_a_reload_are_on_disk_first(self):
        """Design 2: every receipt can be recomputed; a price that the ledger cannot take is not in force anywhere."""
        self.assertEqual(self.n.chat(self.key, 'm').status, 200)
        Gateway.ask(self.n, 'enospc')
        self.n.configure(models={'m': {'price': {'input': 5, 'output': 6}}})
        p = self.n.ctl_raw('reload')
        self.assertEqual(p.returncode, 1)
        self.assertIn('keeper rejects it: the prices cannot be written to the ledger: no space left', p.stdout + p.stderr)
        # What can be read is told all the same, and that it is not all.
        for words, code in ((('usage',), 'incomplete'), (('ledger', 'verify'), 'ledger_unavailable')):
            p = self.n.ctl_raw(*words, '--json')
            self.assertEqual((p.returncode, json.loads(p.stderr)['error']['code']), (1, code), p)
        self.assertIn('what has ended since is not in it', self.n.ctl_raw('usage').stderr)
        self.assertRegex(self.n.ctl_raw('usage').stdout, r'requests +0\n')
        self.n.unask('enospc')
        self.serves_again()
        self.n.ctl('reload')
        self.assertGreater(self.n.ctl('usage')['total']['requests'], 0)
        a = self.n.chat(self.key, 'm')
        self.assertEqual(nusd(a.usage['cost']), charge_nusd({'input': 20, 'output': 8}, {'input': 5, 'output': 6}))
        self.assertTrue(self.n.verify('--charges')['good'])

    def spend_all_but_the_ledger(self):
        """The cost of requests that only the live store knows, with a disk that is full from then on."""
        load = Spender(self.n, self.key, 'm', 2)
        time.sleep(0.5)
        Gateway.ask(self.n, 'enospc')
        self.refused()
        load.stop()
        return load

    def test_drain_waits_for_space(self):
        """The end tries again each second, and is a good one once somebody has made room."""
        load = self.spend_all_but_the_ledger()
        self.n.signal(signal.SIGTERM)
        self.n.wait_event('drain_no_space')
        time.sleep(1.5)
        self.assertIsNone(self.n.master.poll())
        self.n.unask('enospc')
        self.assertEqual(self.n.master.wait(5), 0)
        shutil.rmtree(glob.glob(self.n.live + '/*')[0])
        self.n.start()
        check_books(self, self.n, 'main', load)

    @unittest.skipUnless(LONG, 'takes 20 s')
    def test_drain_without_space_says_so(self):
        """Not for ever: the status is 1, and what the ledger lacks waits in the live store for the next start."""
        load = self.spend_all_but_the_ledger()
        p = self.n.ctl_raw('stop')
        self.assertEqual(p.returncode, 1)
        self.assertIn('see the log', p.stderr)
        self.assertEqual(self.n.master.wait(5), 1)
        self.assertIn('they stay in the live store', self.n.log_text())
        self.n.unask('enospc')
        self.n.start()
        check_books(self, self.n, 'main', load)

    def test_broken(self):
        """EIO: the keeper ends; the next one serves only after it has verified the ledger."""
        load = Spender(self.n, self.key, 'm', 2)
        time.sleep(0.3)
        old = self.n.children('keeper')[0]
        Gateway.ask(self.n, 'eio')
        self.check_refusal(self.refused())
        wait_for(lambda: self.n.children('keeper') != [old])
        self.assertEqual(self.state(), 'read-only')
        mark = self.n.mark()
        self.n.unask('eio')
        self.n.wait_event('ledger_verify', since=mark)
        self.serves_again()
        self.assertEqual(self.state(), 'good')
        load.stop()
        self.assertEqual([f for f in load.failed if not f.startswith('503')], [])
        check_books(self, self.n, 'main', load)
        self.assertEqual(self.n.status()['ledger'][0]['epoch'], 1)


class Settle(Base, unittest.TestCase):
    """Durability settle: what cannot be made durable in 2 s is taken back and told; nothing of the end goes out before."""
    CONFIG = {'durability': 'settle'}

    def test_full(self):
        before = self.n.settled('main')
        with Conn(self.n.port) as stream, Conn(self.n.port) as whole:
            stream.request('POST', '/v1/chat/completions', chat_body('calm', True), key=self.key)
            head = stream.head()
            whole.request('POST', '/v1/chat/completions', chat_body('late'), key=self.key)
            wait_for(lambda: self.n.show('main')['holds'] == 2, 5, 0.01)
            Gateway.ask(self.n, 'enospc')
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
        now = self.n.settled('main')
        self.assertEqual((now['balance_usd'], now['settled_usd']), (before['balance_usd'], before['settled_usd']))
        self.n.unask('enospc')
        self.serves_again()
        for rid in (head.get('x-request-id'), a.get('x-request-id')):
            self.assertTrue(self.n.record(rid)['reversed'])
        a = self.n.chat(self.key, 'late')
        self.assertEqual((a.status, a.is_whole, len(a.json()['choices'][0]['message']['content'])), (200, True, 3000000))
        self.assertEqual(nusd(a.get('x-aigw-cost-usd')), charge_nusd({'input': 20, 'output': 500}, {'input': 1, 'output': 2}))
        after = self.n.settled('main')
        self.assertEqual(self.n.ctl('usage', '--account', 'main')['total']['charge_usd'], after['settled_usd'])
        self.assertTrue(self.n.verify('--charges')['good'])


if __name__ == '__main__':
    tap.main()
