"""Credit, budgets and limits are exact, whatever races and whatever providers say."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from node import FAR_BUDGETS, LONG, CtlError, NodeCase, chat_body, charge_nusd, model, nusd
import tap

SCOPES = ('account', 'team', 'key', 'user')
ODD = {'input': '0.0375', 'output': '1.234567'}


def volley(port, key, bodies, threads=16):
    """Sends the bodies over `threads` kept connections; the answers, in no order."""
    todo, answers, lock = list(bodies), [], threading.Lock()

    def run():
        with Conn(port) as c:
            while True:
                with lock:
                    if not todo:
                        return
                    body = todo.pop()
                a = c.request('POST', '/v1/chat/completions', body, key=key).answer()
                with lock:
                    answers.append(a)
    all_threads = [threading.Thread(target=run) for _ in range(threads)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()
    return answers


def tally(answers):
    """{(status, code): how many}."""
    found = {}
    for a in answers:
        k = (a.status, None if a.status == 200 else a.error['code'])
        found[k] = found.get(k, 0) + 1
    return found


class Races(NodeCase):
    MODELS = {
        'by-request': model('oai/sim?tokens=2&input=5&delay=5ms', price={'request': '0.01'}),
        'by-token': model('oai/sim?tokens=50&input=100', price={'input': 3, 'output': 15}, max_output=50, context=400),
        'odd-oai': model('oai/sim?tokens=7&input=131', price=ODD),
        'odd-ant': model('ant/sim?tokens=9&input=77', price=ODD),
        'held': model('oai/sim?tokens=20&rate=20&input=5', price={'request': '0.01'}),
        'slow': model('oai/sim?tokens=10&rate=20&input=5'),
        'fast': model('oai/sim?tokens=1&input=5'),
    }
    CONFIG = {'workers': 4}

    def test_overspend_race_by_request(self):
        """Row 17: credit for exactly 10; all others 402 or 429 credit_held, and 402 alone once the ten have settled."""
        for i in range(20 if LONG else 3):
            with self.subTest(i):
                name = 'race-%d' % i
                key = self.node.family(name, '0.10')
                found = tally(volley(self.node.port, key, [chat_body('by-request', user='ann')] * (2000 if LONG else 300)))
                self.assertEqual(found.pop((200, None)), 10)
                self.assertLessEqual(set(found), {(402, 'insufficient_credit'), (429, 'credit_held')})
                account = self.node.settled(name)
                self.assertEqual((nusd(account['balance_usd']), nusd(account['settled_usd'])), (0, 10**8))
                self.refused_by_one(key, 'insufficient_credit')
                self.assertEqual(self.node.budgets_used(key, 'ann'), dict.fromkeys(SCOPES, [10**8] * FAR_BUDGETS))
                self.check_a_day(key, 10, 7)

    def refused_by_one(self, key, code):
        """20 more; nothing of them is left in any scope."""
        before, found, after = self.limits(key), tally(volley(self.node.port, key, [chat_body('by-request', user='ann')] * 20)), self.limits(key)
        self.assertEqual(found, {(402, code): 20})
        self.assertEqual(len(before), len(after))
        for then, now in zip(before, after):
            slid = then['limit'] in ('rpm', 'rpd', 'tpd') and now['used'] < then['used']
            self.assertEqual((now['used'], now['held']), (now['used'] if slid else then['used'], then['held']), now)

    def check_a_day(self, key, requests, tokens):
        """Each scope has counted these requests of so many tokens, and none of those that were refused."""
        rows = self.limits(key)
        for limit, n in (('rpd', requests), ('tpd', requests * tokens)):
            self.assertEqual([(r['scope'], r['used']) for r in rows if r['limit'] == limit], [(s, n) for s in SCOPES], limit)

    def limits(self, key):
        return self.node.ctl('limit', 'explain', key, '--user', 'ann')['limits']

    def test_overspend_race_over_five_scopes(self):
        """Row 17 with credit, account, team, key and end user in use, one of which, also the last one of all, has a budget, or credit with its
        overdraft, for exactly 10, for all models or for some: each of them counts the ten and nothing of those that were refused."""
        budget, credit = ('budget=0.10/month', 'budget_exceeded'), ('credit=0.08 overdraft=0.02', 'insufficient_credit')
        for tight, models, (rule, code) in (('account', '', budget), ('team', ' models=by-*', budget), ('key', '', budget), ('user', '', budget),
                                            ('user', ' models=by-*', budget), ('account', ' models=by-*', credit), ('team', '', credit),
                                            ('key', '', credit), ('user', '', credit)):
            with self.subTest(tight + ' ' + rule + models):
                name = 'five-%s-%s%d' % (tight, rule[:6], len(models))
                key = self.node.family(name, '50', **{tight: rule + models})
                found = tally(volley(self.node.port, key, [chat_body('by-request', user='ann')] * (2000 if LONG else 200)))
                self.assertEqual(found.pop((200, None)), 10)
                self.assertLessEqual(set(found), {(402, code), (429, 'credit_held')})
                self.assertEqual(nusd(self.node.settled(name)['settled_usd']), 10**8)
                self.refused_by_one(key, code)
                self.assertEqual(self.node.budgets_used(key, 'ann'), {s: [10**8] * (FAR_BUDGETS + (s == tight)) for s in SCOPES})
                self.check_a_day(key, 10, 7)

    def test_overspend_race_by_token(self):
        """Row 17: never negative, charges within the credit, what is left is smaller than one hold."""
        credit = 20_000_000
        for i in range(20 if LONG else 2):
            with self.subTest(i):
                name = 'token-race-%d' % i
                key, body = self.node.family(name, '0.02'), chat_body('by-token', user='ann')
                answers = volley(self.node.port, key, [body] * (2000 if LONG else 300))
                for _ in range(3):
                    answers += volley(self.node.port, key, [body] * 20, 2)
                found = tally(answers)
                paid = found[(200, None)]
                self.assertLessEqual(set(found), {(200, None), (402, 'insufficient_credit'), (429, 'credit_held')})
                one = charge_nusd({'input': 100, 'output': 50}, {'input': 3, 'output': 15})
                account = self.node.settled(name)
                self.assertEqual(nusd(account['settled_usd']), paid * one)
                left = nusd(account['balance_usd'])
                self.assertEqual(left, credit - paid * one)
                hold = charge_nusd({'input': 350, 'output': 50}, {'input': 3, 'output': 15})
                self.assertTrue(0 <= left < hold, left)
                self.assertEqual(self.node.budgets_used(key, 'ann'), dict.fromkeys(SCOPES, [paid * one] * FAR_BUDGETS))
                self.check_a_day(key, paid, 150)

    def test_credit_held_and_402(self):
        """A3: 429 credit_held, retry-after 1, while running requests hold it; afterwards 402, which means: add credit."""
        key = self.node.customer('held', '0.01')
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('held', True), key=key)
            head = c.head()
            a = self.chat('held', key=key)
            self.assertEqual((a.status, a.error['code'], a.get('retry-after')), (429, 'credit_held', '1'), a)
            self.assertEqual(a.get('x-should-retry'), 'true')
            self.assertTrue(a.get('retry-after-ms'))
            b''.join(c.parts(head))
        self.node.settled('held')
        a = self.chat('held', key=key)
        self.assertEqual((a.status, a.error['code'], a.get('x-should-retry')), (402, 'insufficient_credit', 'false'), a)
        self.assertIsNone(a.get('retry-after'))
        self.node.ctl('account', 'credit', 'held', '--add', '0.01')
        self.assertEqual(self.chat('held', key=key).status, 200)

    def test_sum_of_charges_is_what_the_provider_counted(self):
        key = self.node.customer('sum', '50')
        self.sim.reset()
        bodies = [chat_body('odd-' + ('oai', 'ant')[i % 2], i % 3 == 0) for i in range(2000 if LONG else 400)]
        answers = volley(self.node.port, key, bodies)
        self.assertEqual(tally(answers), {(200, None): len(bodies)})
        want = sum(charge_nusd({'input': r['input'], 'output': r['output']}, ODD) for r in self.sim.requests())
        self.assertEqual(len(self.sim.requests()), len(bodies))
        self.assertEqual(sum(nusd(a.usage['cost']) for a in answers), want)
        account = self.node.settled('sum')
        self.assertEqual((nusd(account['settled_usd']), nusd(account['balance_usd'])), (want, 50 * 10**9 - want))

        # A report is of all that has ended, also what a group commit has not written yet.
        total = self.node.ctl('usage', '--account', 'sum')['total']
        self.assertEqual((total['requests'], nusd(total['charge_usd'])), (len(bodies), want))

    def test_concurrency_is_exact(self):
        key = self.node.customer('many', concurrency=3)
        seen, lock = [], threading.Lock()

        def run():
            a = self.chat('slow', True, key=key)
            with lock:
                seen.append((a.status, a.error['code'] if a.status != 200 else None))
        threads = [threading.Thread(target=run) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(seen, key=str), [(200, None)] * 3 + [(429, 'rate_limit_exceeded')] * 9)
        self.assertEqual(self.chat('fast', key=key).status, 200)

    def test_requests_a_minute_are_exact(self):
        """Row 55: admitted exactly the limit in the window, no slack for each worker."""
        limit, sent = (1000, 5000) if LONG else (300, 900)
        key = self.node.customer('rpm', rpm=limit)
        begun = time.monotonic()
        answers = volley(self.node.port, key, [chat_body('fast')] * sent)
        self.assertLess(time.monotonic() - begun, 55)
        self.assertEqual(tally(answers), {(200, None): limit, (429, 'rate_limit_exceeded'): sent - limit})
        refused = next(a for a in answers if a.status == 429)
        self.assertGreaterEqual(int(refused.get('retry-after')), 1)
        self.assertEqual(refused.get('x-should-retry'), 'true' if int(refused.get('retry-after')) <= 60 else 'false')
        metadata = refused.error['metadata']
        self.assertEqual((metadata['limit'], metadata['remaining']), (limit, 0))
        self.assertIn('try again in', refused.error['message'])


class Limits(NodeCase):
    MODELS = {
        'by-request': model('oai/sim?tokens=2&input=5', price={'request': '0.01'}),
        'plain': model('oai/sim?tokens=5&input=100'),
        'other': model('oai/sim?tokens=5&input=100'),
        'free': model('oai/sim?tokens=5&input=100', price='free'),
        'dear': model('oai/sim?tokens=5&input=900000', price={'input': 10, 'output': 10}, max_output=10, context=1000000),
        'big': model('oai/sim?tokens=5&input=5', price={'input': 1, 'output': 10}, max_output=100000, context=200000),
        'embed': model('oai/sim?input=40', price={'input': '0.02', 'output': 0}),
        'vast': model('oai/sim?tokens=5&input=1949999995', price={'input': 10**6, 'output': 10**6}, max_output=10**8, context=10**9),
        'rest': model('oai/sim?tokens=20&rate=20&input=99999970', price={'input': 10**6, 'output': 10**6}, max_output=10**8, context=10**9),
    }

    def refusal(self, a, status, code):
        self.assertEqual((a.status, a.error['code']), (status, code), a)
        return a.error

    def test_budget(self):
        key = self.node.customer('budget', budget='0.05', period='day')
        found = tally(volley(self.node.port, key, [chat_body('by-request')] * 30))
        self.assertEqual(found.pop((200, None)), 5)
        self.node.settled('budget')
        a = self.chat('by-request', key=key)
        error = self.refusal(a, 402, 'budget_exceeded')
        self.assertEqual(a.get('x-should-retry'), 'false')
        self.assertIn('scope', error['metadata'])
        self.assertRegex(str(error['metadata']), r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')
        self.node.ctl('key', 'update', key, '--budget', '0.07')
        self.assertEqual(tally(volley(self.node.port, key, [chat_body('by-request')] * 10, 1)),
                         {(200, None): 2, (402, 'budget_exceeded'): 8})

    def test_requests_a_day(self):
        key = self.node.customer('rpd', rpd=4)
        self.assertEqual(tally(volley(self.node.port, key, [chat_body('plain')] * 10, 1)),
                         {(200, None): 4, (429, 'rate_limit_exceeded'): 6})
        a = self.chat('plain', key=key)
        self.assertEqual(a.get('x-should-retry'), 'false')
        self.assertGreater(int(a.get('retry-after')), 60)

    def test_tokens_a_minute_are_corrected_at_settlement(self):
        key = self.node.customer('tpm', tpm=500)
        statuses = [self.chat('plain', key=key).status for _ in range(8)]
        # Each uses 105: admitted while less than 500 are used.
        self.assertEqual(statuses, [200] * 5 + [429] * 3)

    def test_key_states(self):
        key = self.node.customer('states')
        self.assertEqual(self.chat('plain', key=key).status, 200)
        self.node.ctl('account', 'suspend', 'states')
        self.refusal(self.chat('plain', key=key), 403, 'account_suspended')
        self.node.ctl('account', 'resume', 'states')
        self.assertEqual(self.chat('plain', key=key).status, 200)
        self.node.ctl('key', 'revoke', key)
        self.refusal(self.chat('plain', key=key), 401, 'invalid_api_key')
        self.refusal(self.expired('states'), 401, 'invalid_api_key')

    def expired(self, account):
        key = self.node.key(account, expires='1s')
        time.sleep(2.1)
        return self.chat('plain', key=key)

    def test_model_patterns_and_addresses(self):
        key = self.node.customer('patterns', models='*,!oth*')
        self.assertEqual(self.chat('plain', key=key).status, 200)
        self.refusal(self.chat('other', key=key), 403, 'model_not_allowed')
        ids = [m['id'] for m in self.node.ask('GET', '/v1/models', key=key).json()['data']]
        self.assertIn('plain', ids)
        self.assertNotIn('other', ids)
        self.refusal(self.chat('plain', key=self.node.key('patterns', ip='10.0.0.0/8')), 403, 'ip_not_allowed')
        self.assertEqual(self.chat('plain', key=self.node.key('patterns', ip='10.0.0.0/8,127.0.0.0/8')).status, 200)

    def test_free_needs_no_credit(self):
        key = self.node.customer('poor', '0')
        a = self.chat('free', key=key)
        self.assertEqual(a.status, 200, a)
        self.assertEqual(nusd(a.usage['cost']), 0)
        self.refusal(self.chat('plain', key=key), 402, 'insufficient_credit')
        record = self.node.record(a.get('x-request-id'))
        self.assertEqual((record['input'], record['output'], nusd(record['charge_usd'])), (100, 5, 0))

    def test_postpaid_and_overdraft(self):
        self.node.account('later', None, '--postpaid')
        self.assertEqual(self.chat('plain', key=self.node.key('later')).status, 200)
        self.assertEqual(nusd(self.node.settled('later')['balance_usd']), -110_000)
        # What it paid in advance is its balance, and no end.
        self.node.account('ahead', '0.00005', '--postpaid')
        self.assertEqual(self.chat('plain', key=self.node.key('ahead')).status, 200)
        ahead = self.node.settled('ahead')
        self.assertEqual((ahead['mode'], nusd(ahead['granted_usd']), nusd(ahead['balance_usd'])), ('postpaid', 50_000, -60_000))
        self.node.account('loan', '0', '--overdraft', '0.02')
        key = self.node.key('loan')
        self.assertEqual(tally(volley(self.node.port, key, [chat_body('by-request')] * 5, 1)),
                         {(200, None): 2, (402, 'insufficient_credit'): 3})
        self.assertEqual(nusd(self.node.settled('loan')['balance_usd']), -20_000_000)

    def test_postpaid_ends_where_amounts_do(self):
        """Four billion dollars charged to one account are the last that can be counted: refused as credit is, told by everything that tells limits."""
        self.node.account('vast', None, '--postpaid')
        key = self.node.key('vast')

        def told():
            account = self.node.settled('vast')
            credit = next(row for row in self.node.ctl('limit', 'explain', key)['limits'] if row['limit'] == 'credit')
            own = self.node.ask('GET', '/v1/credits', key=key).json()['data']
            self.assertEqual(own['available'] and nusd(own['available']), account['available_usd'] and nusd(account['available_usd']))
            return account['available_usd'], credit['max'], credit['remaining']

        def refused(left, status=402, code='insufficient_credit', name='vast', **more):
            a = self.chat(name, key=key, **more)
            m = self.refusal(a, status, code)['metadata']
            self.assertEqual((m['scope'], nusd(m['limit']), nusd(m['remaining'])), ('account vast: credit', nusd(4 * 10**9), left))
            return a

        def told_is(left):
            self.assertEqual([nusd(v) for v in told()], [left, nusd(4 * 10**9), left])

        self.assertEqual(self.chat('vast', key=key).status, 200)
        self.assertEqual(told(), (None, None, None))
        self.assertEqual(self.chat('vast', key=key).status, 200)
        told_is(nusd(10**8))
        a = refused(nusd(10**8), max_tokens=10**8)
        self.assertEqual(a.get('x-should-retry'), 'false')
        self.assertIn('of $4000000000.00, which is all that can be charged to one account, $100000000.00 is left', a.error['message'])
        self.assertTrue(9 * 10**7 < a.error['metadata']['affordable_tokens'] < 10**8, a)
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('rest', True, max_tokens=9 * 10**7), key=key)
            held = nusd(wait_for(lambda: self.node.show('vast')['holds'] == 1 and self.node.show('vast')['held_usd'], 3))
            refused(nusd(10**8) - held, 429, 'credit_held', max_tokens=9 * 10**7)
            self.assertEqual(c.answer().status, 200)
        told_is(nusd(10))
        costs = []  # more than it held; the second time more than is left
        for _ in range(2):
            record = self.node.record(self.chat('dear', key=key).get('x-request-id'))
            costs += [nusd(record['charge_usd']), nusd(record['uncollected_usd'])]
        self.assertEqual(costs, [9_000_050_000, 0, 999_950_000, 8_000_100_000])
        told_is(0)
        self.assertEqual(nusd(self.node.show('vast')['balance_usd']), -nusd(4 * 10**9))
        refused(0, name='by-request')
        refused(0, name='plain')
        self.assertEqual(self.chat('free', key=key).status, 200)
        verdict = self.node.verify('--charges')
        self.assertTrue(verdict['good'], verdict)

    def test_cost_above_the_hold_is_charged_up_to_what_is_there(self):
        """Design 3.3: the rest is recorded as uncollected, the balance never goes below its floor."""
        key = self.node.customer('short', '0.5')
        a = self.chat('dear', key=key)
        self.assertEqual(a.status, 200, a)
        record = self.node.record(a.get('x-request-id'))
        real = charge_nusd({'input': 900000, 'output': 5}, {'input': 10, 'output': 10})
        self.assertEqual(nusd(record['charge_usd']) + nusd(record['uncollected_usd']), real)
        self.assertEqual(nusd(record['charge_usd']), 500_000_000)
        self.assertEqual((nusd(a.usage['cost']), nusd(a.get('x-aigw-cost-usd'))), (500_000_000, 500_000_000))
        self.assertEqual(nusd(self.node.settled('short')['balance_usd']), 0)

    def test_cap_that_does_not_fit(self):
        key = self.node.customer('tight', '0.1')
        a = self.chat('big', key=key, max_tokens=50000)
        error = self.refusal(a, 402, 'insufficient_credit')
        affordable = error['metadata']['affordable_tokens']
        self.assertTrue(0 < affordable < 10000, affordable)
        self.assertEqual(self.chat('big', key=key, max_tokens=affordable).status, 200)
        a = self.chat('big', key=key, max_tokens=50000, headers=[('x-aigw-clamp', '1')])
        self.assertEqual(a.status, 200, a)
        self.assertIn('"max_tokens":%s' % a.get('x-aigw-max-tokens-clamped'), self.sim.last()[2].replace(' ', ''))

    def test_no_cap_is_given_one_where_credit_is_short(self):
        a = self.chat('big', key=self.node.customer('ample', '1000'))
        self.assertIsNone(a.get('x-aigw-max-tokens-clamped'))
        a = self.chat('big', key=self.node.customer('small', '0.5'))
        self.assertEqual(a.status, 200, a)
        clamped = int(a.get('x-aigw-max-tokens-clamped'))
        self.assertTrue(1024 <= clamped < 100000, clamped)
        self.assertIn('"max_tokens":%d' % clamped, self.sim.last()[2].replace(' ', ''))

    def test_own_account_routes(self):
        key = self.node.customer('mine', '2', rpm=100, budget='1')
        a = self.chat('plain', key=key)
        self.node.settled('mine')
        for path in ('/v1/key', '/v1/credits', '/v1/generation?id=' + a.get('x-request-id'), '/v1/generation?id=' + a.json()['id']):
            with self.subTest(path):
                def found():
                    got = self.node.ask('GET', path, key=key)
                    return got if got.status == 200 else None
                self.assertEqual(wait_for(found, 3, 0.05).get('content-type'), 'application/json')
        other = self.node.customer('nosy')
        self.assertEqual(self.node.ask('GET', '/v1/generation?id=' + a.get('x-request-id'), key=other).status, 404)

    def test_taking_credit_stops_at_the_floor(self):
        self.node.account('take', '1')
        self.node.ctl('account', 'credit', 'take', '--take', '0.4')
        with self.assertRaises(CtlError) as e:
            self.node.ctl('account', 'credit', 'take', '--take', '0.7')
        self.assertEqual(e.exception.status, 1)
        self.assertEqual(nusd(self.node.show('take')['balance_usd']), 600_000_000)


if __name__ == '__main__':
    tap.main()
