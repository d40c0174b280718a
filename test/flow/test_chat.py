"""The main way of a request on both backs: chat whole, streamed, with tools, completions, embeddings, and what each cost to the nano-dollar."""
import base64
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BACKS, NodeCase, charge_nusd, model, nusd, on_both
import tap

PRICE = {'input': '0.0375', 'cache_read': '0.0033', 'cache_write_5m': '0.0471', 'output': '1.234567'}
TOOLS = [{'type': 'function', 'function': {'name': 'tool%d' % i, 'description': 'a tool',
                                           'parameters': {'type': 'object', 'properties': {'n': {'type': 'integer'}}}}} for i in range(2)]


class Chat(NodeCase):
    MODELS = {
        **on_both('plain', 'tokens=7&input=131', price=PRICE),
        **on_both('tools', 'tokens=3&tools=2&input=50', price=PRICE),
        **on_both('think', 'tokens=3&reasoning=4&input=50', price=PRICE, capabilities=['chat', 'tools', 'reasoning']),
        **on_both('cache', 'tokens=5&input=1000&cached=600&cache_write=100', price=PRICE),
        **on_both('long', 'tokens=3000&size=200000&input=10', price=PRICE, max_output=60000),
        'embed': model('oai/sim?input=40', price={'input': '0.02', 'output': 0}),
        'text': model('oai/sim?tokens=4&input=9', price=PRICE),
    }

    def check_cost(self, a, back, tokens=None):
        """The charge is exactly what the simulator's own count costs: in the answer, the header, the record and the account."""
        sent = self.sim.requests()[-1]
        if tokens is None:
            cached, written = sent['cached'], 100 if 'cache_write' in sent['model'] else 0
            tokens = {'input': sent['input'] - cached - written, 'cache_read': cached, 'cache_write_5m': written,
                      'output': sent['output']}
        want = charge_nusd(tokens, PRICE)
        self.assertEqual(nusd(a.usage['cost']), want, (tokens, a))
        if a.get('content-type') == 'application/json':
            self.assertEqual(nusd(a.get('x-aigw-cost-usd')), want)
        record = self.node.record(a.get('x-request-id'))
        self.assertEqual(nusd(record['charge_usd']), want)
        self.assertEqual((record['status'], record['provider'], record['end']), (200, back, 'done'))
        self.assertFalse(record['estimated'])
        return want

    def test_whole(self):
        for back in BACKS:
            with self.subTest(back):
                before = self.node.settled('main')
                a = self.chat('plain-' + back)
                self.assertEqual((a.status, a.ended), (200, 'length'), a)
                body = a.json()
                self.assertEqual(body['object'], 'chat.completion')
                self.assertEqual(body['choices'][0]['finish_reason'], 'stop')
                self.assertEqual(body['choices'][0]['message']['role'], 'assistant')
                self.assertTrue(a.text)
                self.assertEqual((a.usage['prompt_tokens'], a.usage['completion_tokens'], a.usage['total_tokens']), (131, 7, 138))
                want = self.check_cost(a, back)
                after = self.node.settled('main')
                self.assertEqual(nusd(before['balance_usd']) - nusd(after['balance_usd']), want)

    def check_stream(self, a, asked, finish='stop'):
        """A4: one usage, one finish reason, a delta in every choice, [DONE], a proper end."""
        self.assertEqual((a.status, a.ended), (200, 'chunked'), a)
        self.assertEqual(a.get('content-type'), 'text/event-stream; charset=utf-8')
        self.assertEqual(a.get('cache-control'), 'no-cache')
        self.assertEqual(a.get('x-accel-buffering'), 'no')
        self.assertTrue(a.is_done, a)
        items = a.data()
        self.assertEqual(len([i for i in items if i.get('usage')]), 1, a)
        reasons = [c['finish_reason'] for i in items for c in i['choices'] if c.get('finish_reason')]
        self.assertEqual(reasons, [finish])
        self.assertTrue(all('delta' in c for i in items for c in i['choices']))
        self.assertTrue(all(i['object'] == 'chat.completion.chunk' for i in items))
        empty = [i for i in items if not i['choices']]
        self.assertEqual(len(empty), 1 if asked else 0, a)
        if asked:
            self.assertIs(items[-1], empty[0])
            self.assertTrue(empty[0]['usage'])

    def test_stream(self):
        for back in BACKS:
            for asked in (False, True):
                with self.subTest(back, asked=asked):
                    before = self.node.settled('main')
                    more = {'stream_options': {'include_usage': True}} if asked else {}
                    a = self.chat('plain-' + back, True, **more)
                    self.check_stream(a, asked)
                    self.assertTrue(a.text)
                    self.assertEqual((a.usage['prompt_tokens'], a.usage['completion_tokens']), (131, 7))
                    want = self.check_cost(a, back)
                    after = self.node.settled('main')
                    self.assertEqual(nusd(before['balance_usd']) - nusd(after['balance_usd']), want)

    def test_whole_and_streamed_text_is_the_same(self):
        for back in BACKS:
            with self.subTest(back):
                whole, stream = self.chat('long-' + back), self.chat('long-' + back, True)
                self.assertEqual(len(whole.text), 200000)
                self.assertEqual(whole.text, stream.text)

    def test_tools(self):
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('tools-' + back, tools=TOOLS)
                choice = a.json()['choices'][0]
                self.assertEqual(choice['finish_reason'], 'tool_calls')
                calls = choice['message']['tool_calls']
                self.assertEqual([c['function']['name'] for c in calls], ['tool0', 'tool1'])
                self.assertEqual([c['function']['arguments'].replace(' ', '') for c in calls], ['{"n":0}', '{"n":1}'])
                self.check_cost(a, back)
                a = self.chat('tools-' + back, True, tools=TOOLS)
                self.check_stream(a, False, 'tool_calls')
                made = {}
                for item in a.data():
                    for choice in item['choices']:
                        for call in choice['delta'].get('tool_calls') or ():
                            c = made.setdefault(call['index'], {'id': '', 'name': '', 'arguments': ''})
                            c['id'] += call.get('id') or ''
                            c['name'] += call.get('function', {}).get('name') or ''
                            c['arguments'] += call.get('function', {}).get('arguments') or ''
                self.assertEqual(sorted(made), [0, 1])
                self.assertEqual([made[i]['name'] for i in (0, 1)], ['tool0', 'tool1'])
                self.assertEqual([made[i]['arguments'] for i in (0, 1)], ['{"n":0}', '{"n":1}'])
                self.assertTrue(all(made[i]['id'] for i in (0, 1)))
                self.check_cost(a, back)

    def test_tool_results_go_up(self):
        messages = [{'role': 'system', 'content': 'be brief'}, {'role': 'user', 'content': 'hi'},
                    {'role': 'assistant', 'content': None,
                     'tool_calls': [{'id': 'c1', 'type': 'function', 'function': {'name': 'tool0', 'arguments': '{"n": 1}'}}]},
                    {'role': 'tool', 'tool_call_id': 'c1', 'content': 'forty-two'}]
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('plain-' + back, messages=messages, tools=TOOLS)
                self.assertEqual(a.status, 200, a)
                line, _, body = self.sim.last()
                self.assertEqual(line, 'POST /v1/chat/completions' if back == 'oai' else 'POST /v1/messages')
                self.assertIn('forty-two', body)
                self.assertEqual('tool_result' in body, back == 'ant')

    def test_reasoning(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    a = self.chat('think-' + back, stream)
                    self.assertEqual(a.status, 200, a)
                    self.assertIn(b'"reasoning_content"', a.body)
                    self.check_cost(a, back)

    def test_cached_tokens_have_their_price(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back, stream=stream):
                    a = self.chat('cache-' + back, stream)
                    self.assertEqual(a.usage['prompt_tokens'], 1000)
                    self.assertEqual(a.usage['prompt_tokens_details']['cached_tokens'], 600)
                    self.check_cost(a, back)

    def test_completions(self):
        for stream in (False, True):
            with self.subTest(stream=stream):
                a = self.node.ask('POST', '/v1/completions', {'model': 'text', 'prompt': 'once', 'stream': stream}, self.key)
                self.assertEqual((a.status, a.is_whole), (200, True), a)
                if stream:
                    self.assertTrue(a.is_done)
                    self.assertEqual(len([i for i in a.data() if i.get('usage')]), 1)
                self.check_cost(a, 'oai', {'input': 9, 'output': 4})

    def test_embeddings_keep_the_asked_encoding(self):
        want = [0.25, -0.5, 0.125, 1.0]
        for encoding in (None, 'float', 'base64'):
            with self.subTest(encoding):
                body = {'model': 'embed', 'input': ['a', 'b']}
                if encoding:
                    body['encoding_format'] = encoding
                a = self.node.ask('POST', '/v1/embeddings', body, self.key)
                self.assertEqual(a.status, 200, a)
                for item in a.json()['data']:
                    v = item['embedding']
                    if encoding == 'base64':
                        v = list(struct.unpack('<4f', base64.b64decode(v)))
                    self.assertEqual([float(x) for x in v], want)
                self.assertEqual(nusd(self.node.record(a.get('x-request-id'))['charge_usd']), charge_nusd({'input': 40}, {'input': '0.02'}))

    def test_given_cap_goes_up_unchanged(self):
        for back, field in (('oai', 'max_completion_tokens'), ('ant', 'max_tokens')):
            with self.subTest(back):
                a = self.chat('plain-' + back, max_completion_tokens=3)
                self.assertEqual(a.json()['choices'][0]['finish_reason'], 'length')
                self.assertEqual(a.usage['completion_tokens'], 3)
                self.assertIn('"%s":3' % field, self.sim.last()[2].replace(' ', ''))


if __name__ == '__main__':
    tap.main()
