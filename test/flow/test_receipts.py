"""What a key may read of its own requests and what the operator may: receipts whose arithmetic can be followed by hand, and
that say where they stand in the chain (contract A1, design 3.3)."""
import json
import os
import re
import sys
import threading
from decimal import Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import wait_for
from node import NodeCase, charge_nusd, model, nusd, on_both
import tap

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
PRICE = {'input': '1.75', 'cache_read': '0.175', 'output': '14'}
SCRIPT = 'tokens=4&input=20&cached=8'


def follow(receipt):
    """Computes a receipt's charge from its price row and usage alone, in decimals, and compares it line by line."""
    price, usage = receipt['price'], {k: v for k, v in receipt['usage'].items() if k != 'estimated'}
    counts = dict(usage)
    if 'reasoning' in counts:
        counts['reasoning'] = min(counts['reasoning'], counts.get('output', 0))
        counts['output'] -= counts['reasoning']
    want = [(c, n, Decimal(price['token'][c]) if not price['free'] else Decimal(0)) for c, n in counts.items()]
    if Decimal(price['request']) and not price['free']:
        want.append(('request', 1, Decimal(price['request'])))
    lines = [(line['class'], line['count'], Decimal(line['price'])) for line in receipt['arithmetic']['lines']]
    assert sorted(lines) == sorted(want), (lines, want)
    total = Decimal(0)
    for line in receipt['arithmetic']['lines']:
        assert Decimal(line['amount']) == line['count'] * Decimal(line['price']), line
        total += Decimal(line['amount'])
    assert Decimal(receipt['arithmetic']['sum']) == total, receipt
    scaled = total * Decimal(price['multiplier'])
    assert Decimal(receipt['arithmetic']['times_multiplier']) == scaled, receipt
    rounded = -(-scaled * 10**9 // 1) / 10**9
    assert Decimal(receipt['arithmetic']['rounded_up']) == rounded, (receipt, rounded)
    return rounded


class Receipts(NodeCase):
    MODELS = {**on_both('m', SCRIPT, price=PRICE), **on_both('fails', 'status=500', price=PRICE),
              'by-request': model('oai/sim?tokens=1&input=3', price={'request': '0.01'}),
              'free': model('oai/sim?tokens=2&input=5', price='free'),
              'full': model('oai/sim?status=500', 'oai/sim?tokens=4&input=20&cached=8&reasoning=1&tier=flex', price=PRICE),
              'second': model('oai/sim?status=500', 'ant/sim?tokens=3&input=7', price=PRICE)}

    def receipt(self, rid, key=None):
        """Once it stands in the ledger."""
        def durable():
            a = self.node.ask('GET', '/v1/receipts/' + rid, key=key or self.key)
            assert a.status == 200, a
            return a.json() if a.json()['durable'] else None
        return wait_for(durable, 10, 0.02)

    def ids(self, *names):
        return {(name, stream): self.chat(name, stream).get('x-generation-id') for name in names for stream in (False, True)}

    def test_arithmetic_can_be_followed(self):
        for (name, stream), rid in self.ids('m-oai', 'm-ant', 'by-request', 'free').items():
            with self.subTest(model=name, stream=stream):
                r = self.receipt(rid)
                self.assertEqual(follow(r), Decimal(r['charge']))
                self.assertEqual((r['id'], r['object'], r['account'], r['charged'], r['reversed']), (rid, 'receipt', 'main', True, False))
                self.assertEqual((r['request']['streamed'], r['request']['model'], r['request']['end']), (stream, name, 'done'))
                self.assertEqual((r['uncollected'], r['capped_at_hold']), ('0.0', False))
                self.assertGreaterEqual(Decimal(r['hold']), Decimal(r['charge']))
                self.assertEqual([a['status'] for a in r['attempts']], [200])
                self.assertTrue(0 <= r['attempts'][0]['start_ms'] <= r['request']['total_ms'], r)
                self.assertRegex(r['chain']['hash'], '^[0-9a-f]{64}$')

    def test_charge_is_what_the_answer_said(self):
        a = self.chat('m-oai')
        r = self.receipt(a.get('x-generation-id'))
        used = a.usage
        want = charge_nusd({'input': used['prompt_tokens'] - used['prompt_tokens_details']['cached_tokens'],
                            'cache_read': used['prompt_tokens_details']['cached_tokens'], 'output': used['completion_tokens']}, PRICE)
        self.assertEqual(nusd(r['charge']), want)
        self.assertEqual(nusd(used['cost']), want)
        self.assertEqual(r['usage']['cache_read'], used['prompt_tokens_details']['cached_tokens'])

    def test_providers_own_words(self):
        for stream in (False, True):
            r = self.receipt(self.chat('m-oai', stream).get('x-generation-id'))
            self.assertEqual((r['raw_usage']['prompt_tokens'], r['raw_usage']['completion_tokens']), (20, 4))
            self.assertNotIn('cost', r['raw_usage'])
            raw = self.receipt(self.chat('m-ant', stream).get('x-generation-id'))['raw_usage']
            parts = raw if stream else [raw]
            self.assertEqual(parts[-1]['output_tokens'], 4)
            self.assertEqual(parts[0]['cache_read_input_tokens'], 8)
        self.assertIsNone(self.receipt(self.chat('fails-oai').get('x-generation-id'))['raw_usage'])

    def test_end_user(self):
        key = self.node.customer('tagged')
        rids = [self.node.chat(key, 'm-oai', headers=[('x-aigw-user', tag)]).get('x-generation-id') for tag in ('ann', 'bob', 'ann')]
        self.assertEqual([self.receipt(rid, key)['user'] for rid in rids], ['ann', 'bob', 'ann'])
        g = self.node.ask('GET', '/v1/generation?id=' + rids[1], key=key).json()['data']
        self.assertEqual(g['external_user'], 'bob')
        rows = self.node.ask('GET', '/v1/usage?by=tag', key=key).json()['data']
        self.assertEqual({r['tag']: r['requests'] for r in rows}, {'ann': 2, 'bob': 1})

    def test_failed_attempts_stand_in_it(self):
        r = self.receipt(self.chat('second').get('x-generation-id'))
        self.assertEqual([(a['provider_name'], a['status']) for a in r['attempts']], [('oai', 500), ('ant', 200)])
        self.assertLessEqual(r['attempts'][0]['start_ms'] + r['attempts'][0]['ms'], r['attempts'][1]['start_ms'] + 1)
        a = self.chat('fails-oai')
        r = self.receipt(a.get('x-generation-id'))
        self.assertEqual((r['charge'], r['charged'], r['request']['status']), ('0.0', False, a.status))
        self.assertEqual([a['status'] for a in r['attempts']], [500])

    def test_only_its_own_key_reads_it(self):
        rid = self.chat('m-oai').get('x-generation-id')
        other, sibling = self.node.customer('stranger'), self.node.key('main')
        for path in ('/v1/receipts/' + rid, '/v1/generation?id=' + rid):
            self.assertEqual(self.node.ask('GET', path, key=self.key).status, 200)
            for key in (other, sibling):
                a = self.node.ask('GET', path, key=key)
                self.assertEqual((a.status, a.error['code']), (404, 'not_found'), a)
            self.assertEqual(self.node.ask('GET', path).status, 401)
        for path in ('/v1/receipts/nothing', '/v1/receipts/gen_01m894pjc281kyct0vmr393g84', '/v1/receipts/' + 'x' * 300):
            self.assertEqual(self.node.ask('GET', path, key=self.key).status, 404, path)
        self.assertEqual(self.node.ask('POST', '/v1/receipts/' + rid, {}, self.key).status, 405)

    def test_at_once_and_later(self):
        """The outbox is looked into too: a receipt is there as soon as the answer is."""
        for _ in range(20):
            rid = self.chat('m-oai').get('x-generation-id')
            a = self.node.ask('GET', '/v1/receipts/' + rid, key=self.key)
            self.assertEqual(a.status, 200, a)
            now, later = a.json(), self.receipt(rid)
            self.assertEqual(now['chain'] is None, not now['durable'])
            for r in (now, later):
                r.pop('chain'), r.pop('durable')
            self.assertEqual(now, later)

    def test_generation_holds_the_receipt(self):
        rid = self.chat('m-oai').get('x-generation-id')
        r = self.receipt(rid)
        g = self.node.ask('GET', '/v1/generation?id=' + rid, key=self.key).json()['data']
        self.assertEqual(g['receipt'], r)
        self.assertEqual((g['id'], g['total_cost'], g['tokens_prompt'], g['is_byok']),
                         (rid, Decimal(r['charge']), r['usage']['input'] + r['usage']['cache_read'], False))

    def test_generation_as_clients_of_openrouter_read_it(self):
        """Every member of OpenRouter's answer is there; what there is none of here is null."""
        names = ('id upstream_id request_id model provider_name router service_tier session_id streamed cancelled finish_reason '
                 'native_finish_reason total_cost usage upstream_inference_cost cache_discount is_byok tokens_prompt tokens_completion '
                 'native_tokens_prompt native_tokens_completion native_tokens_reasoning native_tokens_cached latency generation_time '
                 'moderation_latency provider_responses data_region http_referer origin user_agent app_id external_user created_at '
                 'num_fetches num_input_audio_prompt native_tokens_completion_images web_search_engine preset_id workspace_id').split()
        saved = (Decimal(PRICE['input']) - Decimal(PRICE['cache_read'])) * 8 / 10**6
        for (name, stream), rid in self.ids('m-oai', 'm-ant').items():
            self.receipt(rid)
            g = self.node.ask('GET', '/v1/generation?id=' + rid, key=self.key).json()['data']
            self.assertEqual([n for n in names if n not in g], [])
            self.assertEqual((g['request_id'], g['finish_reason'], g['streamed'], g['cancelled']), (rid, 'stop', stream, False))
            self.assertEqual(g['native_finish_reason'], 'end_turn' if name == 'm-ant' else 'stop')
            self.assertEqual((g['receipt']['request']['finish_reason'], g['receipt']['request']['native_finish_reason']),
                             (g['finish_reason'], g['native_finish_reason']))
            self.assertEqual(Decimal(str(g['cache_discount'])), saved)
        rid = self.chat('fails-oai').get('x-generation-id')
        self.receipt(rid)
        g = self.node.ask('GET', '/v1/generation?id=' + rid, key=self.key).json()['data']
        self.assertEqual((g['finish_reason'], g['native_finish_reason'], g['cache_discount']), (None, None, None))

    def test_what_is_known_is_told(self):
        """Of a request about which everything is known, nothing is empty, whoever asks; what no record knows is."""
        def empty(of):
            return {k for k, v in of.items() if v in (None, '')}
        self.node.account('known', '10')
        self.node.ctl('team', 'create', 'crew', '--account', 'known')
        key = self.node.key('known', team='crew', name='mine', budget='5', expires='30d')
        rid = self.node.chat(key, 'full', user='ann').get('x-generation-id')
        r = self.receipt(rid, key)
        self.assertEqual(empty(r) | empty(r['request']) | empty(r['usage']) | empty(r['chain']), set())
        self.assertEqual((r['usage']['tier'], empty(r['price'])), ('flex', {'group'}))
        g = self.node.ask('GET', '/v1/generation?id=' + rid, key=key).json()['data']
        self.assertEqual(empty(g), {'router', 'session_id', 'upstream_inference_cost', 'moderation_latency', 'http_referer', 'user_agent', 'app_id',
                                    'num_media_prompt', 'num_media_completion', 'num_search_results', 'num_fetches', 'num_input_audio_prompt',
                                    'native_tokens_completion_images', 'web_search_engine', 'preset_id', 'workspace_id', 'origin'})
        self.assertEqual((g['service_tier'], g['api_type']), ('flex', 'completions'))
        o = self.node.ctl('request', 'show', rid)
        self.assertEqual((empty(o), o['tier']), ({'group'}, 'flex'))
        self.assertEqual([empty(a) for a in o['attempts']], [set(), {'error'}])
        k = self.node.ask('GET', '/v1/key', key=key).json()['data']
        self.assertEqual(empty(k), {'creator_user_id', 'organization_id', 'workspace_id'})
        self.assertEqual(empty(self.node.ask('GET', '/v1/credits', key=key).json()['data']), set())

    def test_what_it_cost_us_is_not_in_it(self):
        rid = self.chat('m-oai').get('x-generation-id')
        self.receipt(rid)
        text = self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).body.decode()
        self.assertNotIn('cost', text)
        self.assertNotIn('margin', text)

    def test_operator_sees_the_same_and_more(self):
        rid = self.chat('m-oai').get('x-generation-id')
        r = self.receipt(rid)
        o = self.node.ctl('request', 'show', rid)
        self.assertEqual((o['seq'], o['hash']), (r['chain']['seq'], r['chain']['hash']))
        self.assertEqual([(t['class'], t['tokens'], t['each_usd'], t['amount_usd']) for t in o['tokens']],
                         [(line['class'], line['count'], line['price'], line['amount']) for line in r['arithmetic']['lines']])
        self.assertEqual((o['bill']['sum_usd'], o['bill']['exact_usd'], o['bill']['rounded_usd']),
                         (r['arithmetic']['sum'], r['arithmetic']['times_multiplier'], Decimal(r['charge'])))
        self.assertEqual(o['margin_usd'], o['charge_usd'] - o['cost_usd'])
        self.assertEqual((o['price_row']['input_usd_per_million'], o['price_row']['free']), (Decimal('1.75'), False))
        self.assertEqual(o['price'], r['price']['hash'])
        text = self.node.ctl_raw('request', 'show', rid).stdout
        for part in ('rounded up once', r['chain']['hash'], '0.00000175'):
            self.assertIn(part, text)


