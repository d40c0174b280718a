"""Credit, overdraft and postpaid of teams, keys and end users: spent to the nano-dollar, told as credit, kept by edits, deaths and a live store made anew."""
from decimal import Decimal
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from money import Spender
from node import NodeCase, NodePerTest, chat_body, model, nusd
import tap
from test_teams import Scene

SCOPES = ('team', 'key', 'user')


def half(**more):
    """A request costs half a dollar exactly."""
    return model('oai/sim?tokens=2&input=5', price={'request': 0.5}, **more)


class CreditScene(Scene):
    MODELS = {'half': half(), 'other': half(), 'slow': model('oai/sim?tokens=2&input=5&delay=600ms', price={'request': 0.5})}

    def words(self, scope, verb='update'):
        """The command that changes that scope, in a family of its own that is made when it is asked for first."""
        if not hasattr(self, 'api_key'):
            self.team()
            self.api_key = self.node.key(self.name, team='research', name='build')
        named = {'team': ('research', '--account', self.name), 'key': (self.api_key,), 'user': ('ann', '--account', self.name)}
        return (scope, verb, *named[scope])

    def change(self, scope, *options):
        return self.node.ctl(*self.words(scope), *options)

    def spend(self, n, model_name='half'):
        for _ in range(n):
            self.accepted(self.api_key, model_name, user='ann')

    def used_up(self, scope, model_name='half'):
        return self.refused(402, 'insufficient_credit', scope, self.api_key, model_name, user='ann')

    def row(self, scope):
        """The credit of that scope in `limit explain`."""
        found = [r for (s, i), r in self.limits(self.api_key, 'ann').items() if s == scope and i and r['limit'] == 'credit']
        self.assertLessEqual(len(found), 1, found)
        return found[0] if found else None


