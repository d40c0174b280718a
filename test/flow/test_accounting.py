"""Design 3.1 to 3.3, sentence by sentence: what a request holds, what it is charged, what is free, and what is refused because nobody
priced it."""
from decimal import Decimal
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, ask
from gateway import wait_for
from node import BACKS, Node, NodeCase, chat_body, charge_nusd, model, nusd, on_both
import tap

PRICE = {'input': 1, 'output': 2}
WIDE = {'max_output': 20000, 'context': 200000}


def cap_sent(sim):
    """(field, value) of the cap in the last request that the provider got; None: it had none."""
    body = json.loads(sim.last()[2])
    found = [(k, body[k]) for k in ('max_tokens', 'max_completion_tokens') if k in body]
    assert len(found) < 2, body
    return found[0] if found else None


class Case:
    def refused(self, a, status, code, param=None):
        self.assertEqual((a.status, a.error['code']), (status, code), a)
        if param:
            self.assertEqual(a.error['param'], param, a)
        return a.error

    def record(self, a):
        return self.node.record(a.get('x-request-id'))

    def held(self, name):
        """What an account holds as soon as it holds something."""
        def found():
            a = self.node.show(name)
            return a if a['holds'] else None
        return nusd(wait_for(found, 5, 0.01)['held_usd'])


