"""Accounts, teams, keys and end users with limits of their own: who refuses, what is left, and that changes keep what was used."""
from decimal import Decimal
import glob
import os
import re
import shutil
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from node import CtlError, NodeCase, NodePerTest, chat_body, model, nusd
import tap

# A request costs a dollar exactly, whatever its tokens: hold and charge are the same.
DOLLAR = {'price': {'request': 1}}


class Scene:
    MODELS = {'fails': model('oai/sim?status=500', fallbacks=['spare'], **DOLLAR), 'spare': model('oai/sim?tokens=2&input=5', **DOLLAR),
              'one': model('oai/sim?tokens=2&input=5', **DOLLAR), 'other': model('oai/sim?tokens=2&input=5', **DOLLAR),
              'slow': model('oai/sim?tokens=2&input=5&delay=600ms', **DOLLAR), 'endless': model('oai/sim?tokens=20&fault=stall@1', **DOLLAR)}

    def setUp(self):
        self.name = 'acme-%s' % self.id().rpartition('.')[2][5:40]
        self.node.account(self.name, 1000)

    def team(self, name='research', *words):
        return self.node.ctl('team', 'create', name, '--account', self.name, *words)

    def send(self, key, model_name='one', user=None, **body):
        return self.node.chat(key, model_name, headers=[('x-aigw-user', user)] if user else (), **body)

    def accepted(self, *args, **kwargs):
        a = self.send(*args, **kwargs)
        self.assertEqual(a.status, 200, a)
        return a

    def refused(self, status, code, scope, *args, **kwargs):
        """The error, which names the scope that refused."""
        a = self.send(*args, **kwargs)
        self.assertEqual((a.status, a.error['code']), (status, code), a)
        self.assertEqual(a.error['metadata']['scope'].split(' ')[0], scope, a)
        return a.error

    def shadows(self, scope):
        return self.node.metrics().get('aigw_shadow_refusals_total{scope="%s"}' % scope, 0)

    def fails(self, status, part, *words):
        with self.assertRaises(CtlError) as e:
            self.node.ctl(*words)
        self.assertEqual(e.exception.status, status, e.exception)
        self.assertIn(part, e.exception.error['message'])

    def limits(self, key, user=None):
        """{(scope, id): row} of `limit explain`, once nothing runs."""
        self.node.settled(self.name)
        rows = self.node.ctl('limit', 'explain', key, *(('--user', user) if user else ()))['limits']
        return {(r['scope'], r['id']): r for r in rows}