class Credit(CreditScene, NodeCase):
    def test_it_is_spent_to_its_end_and_no_further(self):
        """Granted 1, overdraft 0.5: three times 0.5, in each scope; then more of it, and edits that keep what was used."""
        for scope in SCOPES:
            with self.subTest(scope):
                shown = self.change(scope, '--credit', '1', '--overdraft', '0.5')
                self.assertEqual([shown['credit_usd'], shown['overdraft_usd'], shown['credit_used_usd'], shown['credit_left_usd']],
                                 [1, Decimal('0.5'), 0, Decimal('1.5')])
                self.spend(3)
                e = self.used_up(scope)
                name = {'team': 'research', 'key': 'build', 'user': 'ann'}[scope]
                self.assertEqual(e['message'], 'The credit of %s `%s` does not cover this request: $0.00 is left. Add credit.' % (scope, name))
                m = e['metadata']
                self.assertEqual({k: v for k, v in m.items() if k not in ('status', 'request_id')},
                                 {'scope': '%s %s: credit' % (scope, name), 'limit': '1.5', 'remaining': '0.0', 'unit': 'usd'})
                row = self.row(scope)
                self.assertEqual([row[k] for k in ('granted', 'overdraft', 'max', 'used', 'held', 'remaining', 'unit', 'resets_at', 'raise', 'text')],
                                 [1, Decimal('0.5'), Decimal('1.5'), Decimal('1.5'), 0, 0, 'usd', None, None, 'credit'])
                # A grant is told as all that was granted, or as what is added.
                self.change(scope, '--credit', '1.5')
                self.spend(1)
                self.used_up(scope)
                self.change(scope, '--credit', '+0.5')
                self.spend(1)
                self.used_up(scope)
                # By its id, in words; and further down.
                self.change(scope, '--limit', '%d:credit=+0.25 overdraft=0.75' % row['id'])
                self.spend(1)
                self.used_up(scope)
                shown = self.change(scope, '--overdraft', '1.25')
                self.assertEqual((shown['credit_usd'], shown['credit_used_usd'], shown['credit_left_usd']), (Decimal('2.25'), 3, Decimal('0.5')))
                self.spend(1)
                self.used_up(scope)
                # Other limits come and go beside it.
                self.change(scope, '--budget', '100', '--period', 'day', '--rpm', '1000')
                self.change(scope, '--budget', 'none', '--rpm', 'none')
                self.used_up(scope)
                # Lower than what was used: it stays used.
                self.change(scope, '--credit', '1', '--overdraft', '0')
                row = self.row(scope)
                self.assertEqual([row[k] for k in ('max', 'used', 'remaining')], [1, Decimal('3.5'), Decimal('-2.5')])
                self.change(scope, '--postpaid', 'on')
                self.assertIsNone(self.row(scope))
                shown = self.node.ctl(*self.words(scope, 'show'))
                self.assertEqual([shown[k] for k in ('credit_usd', 'overdraft_usd', 'credit_used_usd', 'credit_left_usd')], [None] * 4)
                self.spend(1)
                # What was used is forgotten with it.
                self.assertEqual(self.change(scope, '--postpaid', 'off', '--credit', '0.5')['credit_left_usd'], Decimal('0.5'))
                self.spend(1)
                self.used_up(scope)
                self.change(scope, '--postpaid', 'on')

    def test_all_scopes_at_once(self):
        """Each has another credit: each refuses in its turn, and the others are as they were."""
        self.words('key')
        self.node.ctl('account', 'update', self.name, '--limit', 'credit=2.5 models=half')
        for scope, credit in (('team', '1.5'), ('key', '1'), ('user', '0.5')):
            self.change(scope, '--credit', credit)
        for scope in ('user', 'key', 'team'):
            self.spend(1)
            self.used_up(scope)
            self.change(scope, '--postpaid', 'on')
        self.spend(2)
        e = self.used_up('account')
        self.assertEqual(e['message'], 'The credit for half of account `%s` does not cover this request: $0.00 is left. Add credit.' % self.name)
        self.spend(1, 'other')
        self.node.ctl('account', 'update', self.name, '--limit-remove', '1')
        self.node.ctl('account', 'credit', self.name, '--take', '997')
        e = self.used_up('account')
        self.assertEqual(e['metadata']['scope'], 'account %s: credit' % self.name)

    def test_what_runs_holds_it(self):
        self.words('key')
        self.change('key', '--credit', '0.5')
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('slow'), key=self.api_key)
            wait_for(lambda: self.node.show(self.name)['holds'] == 1)
            self.refused(429, 'credit_held', 'key', self.api_key, 'half')
            rows = self.node.ctl('limit', 'explain', self.api_key)['limits']
            row = [r for r in rows if r['scope'] == 'key'][0]
            self.assertEqual((row['used'], row['held'], row['remaining']), (0, Decimal('0.5'), 0))
            self.assertEqual(c.answer().status, 200)
        self.used_up('key')

    def test_each_end_user_has_that_of_all(self):
        self.words('user')
        self.node.ctl('user', 'update', '*', '--account', self.name, '--credit', '0.5')
        for user in ('bob', 'eve'):
            self.accepted(self.api_key, 'half', user=user)
            e = self.refused(402, 'insufficient_credit', 'user', self.api_key, 'half', user=user)
            self.assertIn('of user `%s`' % user, e['message'])

    def test_in_shadow_it_counts_and_refuses_nothing(self):
        self.words('key')
        self.change('key', '--limit', 'credit=0.5 shadow')
        mark = self.node.mark()
        self.spend(2)
        told = self.node.wait_event('shadow_refusal', since=mark)
        self.assertEqual((told['scope'], told['rule']), ('key', 'credit'))
        row = self.row('key')
        self.assertEqual((row['used'], row['remaining'], row['text']), (1, Decimal('-0.5'), 'credit, only counted'))

    def test_a_budget_becomes_credit(self):
        """By its id, and keeps what was used."""
        self.words('key')
        self.change('key', '--limit', 'budget=1/total')
        self.spend(1)
        self.change('key', '--limit', '1:credit=0.5 overdraft=0.5')
        row = self.row('key')
        self.assertEqual([row[k] for k in ('id', 'granted', 'overdraft', 'used', 'remaining')], [1, Decimal('0.5'), Decimal('0.5'), Decimal('0.5'), Decimal('0.5')])
        self.spend(1)
        self.used_up('key')