class NotDurableYet(NodeCase):
    """The ledger is written once a second: until then the receipt says so and has no place in the chain."""
    MODELS = {'m': model('oai/sim?tokens=4&input=20', price=PRICE)}
    CONFIG = {'durability': 'async'}

    def test_from_the_outbox(self):
        seen = []
        for _ in range(5):
            rid = self.chat('m').get('x-generation-id')
            now = self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).json()
            seen.append(now['durable'])
            self.assertEqual(now['chain'] is None, not now['durable'])
            self.assertEqual((now['charge'], follow(now)), ('0.000091', Decimal('0.000091')))
            o = self.node.ctl('request', 'show', rid)
            self.assertEqual(o['charge_usd'], Decimal('0.000091'))
        self.assertIn(False, seen)
        last = wait_for(lambda: (lambda r: r if r['durable'] else None)(self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).json()), 10, 0.05)
        self.assertGreater(last['chain']['seq'], 0)


class Usage(NodeCase):
    """What a key may read of its use and its money: its own, never what others of the account did, nor what it cost us."""
    MODELS = {'one': model('oai/sim?tokens=4&input=20', price=PRICE), 'two': model('ant/sim?tokens=2&input=10', price=PRICE),
              'fails': model('oai/sim?status=500', price=PRICE)}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node.account('acme', '5')
        cls.mine, cls.sibling = cls.node.key('acme', name='mine'), cls.node.key('acme')
        for name in ('one', 'one', 'two', 'fails'):
            cls.node.chat(cls.mine, name)
        cls.node.chat(cls.sibling, 'one')
        cls.cost = {'one': Decimal('0.000091'), 'two': Decimal('0.0000455')}

    def get(self, path, key=None):
        a = self.node.ask('GET', path, key=key or self.mine)
        self.assertEqual(a.status, 200, a)
        return a.json()

    def settled(self, path='/v1/usage', requests=4):
        """Once the ledger has all of them."""
        def found():
            u = self.get(path)
            return u if u['total']['requests'] == requests else None
        return wait_for(found, 10, 0.02)

    def test_total(self):
        u = self.settled()
        self.assertEqual((u['object'], u['account'], u['by'], u['data'], u['since'], u['has_more']), ('usage', 'acme', [], [], None, False))
        t = u['total']
        self.assertEqual((t['requests'], t['failed'], t['tokens_prompt'], t['tokens_completion']), (4, 1, 50, 10))
        self.assertEqual(t['cost'], 2 * self.cost['one'] + self.cost['two'])
        self.assertNotIn('margin', str(u))

    def test_by_model_and_day(self):
        self.settled()
        rows = self.get('/v1/usage?by=model')['data']
        self.assertEqual({r['model']: (r['requests'], r['cost']) for r in rows if r['model'] in self.cost},
                         {'one': (2, 2 * self.cost['one']), 'two': (1, self.cost['two'])})
        rows = self.get('/v1/usage?by=day,model,provider')['data']
        self.assertEqual({(r['model'], r['provider']) for r in rows if r['model'] in self.cost}, {('one', 'oai'), ('two', 'ant')})
        self.assertRegex(rows[0]['day'], r'^\d{4}-\d\d-\d\d$')

    def test_every_member_is_in_the_manual(self):
        """Of receipts, of /v1/generation and of both reports of use."""
        def names(x):
            for k, v in x.items() if isinstance(x, dict) else ():
                yield k
                if k not in ('raw_usage', 'token', 'when', 'price_row', 'receipt'):  # by classes, or told elsewhere
                    yield from names(v)
            for v in x if isinstance(x, list) else ():
                yield from names(v)

        def section(path, name):
            with open(os.path.join(ROOT, path), encoding='utf-8') as f:
                return f.read().split('.SH %s\n' % name)[1].split('\n.SH')[0].replace('\\-', '-')
        key = self.node.customer('reader')
        rid = self.node.chat(key, 'two').get('x-generation-id')
        self.node.record(rid)
        told = section('master/aigwd.8', 'RECEIPTS AND USE')
        classes = {'input', 'output', 'cache_read', 'cache_write_5m'}
        for path in ('/v1/receipts/' + rid, '/v1/generation?id=' + rid, '/v1/usage?by=day,model'):
            with self.subTest(path):
                self.assertEqual({n for n in names(self.get(path, key)) if not re.search(r'\b%s\b' % n, told)} - classes, set())
        told = section('admin-cli/aigwctl.1', 'USAGE AND RECORDS')
        for words in (('usage', '--by', 'day,model', '--margin'), ('request', 'show', rid)):
            with self.subTest(words[0]):
                self.assertEqual({n for n in names(self.node.ctl(*words)) if not re.search(r'\b%s\b' % n, told)} - {'day'}, set())

    def test_by_an_empty_name(self):
        """What has no end user, or what nobody answered, as with `aigwctl usage`; no key is without account."""
        key = self.node.customer('untagged')
        for tag in ('ann', '', ''):
            self.assertEqual(self.node.chat(key, 'one', headers=[('x-aigw-user', tag)] if tag else []).status, 200)
        self.node.chat(key, 'fails')
        self.node.settled('untagged')
        for query in ('tag=', 'tag', 'model=', 'provider=', 'tag=ann', 'provider=oai', 'tag=&provider='):
            with self.subTest(query):
                words = [w for part in query.split('&') for w in ('--' + part.split('=')[0], (part + '=').split('=')[1])]
                told = self.node.ctl('usage', '--account', 'untagged', *words)['total']
                mine = self.get('/v1/usage?' + query, key)['total']
                self.assertEqual((mine['requests'], mine['cost']), (told['requests'], told['charge_usd']))
        self.assertEqual([self.get('/v1/usage?' + q, key)['total']['requests'] for q in ('', 'tag=', 'tag=ann')], [4, 3, 1])
        for name in ('team', 'account', 'key'):
            with self.subTest(name):
                a = self.node.ask('GET', '/v1/usage?%s=' % name, key=key)
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'invalid_value', name), a)
                p = self.node.ctl_raw('usage', '--' + name, '')
                self.assertEqual(p.returncode, 2, p)

    def test_only_its_own(self):
        self.settled()
        for by in ('key', 'account', 'key,model'):
            with self.subTest(by):
                rows = self.get('/v1/usage?by=' + by)['data']
                self.assertEqual(sum(r['requests'] for r in rows), 4)
                self.assertEqual({r.get('account', 'acme') for r in rows}, {'acme'})
        self.assertGreaterEqual(self.get('/v1/usage', self.sibling)['total']['requests'], 1)
        self.assertEqual(self.get('/v1/usage', self.key)['total']['requests'], 0)

    def test_spans(self):
        self.settled()
        for query, n in (('since=1h', 4), ('since=1h&until=2100-01-01', 4), ('until=2020-01-01', 0), ('since=2099-01-01', 0),
                         ('since=2020-01-01T00:00:00Z&until=4000000000', 4)):
            with self.subTest(query):
                self.assertEqual(self.get('/v1/usage?' + query)['total']['requests'], n)
        for query, field in (('since=never', 'since'), ('until=x', 'until'), ('since=1h&until=2h', 'until'), ('by=nothing', 'by'), ('by=' + 'day,' * 30, 'by')):
            with self.subTest(query):
                a = self.node.ask('GET', '/v1/usage?' + query, key=self.mine)
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'invalid_value', field), a)
        self.assertEqual(self.node.ask('GET', '/v1/usage').status, 401)

    def test_dashboard(self):
        """Clients show hard_limit_usd - total_usage / 100 as what is left."""
        self.settled()
        spent = 2 * self.cost['one'] + self.cost['two']
        for prefix in ('/v1', ''):
            s = self.get(prefix + '/dashboard/billing/subscription')
            u = self.get(prefix + '/dashboard/billing/usage?start_date=2020-01-01&end_date=2100-01-01')
            self.assertEqual((s['object'], u['object']), ('billing_subscription', 'list'))
            self.assertEqual(u['total_usage'], 100 * spent)
            self.assertEqual(s['hard_limit_usd'] - u['total_usage'] / 100, Decimal('5') - spent - self.cost['one'])
            self.assertEqual(sum(i['cost'] for d in u['daily_costs'] for i in d['line_items']), u['total_usage'])
            self.assertEqual({i['name'] for d in u['daily_costs'] for i in d['line_items']} - {'', 'fails'}, {'one', 'two'})
            self.assertTrue(all(d['timestamp'] % 86400 == 0 for d in u['daily_costs']))
            self.assertEqual(s['access_until'], 0)
        # What is left does not depend on the dates that a client happens to ask for: only the days do.
        past = self.get('/v1/dashboard/billing/usage?start_date=2019-12-01&end_date=2020-01-01')
        self.assertEqual((past['total_usage'], past['daily_costs']), (100 * spent, []))
        limited = self.node.key('acme', budget='0.5', expires='30d')
        s = self.get('/v1/dashboard/billing/subscription', limited)
        self.assertEqual(s['hard_limit_usd'], Decimal('0.5'))
        self.assertGreater(s['access_until'], 1700000000)

    def test_key_tells_what_it_spent(self):
        self.settled()
        k = self.get('/v1/key')['data']
        spent = 2 * self.cost['one'] + self.cost['two']
        self.assertEqual((k['usage'], k['usage_daily'], k['usage_weekly'], k['usage_monthly']), (spent,) * 4)

    def test_every_scope_is_told(self):
        """Account, team and key, each with its rules; what is left is what the tightest leaves."""
        self.node.account('corp', '5')
        self.node.ctl('account', 'update', 'corp', '--rpm', '100')
        team = self.node.ctl('team', 'create', 'blue', '--account', 'corp', '--budget', '1', '--period', 'total')
        key = self.node.key('corp', team='blue', tpm=5000, budget='2')
        rid = self.node.chat(key, 'one').get('x-generation-id')
        k = self.get('/v1/key', key)['data']
        self.assertEqual((k['team'], k['limit']), ('blue', 2))
        rules = {(r['scope'], r['unit'], r['limit']) for r in k['limits']}
        self.assertEqual(rules, {('account', 'requests', 100), ('team', 'usd', 1), ('key', 'tokens', 5000), ('key', 'usd', 2)})
        self.assertEqual(next(r for r in k['limits'] if r['scope'] == 'team')['used'], self.cost['one'])
        c = self.get('/v1/credits', key)['data']
        self.assertEqual((c['available'], c['limits']), (1 - self.cost['one'], k['limits']))
        self.assertEqual(self.get('/v1/dashboard/billing/subscription', key)['hard_limit_usd'], 1)
        self.assertEqual(self.get('/v1/receipts/' + rid, key)['team'], team['id'])
        rows = wait_for(lambda: self.get('/v1/usage?by=team', key)['data'], 10, 0.02)
        self.assertEqual([(r['requests'], r['cost']) for r in rows], [(1, self.cost['one'])])
        words = [json.loads(line).get('words', '') for line in self.node.ctl_raw('ledger', 'export', '--changes').stdout.splitlines()]
        for part in ('rules of account corp', 'team blue of account corp'):
            self.assertTrue(any(part in w for w in words), words)

    def test_many_ask_at_once(self):
        """Reports of clients are made one after the other; those that find too many waiting are told so, and nobody else waits."""
        self.settled()
        answers = []

        def run():
            for _ in range(10):
                answers.append(self.node.ask('GET', '/v1/usage?by=day,model', key=self.mine).status)
        threads = [threading.Thread(target=run) for _ in range(8)]
        for t in threads:
            t.start()
        rid = self.node.chat(self.sibling, 'one').get('x-generation-id')
        self.assertEqual(self.node.ask('GET', '/v1/receipts/' + rid, key=self.sibling).status, 200)
        for t in threads:
            t.join()
        self.assertEqual(len(answers), 80)
        self.assertLessEqual(set(answers), {200, 503})
        self.assertIn(200, answers)


if __name__ == '__main__':
    tap.main()