class Fields(Case, NodeCase):
    """3.1: each price-bearing field is priced, forced or refused by name; on both backs nothing of what is refused goes up."""
    MODELS = on_both('m', 'tokens=2&input=5', input=100, output=1000)

    def test_refused_by_name(self):
        self.sim.reset()
        tool = {'type': 'function', 'function': {'name': 'f'}}
        for back in BACKS:
            for field, value, param in (
                    ('service_tier', 'flex', None), ('service_tier', 'priority', None), ('service_tier', 'scale', None),
                    ('speed', 'fast', None), ('inference_geo', 'us', None), ('web_search_options', {}, None),
                    ('search_parameters', {'mode': 'on'}, None), ('enable_search', True, None), ('plugins', [{'id': 'web'}], None),
                    ('mcp_servers', [{'url': 'http://x'}], None), ('container', 'c', None),
                    ('compound_custom', {'tools': {'enabled_tools': ['web_search']}}, None), ('enable_code_interpreter', True, None),
                    ('data_sources', [{'type': 'azure_search'}], None), ('deferred', True, None), ('background', True, None),
                    ('tools', [tool, {'type': 'web_search_20250305', 'name': 'web_search'}], 'tools[1].type'),
                    ('tools', [{'type': 'code_interpreter'}], 'tools[0].type')):
                with self.subTest(back=back, field=field, value=value):
                    a = self.chat('m-' + back, **{field: value})
                    e = self.refused(a, 400, 'unsupported_parameter', param or field)
                    self.assertIn(param or field, e['message'])
        self.assertEqual(self.sim.requests(), [])

    def test_tools_without_a_known_type(self):
        """What is not surely a function may be a tool that the provider runs: unpriced, on whichever back."""
        self.sim.reset()
        f = '"function": {"name": "f"}'
        for back in BACKS:
            for tools, param in (
                    ('[{%s}, {"google_search": {}}]' % f, 'tools[1].type'), ('[{"type": null, "name": "web_search"}]', 'tools[0].type'),
                    ('[{"name": "f"}]', 'tools[0].type'), ('[[{"type": "web_search"}]]', 'tools[0]'), ('["web_search"]', 'tools[0]'),
                    ('{"type": "web_search"}', 'tools'), ('[], "tools": [{"type": "web_search"}]', 'tools'),
                    ('[{"type": "function", "type": "web_search", %s}]' % f, 'tools[0].type'),
                    ('[{"type": "function", "Type": "web_search", %s}]' % f, 'tools[0].type'),
                    ('[], "functions": [{"google_search": {}}]', 'functions[0].name')):
                with self.subTest(back=back, tools=tools):
                    body = json.dumps(chat_body('m-' + back))[:-1] + ', "tools": %s}' % tools
                    a = self.node.ask('POST', '/v1/chat/completions', body.encode(), self.key)
                    self.assertEqual((a.status, a.error['type'], a.error['param']), (400, 'invalid_request_error', param), a)
                    self.assertIn("'%s'" % param, a.error['message'])
        self.assertEqual(self.sim.requests(), [])
        for back in BACKS:
            for tools in (None, [], [{'function': {'name': 'f'}}], [{'type': None, 'function': {'name': 'f'}}],
                          [{'type': 'function', 'function': {'name': 'f'}}]):
                with self.subTest(back=back, tools=tools):
                    self.assertEqual(self.chat('m-' + back, tools=tools).status, 200)

    def test_a_file_by_its_address_has_no_anthropic_form(self):
        self.sim.reset()
        part = {'type': 'file', 'file': {'filename': 'a.pdf', 'file_data': 'https://x.example/a.pdf'}}
        a = self.chat('m-ant', max_tokens=1, messages=[{'role': 'user', 'content': [part]}])
        self.refused(a, 400, 'invalid_value', 'messages[0].content[0].file.file_data')
        self.assertEqual(self.sim.requests(), [])

    def test_ordinary_values_are_taken(self):
        for back in BACKS:
            for field, value in (('service_tier', 'auto'), ('service_tier', 'default'), ('enable_search', False), ('plugins', []), ('n', 1), ('deferred', None),
                                 ('background', False)):
                with self.subTest(back=back, field=field, value=value):
                    a = self.chat('m-' + back, **{field: value})
                    self.assertEqual(a.status, 200, a)

    def hold_of(self, name, **fields):
        """The answer to somebody who has 0.25 dollars, which are 250 tokens of output, the input's bound included."""
        return self.chat('m-oai', key=self.node.customer(name, '0.25'), **fields)

    def test_n_and_best_of_multiply_the_hold(self):
        # 100 tokens of output are 0.1 dollars, the input bound is below 0.02.
        for name, fields, n in (('n1', {'max_tokens': 100}, 1), ('n2', {'max_tokens': 100, 'n': 2}, 2), ('n3', {'max_tokens': 100, 'n': 3}, 3)):
            with self.subTest(name):
                a = self.hold_of(name, **fields)
                if n < 3:
                    self.assertEqual(a.status, 200, a)
                else:
                    e = self.refused(a, 402, 'insufficient_credit')
                    self.assertTrue(70 <= e['metadata']['affordable_tokens'] <= 83, a)
        key = self.node.customer('best', '0.25')
        body = {'model': 'm-oai', 'prompt': 'hi', 'max_tokens': 100, 'n': 1, 'best_of': 3}
        self.refused(self.node.ask('POST', '/v1/completions', body, key), 402, 'insufficient_credit')
        body['prompt'] = ['a', 'b', 'c']
        del body['best_of']
        self.refused(self.node.ask('POST', '/v1/completions', body, key), 402, 'insufficient_credit')
        body['prompt'] = 'hi'
        self.assertEqual(self.node.ask('POST', '/v1/completions', body, key).status, 200)

    def test_what_stands_elsewhere_holds_the_context(self):
        """A small budget gets no document of any size, and no text in a place where none is expected."""
        key, url = self.node.key('main', budget='0.1', period='total'), 'https://x.example/a.pdf'
        self.assertEqual(self.chat('m-oai', key=key, max_tokens=1).status, 200)
        for name, content, role in (
                ('document_url', [{'type': 'document_url', 'document_url': url}], 'user'),
                ('file_data', [{'type': 'file', 'file': {'filename': 'a.pdf', 'file_data': url}}], 'user'),
                ('file_url', [{'type': 'input_file', 'file_url': url}], 'user'),
                ('input_audio', [{'type': 'input_audio', 'input_audio': url}], 'user'),
                ('source', [{'type': 'image', 'source': {'type': 'url', 'url': url}}], 'user'),
                ('role', 'hi', 'word ' * 1000), ('name', [{'type': 'text', 'text': 'x', 'word ' * 1000: 1}], 'user')):
            with self.subTest(name):
                a = self.chat('m-oai', key=key, max_tokens=1, messages=[{'role': role, 'content': content}])
                self.refused(a, 402, 'budget_exceeded')

    def test_a_document_holds_the_context(self):
        """Few bytes may be many pages, whatever they are called; a text counts by its bytes."""
        key = self.node.key('main', budget='0.1', period='total')
        for back in BACKS:
            for data, status in (('data:application/pdf;base64,JVBERi0xLjQK', 402), ('data:text/plain;base64,JVBERi0xLjQK', 402),
                                 ('JVBERi0xLjQK', 402), ('data:text/plain;base64,aGkgaGkg', 200)):
                with self.subTest(back=back, data=data):
                    part = {'type': 'file', 'file': {'filename': 'a', 'file_data': data}}
                    a = self.chat('m-' + back, key=key, max_tokens=1, messages=[{'role': 'user', 'content': [part]}])
                    self.assertEqual(a.status, status, a)
                    if status == 402:
                        self.refused(a, 402, 'budget_exceeded')

    def test_prediction_is_held_as_output(self):
        """What of it is rejected comes as output beside the cap."""
        words = {'type': 'content', 'content': '1 2 3 4 5 6 7 8 9 0 ' * 20}
        self.assertEqual(self.hold_of('plain', max_tokens=100).status, 200)
        self.refused(self.hold_of('predicted', max_tokens=100, prediction=words), 402, 'insufficient_credit')