class Scopes(Scene, NodeCase):
    def test_each_scope_refuses_by_its_name(self):
        self.node.ctl('account', 'update', self.name, '--limit', 'budget=4/total')
        self.team('research', '--limit', 'budget=3/total')
        key = self.node.key(self.name, team='research', limit='budget=2/total')
        self.node.ctl('user', 'update', 'ann', '--account', self.name, '--limit', 'budget=1/total')
        self.accepted(key, user='ann')
        self.refused(402, 'budget_exceeded', 'user', key, user='ann')
        self.accepted(key)
        self.assertIn('2.0', self.refused(402, 'budget_exceeded', 'key', key)['message'])
        second = self.node.key(self.name, team='research')
        self.accepted(second)
        e = self.refused(402, 'budget_exceeded', 'team', second)
        self.assertIn('research', e['message'])
        alone = self.node.key(self.name)
        self.accepted(alone)
        self.refused(402, 'budget_exceeded', 'account', alone)
        rows = self.limits(key, 'ann')
        self.assertEqual({s: (r['max'], r['used'], r['remaining']) for (s, i), r in rows.items() if i},
                         {'account': (4, 4, 0), 'team': (3, 3, 0), 'key': (2, 2, 0), 'user': (1, 1, 0)})
        self.assertEqual(nusd(self.node.show(self.name)['settled_usd']), nusd(4))

    def test_all_or_none(self):
        """The last scope refuses: the others are as they were, rates included."""
        self.node.ctl('account', 'update', self.name, '--limit', 'requests=100/day,budget=50/month')
        self.team('research', '--limit', 'requests=100/day,tokens=100000/day,budget=50/month')
        key = self.node.key(self.name, team='research', rpm=100, budget=50)
        self.node.ctl('user', 'update', 'bob', '--account', self.name, '--rpm', '1')
        self.accepted(key, user='bob')
        before = self.limits(key, 'bob')
        for _ in range(5):
            self.refused(429, 'rate_limit_exceeded', 'user', key, user='bob')
        after = self.limits(key, 'bob')
        for at, row in before.items():
            for name in ('used', 'held', 'remaining'):
                self.assertEqual(after[at][name], row[name], (at, name))

    def test_rates_and_requests_at_once(self):
        self.team('research', '--concurrency', '1', '--rpm', '3')
        key = self.node.key(self.name, team='research')
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('slow'), key=key)
            wait_for(lambda: self.node.show(self.name)['holds'] == 1)
            self.refused(429, 'rate_limit_exceeded', 'team', key)
            self.assertEqual(c.answer().status, 200)
        self.accepted(key)
        a = self.accepted(key)
        self.assertEqual((a.get('x-ratelimit-limit-requests'), a.get('x-ratelimit-remaining-requests')), ('3', '0'))
        self.refused(429, 'rate_limit_exceeded', 'team', key)

    def test_models_addresses_and_ends(self):
        self.team('narrow', '--models', 'one')
        key = self.node.key(self.name, team='narrow')
        self.accepted(key)
        self.assertEqual(self.send(key, 'other').status, 403)
        listed = self.node.ask('GET', '/v1/models', key=key).json()['data']
        self.assertEqual([m['id'] for m in listed], ['one'])

    @staticmethod
    def shown(row):
        """Whether it is in shadow, of what shows all that a scope has."""
        assert {'models', 'ip', 'expires_at'} <= set(row), row
        return row['shadow']

    def test_every_scope_has_models_addresses_and_an_end(self):
        """Whoever refuses is named: in words and, where it is not the key, in the metadata."""
        self.team()
        key = self.node.key(self.name, team='research')
        scopes = {'account': ('account', 'update', self.name), 'team': ('team', 'update', 'research', '--account', self.name),
                  'key': ('key', 'update', key), 'user': ('user', 'update', 'ann', '--account', self.name)}
        said = {'account': 'The account of API key', 'team': 'The team of API key', 'key': 'API key', 'user': 'The end user'}
        names = {'account': 'account ' + self.name, 'team': 'team research', 'key': None, 'user': 'user ann'}
        options = (('--models', 'oth*', (403, 'model_not_allowed'), 'none'), ('--ip', '10.0.0.0/8', (403, 'ip_not_allowed'), 'none'),
                   ('--expires', '2s', (403, 'account_suspended'), 'never'))
        for scope, words in scopes.items():
            for option, value, refusal, off in options:
                with self.subTest(scope=scope, option=option):
                    status = self.node.ctl(*words, option, value)['status']
                    if option == '--expires':
                        show = (words[0], 'show', *words[2:])
                        wait_for(lambda: self.node.ctl(*show)['status'] == 'expired')
                        status = 'expired'
                    else:
                        self.assertEqual(status, 'active')
                    if scope == 'account':
                        self.assertEqual({a['status'] for a in self.node.ctl('account', 'list')['accounts'] if a['name'] == self.name}, {status})
                    a = self.send(key, user='ann')
                    if (scope, option) == ('key', '--expires'):
                        refusal = (401, 'invalid_api_key')
                    self.assertEqual((a.status, a.error['code']), refusal, a)
                    self.assertIn(said[scope], a.error['message'])
                    self.assertEqual(a.error['metadata'].get('scope'), names[scope])
                    # In shadow it is counted and told, and nothing more.
                    self.assertTrue(self.shown(self.node.ctl(*words, '--shadow', 'on')))
                    before, mark = self.shadows(scope), self.node.mark()
                    self.accepted(key, user='ann')
                    told = self.node.wait_event('shadow_refusal', since=mark)
                    self.assertEqual((told['scope'], told['rule']), (scope, {'--models': 'models', '--ip': 'addresses', '--expires': 'end'}[option]))
                    self.assertEqual(self.shadows(scope), before + 1)
                    self.assertFalse(self.shown(self.node.ctl(*words, '--shadow', 'off')))
                    self.assertEqual(self.send(key, user='ann').status, refusal[0])
                    self.node.ctl(*words, option, off)
                    self.accepted(key, user='ann')

    def test_suspension_counts_at_the_next_request_of_every_worker(self):
        self.team('research')
        key = self.node.key(self.name, team='research')

        def statuses(user=None):
            """Of connections of their own, which all workers get some of."""
            return {self.send(key, user=user).status for _ in range(12)}
        self.assertEqual(statuses(), {200})
        for on, off in ((('team', 'suspend', 'research', '--account', self.name), ('team', 'resume', 'research', '--account', self.name)),
                        (('account', 'suspend', self.name), ('account', 'resume', self.name)),
                        (('key', 'update', key, '--suspended', 'on'), ('key', 'update', key, '--suspended', 'off')),
                        (('user', 'update', 'eve', '--account', self.name, '--suspended', 'on'),
                         ('user', 'update', 'eve', '--account', self.name, '--suspended', 'off'))):
            with self.subTest(on[0]):
                user = 'eve' if on[0] == 'user' else None
                self.node.ctl(*on)
                self.assertEqual(statuses(user), {403})
                self.node.ctl(*off)
                self.assertEqual(statuses(user), {200})


