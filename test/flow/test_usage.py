"""`aigwctl usage` and GET /v1/usage, grouped and filtered by everything, page by page, against a slow sum over `ledger export`."""
import itertools
import json
import os
import random
import sys
import time
from urllib.parse import urlencode

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import NodeCase, nusd, on_both
import tap

DIMS = 'day model key account provider team tag'.split()
SCRIPT = 'tokens=4&input=20&cached=8'


class Usage(NodeCase):
    MODELS = {**on_both('m', SCRIPT), **on_both('n', 'tokens=9&input=5'), **on_both('fails', 'status=500')}

    @classmethod
    def setUpClass(cls):
        """Two accounts with teams of the same name, keys with and without, end users that both of them have."""
        super().setUpClass()
        cls.node.account('beta', 5)
        cls.keys, cls.teams = [cls.key], {}
        for account in ('main', 'beta'):
            for team in ('red', 'blue'):
                made = cls.node.ctl('team', 'create', team, '--account', account)
                cls.teams[made['id']] = '%s/%s' % (account, team)
                cls.keys.append(cls.node.key(account, team=team))
        rng = random.Random(3)
        for n in range(48):
            user = rng.choice(('ann', 'bob', 'c d', None))
            cls.node.chat(cls.keys[n % 5], rng.choice(list(cls.MODELS)), headers=[('x-aigw-user', user)] if user else [])
        for account in ('main', 'beta'):
            cls.node.settled(account)
        cls.charges = cls.exported()
        assert len(cls.charges) > 30, len(cls.charges) # what a breaker refuses has no record

    @classmethod
    def exported(cls):
        lines = [json.loads(line) for line in cls.node.ctl_raw('ledger', 'export').stdout.splitlines()]
        return [cls.names(v) for v in lines if v.get('type') == 'charge']

    @classmethod
    def names(cls, v):
        """What a report says of this charge."""
        u = v['usage']
        return {'day': time.strftime('%Y-%m-%d', time.gmtime(v['wall_ms'] // 1000)), 'model': v['model'] or v['model_asked'], 'key': v['key'], 'account': v['account_name'],
                'provider': v['provider'], 'team': cls.teams.get(v['team'], ''), 'tag': v['user'], 'requests': 1, 'failed': int(v['end'] != 'done'),
                'input': sum(u.get(c, 0) for c in ('input', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'input_audio', 'input_image')),
                'cached': u.get('cache_read', 0), 'output': u.get('output', 0), 'charge': v['charge_nusd']}

    def slow(self, by, only):
        rows = {}
        for c in self.charges:
            if all(c[k] == want for k, want in only.items()):
                row = rows.setdefault(tuple(c[d] for d in by), dict.fromkeys(('requests', 'failed', 'input', 'cached', 'output', 'charge'), 0))
                for k in row:
                    row[k] += c[k]
        return rows

    def told(self, by, only):
        """What the keeper says to aigwctl."""
        end, rows, _ = self.node.control('usage', **({'by': ','.join(by)} if by else {}), **only)
        self.assertEqual(end['status'], 0, end)
        rows = [f for kind, f in rows if (kind == 'usage' if by else kind == 'total' and f['requests'])]
        return {tuple(r[d] for d in by): dict({k: r[k] for k in ('requests', 'failed', 'input', 'cached', 'output')}, charge=r['charge_nusd'])
                for r in rows}

    def ctl(self, by, only):
        got = self.node.ctl('usage', '--by', ','.join(by), *(w for k, v in only.items() for w in ('--' + k, v)))
        return {tuple(r[d] for d in by): dict({k: r[k] for k in ('requests', 'failed', 'input', 'cached', 'output')}, charge=nusd(r['charge_usd']))
                for r in got['rows']}

    def http(self, key, by, only):
        got = self.node.ask('GET', '/v1/usage?' + urlencode({'by': ','.join(by), **only}), key=key)
        self.assertEqual(got.status, 200, got)
        rows = got.json()['data']
        return {tuple(r[d] for d in by): {'requests': r['requests'], 'failed': r['failed'], 'input': r['tokens_prompt'], 'cached': r['tokens_cached'],
                                          'output': r['tokens_completion'], 'charge': nusd(r['cost'])} for r in rows}

    def values(self, dim):
        return sorted({c[dim] for c in self.charges})

    def some(self, rng, dims):
        """A few filters that agree with one charge, so that something is left."""
        like = rng.choice(self.charges)
        chosen = rng.sample([d for d in dims if like[d] != '' or d == 'tag'], rng.randint(1, 4))
        return {d: like[d] for d in chosen}

    def test_each_filter_with_each_grouping(self):
        for dim in DIMS[1:]:
            for value in self.values(dim):
                if value == '' and dim == 'team':
                    continue
                for by in ([], ['day'], [dim], ['model', 'tag']):
                    with self.subTest('%s=%s by %s' % (dim, value, by)):
                        self.assertEqual(self.told(by, {dim: value}), self.slow(by, {dim: value}))
            with self.subTest(dim):
                self.assertEqual(self.ctl(['day', dim], {dim: value}), self.slow(['day', dim], {dim: value}))

    def test_filters_together(self):
        rng = random.Random(5)
        for n, by in enumerate(itertools.islice(itertools.cycle(itertools.permutations(DIMS, 3)), 0, 900, 15)):
            only = self.some(rng, DIMS[1:])
            by = by[:n % 4]
            with self.subTest('%s by %s' % (only, by)):
                want = self.slow(by, only)
                self.assertTrue(want)
                self.assertEqual(self.told(by, only), want)

    def test_over_http(self):
        rng = random.Random(7)
        for key in self.keys:
            own = {'key': key.split('-')[2]}
            for n in range(12):
                only = {k: v for k, v in self.some(rng, DIMS[1:]).items() if v and k not in ('key', 'account')}
                by = rng.sample(DIMS, 1 + n % 3)
                asked = {k: v.split('/')[-1] if k == 'team' else v for k, v in only.items()}
                mine = self.slow(by, {**only, **own})
                account = next(c['account'] for c in self.charges if c['key'] == own['key'])
                if only.get('team') and not only['team'].startswith(account):
                    mine = self.slow(by, {**only, **own, 'team': '%s/%s' % (account, asked['team'])})
                with self.subTest('%s %s by %s' % (key[8:20], asked, by)):
                    self.assertEqual(self.http(key, by, asked), mine)
                    self.assertEqual(self.http(key, by, {**asked, **own, 'account': account}), mine)

    def pages(self, ask, first):
        """All rows of a report that `ask` gives page by page: rows, total, whether there are more, the next page."""
        got, page, totals = [], first, []
        while True:
            rows, total, more, page = ask(page)
            got.append(rows)
            totals.append(total)
            self.assertEqual(more, page is not None)
            if not more:
                break
        self.assertEqual([t for t in totals if t != totals[0]], [])
        return got, totals[0]

    def test_pages_put_together_are_the_whole(self):
        for by in (['day'], ['model'], ['tag'], ['key', 'tag'], ['team', 'model', 'provider', 'tag']):
            whole = self.node.ctl('usage', '--by', ','.join(by))
            self.assertEqual((whole['row_count'], whole['has_more'], whole['next_page']), (len(whole['rows']), False, None))
            for limit in (1, 3, len(whole['rows']), 1000):
                def ask(page):
                    a = self.node.ctl('usage', '--by', ','.join(by), '--limit', str(limit), *(['--page', page] if page else []))
                    self.assertEqual(a['row_count'], len(whole['rows']))
                    return a['rows'], a['total'], a['has_more'], a['next_page']

                with self.subTest('%d rows a page by %s' % (limit, by)):
                    got, total = self.pages(ask, None)
                    self.assertEqual(([len(p) for p in got[:-1]], sum(got, []), total), ([limit] * (len(got) - 1), whole['rows'], whole['total']))

    def test_pages_over_http(self):
        for key in self.keys:
            for by in (['model'], ['tag', 'model'], ['day', 'provider', 'tag']):
                query = {'by': ','.join(by)}
                whole = self.node.ask('GET', '/v1/usage?' + urlencode(query), key=key).json()
                self.assertEqual((whole['has_more'], whole['next_page']), (False, None))
                for limit in (1, 2, 1000):
                    def ask(page):
                        a = self.node.ask('GET', '/v1/usage?' + urlencode({**query, 'limit': limit, **({'page': page} if page else {})}), key=key).json()
                        return a['data'], a['total'], a['has_more'], a['next_page']

                    with self.subTest('%s: %d rows a page by %s' % (key[8:20], limit, by)):
                        got, total = self.pages(ask, None)
                        self.assertEqual(([len(p) for p in got[:-1]], sum(got, []), total), ([limit] * (len(got) - 1), whole['data'], whole['total']))

    def test_no_row_comes_twice_when_others_come_meanwhile(self):
        words = ('usage', '--by', 'account,tag', '--limit', '2')
        first = self.node.ctl(*words)
        for user in ('a before all', 'zz behind all'):
            for key in self.keys[0], self.keys[3]:
                a = self.node.chat(key, next(iter(self.MODELS)), headers=[('x-aigw-user', user)])
                self.assertEqual(a.status, 200, a)
        for account in ('main', 'beta'):
            self.node.settled(account)
        rest, _ = self.pages(lambda page: (lambda a: (a['rows'], a['total'], a['has_more'], a['next_page']))(self.node.ctl(*words, '--page', page)), first['next_page'])
        told = [(r['account'], r['tag']) for r in first['rows'] + sum(rest, [])]
        self.assertEqual(told, sorted(set(told)))
        self.assertIn(('main', 'zz behind all'), told)
        type(self).charges = self.exported()

    def test_what_says_that_rows_are_left_out(self):
        whole = self.node.ctl_raw('usage', '--by', 'key')
        part = self.node.ctl_raw('usage', '--by', 'key', '--limit', '2')
        self.assertNotIn('in all', whole.stdout)
        self.assertRegex(part.stdout, r'(?s)\ntotal .*\nThere are %d rows in all; the next: --page \S+\n$' % len(self.keys))
        csv = self.node.ctl_raw('usage', '--by', 'key', '--limit', '2', '--csv')
        self.assertEqual((len(csv.stdout.splitlines()), csv.stderr), (3, part.stdout.splitlines(True)[-1]))
        rest = self.node.ctl_raw('usage', '--by', 'key', '--csv', '--page', csv.stderr.split()[-1])
        self.assertEqual((len(rest.stdout.splitlines()), rest.stderr), (len(self.keys) - 1, ''))

    def test_no_such_page(self):
        page = self.node.ctl('usage', '--by', 'tag', '--limit', '1')['next_page']
        for words in (('--by', 'key', '--page', page), ('--by', 'tag,key', '--page', page), ('--by', 'tag', '--page', 'x'), ('--by', 'tag', '--page', page[:-2]),
                      ('--by', 'tag', '--page', page + 'AAAA'), ('--page', page), ('--by', 'tag', '--limit', '0'), ('--by', 'tag', '--page', 'A' * 4000)):
            with self.subTest(words):
                self.assertEqual(self.node.ctl_raw('usage', *words).returncode, 2)
        for query, field in (('by=key&page=' + page, 'page'), ('by=tag&page=%25', 'page'), ('by=tag&page=' + 'A' * 3000, 'page'), ('limit=0', 'limit'),
                             ('limit=x', 'limit'), ('limit=-1', 'limit')):
            with self.subTest(query):
                a = self.node.ask('GET', '/v1/usage?' + query, key=self.keys[0])
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'invalid_value', field), a)

    def test_what_cannot_be(self):
        self.assertEqual(self.node.ctl('usage', '--account', 'main', '--team', 'red', '--by', 'team')['rows'],
                         self.node.ctl('usage', '--team', 'main/red', '--by', 'team')['rows'])
        for status, words in ((2, ('--team', 'red')), (4, ('--team', 'green', '--account', 'main')), (4, ('--account', 'nobody')),
                              (4, ('--team', 'nobody/red')), (2, ('--key', 'x'))):
            with self.subTest(words):
                self.assertEqual(self.node.ctl_raw('usage', *words).returncode, status)
        for only in ({'model': 'none'}, {'provider': 'none'}, {'tag': 'an'}, {'account': 'main', 'team': 'beta/red'}):
            with self.subTest(only):
                if 'team' in only:
                    self.assertEqual(self.node.ctl_raw('usage', '--account', 'main', '--team', 'beta/red').returncode, 4)
                else:
                    self.assertEqual(self.told(['model'], only), {})
        for query, field in (('team=green', 'team'), ('account=beta', 'account'), ('key=aaaaaaaaaaaa', 'key'), ('model=' + 'x' * 300, 'model')):
            with self.subTest(query):
                a = self.node.ask('GET', '/v1/usage?' + query, key=self.keys[0])
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'invalid_value', field), a)
        # The one name that is a filter and a credential.
        self.assertEqual(self.node.ask('GET', '/v1/usage?key=' + self.keys[0]).body, self.node.ask('GET', '/v1/usage', key=self.keys[0]).body)