class Caps(Case, NodeCase):
    """3.2: the cap that goes up, and what it is named."""
    MODELS = {
        **on_both('wide', 'tokens=2&input=5', input=1, output=10, **WIDE),
        **on_both('small', 'tokens=2&input=5', input=1, output=10, max_output=300, context=200000),
        'thinks': model('oai/sim?tokens=2&input=5', input=1, output=10, capabilities=['chat', 'reasoning'], **WIDE),
        'least': model('oai/sim?tokens=2&input=5', input=1, output=10, min_output=50, **WIDE),
        'completion': model(offers={'oai/sim?tokens=2&input=6': {'cap_field': 'max_completion_tokens'}}, input=1, output=10, **WIDE),
        'two': model('oai/sim?tokens=2&input=5', 'ant/sim?tokens=2&input=5', offers={
            'oai/sim?tokens=2&input=7': {'priority': 1, 'price': {'input': 100, 'output': 1000}},
            'ant/sim?tokens=2&input=7': {'priority': 2}}, input=1, output=10, **WIDE),
        'run': model('oai/sim?tokens=20&rate=20&input=5', input=1, output=10, **WIDE),
        'gratis': model('oai/sim?tokens=2&input=5', price='free', fallbacks=['wide-ant'], **WIDE),
        'gratis-down': model('oai/sim?status=500', price='free', fallbacks=['wide-ant'], **WIDE),
    }

    def test_ample_credit_lowers_nothing(self):
        for back in BACKS:
            a = self.chat('wide-' + back)
            self.assertIsNone(a.get('x-aigw-max-tokens-clamped'))
            self.assertEqual(cap_sent(self.sim), ('max_tokens', 20000))
            a = self.chat('wide-' + back, max_tokens=30000)
            self.assertEqual((a.status, a.get('x-aigw-max-tokens-clamped')), (200, None), a)
            self.assertEqual(cap_sent(self.sim), ('max_tokens', 30000), 'a given cap is never changed')

    def test_the_clients_field_or_the_offers(self):
        self.chat('wide-oai', max_completion_tokens=7)
        self.assertEqual(cap_sent(self.sim), ('max_completion_tokens', 7))
        self.chat('wide-ant', max_completion_tokens=7)
        self.assertEqual(cap_sent(self.sim), ('max_tokens', 7))
        for fields, value in (({}, 20000), ({'max_tokens': 9}, 9), ({'max_completion_tokens': 8}, 8)):
            self.chat('completion', **fields)
            self.assertEqual(cap_sent(self.sim), ('max_completion_tokens', value))

    def test_an_eighth_of_the_credit(self):
        """Without a cap: what 1/8 of the available pays of output, 10 dollars a million."""
        for credit, cap in (('1', 12500), ('0.5', 6250), ('0.05', 1024)):
            for back in BACKS:
                with self.subTest(credit, back=back):
                    key = self.node.customer('eighth-%s-%s' % (credit, back), credit)
                    a = self.chat('wide-' + back, key=key)
                    self.assertEqual((a.status, a.get('x-aigw-max-tokens-clamped')), (200, str(cap)), a)
                    self.assertEqual(cap_sent(self.sim), ('max_tokens', cap))
                    self.assertEqual(self.chat('small-' + back, key=key).get('x-aigw-max-tokens-clamped'), None)
                    self.assertEqual(cap_sent(self.sim), ('max_tokens', 300))

    def test_the_budget_counts_like_the_credit(self):
        """The tightest money scope decides."""
        key = self.node.customer('tightest', '1000', budget='0.5')
        a = self.chat('wide-oai', key=key)
        self.assertEqual((a.status, a.get('x-aigw-max-tokens-clamped')), (200, '6250'), a)
        e = self.refused(self.chat('wide-oai', key=key, max_tokens=60000), 402, 'budget_exceeded')
        affordable = e['metadata']['affordable_tokens']
        self.assertEqual(self.chat('wide-oai', key=key, max_tokens=affordable + 100).status, 402)
        self.assertEqual(self.chat('wide-oai', key=key, max_tokens=affordable).status, 200)

    def test_at_least_so_much(self):
        """min_output: 1,024, reasoning 4,096, the thinking budget + 1, the model's own; never less, then 402."""
        for name, m, fields, least in (('a', 'wide-oai', {}, 1024), ('b', 'thinks', {}, 4096), ('c', 'wide-oai', {'reasoning_effort': 'high'}, 4096),
                                       ('d', 'wide-oai', {'thinking': {'type': 'enabled', 'budget_tokens': 5000}}, 5001), ('e', 'least', {}, 50)):
            with self.subTest(name):
                credit = (least + 40) * 10 // 1000 + 1  # thousandths of a dollar: the least and the input, not eight times that
                key = self.node.customer('least-' + name, '0.%03d' % credit)
                a = self.chat(m, key=key, **fields)
                self.assertEqual((a.status, a.get('x-aigw-max-tokens-clamped')), (200, str(least)), a)
                poor = self.node.customer('poor-' + name, '0.%06d' % ((least - 1) * 10))
                self.refused(self.chat(m, key=poor, **fields), 402, 'insufficient_credit')

    def test_clamp_by_header_or_by_key(self):
        self.node.account('clamp', '0.1')
        plain, always = self.node.key('clamp'), self.node.key('clamp', clamp='on')
        for key, headers, status in ((plain, (), 402), (always, (), 200), (plain, [('x-aigw-clamp', '1')], 200), (plain, [('x-aigw-clamp', '0')], 402)):
            a = self.chat('wide-oai', key=key, max_tokens=15000, headers=headers)
            self.assertEqual(a.status, status, a)
            if status == 200:
                clamped = int(a.get('x-aigw-max-tokens-clamped'))
                self.assertTrue(9000 < clamped < 10000, clamped)
                self.assertEqual(cap_sent(self.sim), ('max_tokens', clamped))

    def test_a_clamp_goes_no_lower_than_min_output(self):
        """Half of an answer serves nobody: below what a request without a cap gets at least it is refused as without the clamp."""
        least = nusd(self.node.record(self.chat('wide-oai', max_tokens=1024).get('x-request-id'))['hold_usd'])
        for name, credit, status, clamped in (('bound', least, 200, '1024'), ('below', least - 1, 402, None)):
            with self.subTest(name):
                key = self.node.customer(name, '%.9f' % Decimal(credit).scaleb(-9), clamp='on')
                a = self.chat('wide-oai', key=key, max_tokens=4000)
                self.assertEqual((a.status, a.get('x-aigw-max-tokens-clamped')), (status, clamped), a)
        # What was asked for is less than that: it is the bound.
        self.assertEqual(a.error['metadata']['affordable_tokens'], 1023)
        self.assertEqual(self.chat('wide-oai', key=key, max_tokens=1023).status, 200)

    def test_candidates_that_the_credit_does_not_cover_are_dropped(self):
        """402 only when none is left; an offer's own price is what is charged there."""
        price = {'input': 100, 'output': 1000}
        a = self.chat('two', max_tokens=100)
        self.assertEqual((a.get('x-aigw-provider'), nusd(a.usage['cost'])), ('oai', charge_nusd({'input': 7, 'output': 2}, price)), a)
        key = self.node.customer('frugal', '0.01')
        a = self.chat('two', key=key, max_tokens=100)
        self.assertEqual((a.status, a.get('x-aigw-provider'), a.get('x-aigw-attempts')), (200, 'ant', '1'), a)
        self.assertEqual(nusd(a.usage['cost']), charge_nusd({'input': 7, 'output': 2}, {'input': 1, 'output': 10}))
        self.refused(self.chat('two', key=key, max_tokens=1000), 402, 'insufficient_credit')

    def test_free_is_a_price(self):
        """No hold, no credit check; limits and records as ever. Its fallbacks cost what they cost."""
        key = self.node.customer('penniless', '0', rpm=3)
        for _ in range(2):
            a = self.chat('gratis', key=key)
            self.assertEqual((a.status, a.get('x-aigw-max-tokens-clamped'), nusd(a.usage['cost'])), (200, None, 0), a)
        self.assertEqual(nusd(self.record(a)['hold_usd']), 0)
        self.assertEqual(self.chat('gratis-down', key=key).status, 502)
        self.refused(self.chat('gratis', key=key), 429, 'rate_limit_exceeded')
        a = self.chat('gratis-down')
        self.assertEqual((a.status, a.get('x-aigw-model')), (200, 'wide-ant'), a)
        self.assertEqual(nusd(a.usage['cost']), charge_nusd({'input': 5, 'output': 2}, {'input': 1, 'output': 10}))
        self.assertEqual(self.node.ctl('usage', '--account', 'penniless')['total']['requests'], 3)

    def test_the_hold_is_the_dearest_of_those_left(self):
        """Input bound x dearest input class + cap x output price, until it is settled."""
        key = self.node.customer('watched', '5')
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('run', True, text='one two', max_tokens=1000), key=key)
            head = c.head()
            held = self.held('watched')
            b''.join(c.parts(head))
        # overhead 96, a message 8, "one" 2, "two" 2
        self.assertEqual(held, charge_nusd({'input': 96 + 8 + 4, 'output': 1000}, {'input': 1, 'output': 10}))
        a = self.node.settled('watched')
        self.assertEqual(nusd(a['held_usd']), 0)