class Rules(Scene, NodeCase):
    def test_an_edit_keeps_what_was_used(self):
        key = self.node.key(self.name, limit='budget=5/month')
        for _ in range(3):
            self.accepted(key)
        shown = self.node.ctl('key', 'update', key, '--limit', '1:budget=3/month')['limits'][0]
        self.assertEqual((shown['id'], shown['max'], shown['used'], shown['remaining']), (1, 3, 3, 0))
        self.refused(402, 'budget_exceeded', 'key', key)
        self.node.ctl('key', 'update', key, '--limit', '1:budget=4/month')
        self.accepted(key)
        self.refused(402, 'budget_exceeded', 'key', key)

    def test_a_limit_counts_what_runs(self):
        """Of every scope, for all models and for some: streams run, it may have two at once, the next one is refused until they have ended, and then
        nothing is left in any counter."""
        self.team()
        key = self.node.key(self.name, team='research')
        for scope, words in (('account', ['account', 'update', self.name]), ('team', ['team', 'update', 'research', '--account', self.name]),
                             ('key', ['key', 'update', key]), ('user', ['user', 'update', 'ann', '--account', self.name]),
                             ('user', ['user', 'update', '*', '--account', self.name])):
            for more in ('', ' models=endless|one'):
                user = 'bob' if '*' in words else 'ann'
                with self.subTest(scope=scope, words=words, more=more):
                    self.counts_what_runs(key, user, scope, words, 'concurrency=2' + more)

    def counts_what_runs(self, key, user, scope, words, limit):
        streams = [Conn(self.node.port) for _ in range(4)]
        try:
            for c in streams:
                c.request('POST', '/v1/chat/completions', chat_body('endless', True), [('x-aigw-user', user)], key)
                self.assertEqual(c.head().status, 200)
            rule = self.node.ctl(*words, '--limit', limit)['limits'][-1]['id']
            row = [r for r in self.node.ctl('limit', 'explain', key, '--user', user)['limits'] if (r['scope'], r['id']) == (scope, rule)][0]
            self.assertEqual((row['max'], row['used'], row['remaining']), (2, 4, 0), row)
            for _ in range(3):
                self.refused(429, 'rate_limit_exceeded', scope, key, user=user)
                streams.pop().close()
                wait_for(lambda: self.node.show(self.name)['holds'] == len(streams))
            self.accepted(key, user=user)
            if 'models=' in limit:
                self.accepted(key, 'other', user=user)
        finally:
            for c in streams:
                c.close()
        self.assertEqual(self.limits(key, user)[(scope, rule)]['used'], 0)
        self.node.ctl(*words, '--limit-remove', str(rule))

    def test_another_period_keeps_what_was_used(self):
        """By either way to say it, there and back: the limit lets through its amount once, and what runs is charged where it counts."""
        key = self.node.key(self.name, budget='1', period='month')
        self.accepted(key)
        for change in (('--period', 'quarter'), ('--limit', '1:budget=1/week rolling'), ('--zone', 'America/New_York', '--rolling', 'off'),
                       ('--limit', '1:budget=1/total'), ('--limit', '1:budget=1/month zone=Asia/Tokyo')):
            row = self.node.ctl('key', 'update', key, *change)['limits'][0]
            self.assertEqual((row['id'], row['used'], row['remaining']), (1, 1, 0), change)
            self.refused(402, 'budget_exceeded', 'key', key)

    def test_a_raise_for_a_while(self):
        key = self.node.key(self.name, limit='budget=1/month zone=America/New_York')
        self.accepted(key)
        self.refused(402, 'budget_exceeded', 'key', key)
        row = self.node.ctl('key', 'update', key, '--limit', '1:raise=1 windows=1')['limits'][0]
        self.assertEqual((row['max'], row['used'], row['raise']), (2, 1, 1))
        self.assertEqual(row['raised_until'], row['resets_at'])
        self.accepted(key)
        self.refused(402, 'budget_exceeded', 'key', key)
        row = self.node.ctl('key', 'update', key, '--limit', '1:raise=off')['limits'][0]
        self.assertEqual((row['max'], row['used'], row['raise']), (1, 2, None))

    def test_a_raise_of_a_rolling_budget(self):
        key = self.node.key(self.name, limit='budget=1/month rolling')
        self.accepted(key)
        self.refused(402, 'budget_exceeded', 'key', key)
        row = self.node.ctl('key', 'update', key, '--limit', '1:raise=1 windows=1')['limits'][0]
        self.assertEqual((row['max'], row['used'], row['raised_until']), (2, 1, row['resets_at']))
        self.accepted(key)
        self.refused(402, 'budget_exceeded', 'key', key)

    def test_a_raise_until_a_time(self):
        """It ends then, not with the period that it began in, and what was used of it stays used."""
        key = self.node.key(self.name, limit='budget=1/month')
        self.accepted(key)
        row = self.node.ctl('key', 'update', key, '--limit', '1:raise=5 until=3s')['limits'][0]
        self.assertEqual((row['max'], row['used'], row['raise']), (6, 1, 5))
        self.assertLess(row['raised_until'], row['resets_at'])
        self.accepted(key)
        wait_for(lambda: self.limits(key)['key', 1]['raise'] is None, 20, 0.05)
        row = self.limits(key)['key', 1]
        self.assertEqual((row['max'], row['used'], row['remaining'], row['raised_until']), (1, 2, -1, None))
        self.refused(402, 'budget_exceeded', 'key', key)

    def test_several_windows_at_once(self):
        key = self.node.key(self.name, limit='budget=3/day,budget=2/hour,budget=9/year models=other')
        self.accepted(key)
        self.accepted(key)
        self.assertIn('per hour', self.refused(402, 'budget_exceeded', 'key', key)['message'])
        rows = self.limits(key)
        self.assertEqual([rows['key', i]['used'] for i in (1, 2, 3)], [2, 2, 0])

    def test_every_window_at_once(self):
        """Each period, with the calendar of a zone and rolling, in all four scopes together; the tightest of them refuses."""
        periods = ['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year']
        windows = ['budget=%s/total' % 9] + ['budget=%d/%s%s' % (n, p, kind) for p in periods for n, kind in ((7, ' zone=Asia/Kolkata'), (8, ' rolling'))]
        words = ','.join(windows)
        self.node.ctl('account', 'update', self.name, '--limit', words)
        self.team('all', '--limit', words)
        self.node.ctl('user', 'update', 'ann', '--account', self.name, '--limit', words)
        key = self.node.key(self.name, team='all', limit=words.replace('budget=8/year', 'budget=2/year'))
        begun = time.time()
        for _ in range(2):
            self.accepted(key, user='ann')
        error = self.refused(402, 'budget_exceeded', 'key', key, user='ann')
        self.assertIn('per year', error['message'])
        rows = {at: r for at, r in self.limits(key, 'ann').items() if r['limit'] == 'budget'}
        self.assertEqual(len(rows), 4 * 15)
        self.assertEqual({(r['used'], r['held']) for r in rows.values() if 'rolling' in r['text'] or 'total' in r['text']}, {(2, 0)})
        if begun // 60 == time.time() // 60:  # else windows of the calendar may have ended meanwhile
            self.assertEqual({(r['used'], r['held']) for r in rows.values()}, {(2, 0)})

    def test_limits_of_some_models(self):
        key = self.node.key(self.name, limit='requests=1/minute models=oth*')
        self.accepted(key)
        self.accepted(key)
        self.accepted(key, 'other')
        e = self.refused(429, 'rate_limit_exceeded', 'key', key, 'other')
        self.assertIn('limit of 1 request a minute for models such as this one; try again in ', e['message'])
        self.assertIn(': requests a minute for oth*', e['metadata']['scope'])
        self.accepted(key)

    def test_a_shadow_counts_and_refuses_nothing(self):
        key = self.node.key(self.name, limit='requests=1/minute shadow')
        before = self.node.metrics().get('aigw_shadow_refusals_total{scope="key"}', 0)
        mark = self.node.mark()
        for _ in range(3):
            self.accepted(key)
        self.assertEqual(self.node.metrics()['aigw_shadow_refusals_total{scope="key"}'] - before, 2)
        self.node.wait_event('shadow_refusal', since=mark)
        self.assertTrue(self.limits(key)['key', 1]['shadow'])
        self.node.ctl('key', 'update', key, '--limit', '1:shadow=off')
        self.refused(429, 'rate_limit_exceeded', 'key', key)

    def test_a_shadow_tells_of_every_scope(self):
        """A line and a count for each scope that would have refused, each with its own rule, limit and name."""
        self.node.ctl('account', 'update', self.name, '--limit', 'budget=0.5/month shadow,requests=0/day shadow')
        self.team('research', '--limit', 'tokens=0/minute', '--shadow', 'on')
        key = self.node.key(self.name, team='research', name='', limit='budget=0.25/day shadow')
        self.node.ctl('user', 'update', 'ann', '--account', self.name, '--models', 'other', '--shadow', 'on')
        mark = self.node.mark()
        rid = self.accepted(key, user='ann').get('x-request-id')
        wait_for(lambda: len(self.node.events('shadow_refusal', mark)) == 4)
        told = self.node.events('shadow_refusal', mark)
        self.assertEqual({(e['request_id'], e['key'], e['account']) for e in told}, {(rid, key[8:20], self.name)})
        self.assertEqual({e['scope']: (e['name'], e['rule'], e['rules'], e.get('limit'), e.get('limit_usd')) for e in told}, {
            'account': (self.name, 'requests a day', 2, 0, None), 'team': ('research', 'tokens a minute', 1, 0, None),
            'key': (key[8:20], 'budget per day', 1, None, Decimal('0.25')), 'user': ('ann', 'models', 1, None, None)})

    def credit(self, key):
        """What `limit explain` says of the account's credit: only counted, used, what is left."""
        row = self.limits(key)['account', None]
        return row['shadow'], nusd(row['max']), nusd(row['used']), nusd(row['remaining'])

    def test_credit_in_shadow_is_only_counted(self):
        """As if the account were postpaid, until it leaves shadow: what was let through must be paid then. Nobody's shadow but its own does that."""
        self.name += '-poor'
        self.node.account(self.name, '0.499999999', '--note', 'less than a request costs')
        key = self.node.key(self.name)
        self.node.ctl('key', 'update', key, '--shadow', 'on')
        self.refused(402, 'insufficient_credit', 'account', key)
        self.assertTrue(self.node.ctl('account', 'update', self.name, '--shadow', 'on')['shadow'])
        before, mark = self.shadows('account'), self.node.mark()
        rid = self.accepted(key).get('x-request-id')
        told = self.node.wait_event('shadow_refusal', since=mark)
        self.assertEqual((told['request_id'], told['scope'], told['name'], told['rule'], told['rules'], '%.9f' % told['limit_usd']),
                         (rid, 'account', self.name, 'credit', 1, '0.499999999'))
        self.assertEqual(self.shadows('account'), before + 1)
        a = self.node.settled(self.name)
        self.assertEqual([nusd(a[k + '_usd']) for k in ('balance', 'available', 'settled', 'uncollected')], [-500000001, -500000001, 10**9, 0])
        self.assertEqual((a['shadow'], a['mode']), (True, 'prepaid'))
        self.assertEqual(self.credit(key), (True, 499999999, 10**9, -500000001))
        own = self.node.ask('GET', '/v1/credits', key=key).json()['data']
        self.assertEqual((nusd(own['balance']), own['available']), (-500000001, None))
        self.assertEqual(self.node.ask('GET', '/v1/dashboard/billing/subscription', key=key).status, 200)
        self.assertEqual(self.node.metrics()['aigw_ledger_imbalance_nanousd'], 0)
        # What is missing out of shadow is said, to the nano-dollar, and nothing changes.
        said = '$0.500000001 below what it may be, running requests included: grant $0.500000001 first, or give it more overdraft or postpaid on'
        self.fails(1, 'stays in shadow', 'account', 'update', self.name, '--shadow', 'off')
        self.fails(1, said, 'account', 'update', self.name, '--shadow', 'off', '--rpm', '1')
        self.assertEqual((self.node.show(self.name)['shadow'], self.node.show(self.name)['limits']), (True, []))
        self.node.ctl('account', 'credit', self.name, '--add', '0.5')
        self.fails(1, '$0.000000001', 'account', 'update', self.name, '--shadow', 'off')
        self.node.ctl('account', 'credit', self.name, '--add', '0.000000001')
        self.assertFalse(self.node.ctl('account', 'update', self.name, '--shadow', 'off')['shadow'])
        self.assertEqual(self.credit(key), (False, 10**9, 10**9, 0))
        self.refused(402, 'insufficient_credit', 'account', key)

    def test_shadow_ends_while_requests_run(self):
        """What they hold counts: with an overdraft that covers it the account leaves shadow at once, and they are charged in full."""
        self.name += '-poor'
        self.node.account(self.name, 0)
        key = self.node.key(self.name)
        self.node.ctl('account', 'update', self.name, '--shadow', 'on')
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('slow'), key=key)
            wait_for(lambda: self.node.show(self.name)['holds'] == 1)
            self.fails(1, 'grant $1.00 first', 'account', 'update', self.name, '--shadow', 'off')
            self.fails(1, 'limits were not: out of shadow', 'account', 'update', self.name, '--overdraft', '0.999999999', '--shadow', 'off')
            a = self.node.ctl('account', 'update', self.name, '--overdraft', '1', '--shadow', 'off')
            self.assertEqual((a['shadow'], nusd(a['held_usd']), nusd(a['balance_usd'])), (False, 10**9, -10**9))
            self.assertEqual(c.answer().status, 200)
        a = self.node.settled(self.name)
        self.assertEqual([nusd(a[k + '_usd']) for k in ('balance', 'held', 'settled', 'uncollected')], [-10**9, 0, 10**9, 0])
        self.refused(402, 'insufficient_credit', 'account', key)

    def test_who_owes_is_prepaid_again_in_shadow(self):
        """In one command: who goes into shadow pays in another way from there on, and owes what it owes."""
        self.name += '-owes'
        self.node.account(self.name, 0, '--postpaid')
        key = self.node.key(self.name)
        self.accepted(key)
        self.node.settled(self.name)
        self.fails(1, 'further below zero than that allows', 'account', 'update', self.name, '--postpaid', 'off', '--rpm', '1000')
        a = self.node.ctl('account', 'update', self.name, '--postpaid', 'off', '--rpm', '1000', '--shadow', 'on')
        self.assertEqual((a['mode'], a['shadow'], nusd(a['balance_usd']), len(a['limits'])), ('prepaid', True, -10**9, 1))
        self.accepted(key)
        self.fails(4, 'has no group', 'account', 'update', self.name, '--group', 'a b', '--rpm', '5', '--shadow', 'on')
        self.assertEqual(self.node.show(self.name)['limits'][0]['max'], 1000)

    def test_many_ask_while_shadow_begins_and_ends(self):
        """Whenever the account is out of shadow its balance is not below 0, with all that runs; each request is charged in full."""
        self.name += '-poor'
        self.node.account(self.name, 0)
        key, answers, ended = self.node.key(self.name), [], threading.Event()

        def run():
            with Conn(self.node.port) as c:
                while not ended.is_set():
                    a = c.request('POST', '/v1/chat/completions', chat_body('one'), key=key).answer()
                    answers.append((a.status, None if a.status == 200 else a.error['code']))
        threads = [threading.Thread(target=run) for _ in range(4)]
        stayed = 0

        def leave():
            """How often it had to stay: then more is granted than it owed, and more each time, since the others go on spending meanwhile."""
            for times in range(16):
                try:
                    self.assertIs(self.node.ctl('account', 'update', self.name, '--shadow', 'off')['shadow'], False)
                    return times
                except CtlError as e:
                    short = re.search(r'grant \$([\d.]+) first|try again$', e.error['message'])
                    self.assertTrue(short, e.error)
                    self.node.ctl('account', 'credit', self.name, '--add', str(Decimal(short[1] or 0) + (10 << times)))
            self.fail('the account never leaves shadow')
        for t in threads:
            t.start()
        try:
            for _ in range(10):
                answered = len(answers)
                self.node.ctl('account', 'update', self.name, '--shadow', 'on')
                wait_for(lambda: answers[answered:].count((200, None)) > 8)
                stayed += leave()
                a = self.node.show(self.name)
                self.assertGreaterEqual(a['balance_usd'], 0, a)
                wait_for(lambda: answers[-1][1] == 'insufficient_credit')
        finally:
            ended.set()
            for t in threads:
                t.join()
        a = self.node.settled(self.name)
        self.assertGreater(stayed, 0)
        self.assertLessEqual({code for _, code in answers}, {None, 'insufficient_credit', 'credit_held'})
        self.assertEqual([nusd(a[k + '_usd']) for k in ('settled', 'uncollected')], [answers.count((200, None)) * 10**9, 0])
        self.assertGreaterEqual(a['balance_usd'], 0)

    def test_limits_follow_the_model_that_was_asked_for(self):
        """Design 3.3: a fallback's charge counts in the rates and budgets of the model asked for, not in its own; deny patterns bind it too."""
        key = self.node.key(self.name, limit='budget=1/month models=spare,requests=1/day models=spare,budget=3/month models=fails,'
                                             'requests=2/day models=fails')
        for _ in range(2):
            self.assertEqual(self.accepted(key, 'fails').get('x-aigw-model'), 'spare')
        rows = self.limits(key)
        self.assertEqual([rows['key', i]['used'] for i in (1, 2, 3, 4)], [0, 0, 2, 2])
        e = self.refused(429, 'rate_limit_exceeded', 'key', key, 'fails')
        self.assertIn('a day for fails', e['metadata']['scope'])
        self.accepted(key, 'spare')
        self.refused(402, 'budget_exceeded', 'key', key, 'spare')  # of both the one that lasts: money
        self.node.ctl('key', 'update', key, '--limit-remove', '2,4')
        self.assertIn('for spare', self.refused(402, 'budget_exceeded', 'key', key, 'spare')['message'])
        self.accepted(key, 'fails')
        self.assertIn('for fails', self.refused(402, 'budget_exceeded', 'key', key, 'fails')['message'])
        self.node.ctl('key', 'update', key, '--limit-remove', '3', '--models', '!spare')
        self.assertEqual(self.send(key, 'fails').status, 502)

    def test_removed_by_id(self):
        key = self.node.key(self.name, limit='budget=1/total,requests=2/day')
        self.accepted(key)
        shown = self.node.ctl('key', 'update', key, '--limit-remove', '1')
        self.assertEqual([r['id'] for r in shown['limits']], [2])
        self.accepted(key)
        self.refused(429, 'rate_limit_exceeded', 'key', key)