class AtOnce(NodeCase):
    """What a client has seen answered stands in each of its reports at once, though the ledger takes it up to a second later."""
    MODELS = on_both('m', SCRIPT)
    CONFIG = {'durability': 'async'}

    def report(self, path):
        a = self.node.ask('GET', path, key=self.key)
        self.assertEqual(a.status, 200, a)
        return a.json()

    def test_each_answer_is_in_each_report(self):
        began, spent = time.monotonic(), 0
        for n in range(1, 31):
            a = self.node.chat(self.key, 'm-oai', stream=n % 2 == 1, headers=[('x-aigw-user', 'ann')])
            self.assertEqual(a.status, 200, a)
            rid = a.get('x-generation-id')
            spent += nusd(self.report('/v1/generation?id=' + rid)['data']['total_cost'])
            with self.subTest(n):
                u = self.report('/v1/usage?by=model,tag')
                self.assertEqual((u['total']['requests'], nusd(u['total']['cost'])), (n, spent))
                self.assertEqual([(r['model'], r['tag'], r['requests']) for r in u['data']], [('m-oai', 'ann', n)])
                self.assertEqual(nusd(self.report('/v1/dashboard/billing/usage')['total_usage']), 100 * spent)
                self.assertEqual(nusd(self.report('/v1/key')['data']['usage_daily']), spent)
        self.assertLess(time.monotonic() - began, 30)

    def test_who_asks_in_a_loop_makes_the_ledger_write_nothing(self):
        """A report costs no commit: between two of the ledger's own it is read from what waits."""
        self.node.chat(self.key, 'm-oai')
        path = os.path.join(self.node.state, 'ledger', 'data.mdb')
        asked, changes, before = 0, 0, os.stat(path).st_mtime_ns
        until = time.monotonic() + 3
        while time.monotonic() < until:
            self.report('/v1/usage')
            if asked % 20 == 0:
                self.node.chat(self.key, 'm-oai')
            asked += 1
            now = os.stat(path).st_mtime_ns
            changes, before = changes + (now != before), now
        self.assertGreater(asked, 30)
        self.assertIn(changes, range(1, 10)) # one a second, each of two writes, and a checkpoint


if __name__ == '__main__':
    tap.main()
