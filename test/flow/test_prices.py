"""Prices with conditions, end to end: the row of the moment and of the prompt's true size is charged, the dearest that could come is held,
and accounts of a group pay their share. The last test of the class has every charge recomputed, its row's choice included."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from node import CtlError, NodeCase, NodePerTest, charge_nusd, chat_body, model, nusd, on_both
import tap

SMALL, LARGE, NIGHT = {'input': 1, 'output': 2}, {'input': 3, 'output': 5}, {'input': '0.5', 'output': '0.5'}
BY_SIZE = [dict(LARGE, when={'min_prompt_tokens': 1000}), SMALL]
SEES = {'input': 1, 'output': 2, 'image': '0.0048'}
SEEKS = {'input': 1, 'output': 2, 'web_search': '0.01'}
FLEX, PRIORITY = {'input': '0.5', 'output': 1}, {'input': 2, 'output': 4}
BY_TIER = [dict(FLEX, when={'service_tier': 'flex'}), dict(PRIORITY, when={'service_tier': 'priority'}), SMALL]
PICTURE = {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,iVBORw0KGgo='}}
TEN_PERCENT_OFF = {'input': '0.9', 'output': '1.8'}


def hours(first, last):
    """A range of the UTC day, in minutes from now."""
    def at(minutes):
        return time.strftime('%H:%M', time.gmtime(time.time() + 60 * minutes))
    return '%s-%s' % (at(first), at(last))


class Prices(NodeCase):
    MODELS = {
        **on_both('small', 'tokens=7&input=1000', price=BY_SIZE),
        **on_both('large', 'tokens=7&input=1001', price=BY_SIZE),
        'cost': model('oai/sim?tokens=7&input=1001', cost=BY_SIZE),
        'cached': model('oai/sim?tokens=7&input=1001&cached=900', price=BY_SIZE),
        'now': model('oai/sim?tokens=7&input=5', price=[dict(NIGHT, when={'hours': hours(-30, 90)}), SMALL]),
        'later': model('oai/sim?tokens=7&input=5', price=[dict(NIGHT, when={'hours': hours(90, 600)}), SMALL]),
        'over': model('oai/sim?tokens=7&input=5', price=[dict(NIGHT, when={'until': '2026-01-01'}), SMALL]),
        'begun': model('oai/sim?tokens=7&input=5', price=[dict(NIGHT, when={'from': '2026-01-01T00:00:00Z'}), SMALL]),
        'gratis': model('oai/sim?tokens=7&input=5', price='free'),
        **on_both('looks', 'tokens=7&input=1000', price=[dict(SEES, when={'min_prompt_tokens': 1000}, image='0.02'), SEES]),
        **on_both('seeks', 'tokens=7&input=1000&searches=3', price=SEEKS),
        **on_both('silent', 'tokens=7&input=1000', price=SEEKS),
        **on_both('greedy', 'tokens=7&input=1000&searches=500', price=SEEKS),
        **on_both('quiet', 'tokens=7&input=1000&searches=0', price=SEEKS),
        'plain': model('oai/sim?tokens=7&input=90', price=BY_TIER),
        'flex': model('oai/sim?tokens=7&input=90&tier=flex', price=BY_TIER),
        'rush': model('oai/sim?tokens=7&input=90&tier=priority', price=BY_TIER),
        'usual': model('oai/sim?tokens=7&input=90&tier=default', price=BY_TIER),
        'rush-ant': model('ant/sim?tokens=7&input=90&tier=priority', price=BY_TIER),
        'mute': model('oai/sim?tokens=7&usage=none&tier=flex', price=BY_TIER),
        'list': model('oai/sim?tokens=1&input=40000', context=4096),
        'falls': model('oai/sim?status=500', 'ant/sim?tokens=7&input=1001', price=BY_SIZE),
    }
    CONFIG = {'groups': {'partner': 0.9, 'dear': 2}, 'retry': {'minimum': 100000}, 'breaker': {'failures': 32, 'requests': 32}}

    def charged(self, name, usage, price, **more):
        a = self.chat(name, **more)
        self.assertEqual(a.status, 200, a)
        r = self.node.record(a.get('x-request-id'))
        self.assertEqual(nusd(r['charge_usd']), charge_nusd(usage, price), r)
        return a, r

    def test_the_true_size_of_the_prompt_decides(self):
        for back in ('oai', 'ant'):
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    _, r = self.charged('small-' + back, {'input': 1000, 'output': 7}, SMALL, stream=stream)
                    self.assertEqual(r['price_row']['when'], 'prompts of 1000 tokens at most')
                    _, r = self.charged('large-' + back, {'input': 1001, 'output': 7}, LARGE, stream=stream)
                    self.assertEqual(r['price_row']['when'], 'prompts of more than 1000 tokens')
        # The whole prompt counts, also what was read from a cache.
        self.charged('cached', {'input': 1001, 'output': 7}, LARGE)

    def test_the_client_is_told_what_it_was_charged(self):
        a, r = self.charged('large-oai', {'input': 1001, 'output': 7}, LARGE)
        self.assertEqual(nusd(a.get('x-aigw-cost-usd')), nusd(r['charge_usd']))
        self.assertEqual(nusd(a.json()['usage']['cost']), nusd(r['charge_usd']))

    def test_what_could_come_is_held(self):
        """A prompt that cannot have more than 1000 tokens holds the cheap row, a longer one the dear one."""
        for words, price in ((100, SMALL), (2000, LARGE)):
            with self.subTest(words):
                a = self.chat('small-oai', text='ab ' * words, max_tokens=100)
                hold = nusd(self.node.record(a.get('x-request-id'))['hold_usd'])
                # a message 8, overhead 96, each word 1
                self.assertEqual(hold, charge_nusd({'input': words + 104, 'output': 100}, price))

    def test_each_text_of_a_list_is_held(self):
        """Each one has a context of its own: 96 for all, 8 for each."""
        lists = {'/v1/completions': {'prompt': [[7] * 4000] * 10, 'max_tokens': 1}, '/v1/embeddings': {'input': [[7] * 4000] * 10}}
        poor = self.node.key('main', credit='0.04')
        for path, fields in lists.items():
            with self.subTest(path):
                body = dict(fields, model='list')
                self.assertEqual(self.node.ask('POST', path, body, poor).error['code'], 'insufficient_credit')
                a = self.node.ask('POST', path, body, self.key)
                self.assertEqual(a.status, 200, a)
                r = self.node.record(a.get('x-request-id'))
                output = 10 * ('prompt' in fields)
                self.assertEqual(nusd(r['hold_usd']), charge_nusd({'input': 40176, 'output': output}, SMALL))
                self.assertLessEqual(nusd(r['charge_usd']), nusd(r['hold_usd']))
                self.assertEqual(r['input'], 40000)

    def test_a_fallback_is_charged_by_its_own_size(self):
        self.charged('falls', {'input': 1001, 'output': 7}, LARGE)

    def test_images_are_charged_each(self):
        for back in ('oai', 'ant'):
            for stream, images in ((False, 1), (True, 3), (False, 0)):
                with self.subTest(back, stream=stream, images=images):
                    text = [{'type': 'text', 'text': 'hi'}] + [PICTURE] * images
                    usage = {'input': 1000, 'output': 7, 'image': images}
                    a, r = self.charged('looks-' + back, usage, SEES, text=text, stream=stream, max_tokens=100)
                    cost = a.data()[-1]['usage']['cost'] if stream else a.json()['usage']['cost']
                    self.assertEqual(nusd(cost), charge_nusd(usage, SEES))
                    # A message 8, overhead 96, one letter pair, 2000 an image: the dear row holds where the prompt could reach it.
                    bound = 105 + 2000 * images
                    held = dict(SEES, image='0.02') if images else SEES
                    self.assertEqual(nusd(r['hold_usd']), charge_nusd({'input': bound, 'output': 100, 'image': images}, held))
                    lines = {t['class']: t for t in r['tokens']}
                    self.assertEqual(lines.get('image', {}).get('tokens', 0), images)
        self.assertEqual(self.node.ask('GET', '/v1/models/looks-oai', key=self.key).json()['pricing']['image'], '0.0048')

    def test_images_by_other_names_are_charged_each(self):
        base64 = PICTURE['image_url']['url'].partition(',')[2]
        image = {'type': 'image', 'source': {'type': 'base64', 'media_type': 'image/png', 'data': base64}}
        for message, images in (({'content': [image, PICTURE, {'type': 'text', 'text': 'hi'}]}, 2), ({'content': 'hi', 'images': [base64, base64]}, 2),
                                ({'content': [{'type': 'image_embeds', 'image_embeds': base64}]}, 1), ({'content': [{'image': base64}]}, 1),
                                ({'content': [{'type': 'text', 'text': 'hi', 'image': base64}]}, 0)):
            with self.subTest(message=message):
                usage = {'input': 1000, 'output': 7, 'image': images}
                _, r = self.charged('looks-oai', usage, SEES, messages=[dict(message, role='user')], max_tokens=100)
                self.assertEqual({t['class']: t for t in r['tokens']}.get('image', {}).get('tokens', 0), images)

    def test_searches_are_charged_each(self):
        """What the provider reports; without a report one an answer, or none where reports are the rule. Five are held, and the context."""
        most = charge_nusd({'input': 128000, 'output': 100, 'web_search': 5}, SEEKS)
        for name, oai, ant in (('seeks', 3, 3), ('silent', 1, 0), ('quiet', 0, 0)):
            for back, searches in (('oai', oai), ('ant', ant)):
                for stream in (False, True):
                    with self.subTest(name, back=back, stream=stream):
                        usage = {'input': 1000, 'output': 7, 'web_search': searches}
                        a, r = self.charged('%s-%s' % (name, back), usage, SEEKS, stream=stream, max_tokens=100,
                                            web_search_options={'search_context_size': 'low'})
                        told = a.data()[-1]['usage'] if stream else a.json()['usage']
                        self.assertEqual((nusd(told['cost']), nusd(r['hold_usd'])), (charge_nusd(usage, SEEKS), most))
        entry = self.node.ask('GET', '/v1/models/seeks-ant', key=self.key).json()
        self.assertEqual(entry['pricing']['web_search'], '0.01')
        self.assertIn('web_search_options', entry['supported_parameters'])

    def test_searches_that_nobody_asked_for_take_no_more_than_there_is(self):
        """They come to more than the hold. The account pays what it has left, its overdraft too; the rest is nobody's debt. A stream that tells of
        them in its middle ends there, at its hold."""
        cost = charge_nusd({'input': 1000, 'output': 7, 'web_search': 500}, SEEKS)
        for name, overdraft in (('greedy-oai', 0), ('greedy-ant', 0), ('greedy-oai', 250000000)):
            for stream in (False, True):
                with self.subTest(name, overdraft=overdraft, stream=stream):
                    poor = 'poor-%s-%d-%d' % (name, overdraft, stream)
                    self.node.account(poor, '0.5', *(('--overdraft', '0.25') if overdraft else ()))
                    a = self.node.chat(self.node.key(poor), name, stream, max_tokens=100)
                    self.assertEqual((a.status, a.is_done if stream else True), (200, True), a)
                    row = self.node.settled(poor)
                    r = self.node.record(a.get('x-request-id'))
                    self.assertLess(nusd(r['hold_usd']), 500000000)
                    ends = stream and name == 'greedy-ant'
                    paid, rest = (nusd(r['hold_usd']), 0) if ends else (500000000 + overdraft, cost - 500000000 - overdraft)
                    self.assertEqual([nusd(row[k + '_usd']) for k in ('balance', 'settled', 'uncollected')], [500000000 - paid, paid, rest])
                    self.assertEqual((nusd(r['charge_usd']), nusd(r['uncollected_usd']), r['capped']), (paid, rest, ends))

    def test_searches_without_a_price_are_refused(self):
        for name in ('small-oai', 'looks-ant', 'gratis'):
            with self.subTest(name):
                self.assertEqual(self.chat(name, web_search_options=None).status, 200)
                a = self.chat(name, web_search_options={})
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'unsupported_parameter', 'web_search_options'))
                self.assertIn('`web_search`', a.error['message'])

    def test_the_tier_that_is_reported_is_charged(self):
        """Without a report the one that was asked for. Held is what may come: any tier where none was asked for."""
        usage, bound = {'input': 90, 'output': 7}, {'input': 105, 'output': 100}
        for name, asked, price, held in (
                ('plain', None, SMALL, PRIORITY), ('plain', 'default', SMALL, SMALL), ('plain', 'flex', FLEX, SMALL),
                ('plain', 'priority', PRIORITY, PRIORITY), ('flex', None, FLEX, PRIORITY), ('flex', 'flex', FLEX, SMALL),
                ('usual', 'priority', SMALL, PRIORITY), ('usual', 'flex', SMALL, SMALL), ('rush', 'auto', PRIORITY, PRIORITY),
                ('rush-ant', None, PRIORITY, PRIORITY)):
            for stream in (False, True):
                with self.subTest(name, asked=asked, stream=stream):
                    fields = {'service_tier': asked} if asked else {}
                    a, r = self.charged(name, usage, price, stream=stream, max_tokens=100, **fields)
                    told = a.data()[-1]['usage'] if stream else a.json()['usage']
                    self.assertEqual((nusd(told['cost']), nusd(r['hold_usd'])), (charge_nusd(usage, price), charge_nusd(bound, held)))
        receipt = self.node.ask('GET', '/v1/receipts/' + a.get('x-request-id'), key=self.key).json()
        self.assertEqual((receipt['usage']['tier'], receipt['price']['when']['tier']), ('priority', 3))
        overrides = self.node.ask('GET', '/v1/models/plain', key=self.key).json()['pricing']['overrides']
        self.assertEqual([(o['service_tier'], o['prompt']) for o in overrides], [('flex', '0.0000005'), ('priority', '0.000002')])

    def test_the_tier_that_is_reported_without_usage(self):
        for stream in (False, True):
            with self.subTest(stream=stream):
                r = self.node.record(self.chat('mute', stream, max_tokens=100, service_tier='priority').get('x-request-id'))
                usage = {t['class']: t['tokens'] for t in r['tokens']}
                self.assertGreater(usage['output'], 0)
                self.assertEqual(nusd(r['charge_usd']), charge_nusd(usage, FLEX), r)

    def test_tiers_without_a_price_are_refused(self):
        for name, tier in (('small-oai', 'flex'), ('small-ant', 'priority'), ('gratis', 'flex'), ('plain', 'scale'), ('rush-ant', 'priority')):
            with self.subTest(name, tier=tier):
                a = self.chat(name, service_tier=tier)
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'unsupported_parameter', 'service_tier'))

    def test_hours_and_dates(self):
        for name, price in (('now', NIGHT), ('later', SMALL), ('over', SMALL), ('begun', NIGHT)):
            with self.subTest(name):
                self.charged(name, {'input': 5, 'output': 7}, price)

    def test_cost_has_conditions_too(self):
        _, r = self.charged('cost', {'input': 1001, 'output': 7}, SMALL)
        self.assertEqual(nusd(r['cost_usd']), charge_nusd({'input': 1001, 'output': 7}, LARGE))
        self.assertEqual(nusd(r['margin_usd']), nusd(r['charge_usd']) - nusd(r['cost_usd']))

    def test_groups(self):
        self.node.account('friends', 5, '--group', 'partner')
        key = self.node.key('friends')
        self.assertEqual(self.node.show('friends')['group'], 'partner')
        _, r = self.charged('small-oai', {'input': 1000, 'output': 7}, TEN_PERCENT_OFF, key=key)
        self.assertEqual(r['price_row']['mult_ppm'], 900000)
        self.assertEqual(nusd(r['cost_usd']), charge_nusd({'input': 1000, 'output': 7}, SMALL))
        self.charged('large-ant', {'input': 1001, 'output': 7}, {'input': '2.7', 'output': '4.5'}, key=key, stream=True)
        self.charged('falls', {'input': 1001, 'output': 7}, {'input': '2.7', 'output': '4.5'}, key=key)  # the second offer at the same prices
        self.charged('gratis', {}, {}, key=key)
        a = self.node.ask('GET', '/v1/models/large-oai', key=key)
        self.assertEqual(a.json()['pricing']['prompt'], '0.0000009')
        self.assertEqual([(o['min_prompt_tokens'], o['prompt']) for o in a.json()['pricing']['overrides']], [(1000, '0.0000027')])
        for words in (('update', 'friends'), ('create', 'others')):
            with self.assertRaises(CtlError) as refused:
                self.node.ctl('account', *words, '--group', 'prtner')
            self.assertEqual((refused.exception.status, refused.exception.error['message']), (4, "the configuration has no group 'prtner'"))
        # From the next request on.
        for group, price in (('dear', {'input': 2, 'output': 4}), ('none', SMALL)):
            self.node.ctl('account', 'update', 'friends', '--group', group)
            self.charged('small-oai', {'input': 1000, 'output': 7}, price, key=key)
        self.assertIsNone(self.node.show('friends')['group'])
        self.assertEqual(self.node.ask('GET', '/v1/models/small-oai', key=key).json()['pricing']['prompt'], '0.000001')


class Reload(NodePerTest):
    """Rows of the old and of the new configuration, multiplied and not, stay known to the ledger: every charge can be recomputed."""
    MODELS = {'m': model('oai/sim?tokens=100&rate=100&input=1500', price=BY_SIZE)}
    CONFIG = {'groups': {'old': 0.5, 'new': 1}}

    def charge(self, key):
        r = self.node.record(self.node.chat(key, 'm', max_tokens=100).get('x-request-id'))
        return nusd(r['charge_usd'])

    def test_a_running_request_keeps_its_price(self):
        self.begin()
        usage = {'input': 1500, 'output': 100}
        for name in ('old', 'new'):
            self.node.account(name, 5, '--group', name)
        old, new = self.node.key('old'), self.node.key('new')
        self.assertEqual([self.charge(old), self.charge(new)], [charge_nusd(usage, {'input': '1.5', 'output': '2.5'}), charge_nusd(usage, LARGE)])
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('m', True, max_tokens=100), key=old)
            head = c.head()
            self.node.configure(groups={'old': None, 'new': 0.1}, models={'m': {'price': [dict(SMALL, when={'min_prompt_tokens': 7}), NIGHT]}})
            self.node.ctl('reload')
            b''.join(c.parts(head))
        r = self.node.record(head.get('x-request-id'))
        self.assertEqual(nusd(r['charge_usd']), charge_nusd(usage, {'input': '1.5', 'output': '2.5'}))
        self.assertEqual([self.charge(old), self.charge(new)], [charge_nusd(usage, SMALL), charge_nusd(usage, {'input': '0.1', 'output': '0.2'})])
        self.assertRegex(self.node.ctl_raw('config', 'show').stdout, r'(?m)^groups:\n  new: "?0\.1"?$')
        self.check_books()


class Margin(NodeCase):
    """What we earn is the price less all that providers took, attempts that were lost to failover included."""
    COSTS = {'ant': {'input': 7, 'output': 9}, 'oai': {'input': 3, 'output': 4}}
    MODELS = {
        'lost': model(offers={'ant/sim?tokens=9&input=33&fault=cut@0': {'priority': 1, 'cost': COSTS['ant']},
                              'oai/sim?tokens=4&input=20': {'priority': 2, 'cost': COSTS['oai']}}),
        'all': model(offers={'ant/sim?tokens=9&input=33&fault=cut@0': {'cost': COSTS['ant']}}),
        'gone': model(offers={'oai/sim?status=500': {'cost': COSTS['oai']}}),
    }
    CONFIG = {'retry': {'minimum': 100000}, 'breaker': {'failures': 32, 'requests': 32}}

    def test_lost_attempts_are_in_the_cost(self):
        key = self.node.customer('margins', 5)
        ids = [self.chat(name, True, key=key).get('x-request-id') for name in ('lost', 'lost', 'all', 'gone')]
        records = [self.node.record(i) for i in ids]
        won = charge_nusd({'input': 20, 'output': 4}, self.COSTS['oai'])
        for r in records[:2]:
            self.assertGreater(nusd(r['cost_usd']), won)
            self.assertEqual(nusd(r['charge_usd']), charge_nusd({'input': 20, 'output': 4}, {'input': 1, 'output': 2}))
        self.assertEqual([nusd(r['charge_usd']) for r in records[2:]], [0, 0])
        self.assertGreater(nusd(records[2]['cost_usd']), 0)
        self.assertEqual(nusd(records[3]['cost_usd']), 0)
        for r in records:
            self.assertEqual(nusd(r['cost_usd']), sum(nusd(t['cost_usd']) for t in r['attempts']))
            self.assertEqual(nusd(r['margin_usd']), nusd(r['charge_usd']) - nusd(r['cost_usd']))
        for by in ('model', 'provider', 'key', 'account', 'day', 'model,provider'):
            with self.subTest(by):
                u = self.node.ctl('usage', '--by', by, '--account', 'margins', '--margin')
                for row in u['rows'] + [u['total']]:
                    self.assertEqual(nusd(row['margin_usd']), nusd(row['charge_usd']) - nusd(row['cost_usd']))
                for field in ('charge_usd', 'cost_usd'):
                    self.assertEqual(sum(nusd(r[field]) for r in u['rows']), sum(nusd(r[field]) for r in records))
                    self.assertEqual(nusd(u['total'][field]), sum(nusd(r[field]) for r in records))
        rows = {r['model']: r for r in self.node.ctl('usage', '--by', 'model', '--account', 'margins', '--margin')['rows']}
        self.assertEqual(nusd(rows['lost']['cost_usd']), sum(nusd(r['cost_usd']) for r in records[:2]))
        self.assertLess(nusd(rows['all']['margin_usd']), 0)


class Told(NodeCase):
    """aigwctl model price: the same rows and sums as a charge."""
    MODELS = {
        'm': model('oai/sim?tokens=7&input=5&cached=2', price=[
            {'when': {'min_prompt_tokens': 200000}, 'input': 6, 'output': '22.5', 'cache_read': '0.6'},
            {'when': {'hours': '16:30-00:30'}, 'input': '1.5', 'output': '7.5'},
            {'input': 3, 'output': 15, 'cache_read': '0.3', 'request': '0.001'}],
            offers={'oai/sim?tokens=7&input=5&cached=2': {}, 'ant/sim': {'price': {'input': 9, 'output': 9}}}),
        'n': model('oai/sim?tokens=7&input=9', offers={'oai/sim?tokens=7&input=9': {}, 'ant/sim': {'price': {'input': 8, 'output': 8}, 'priority': 2}}),
        't': model('oai/sim', price=BY_TIER),
        'flat': model('oai/flat', price={'input': 3, 'output': 15}),
        'heard': model('oai/heard', price={'input': 3, 'output': 15, 'input_audio': 40, 'output_audio': 80, 'output_image': 30}),
    }
    CONFIG = {'groups': {'partner': '0.9'}}

    def price(self, name, *words):
        return self.node.ctl('model', 'price', name, *words)

    def test_line_by_line(self):
        p = self.price('m', '--usage', 'input=1000,cache_read=200', '--usage', 'output=50,reasoning=20', '--at', '2026-12-01T12:00:00Z')
        self.assertEqual([(r['class'], r['tokens'], r['each_usd'], r['amount_usd']) for r in p['lines']], [
            ('input', 1000, '0.000003', '0.003'), ('cache_read', 200, '0.0000003', '0.00006'), ('output', 30, '0.000015', '0.00045'),
            ('reasoning', 20, '0.000015', '0.0003'), ('request', 1, '0.001', '0.001')])
        self.assertEqual((p['bill']['sum_usd'], nusd(p['bill']['rounded_usd'])), ('0.00481', 4810000))
        self.assertEqual((p['rows'], p['input'], p['at']), (4, 1200, '2026-12-01T12:00:00Z'))
        self.assertEqual(p['why'], 'of 4 rows the one for prompts of 200000 tokens at most, 00:30-16:30 UTC: 1200 tokens of input at '
                         '2026-12-01T12:00:00Z')

    def test_reasoning_is_a_part_of_output(self):
        for usage in ('reasoning=5', 'input=9,output=4,reasoning=5'):
            with self.subTest(usage), self.assertRaises(CtlError) as caught:
                self.price('flat', '--usage', usage)
            self.assertEqual(caught.exception.status, 2)
            self.assertIn('give output=5 or more', caught.exception.error['message'])

    def test_rows_of_a_moment_and_a_size(self):
        for usage, at, first in (('input=200000', '12:00', '0.000003'), ('input=200001', '12:00', '0.000006'), ('input=199000,cache_write=2000', '12:00', '0.000006'),
                                 ('input=1', '16:29', '0.000003'), ('input=1', '16:30', '0.0000015'), ('input=1', '00:29', '0.0000015'),
                                 ('input=1', '00:30', '0.000003')):
            with self.subTest(usage, at=at):
                p = self.price('m', '--usage', usage, '--at', '2026-12-01T%s:00Z' % at)
                self.assertEqual(p['lines'][0]['each_usd'], first)
        self.assertEqual(len(self.price('m')['price_rows']), 4)
        self.assertEqual(self.price('flat', '--usage', 'output=1')['why'], 'the price has one row')

    def test_tiers(self):
        for tier, exact in (('tier=flex', '0.0000005'), ('tier=priority', '0.000002'), ('tier=standard', '0.000001')):
            p = self.price('t', '--usage', 'input=1,' + tier)
            self.assertEqual(p['bill']['exact_usd'], exact)
        self.assertIn('service tier standard', p['why'])

    def test_groups_and_offers(self):
        p = self.price('flat', '--usage', 'input=1', '--group', 'partner')
        self.assertEqual((p['multiplier'], p['bill']['exact_usd'], nusd(p['bill']['rounded_usd'])), ('0.9', '0.0000027', 2700))
        p = self.price('oai/flat', '--usage', 'input=1')
        self.assertEqual((p['offer'], p['bill']['exact_usd']), ('flat', '0.000003'))

    def test_it_is_what_is_charged(self):
        """The row that a charge names is the row that is shown, hash and all."""
        r = self.node.record(self.chat('n').get('x-request-id'))
        p = self.price('n', '--usage', 'input=%d,output=%d' % (r['input'], r['output']))
        self.assertEqual((p['price_rows'][0]['price'], nusd(p['bill']['rounded_usd'])), (r['price'], nusd(r['charge_usd'])))

    def test_the_table_has_what_is_in_the_row(self):
        """A class of audio or images is a column where its price is not that of its fallback."""
        shown = self.node.ctl_raw('model', 'price', 'heard').stdout
        for name, value in (('INPUT AUDIO', '40'), ('OUTPUT AUDIO', '80'), ('OUTPUT IMAGE', '30')):
            self.assertIn(name + ' $/M', shown)
            self.assertRegex(shown, r'\b%s\b' % value)
        self.assertNotIn('INPUT IMAGE', shown)
        self.assertNotIn('AUDIO', self.node.ctl_raw('model', 'price', 'flat').stdout)

    def test_what_is_refused(self):
        for words, status in ((('m', '--usage', 'inptu=3'), 2), (('m', '--usage', 'input=3,tier=scale'), 2), (('m', '--usage', 'input=3,input=4'), 2), (('m', '--usage', 'input=-1'), 2),
                              (('m', '--usage', 'input'), 2), (('nobody',), 4), (('m', '--group', 'nobody'), 4), (('ant/sim',), 4)):
            with self.subTest(words):
                self.assertEqual(self.node.ctl_raw('model', 'price', *words).returncode, status)


if __name__ == '__main__':
    tap.main()