class Users(Scene, NodeCase):
    def test_who_has_no_limits_of_its_own_has_those_for_all(self):
        """Who is suspended and let in again, may use some models only, or was told that it has no limit, has used up what it had used up."""
        def user(tag, *words):
            return self.node.ctl('user', 'update', tag, '--account', self.name, *words)

        user('*', '--budget', '1', '--period', 'day')
        key = self.node.key(self.name)
        for tag, words in (('mallory', (('--suspended', 'on'), ('--suspended', 'off'))), ('bob', (('--models', 'one'),)), ('eve', (('--rpm', 'none'),))):
            with self.subTest(tag):
                self.accepted(key, user=tag)
                for w in words:
                    self.refused(402, 'budget_exceeded', 'user', key, user=tag)
                    user(tag, *w)
                    if w[-1] == 'on':
                        self.refused(403, 'account_suspended', 'user', key, user=tag)
                        user(tag, '--suspended', 'off')
                self.refused(402, 'budget_exceeded', 'user', key, user=tag)
                rule = [row for (scope, _), row in self.limits(key, tag).items() if scope == 'user']
                self.assertEqual([(r['text'], r['used'], r['max']) for r in rule], [('budget per day', 1, 1)])
                shown = self.node.ctl('user', 'show', tag, '--account', self.name)['limits']
                self.assertEqual([(r['name'], r['text'], r['used'], r['max']) for r in shown], [('*', 'budget per day', 1, 1)])
        self.assertEqual(self.refused(403, 'model_not_allowed', 'user', key, 'other', user='bob')['code'], 'model_not_allowed')
        self.assertRegex(self.node.ctl_raw('user', 'show', 'bob', '--account', self.name).stdout, r'(?m)^\*  .* budget per day')
        shown = user('bob', '--rpm', '100')['limits']
        self.assertEqual([(r['name'], r['text'], r['used']) for r in shown], [('bob', 'requests a minute', 0)])
        self.accepted(key, user='bob')
        user('bob', '--rpm', 'none')
        self.refused(402, 'budget_exceeded', 'user', key, user='bob')

    def test_every_user_for_itself(self):
        self.node.ctl('user', 'update', '*', '--account', self.name, '--budget', '1', '--period', 'day')
        self.node.ctl('user', 'update', 'vip', '--account', self.name, '--budget', '2', '--period', 'day')
        key = self.node.key(self.name)
        for user in ('a', 'b'):
            self.accepted(key, user=user)
            self.refused(402, 'budget_exceeded', 'user', key, user=user)
        self.accepted(key, user='vip')
        self.accepted(key, user='vip')
        self.refused(402, 'budget_exceeded', 'user', key, user='vip')
        # The member of the body names it too; without a tag no user's limit counts.
        a = self.node.chat(key, 'one', user='a')
        self.assertEqual((a.status, a.error['metadata']['scope'][:7]), (402, 'user a:'), a)
        self.accepted(key)
        self.assertEqual([u['user'] for u in self.node.ctl('user', 'list', '--account', self.name)['users']], ['*', 'vip'])
        self.node.ctl('user', 'remove', 'vip', '--account', self.name)
        self.assertEqual([u['user'] for u in self.node.ctl('user', 'list', '--account', self.name)['users']], ['*'])