class Overloaded(Node):
    """With two more providers, whose keys rest after an error item that says so: nobody else's do."""

    def make(self):
        made = super().make()
        made['providers'].update(busy=made['providers']['ant'], full=made['providers']['ant'])
        return made


class Charges(Case, NodeCase):
    """3.3: who pays for what."""
    NODE = Overloaded
    MODELS = {
        **on_both('empty', 'tokens=0&input=20'),
        **on_both('zero', 'tokens=4&usage=zero'),
        **on_both('unsaid', 'tokens=40&usage=none'),
        **on_both('mute', 'tokens=10&usage=none', **{'input': 0}),
        'summed': model('oai/sim?tokens=40&input=20&usage=total'),
        **on_both('error', 'status=500'),
        'item-oai': model('oai/sim?tokens=20&input=20&fault=error_item@10'),
        'item-ant': model('full/sim?tokens=20&input=20&fault=error_item@10'),
        **on_both('hang', 'tokens=20&input=20&fault=silent'),
        **on_both('run', 'tokens=200&rate=100&input=20'),
        **on_both('run-zero', 'tokens=200&rate=100&usage=zero'),
        'muses': model('ant/sim?tokens=5&input=20&fault=stall@0'),
        'lost': model('busy/sim?tokens=9&input=33&fault=error_item@0', 'oai/sim?tokens=4&input=20',
                      offers={'busy/sim?tokens=9&input=33&fault=error_item@0': {'priority': 1, 'cost': {'input': 7, 'output': 9}},
                              'oai/sim?tokens=4&input=20': {'priority': 2, 'cost': {'input': 3, 'output': 4}}}),
    }
    CONFIG = {'retry': {'minimum': 100000}, 'breaker': {'failures': 32, 'requests': 32}, 'timeouts': {'total': '4s'}}

    def charge(self, record):
        return nusd(record['charge_usd'])

    def test_reported_is_charged_however_empty_the_text(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    a = self.chat('empty-' + back, stream)
                    self.assertEqual(a.status, 200, a)
                    self.assertEqual(self.charge(self.record(a)), charge_nusd({'input': 20, 'output': 0}, PRICE))

    def test_an_explicit_zero_is_the_truth(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    a = self.chat('zero-' + back, stream)
                    r = self.record(a)
                    self.assertEqual((r['input'], r['output'], r['estimated'], self.charge(r)), (0, 0, False, 0), r)

    def test_missing_usage_is_estimated_and_marked(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    r = self.record(self.chat('unsaid-' + back, stream))
                    self.assertTrue(r['estimated'])
                    self.assertGreaterEqual(r['output'], 40)
                    self.assertGreater(r['input'], 0)
                    self.assertEqual(self.charge(r), charge_nusd({'input': r['input'], 'output': r['output']}, PRICE))
                    # It came to less than the hold: nothing was cut off.
                    self.assertLess(self.charge(r), nusd(r['hold_usd']))
                    self.assertFalse(r['capped'], r)

    def test_an_estimate_is_charged_up_to_the_hold(self):
        """The bytes of ten pieces make twelve tokens; who asked for ten at most pays for ten."""
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    a = self.chat('mute-' + back, stream, max_tokens=10)
                    r = self.record(a)
                    self.assertEqual((r['output'], r['estimated'], r['capped']), (12, True, True), r)
                    self.assertEqual((self.charge(r), nusd(r['uncollected_usd'])), (nusd(r['hold_usd']), 0), r)
                    self.assertEqual(self.charge(r), charge_nusd({'output': 10}, PRICE))
                    told = a.usage if stream else a.json()['usage']
                    self.assertEqual(nusd(told['cost']), self.charge(r))

    def test_a_total_alone_is_charged_as_a_total(self):
        """Nobody said how it divides: what came is output, the rest was read, and together they are no more than the total."""
        for stream in (False, True):
            with self.subTest(stream=stream):
                r = self.record(self.chat('summed', stream))
                self.assertEqual((r['input'] + r['output'], r['estimated']), (60, True), r)
                self.assertGreaterEqual(r['output'], 40 if stream else 20)
                self.assertEqual(self.charge(r), charge_nusd({'input': r['input'], 'output': r['output']}, PRICE))

    def test_free(self):
        """No provider answer, an HTTP error, an error item without usage: a record, no charge, nothing held."""
        for name, stream in (('error-oai', False), ('error-ant', True), ('item-oai', True)):
            with self.subTest(name):
                r = self.record(self.chat(name, stream))
                self.assertEqual((self.charge(r), nusd(r['uncollected_usd'])), (0, 0), r)

    def test_error_item_behind_reported_usage(self):
        r = self.record(self.chat('item-ant', True))
        self.assertGreaterEqual(self.charge(r), charge_nusd({'input': 20, 'output': 0}, PRICE))
        self.assertEqual(nusd(r['cost_usd']), self.charge(r))

    def leave(self, name, seconds=0.3):
        """The client goes in mid-stream, or before there is an answer."""
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body(name, True), key=self.key, headers=[('x-client-request-id', 'left-' + name)])
            time.sleep(seconds)
            c.reset()
        return wait_for(lambda: next((e for e in self.node.events('request') if e.get('client_request_id') == 'left-' + name), None), 5)

    def test_a_client_cannot_produce_its_own_refund(self):
        for back in BACKS:
            for name in ('run-', 'run-zero-'):
                with self.subTest(name + back):
                    e = self.leave(name + back)
                    r = self.node.record(e['request_id'])
                    self.assertEqual((r['end'], e['end']), ('client_gone', 'client_gone'))
                    self.assertGreaterEqual(r['output'], 10)
                    self.assertGreater(r['input'], 0)
                    self.assertTrue(r['estimated'])
                    self.assertEqual(self.charge(r), charge_nusd({'input': r['input'], 'output': r['output']}, PRICE))
                    # Our cost is the price where no other is given; counted once.
                    self.assertEqual(nusd(r['cost_usd']), self.charge(r))
                    self.assertEqual([(t['error'], nusd(t['cost_usd'])) for t in r['attempts']], [('abandoned', self.charge(r))])

    def test_gone_before_any_answer_is_free(self):
        for back in BACKS:
            with self.subTest(back):
                r = self.node.record(self.leave('hang-' + back)['request_id'])
                self.assertEqual((r['end'], self.charge(r), nusd(r['cost_usd'])), ('client_gone', 0, 0))
                self.assertEqual([t['error'] for t in r['attempts']], ['abandoned'])

    def test_a_time_that_the_client_chose_is_no_refund(self):
        """What was reported by then is charged, as when the client leaves; a time of ours is at our cost."""
        for headers, charge in (([('x-stainless-timeout', '3')], charge_nusd({'input': 20, 'output': 0}, PRICE)), ([], 0)):
            with self.subTest(headers):
                a = self.chat('muses', True, headers=headers)
                self.assertEqual((a.status, a.error['code']), (504, 'upstream_timeout'), a)
                r = self.record(a)
                self.assertEqual((r['end'], self.charge(r)), ('timeout', charge), r)
                self.assertEqual(nusd(r['cost_usd']), charge_nusd({'input': 20, 'output': 0}, PRICE))
                self.assertEqual([nusd(t['cost_usd']) for t in r['attempts']], [nusd(r['cost_usd'])])

    def test_candidates_given_up_are_our_cost(self):
        a = self.chat('lost', True)
        self.assertEqual((a.status, a.get('x-aigw-attempts')), (200, '2'), a)
        r = self.record(a)
        self.assertEqual(self.charge(r), charge_nusd({'input': 20, 'output': 4}, PRICE))
        lost = next(t for t in r['attempts'] if t['provider'] == 'busy')
        self.assertGreaterEqual(nusd(lost['cost_usd']), charge_nusd({'input': 33, 'output': 0}, {'input': 7, 'output': 9}))
        won = next(t for t in r['attempts'] if t['provider'] == 'oai')
        self.assertEqual(nusd(won['cost_usd']), charge_nusd({'input': 20, 'output': 4}, {'input': 3, 'output': 4}))
        self.assertEqual(nusd(r['cost_usd']), nusd(lost['cost_usd']) + nusd(won['cost_usd']))
        # The metric has the loss where it arose, the charge where it was made.
        m = self.node.metrics()
        for provider, cost, charge in (('busy', nusd(lost['cost_usd']), 0), ('oai', nusd(won['cost_usd']), self.charge(r))):
            labels = '{model="lost",provider="%s"}' % provider
            self.assertAlmostEqual(m['aigw_cost_usd_total' + labels], cost / 1e9, 9)
            self.assertAlmostEqual(m.get('aigw_charged_usd_total' + labels, 0), charge / 1e9, 9)

    def test_every_end_has_one_record_and_no_hold(self):
        account = self.node.settled('main')
        self.assertEqual((account['holds'], nusd(account['held_usd'])), (0, 0))
        total = self.node.ctl('usage', '--account', 'main')['total']
        self.assertEqual(nusd(total['charge_usd']), nusd(account['settled_usd']))


class Lag(Case, NodeCase):
    """3.4: durability async commits each second; new requests are refused while the oldest charge waits longer than ledger_lag_max."""
    MODELS = {'m': model('oai/sim?tokens=2&input=5')}
    CONFIG = {'durability': 'async', 'ledger_lag_max': '300ms'}

    def test_refused_while_the_ledger_lags(self):
        self.assertEqual(self.chat('m').status, 200)
        seen, ready = [], {self.node.port: set(), self.node.admin_port: set()}
        until = time.monotonic() + 4
        while time.monotonic() < until:
            a = self.chat('m')
            if a.status != 200:
                self.refused(a, 503, 'ledger_unavailable')
                self.assertTrue(a.get('retry-after') and a.get('retry-after-ms'))
            for port in ready:
                r = ask(port, 'GET', '/readyz')
                ready[port].add((a.status, r.status, r.json()['status']))
            if not seen or seen[-1][0] != a.status:
                seen.append((a.status, time.monotonic()))
        # A load balancer learns it too, wherever it asks (between the two questions it may have changed).
        for said in ready.values():
            self.assertTrue({(200, 200, 'ready'), (503, 503, 'ledger_unavailable')} <= said, ready)
        statuses = [s for s, _ in seen]
        self.assertGreaterEqual(len(statuses), 5, statuses)
        for (status, begun), (_, ended) in zip(seen, seen[1:]):
            # From 300 ms after the first charge behind a commit to the next commit, a second after the one before.
            self.assertTrue(status == 200 or ended - begun < 1.5, seen)


class Together(Case, NodeCase):
    """All scopes of a request are checked and held in one transaction, all or none."""
    MODELS = {'m': model('oai/sim?tokens=2&input=5', price={'request': '0.01'}), 'run': model('oai/sim?tokens=20&rate=20&input=5', price={'request': '0.01'})}

    def explained(self, key):
        return {(r['scope'], r['limit']): r for r in self.node.ctl('limit', 'explain', key)['limits']}

    def test_a_refusal_takes_nothing(self):
        """The last scope refuses: rates, budget, concurrency of the others are as before."""
        for name, options, credit, status in (('broke', {'rpm': 100, 'tpm': 10000, 'budget': '1', 'concurrency': 5}, '0.005', 402),
                                              ('spent', {'rpm': 100, 'tpm': 10000, 'budget': '0.005', 'concurrency': 5}, '5', 402)):
            key = self.node.customer(name, credit, **options)
            before = self.explained(key)
            for _ in range(3):
                self.assertEqual(self.chat('m', key=key).status, status)
            self.assertEqual(self.explained(key), before)
            self.assertEqual(nusd(self.node.show(name)['balance_usd']), nusd(credit))

    def test_a_line_tells_when_a_budget_is_used_up(self):
        """Once at each share that alerts.budget names."""
        key = self.node.customer('spender', '1000', budget='0.05')
        self.assertEqual([self.chat('m', key=key).status for _ in range(6)], [200] * 5 + [402])
        wait_for(lambda: [e for e in self.node.events('budget_threshold', account='spender') if e['share'] == '1'], 15)
        lines = self.node.events('budget_threshold', account='spender')
        self.assertEqual([(e['share'], e['scope'], e['name'], e['rule'], nusd(e['limit_usd'])) for e in lines],
                         [(share, 'key', key[8:20], 'budget per month', nusd('0.05')) for share in ('0.8', '1')])
        self.assertEqual(nusd(lines[1]['used_usd']), nusd('0.05'))

    def test_concurrency_is_the_number_of_holds(self):
        key = self.node.customer('two', '5', concurrency=2)
        threads = [threading.Thread(target=lambda: self.chat('run', True, key=key)) for _ in range(2)]
        for t in threads:
            t.start()
        wait_for(lambda: self.node.show('two')['holds'] == 2, 5, 0.01)
        a = self.chat('m', key=key)
        self.assertEqual((a.status, a.error['code'], a.error['metadata']['limit']), (429, 'rate_limit_exceeded', 2), a)
        for t in threads:
            t.join()
        self.assertEqual(self.chat('m', key=key).status, 200)


if __name__ == '__main__':
    tap.main()