class Told(CreditScene, NodeCase):
    """What clients and operators see of it."""

    def test_routes_of_the_own_account(self):
        self.words('key')
        self.change('key', '--credit', '1', '--overdraft', '0.5')
        self.spend(2)
        self.node.settled(self.name)
        own = self.node.ask('GET', '/v1/key', key=self.api_key).json()['data']
        self.assertEqual([own[k] for k in ('limit', 'limit_usage', 'limit_remaining', 'limit_reset')], [1.5, 1, 0.5, None])
        self.assertEqual(own['limits'], [{'scope': 'key', 'name': 'credit', 'unit': 'usd', 'limit': 1.5, 'overdraft': 0.5, 'used': 1.0, 'held': 0.0,
                                          'remaining': 0.5, 'resets_at': None}])
        credits = self.node.ask('GET', '/v1/credits', key=self.api_key).json()['data']
        self.assertEqual((credits['total_credits'], credits['available'], credits['limits']), (1000, 0.5, own['limits']))
        sub = self.node.ask('GET', '/v1/dashboard/billing/subscription', key=self.api_key).json()
        usage = self.node.ask('GET', '/v1/dashboard/billing/usage', key=self.api_key).json()
        self.assertAlmostEqual(sub['hard_limit_usd'] - usage['total_usage'] / 100, 0.5)

    def test_tables_and_records(self):
        for scope in SCOPES:
            self.words(scope)
            self.change(scope, '--credit', '1', '--overdraft', '0.5', '--note', 'first')
        self.spend(1)
        self.node.settled(self.name)
        text = self.node.ctl_raw('limit', 'explain', self.api_key, '--user', 'ann').stdout
        lines = [line for line in text.splitlines() if ' credit ' in line]
        self.assertEqual([line.split()[0] for line in lines], ['account', 'team', 'key', 'user'], text)
        head = [line for line in text.splitlines() if 'GRANTED' in line][0]
        for line in lines[1:]:
            shown = dict(zip(head.replace(' BY', '').replace('RAISED UNTIL', 'UNTIL').split(), line.split()))
            self.assertEqual([shown[k] for k in ('ALLOWED', 'USED', 'LEFT', 'HELD', 'GRANTED', 'OVERDRAFT', 'RAISED')],
                             ['1.50', '0.50', '1.00', '0.00', '1.00', '0.50', '-'], text)
        sheet = [' '.join(line.split()) for line in self.node.ctl_raw('key', 'show', self.api_key).stdout.splitlines()]
        for words in ('credit $1.00', 'overdraft $0.50', 'credit used $0.50', 'credit held $0.00', 'credit left $1.00'):
            self.assertIn(words, sheet)
        head, line = self.node.ctl_raw('key', 'list', '--account', self.name).stdout.splitlines()
        self.assertEqual(line[head.index('CREDIT LEFT'):].split()[0], '1.00')
        export = self.node.ctl_raw('ledger', 'export', '--changes').stdout
        said = [json.loads(line).get('words', '') for line in export.splitlines()]
        for scope in SCOPES:
            self.assertTrue([w for w in said if ' %s ' % scope in w and w.endswith(', credit 1.00 dollars overdraft 0.50 (first)')], said)
        self.assertEqual(self.node.recompute(), [])

    def test_a_line_says_that_it_is_low(self):
        self.words('team')
        self.change('team', '--credit', '1', '--overdraft', '5')
        mark = self.node.mark()
        self.spend(2)
        wait_for(lambda: len(self.node.events('credit_low', mark)) == 2, 15, 0.2)
        told = self.node.events('credit_low', mark)
        self.assertEqual([(e['account'], e['scope'], e['name'], e['share'], e['used_usd'], e['of_usd'], e['left_usd'], e['rule_id']) for e in told],
                         [(self.name, 'team', 'research', share, 1, 1, 0, 1) for share in ('0.8', '1')])

    def test_a_line_says_for_what_it_is_low(self):
        """Of an account's credit for some models nobody should think that it is its balance."""
        self.words('key')
        self.node.ctl('account', 'update', self.name, '--limit', 'credit=1 models=half')
        mark = self.node.mark()
        self.spend(2)
        wait_for(lambda: len(self.node.events('credit_low', mark)) == 2, 15, 0.2)
        told = self.node.events('credit_low', mark)
        self.assertEqual([e['message'] for e in told], ['account %s has used %s of the credit for half it was granted' % (self.name, share) for share in ('0.8', '1')])

    def test_made_with_it(self):
        t = self.node.ctl('team', 'create', 'blue', '--account', self.name, '--credit', '1', '--overdraft', '0.5')
        self.assertEqual((t['credit_usd'], t['overdraft_usd']), (1, Decimal('0.5')))
        self.assertIsNone(self.node.ctl('team', 'create', 'red', '--account', self.name, '--postpaid')['credit_usd'])
        k = self.node.ctl('key', 'create', '--account', self.name, '--credit', '2')
        self.node.canary.plant(k['key'])
        self.assertEqual([(r['limit'], r['max'], r['granted'], r['overdraft']) for r in k['limits']], [('credit', 2, 2, 0)])
        self.assertEqual(self.node.ctl('user', 'update', 'new', '--account', self.name, '--credit', '3')['credit_left_usd'], 3)

    def test_imported(self):
        lines = [{'account': self.name, 'credit': 5, 'overdraft': '0.5'}, {'account': self.name, 'postpaid': True}, {'account': self.name, 'limit': 'credit=7'}]
        with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as f:
            f.write('\n'.join(json.dumps(line) for line in lines))
            f.flush()
            p = subprocess.run([os.environ['AIGWCTL'], '--socket', self.node.socket, 'key', 'import', f.name], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        made = [json.loads(line) for line in p.stdout.splitlines()]
        for k in made:
            self.node.canary.plant(k['key'])
        shown = [self.node.ctl('key', 'show', k['id']) for k in made]
        self.assertEqual([(k['credit_usd'], k['overdraft_usd']) for k in shown], [(5, Decimal('0.5')), (None, None), (7, 0)])

    def test_refusals(self):
        self.words('key')
        for scope in SCOPES:
            words = self.words(scope)
            if scope == 'user':
                self.node.ctl(*words, '--rpm', '1000')
            self.fails(2, 'give --credit DOLLARS with --overdraft', *words, '--overdraft', '1')
            self.fails(2, 'off needs a credit: give --credit DOLLARS with it', *words, '--postpaid', 'off')
            self.fails(2, 'none to add to', *words, '--credit', '+1')
            self.fails(2, 'has no use for credit and overdraft', *words, '--postpaid', 'on', '--credit', '1')
            self.fails(2, 'has no use for credit and overdraft', *words, '--postpaid', 'on', '--overdraft', '1')
            self.fails(2, 'is not dollars', *words, '--credit', 'much')
            self.node.ctl(*words, '--credit', '1')
            self.assertEqual(self.node.ctl(*words, '--postpaid', 'off')['credit_usd'], 1)
            self.fails(2, 'a credit already', *words, '--limit', 'credit=2')
        self.fails(2, 'has no use for credit and overdraft', 'key', 'create', '--account', self.name, '--postpaid', '--credit', '1')
        self.fails(2, 'its balance', 'account', 'update', self.name, '--limit', 'credit=1')


class Survives(Scene, NodePerTest):
    MODELS = {'odd': model('oai/sim?tokens=3&input=7', price={'input': '0.123457', 'output': '7.654321', 'request': '0.000000001'})}

    def setUp(self):
        self.begin()
        self.name = 'main'
        self.team('research', '--credit', '50', '--overdraft', '0.5')
        self.key = self.node.key('main', team='research', credit=20, overdraft='0.000000001')
        self.node.ctl('user', 'update', 'ann', '--account', 'main', '--credit', '10')
        self.node.ctl('account', 'update', 'main', '--limit', 'credit=100 models=odd')

    def left(self):
        """{scope: (used, remaining)} of each credit, the account's own included, in nano-dollars."""
        rows = self.limits(self.key, 'ann').values()
        return {(r['scope'], r['id']): (nusd(r['used']), nusd(r['remaining'])) for r in rows if r['limit'] == 'credit' and nusd(r['held']) == 0}

    def check(self):
        settled = nusd(self.node.settled('main')['settled_usd'])
        granted = {('account', None): 1000 * 10**9, ('account', 1): 100 * 10**9, ('team', 1): 505 * 10**8, ('key', 1): 20 * 10**9 + 1,
                   ('user', 1): 10 * 10**9}
        self.assertEqual(self.left(), {scope: (settled, nano - settled) for scope, nano in granted.items()})
        return settled

    def test_deaths_and_a_live_store_made_anew(self):
        spender = Spender(self.node, self.key, 'odd', patience_s=0.05)
        for role in ('worker', 'keeper', 'worker', 'keeper'):
            before = len(spender.answered)
            wait_for(lambda: len(spender.answered) > before + 20, 30)
            for pid in self.node.children(role):
                os.kill(pid, signal.SIGKILL)
        before = len(spender.answered)
        wait_for(lambda: len(spender.answered) > before + 20, 30)
        spender.stop()
        settled = self.check()
        self.assertGreaterEqual(settled, sum(spender.answered.values()))
        # An edit in between, then a start without the live store.
        self.node.ctl('team', 'update', 'research', '--account', 'main', '--credit', '+0', '--overdraft', '0.5')
        before = self.left()
        self.node.stop()
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        self.assertEqual(self.left(), before)
        self.accepted(self.key, 'odd', user='ann')
        self.assertGreater(self.check(), settled)
        # Not a nano-dollar more than is there.
        self.node.ctl('key', 'update', self.key, '--credit', str(Decimal(self.check()) / 10**9))
        e = self.refused(402, 'insufficient_credit', 'key', self.key, 'odd', user='ann')
        self.assertIn('$0.000000001 is left', e['message'])
        self.check_books()


if __name__ == '__main__':
    tap.main()