class Words(Scene, NodeCase):
    """What operators are told."""

    def test_refusals(self):
        self.team('research')
        self.fails(1, 'already', 'team', 'create', 'research', '--account', self.name)
        self.fails(4, "no team 'x'", 'team', 'show', 'x', '--account', self.name)
        self.fails(4, "no account 'nobody'", 'team', 'create', 'x', '--account', 'nobody')
        self.fails(4, "no team 'x'", 'key', 'create', '--account', self.name, '--team', 'x')
        self.fails(2, '--account NAME is needed', 'team', 'show', 'research')
        self.fails(2, 'nothing to change', 'team', 'update', 'research', '--account', self.name)
        self.fails(2, 'requests=N/minute', 'team', 'update', 'research', '--account', self.name, '--limit', 'requests=5/fortnight')
        self.fails(2, "'7' is not the id", 'team', 'update', 'research', '--account', self.name, '--limit-remove', '7')
        self.fails(2, "limit-remove: '7'", 'team', 'update', 'research', '--account', self.name, '--limit-remove', '7')
        self.fails(2, 'that time is over', 'team', 'create', 'x', '--account', self.name, '--expires', '2020-01-01')
        self.fails(2, 'that time is over', 'key', 'create', '--account', self.name, '--expires', '2020-01-01')
        key = self.node.key(self.name)
        for words in (('account', 'update', self.name), ('key', 'update', key), ('user', 'update', 'x', '--account', self.name)):
            for over in ('0', '2020-01-01'):
                self.fails(2, 'that time is over', *words, '--expires', over)
        self.assertEqual(self.send(key).status, 200)
        self.fails(4, "no user 'nobody'", 'user', 'show', 'nobody', '--account', self.name)
        self.fails(4, "no key 'aaaaaaaaaaaa'", 'key', 'show', 'sk-aigw-aaaaaaaaaaaa-' + 'S' * 43)
        self.fails(4, "no request 'gen_1'", 'request', 'show', 'gen_1')
        self.fails(1, "account '%s' is there already" % self.name, 'account', 'create', self.name)
        self.fails(2, '1 to 128 bytes', 'user', 'update', 'x' * 129, '--account', self.name, '--rpm', '5')
        self.fails(2, 'there twice', 'usage', '--by', 'day,model,day')
        self.fails(2, 'exclude each other', 'account', 'credit', self.name, '--add', '1', '--take', '1')

    def test_what_can_be_taken_is_told(self):
        self.node.ctl('account', 'create', 'poor', '--credit', '1.5', '--overdraft', '2')
        self.fails(1, "'poor' has no more than $3.50", 'account', 'credit', 'poor', '--take', '4')
        self.assertEqual(self.node.ctl('account', 'credit', 'poor', '--take', '3.5')['balance_usd'], -2)
        self.fails(1, 'no more than $0.00', 'account', 'credit', 'poor', '--take', '1')

    def test_a_rolling_period_that_has_not_begun_has_no_end(self):
        t = self.team('rolls', '--budget', '1', '--rolling', 'on')
        self.assertEqual((t['budget_left_usd'], t['budget_resets_at'], t['limits'][0]['resets_at']), (1, None, None))
        key = self.node.key(self.name, team='rolls')
        def ends():
            own = self.node.ask('GET', '/v1/key', key=key).json()['data']['limits'][-1]['resets_at']
            return [self.node.ctl('limit', 'explain', key)['limits'][-1]['resets_at'], own]
        self.assertEqual(ends(), [None, None])
        self.accepted(key)
        self.assertNotIn(None, ends())

    def test_lists_are_sorted(self):
        for name in ('zoo', 'ant', 'bee'):
            self.team(name)
            self.node.ctl('user', 'update', name, '--account', self.name, '--rpm', '5')
        for noun in ('team', 'user'):
            shown = self.node.ctl_raw(noun, 'list', '--account', self.name).stdout.splitlines()[1:]
            self.assertEqual([line.split()[1] for line in shown], ['ant', 'bee', 'zoo'])

    def test_account_money(self):
        shown = self.node.ctl('account', 'update', self.name, '--overdraft', '5')
        self.assertEqual(shown['overdraft_usd'], 5)
        self.assertEqual(self.node.ctl('account', 'update', self.name, '--postpaid', 'on')['mode'], 'postpaid')
        self.assertEqual(self.node.ctl('account', 'update', self.name, '--postpaid', 'off')['mode'], 'prepaid')


