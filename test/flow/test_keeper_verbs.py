"""The keeper's control verbs over the socket itself: values, refusals, rights, and what they do to requests at once."""
import os
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import Control, wait_for
from node import Node, model
import tap

DOLLAR = 10**9
MODELS = {'m': model('oai/sim?tokens=8&input=20'), 'slow': model('oai/sim?tokens=60&rate=20&input=20', max_output=400),
          'other': model('oai/sim?tokens=8&input=20')}


class Verbs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.n = Node(MODELS, log={'access': 'off'})
        cls.addClassCleanup(cls.n.close)
        cls.n.start()
        cls.count = 0

    def explain(self):
        return self.n.tail()

    def do(self, verb, **args):
        """The rows' fields; the verb must succeed."""
        end, rows, _ = self.n.control(verb, **args)
        self.assertEqual((end['status'], end['code']), (0, ''), end)
        return [f for _, f in rows]

    def refuse(self, status, code, verb, **args):
        end, rows, _ = self.n.control(verb, **args)
        self.assertEqual((end['status'], end['code'], rows), (status, code, []), end)
        self.assertTrue(end['message'])
        return end['message']

    def account(self, **args):
        Verbs.count += 1
        return self.do('account create', name='a%d' % Verbs.count, **args)[0]

    def key(self, account, **args):
        return self.do('key create', account=account, **args)[0]

    def chat(self, key, name='m', **more):
        return self.n.chat(key, name, **more)

    # --- accounts ---

    def test_account(self):
        a = self.account(credit_nusd=5 * DOLLAR, overdraft_nusd=DOLLAR)
        self.assertEqual((a['mode'], a['status'], a['granted_nusd'], a['balance_nusd'], a['available_nusd'], a['durable']),
                         ('prepaid', 'active', 5 * DOLLAR, 5 * DOLLAR, 6 * DOLLAR, True))
        name = a['name']
        self.assertEqual(self.do('account credit', account=name, add_nusd=DOLLAR, note='thanks')[0]['balance_nusd'], 6 * DOLLAR)
        self.assertEqual(self.do('account credit', account=str(a['id']), take_nusd=2 * DOLLAR)[0]['balance_nusd'], 4 * DOLLAR)
        shown = self.do('account show', account=name)[0]
        self.assertEqual((shown['balance_nusd'], shown['granted_nusd'], shown['held_nusd']), (4 * DOLLAR, 4 * DOLLAR, 0))
        self.assertNotIn('durable', shown)
        self.assertIn(name, [x['name'] for x in self.do('account list')])
        # A note alone is a change.
        self.assertIs(self.do('account update', account=name, note='nothing but a word')[0]['durable'], True)
        # Never below the floor, not even by a nano-dollar.
        self.refuse(1, 'refused', 'account credit', account=name, take_nusd=5 * DOLLAR + 1)
        self.assertEqual(self.do('account credit', account=name, take_nusd=5 * DOLLAR)[0]['balance_nusd'], -DOLLAR)

    def test_postpaid(self):
        a = self.account(postpaid=True)
        self.assertEqual((a['mode'], a['available_nusd']), ('postpaid', None))
        self.assertEqual(self.chat(self.key(a['name'])['key']).status, 200)
        wait_for(lambda: self.do('account show', account=a['name'])[0]['balance_nusd'] < 0)
        # Another change leaves how it pays and what it may owe as they are.
        changed = self.do('account update', account=a['name'], overdraft_nusd=DOLLAR)[0]
        self.assertEqual((changed['mode'], changed['overdraft_nusd']), ('postpaid', DOLLAR))
        changed = self.do('account update', account=a['name'], note='nothing but a word')[0]
        self.assertEqual((changed['mode'], changed['overdraft_nusd']), ('postpaid', DOLLAR))

    def test_account_refused(self):
        a = self.account(credit_nusd=DOLLAR)
        self.refuse(1, 'exists', 'account create', name=a['name'])
        self.refuse(4, 'not_found', 'account show', account='nobody')
        self.refuse(4, 'not_found', 'account credit', account='nobody', add_nusd=1)
        self.refuse(2, 'invalid', 'account create')
        self.refuse(2, 'invalid', 'account create', name='')
        self.refuse(2, 'invalid', 'account create', name='with space')
        self.refuse(2, 'invalid', 'account create', name='17')
        self.refuse(2, 'invalid', 'account create', name='x' * 65)
        self.refuse(2, 'invalid', 'account create', name='b', credit_nusd=-1)
        self.refuse(2, 'invalid', 'account create', name='b', credit_nusd='5')
        self.refuse(2, 'invalid', 'account create', name='b', credits=5)
        for amounts in ({}, {'add_nusd': 1, 'take_nusd': 1}, {'add_nusd': 0}, {'add_nusd': -1}, {'take_nusd': -5}):
            self.refuse(2, 'invalid', 'account credit', account=a['name'], **amounts)
        self.refuse(2, 'invalid', 'account credit', account=a['name'], add_nusd=2**63 - 1)
        self.assertEqual(self.do('account show', account=a['name'])[0]['granted_nusd'], DOLLAR)

    def test_suspended_and_resumed(self):
        a = self.account(credit_nusd=DOLLAR)
        key = self.key(a['name'])['key']
        self.assertEqual(self.chat(key).status, 200)
        self.assertEqual(self.do('account suspend', account=a['name'], note='late')[0]['status'], 'suspended')
        answer = self.chat(key)
        self.assertEqual((answer.status, answer.error['code']), (403, 'account_suspended'))
        self.assertEqual(self.do('account resume', account=a['name'])[0]['status'], 'active')
        self.assertEqual(self.chat(key).status, 200)
        self.n.settled(a['name'])

    # --- keys ---

    def test_key(self):
        a = self.account(credit_nusd=DOLLAR)
        k = self.key(a['name'], name='robot', rpm=60, tpm=10000, rpd=1000, tpd=10**6, concurrency=4, budget_nusd=DOLLAR,
                     budget_period='week', rolling=True, models='m, !other', expires_s=2000000000, ip='127.0.0.0/8, ::1', clamp=True)
        self.assertRegex(k['key'], r'^sk-aigw-[a-z0-9]{12}-[A-Za-z0-9_-]{43}$')
        self.assertEqual(k['key'][8:20], k['id'])
        shown = self.do('key show', key=k['id'])[0]
        self.assertNotIn('key', shown)
        self.assertEqual(
            {n: shown[n] for n in ('account', 'name', 'status', 'rpm', 'tpm', 'rpd', 'tpd', 'concurrency', 'budget_nusd',
                                   'budget_period', 'rolling', 'models', 'ip', 'clamp', 'expires_s', 'used_s', 'budget_left_nusd')},
            dict(account=a['name'], name='robot', status='active', rpm=60, tpm=10000, rpd=1000, tpd=10**6, concurrency=4,
                 budget_nusd=DOLLAR, budget_period='week', rolling=True, models='m, !other', ip='127.0.0.0/8, ::1', clamp=True,
                 expires_s=2000000000, used_s=None, budget_left_nusd=DOLLAR))
        self.assertEqual(self.chat(k['key']).status, 200)
        self.assertEqual(self.chat(k['key'], 'other').error['code'], 'model_not_allowed')
        self.n.settled(a['name'])
        shown = self.do('key show', key=k['key'])[0]
        self.assertEqual((shown['requests'], shown['holds'], shown['budget_held_nusd']), (1, 0, 0))
        self.assertEqual(shown['charged_nusd'], shown['budget_used_nusd'])
        self.assertEqual(shown['budget_left_nusd'], DOLLAR - shown['charged_nusd'])
        self.assertLess(abs(shown['used_s'] - time.time()), 10)

    def test_key_updated(self):
        a = self.account(credit_nusd=DOLLAR)
        k = self.key(a['name'], rpm=5, models='m')
        new = self.do('key update', key=k['id'], rpm=-1, models='', concurrency=0, name='later')[0]
        self.assertEqual((new['rpm'], new['models'], new['concurrency'], new['name'], new['account']), (None, '', 0, 'later', a['name']))
        self.assertEqual(self.chat(k['key']).status, 429)
        self.do('key update', key=k['id'], concurrency=-1, suspended=True)
        self.assertEqual(self.chat(k['key']).status, 403)
        self.do('key update', key=k['id'], suspended=False, expires_s=int(time.time()) + 2)
        wait_for(lambda: self.do('key show', key=k['id'])[0]['status'] == 'expired')
        self.assertEqual(self.chat(k['key']).status, 401)
        self.do('key update', key=k['id'], expires_s=0)
        self.assertEqual(self.chat(k['key'], 'other').status, 200)
        self.n.settled(a['name'])

    def test_key_refused(self):
        a = self.account(credit_nusd=DOLLAR)
        k = self.key(a['name'])
        self.refuse(4, 'not_found', 'key create', account='nobody')
        self.refuse(2, 'invalid', 'key create')
        self.refuse(4, 'not_found', 'key show', key='aaaaaaaaaaaa')
        self.refuse(2, 'invalid', 'key show', key='acme')
        for bad in ({'rpm': -2}, {'ip': 'here'}, {'budget_period': 'fortnight'}, {'models': 'x' * 2000}, {'suspended': True},
                    {'name': 'x' * 65}):
            self.refuse(2, 'invalid', 'key create', account=a['name'], **bad)
        self.refuse(2, 'invalid', 'key update', key=k['id'], account='other')
        self.assertEqual(len(self.do('key list', account=a['name'])), 1)

    def test_key_revoked(self):
        a = self.account(credit_nusd=DOLLAR)
        k = self.key(a['name'])
        self.assertEqual(self.do('key revoke', key=k['id'])[0]['status'], 'revoked')
        self.assertEqual(self.chat(k['key']).status, 401)
        self.refuse(1, 'refused', 'key update', key=k['id'], rpm=5)
        self.assertEqual(self.do('key revoke', key=k['id'])[0]['status'], 'revoked')

    def stream(self, key, result):
        result.append(self.chat(key, 'slow', stream=True))

    def test_revoked_now(self):
        """Running streams end with the error item; without --now they end normally."""
        for now in (False, True):
            a = self.account(credit_nusd=DOLLAR)
            k = self.key(a['name'])
            result = []
            t = threading.Thread(target=self.stream, args=(k['key'], result))
            t.start()
            wait_for(lambda: self.do('key show', key=k['id'])[0]['holds'] == 1)
            time.sleep(0.3)
            begun = time.monotonic()
            self.do('key revoke', key=k['id'], now=now)
            t.join()
            if now:
                self.assertLess(time.monotonic() - begun, 2)
                self.assertIn('error', result[0].data()[-1])
            else:
                self.assertTrue(result[0].is_done)
            self.assertGreater(self.n.settled(a['name'])['settled_usd'], 0)

    # --- reports ---

    def test_the_most_that_an_account_can_have(self):
        a = self.account(credit_nusd=4 * 10**9 * DOLLAR)
        error = self.refuse(2, 'invalid', 'account credit', account=a['name'], add_nusd=1)
        self.assertIn('more than $4000000000', error)
        self.assertEqual(self.do('account credit', account=a['name'], take_nusd=1)[0]['granted_nusd'], 4 * 10**9 * DOLLAR - 1)

    def test_usage(self):
        names = [self.account(credit_nusd=DOLLAR)['name'] for _ in range(2)]
        keys = [self.key(n)['key'] for n in names]
        begun = int(time.time() * 1000)
        answers = [self.chat(keys[i % 2], 'm' if i < 6 else 'other') for i in range(8)]
        self.assertEqual({a.status for a in answers}, {200})
        for n in names:
            self.n.settled(n)

        def rows():
            end, found, _ = self.n.control('usage', by='account, model', since_ms=begun)
            mine = [f for kind, f in found if kind == 'usage' and f['account'] in names]
            return mine if sum(f['requests'] for f in mine) == 8 else None
        found = wait_for(rows)
        self.assertEqual([(f['account'], f['model'], f['requests']) for f in found],
                         [(n, m, c) for n in sorted(names) for m, c in (('m', 3), ('other', 1))])
        self.assertEqual({f['charge_nusd'] for f in found}, {3 * 36 * 1000, 36 * 1000})

        def sums(**args):
            return next(f for kind, f in self.n.control('usage', **args)[1] if kind == 'total')
        total = sums(account=names[0])
        self.assertEqual((total['requests'], total['input'], total['output'], total['failed']), (4, 80, 32, 0))
        self.assertEqual(sums(key=keys[1])['requests'], 4)
        self.assertEqual(sums(account=names[0], until_ms=begun)['requests'], 0)
        days = self.do('usage', account=names[0], by='day')
        self.assertEqual(days[0]['day'], time.strftime('%Y-%m-%d', time.gmtime()))
        self.refuse(2, 'invalid', 'usage', by='colour')
        self.refuse(2, 'invalid', 'usage', by='day,model,key,account,provider')
        self.refuse(4, 'not_found', 'usage', account='nobody')
        self.refuse(4, 'not_found', 'usage', key='aaaaaaaaaaaa')
        self.assertEqual(sums(key=self.key(names[0])['id'])['requests'], 0)

    def test_request(self):
        a = self.account(credit_nusd=DOLLAR)
        answer = self.chat(self.key(a['name'])['key'])
        shown = wait_for(lambda: self.n.control('request show', id=answer.get('x-request-id'))[1] or None)
        r = shown[0][1]
        self.assertEqual((shown[0][0], r['account'], r['model'], r['provider'], r['status'], r['end'], r['charge_nusd'], r['reversed']),
                         ('request', a['name'], 'm', 'oai', 200, 'done', 36000, False))
        self.assertEqual([(kind, f.get('status')) for kind, f in shown if kind == 'attempt'], [('attempt', 200)])
        self.assertEqual({f['class']: (f['tokens'], f['price_pusd']) for kind, f in shown if kind == 'class' and f['tokens']},
                         {'input': (20, 10**6), 'output': (8, 2 * 10**6)})
        by_upstream = self.do('request show', id=answer.json()['id'])[0]
        self.assertEqual(by_upstream['id'], r['id'])
        self.refuse(4, 'not_found', 'request show', id='gen_01m894pjc281kyct0vmr393g84')
        self.refuse(4, 'not_found', 'request show', id='chatcmpl-unknown')

    def test_limits(self):
        a = self.account(credit_nusd=DOLLAR)
        k = self.key(a['name'], rpm=2, budget_nusd=DOLLAR // 2)
        self.assertEqual([self.chat(k['key']).status for _ in range(3)], [200, 200, 429])
        self.n.settled(a['name'])
        rows = self.do('limit explain', key=k['id'])
        self.assertEqual([(f['scope'], f['status']) for f in rows if 'limit' not in f], [('account', 'active'), ('key', 'active')])
        rows = {(f['scope'], f['limit']): f for f in rows if 'limit' in f}
        rpm, budget, credit = rows['key', 'rpm'], rows['key', 'budget'], rows['account', 'credit']
        self.assertEqual((rpm['max'], rpm['used'], rpm['remaining'], rpm['unit']), (2, 2, 0, 'requests'))
        self.assertLess(0, rpm['reset_s'] - time.time(), 130)
        self.assertEqual((budget['max'], budget['used'], budget['held'], budget['remaining']),
                         (DOLLAR // 2, 72000, 0, DOLLAR // 2 - 72000))
        self.assertEqual((credit['max'], credit['used'], credit['remaining']), (DOLLAR, 72000, DOLLAR - 72000))
        self.assertEqual(set(rows), {('account', 'credit'), ('key', 'rpm'), ('key', 'budget')})
        self.refuse(4, 'not_found', 'limit explain', key='aaaaaaaaaaaa')

    def test_limits_of_an_end_user(self):
        """Only a tag that a request can have is explained; the worker refuses the same ones, by the same words."""
        a = self.account(credit_nusd=DOLLAR)
        k = self.key(a['name'])
        for tag in ('x' * 128, 'é' * 64, 'a b', '*', '~'):
            with self.subTest(tag):
                self.do('limit explain', key=k['id'], user=tag)
        for tag in ('', 'x' * 129, 'é' * 65, 'a\nb', 'a\tb', '\x7f', 'a\x85b', '\x1b[2J', ' a', 'a ', '\0'):
            with self.subTest(tag):
                self.assertTrue(self.refuse(2, 'invalid', 'limit explain', key=k['id'], user=tag).startswith('user: 1 to 128 bytes'))

    def test_verify(self):
        end, rows, progress = self.n.control('ledger verify', charges=True)
        self.assertEqual((end['status'], [kind for kind, _ in rows]), (0, ['verify']), (end, rows))
        self.assertTrue(progress and all(re.fullmatch(r'\d+\.\d % of the ledger', p) for p in progress), progress)
        r = rows[0][1]
        self.assertTrue(r['good'])
        self.assertEqual((r['imbalance_nusd'], r['accounts']), (0, len(self.do('account list'))))

    # --- many, and those who leave ---

    def test_many_at_once(self):
        a = self.account()
        results = []

        def grant():
            for _ in range(10):
                results.append(self.n.control('account credit', account=a['name'], add_nusd=DOLLAR)[0]['status'])
        threads = [threading.Thread(target=grant) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [0] * 80)
        self.assertEqual(self.do('account show', account=a['name'])[0]['granted_nusd'], 80 * DOLLAR)

    def test_client_that_leaves(self):
        a = self.account()
        for i in range(300):
            c = Control(self.n.socket)
            c.request('account credit' if i % 3 == 0 else 'ledger verify' if i % 3 == 1 else 'key list',
                      **({'account': a['name'], 'add_nusd': 1} if i % 3 == 0 else {}))
            c.s.close()
            if i % 30 == 29:
                self.do('key list', account=a['name'])
        # What was asked for and could be read is done; the keeper has let go of everybody.
        self.assertIn(self.do('account show', account=a['name'])[0]['granted_nusd'], range(1, 101))
        wait_for(lambda: len(os.listdir('/proc/%d/fd' % self.n.children('keeper')[0])) < 60)

    def test_unknown_verb(self):
        self.refuse(2, 'unknown_verb', 'account destroy')


if __name__ == '__main__':
    tap.main()