class Rebuilt(Scene, NodePerTest):
    def setUp(self):
        self.begin()
        self.name = 'main'

    def test_restart_and_rebuild_keep_teams_and_use(self):
        self.team('research', '--limit', 'budget=2/total')
        self.node.ctl('user', 'update', 'ann', '--account', self.name, '--limit', 'budget=2/total')
        key = self.node.key(self.name, team='research')
        self.accepted(key, user='ann')
        before = self.limits(key, 'ann')
        self.node.settled(self.name)
        self.node.stop()
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        self.assertEqual(self.limits(key, 'ann'), before)
        self.accepted(key, user='ann')
        self.refused(402, 'budget_exceeded', 'team', key, user='ann')
        self.check_books()

    def test_as_many_limits_as_there_may_be(self):
        """64 in each of the four scopes: each window of a budget, all that is no money, and budgets of one model after the other."""
        periods = ['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year']
        rules = ['requests=90/minute', 'requests=900/day', 'tokens=90000/minute', 'tokens=900000/day', 'concurrency=9', 'budget=50/total']
        rules += ['budget=50/%s%s' % (p, kind) for p in periods for kind in (' zone=Asia/Kolkata', ' rolling')]
        rules += ['budget=50/year models=model-%d|!one' % n for n in range(64 - len(rules) - 1)] + ['budget=50/year models=one']
        words = ','.join(rules)
        self.node.ctl('account', 'update', self.name, '--limit', words)
        self.team('all', '--limit', words)
        self.node.ctl('user', 'update', 'ann', '--account', self.name, '--limit', words)
        key = self.node.key(self.name, team='all', limit=words)
        scopes = {'account': ('account', 'update', self.name), 'team': ('team', 'update', 'all', '--account', self.name),
                  'key': ('key', 'update', key), 'user': ('user', 'update', 'ann', '--account', self.name)}
        for command in scopes.values():
            self.fails(2, 'there are 64 limits, as many as there may be', *command, '--limit', 'budget=1/day')
            self.fails(2, 'there are 64 limits, as many as there may be', *command, '--limit', '64:budget=1/year,budget=1/day')
        for _ in range(2):
            self.accepted(key, user='ann')

        def budgets():
            """{(scope, id): used} of those that are not over within the test."""
            rows = self.limits(key, 'ann')
            self.assertEqual(len(rows), 1 + 4 * 64)
            return {at: r['used'] for at, r in rows.items() if at[1] in lasting}
        lasting = [n for n, r in enumerate(rules, 1) if re.search('total|year|(day|week|month|quarter) rolling', r)]
        used = budgets()
        self.assertEqual(used, {(s, n): 2 if n < 21 or n == 64 else 0 for s in scopes for n in lasting})
        for scope, command in scopes.items():
            self.node.ctl(*command, '--limit', '64:budget=2/year')
            self.assertIn('per year for one', self.refused(402, 'budget_exceeded', scope, key, user='ann')['message'])
            self.node.ctl(*command, '--limit', '64:budget=50/year')
        self.assertEqual(budgets(), used)
        self.node.kill('keeper')
        self.assertEqual(budgets(), used)
        self.accepted(key, user='ann')
        self.node.settled(self.name)
        self.node.stop()
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        self.assertEqual(budgets(), {at: n and 3 for at, n in used.items()})
        own = self.node.ask('GET', '/v1/key', key=key).json()['data']['limits']
        self.assertEqual(len([r for r in own if r['limit'] != 'credit']), 3 * 64)
        self.check_books()

    def test_crashes_keep_an_account_in_shadow(self):
        self.node.ctl('account', 'create', 'poor')
        key = self.node.key('poor')
        self.name = 'poor'
        self.node.ctl('account', 'update', 'poor', '--shadow', 'on')

        def goes_on(n):
            self.accepted(key)
            a = self.node.settled('poor')
            self.assertEqual((a['shadow'], nusd(a['balance_usd']), nusd(a['uncollected_usd'])), (True, -n * 10**9, 0))
        goes_on(1)
        self.node.kill('keeper')
        goes_on(2)
        self.node.ctl('account', 'update', 'poor', '--overdraft', '0.5')
        self.node.ctl('account', 'suspend', 'poor')
        self.node.stop()
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        self.node.ctl('account', 'resume', 'poor')
        goes_on(3)
        self.check_books()
        self.node.ctl('account', 'credit', 'poor', '--add', '2.5')
        self.node.ctl('account', 'update', 'poor', '--shadow', 'off')
        self.refused(402, 'insufficient_credit', 'account', key)
        self.check_books()


if __name__ == '__main__':
    tap.main()
