"""What clients see beside the main way (A1 to A7), with a provider whose bytes are written here: models and their pages, encodings of embeddings,
headers and fields that must not cross, frames that are held back, long whole answers, words of refusals, browsers, codings, drains."""
import base64
import gzip
import json
import os
import re
import signal
import struct
import sys
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from canary import PROVIDER_KEY
from client import Conn
from gateway import wait_for
from node import NodeCase, chat_body, model, nusd, on_both
from provider import DONE, USAGE, Provider, chunk, chunked, head, stream, whole
import tap

CHAT = '/v1/chat/completions'
VECTOR = [0.25, -0.5, 0.125, 1.0]
PACKED = base64.b64encode(struct.pack('<4f', *VECTOR)).decode()
ANSWER = {'id': 'c1', 'object': 'chat.completion', 'created': 1, 'model': 'up',
          'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': 'hello'}, 'finish_reason': 'stop'}], 'usage': USAGE}
ODD = {'set_cookie': 'a=b', 'alt_svc': 'h3=":443"', 'openai_organization': 'org-secret', 'openai_project': 'proj_secret', 'server': 'up', 'via': '1.1 up',
       'x_ratelimit_limit_requests': '5', 'x_ratelimit_remaining_requests': '4', 'x_ratelimit_reset_tokens': '1s', 'retry_after': '77',
       'retry_after_ms': '77000', 'x_should_retry': 'true', 'anthropic_ratelimit_requests_limit': '5', 'cf_ray': 'r', 'openai_version': '2020-10-01',
       'strict_transport_security': 'max-age=1', 'openai_processing_ms': '321', 'x_request_id': 'req-up'}


def embeddings(vector):
    return whole({'object': 'list', 'data': [{'object': 'embedding', 'index': i, 'embedding': vector} for i in (0, 1)], 'model': 'up',
                  'usage': {'prompt_tokens': 4, 'total_tokens': 4}})


def frames(n, size=0):
    """Items that carry no content."""
    return [chunk(choices=[{'index': 0, 'delta': {'role': 'assistant', 'content': ''}, 'finish_reason': None}], pad='x' * size) for _ in range(n)]


class ProviderCase(NodeCase):
    """A NodeCase with a provider for each of ANSWERS, `p-NAME`, all at one address; each is a model of its name."""
    ANSWERS = {}

    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(**cls.ANSWERS)
        cls.addClassCleanup(cls.provider.close)
        cls.MODELS = dict({name: model('p-%s/%s' % (name, name)) for name in cls.ANSWERS}, **cls.MODELS)
        cls.CONFIG = dict(cls.CONFIG, providers={'p-' + name: cls.provider.config() for name in cls.ANSWERS})
        super().setUpClass()

    def provider_set(self, name, **fields):
        self.node.configure(providers={'p-' + name: fields})
        self.node.ctl('reload')


class Models(NodeCase):
    MODELS = {name: model('oai/sim?tokens=2&input=5') for name in ('a', 'b', 'c', 'd/e')}

    def get(self, query='', key=None, **more):
        return self.node.ask('GET', '/v1/models' + query, key=key or self.key, **more)

    def ids(self, query='', key=None):
        a = self.get(query, key)
        self.assertEqual(a.status, 200, a)
        return [m['id'] for m in a.json()['data']]

    def test_pages(self):
        for query, want in (('', 'a b c d/e'), ('?limit=2', 'a b'), ('?limit=2&after_id=b', 'c d/e'), ('?after_id=d%2Fe', ''), ('?after_id=bb', 'c d/e'),
                            ('?limit=0', 'a b c d/e'), ('?limit=x', 'a b c d/e'), ('?limit=1000', 'a b c d/e'), ('?after_id=zzz', '')):
            with self.subTest(query):
                a = self.get(query).json()
                self.assertEqual([m['id'] for m in a['data']], want.split())
                self.assertEqual((a['first_id'], a['last_id']), (want.split()[0], want.split()[-1]) if want else (None, None))
                self.assertEqual(a['has_more'], query == '?limit=2')

    def test_only_what_the_key_may_use(self):
        key = self.node.customer('few', models='a,d/*')
        self.assertEqual(self.ids(key=key), ['a', 'd/e'])
        self.assertEqual(self.ids('?limit=1', key), ['a'])
        for name, status in (('a', 200), ('d%2Fe', 200), ('b', 404)):
            a = self.node.ask('GET', '/v1/models/' + name, key=key)
            self.assertEqual(a.status, status, a)
        self.assertEqual((a.error['code'], a.error['param']), ('model_not_found', 'model'))

    def test_etag(self):
        for path in ('/v1/models', '/v1/models/a', '/v1/models?limit=1'):
            first = self.node.ask('GET', path, key=self.key)
            tag = first.get('etag')
            self.assertRegex(tag, r'^"[0-9a-f]{16}"$')
            for asked in (tag, 'W/' + tag, '"x", ' + tag, '*'):
                with self.subTest(path, asked=asked):
                    a = self.node.ask('GET', path, key=self.key, headers=[('if-none-match', asked)])
                    self.assertEqual((a.status, a.body, a.get('etag'), a.ended), (304, b'', tag, 'none'), a)
                    self.assertRegex(a.get('x-request-id'), '^gen_')
            for asked in ('"x"', tag[1:-1], ''):
                a = self.node.ask('GET', path, key=self.key, headers=[('if-none-match', asked)])
                self.assertEqual((a.status, a.body), (200, first.body), a)
        self.assertNotEqual(self.get('?limit=1').get('etag'), self.get('?limit=2').get('etag'))

    def test_prices_are_dollars_a_unit_as_strings(self):
        self.assertEqual({k: v for k, v in self.get().json()['data'][0]['pricing'].items() if k in ('prompt', 'completion', 'request')},
                         {'prompt': '0.000001', 'completion': '0.000002', 'request': '0'})

    def test_head_and_generation(self):
        rid = self.chat('a').get('x-generation-id')
        self.node.record(rid)
        a = self.node.ask('HEAD', '/v1/generation?id=' + rid, key=self.key)
        self.assertEqual((a.status, a.body), (200, b''), a)
        record = self.node.ask('GET', '/v1/generation?id=' + rid, key=self.key).json()['data']
        self.assertEqual(record['id'], rid)
        self.assertTrue(record['upstream_id'])
        with self.subTest('the provider\'s own id'):
            a = self.node.ask('GET', '/v1/generation?id=' + record['upstream_id'], key=self.key)
            self.assertEqual((a.status, a.json()['data']['id']), (200, rid), a)
        with self.subTest('of another key'):
            other = self.node.customer('other')
            for name in (rid, record['upstream_id']):
                self.assertEqual(self.node.ask('GET', '/v1/generation?id=' + name, key=other).status, 404)
        self.assertEqual(self.node.ask('GET', '/v1/generation', key=self.key).error['param'], 'id')


class Embeddings(ProviderCase):
    """A1: the asked encoding comes whatever the provider does."""
    ANSWERS = {'numbers': [embeddings(VECTOR)], 'base64': [embeddings(PACKED)], 'odd': [embeddings('!' + PACKED)]}
    MODELS = {name: model('p-%s/%s' % (name, name), price={'input': 1, 'output': 0}) for name in ('numbers', 'base64', 'odd')} | {
        'odd-then-good': model('p-odd/odd', 'p-numbers/numbers', price={'input': 1, 'output': 0})}

    def test_both_ways(self):
        for name in ('numbers', 'base64'):
            for encoding in (None, 'float', 'base64'):
                with self.subTest(name, encoding=encoding):
                    body = {'model': name, 'input': 'a', **({'encoding_format': encoding} if encoding else {})}
                    a = self.node.ask('POST', '/v1/embeddings', body, self.key)
                    self.assertEqual(a.status, 200, a)
                    for item in a.json()['data']:
                        v = item['embedding']
                        self.assertEqual(isinstance(v, str), encoding == 'base64', a)
                        self.assertEqual(v if encoding == 'base64' else [float(x) for x in v], PACKED if encoding == 'base64' else VECTOR)
                    self.assertEqual(self.provider.asked[name][-1][2].get('encoding_format'), encoding)

    def test_a_vector_that_cannot_be_read_is_the_providers_fault(self):
        a = self.node.ask('POST', '/v1/embeddings', {'model': 'odd', 'input': 'a'}, self.key)
        self.assertEqual((a.status, a.error['code'], nusd(self.node.record(a.get('x-request-id'))['charge_usd'])), (502, 'upstream_error', 0), a)
        a = self.node.ask('POST', '/v1/embeddings', {'model': 'odd-then-good', 'input': 'a'}, self.key)
        self.assertEqual((a.status, a.get('x-aigw-attempts')), (200, '2'), a)

    def test_a_provider_without_base64_is_asked_for_numbers(self):
        self.provider_set('numbers', embeddings_base64=False)
        self.addCleanup(self.provider_set, 'numbers', embeddings_base64=None)
        a = self.node.ask('POST', '/v1/embeddings', {'model': 'numbers', 'input': 'a', 'encoding_format': 'base64'}, self.key)
        self.assertEqual({item['embedding'] for item in a.json()['data']}, {PACKED}, a)
        self.assertEqual(self.provider.asked['numbers'][-1][2]['encoding_format'], 'float')


class Crossing(ProviderCase):
    """A5: what crosses in both directions."""
    ANSWERS = {'whole': [whole(ANSWER, **ODD)], 'stream': [head(transfer_encoding='chunked', **ODD) + chunked(chunk('hi')) + chunked(chunk(finish='stop')) +
                                                          chunked(chunk(choices=[], usage=USAGE)) + chunked(DONE) + b'0\r\n\r\n'],
               'refuses': [whole({'error': {'message': 'no', 'type': 'invalid_request_error'}}, 400, **ODD)], 'fails': [whole({}, 500, **ODD)],
               'limited': [whole({'error': {'message': 'slow down', 'type': 'tokens', 'code': 'rate_limit_exceeded'}}, 429, **dict(ODD, retry_after='30', retry_after_ms='29500'))]}
    OWN_FIELDS = {'models': ['x'], 'provider': {'order': ['x']}, 'route': 'fallback', 'transforms': [], 'usage': {'include': True}, 'session_id': 's'}
    NEVER = {n.replace('_', '-') for n in ODD} - {'openai-processing-ms', 'x-request-id', 'retry-after', 'retry-after-ms', 'x-should-retry'}

    def test_down(self):
        for name, status in (('whole', 200), ('stream', 200), ('refuses', 400), ('fails', 502), ('limited', 429)):
            with self.subTest(name):
                a = self.chat(name, name == 'stream')
                self.assertEqual(a.status, status, a)
                self.assertEqual(set(a.names) & self.NEVER, set())
                self.assertNotIn('secret', str(a.headers))
                self.assertEqual(len(a.names), len(set(a.names)))
                self.assertRegex(a.get('x-request-id'), '^gen_')
                self.assertEqual([a.get('x-aigw-' + n) for n in ('provider', 'model', 'attempts', 'upstream-request-id')], ['p-' + name, name, '1', 'req-up'])
                if status == 200:
                    self.assertEqual(a.get('openai-processing-ms'), '321')
                    self.assertFalse({'retry-after', 'retry-after-ms', 'x-should-retry'} & set(a.names), a)
                else:
                    self.assertEqual(a.get('retry-after'), '30' if name == 'limited' else None, a)
                    self.assertEqual(a.get('x-should-retry'), {'refuses': 'false', 'fails': 'true', 'limited': 'true'}[name])

    def test_own_body_fields(self):
        for forwards in (False, True):
            self.provider_set('whole', forward_own_fields=forwards)
            with self.subTest(forwards=forwards):
                a = self.chat('whole', **self.OWN_FIELDS)
                self.assertEqual(a.status, 200, a)
                sent = self.provider.asked['whole'][-1][2]
                self.assertEqual({k: v for k, v in sent.items() if k in self.OWN_FIELDS}, self.OWN_FIELDS if forwards else {})


class Addresses(ProviderCase):
    """How a provider of each kind is asked: path, credential, version, headers of its own."""
    ANSWERS = {name: [whole(ANSWER)] for name in ('plain', 'deployment', 'v1', 'query')} | {
        name: [whole({'id': 'msg_1', 'type': 'message', 'role': 'assistant', 'model': 'up', 'content': [{'type': 'text', 'text': 'hello'}],
                      'stop_reason': 'end_turn', 'stop_sequence': None, 'usage': {'input_tokens': 5, 'output_tokens': 2}})] for name in ('claude', 'look-alike')}

    def test_addresses(self):
        at = 'http://127.0.0.1:%d' % self.provider.port
        for name, fields, line, headers in (
                ('plain', {}, '/v1/chat/completions', {'authorization': 'Bearer ' + PROVIDER_KEY}),
                ('deployment', {'base_url': at, 'azure': True, 'api_version': '2024-10-21'}, '/openai/deployments/deployment/chat/completions?api-version=2024-10-21',
                 {'api-key': PROVIDER_KEY}),
                ('v1', {'base_url': at + '/openai/v1', 'auth': 'api-key'}, '/openai/v1/chat/completions', {'api-key': PROVIDER_KEY}),
                ('query', {'base_url': at + '/models', 'api_version': '2024-05-01-preview', 'headers': {'x-team': 'edge'}},
                 '/models/chat/completions?api-version=2024-05-01-preview', {'authorization': 'Bearer ' + PROVIDER_KEY, 'x-team': 'edge'}),
                ('claude', {'dialect': 'anthropic'}, '/v1/messages', {'x-api-key': PROVIDER_KEY, 'anthropic-version': '2023-06-01'}),
                ('look-alike', {'dialect': 'anthropic', 'auth': 'bearer', 'anthropic_version': '2026-10-21'}, '/v1/messages',
                 {'authorization': 'Bearer ' + PROVIDER_KEY, 'anthropic-version': '2026-10-21'})):
            with self.subTest(name):
                self.provider_set(name, **fields)
                a = self.chat(name, headers=[('anthropic-version', '2020-01-01'), ('api-key', 'of the client'), ('x-team', 'of the client')])
                self.assertEqual((a.status, a.text), (200, 'hello'), a)
                asked, got, body = self.provider.asked[name][-1]
                self.assertEqual((asked, body['model']), ('POST %s HTTP/1.1' % line, name))
                common = {'host', 'content-type', 'content-length', 'accept', 'accept-encoding', 'user-agent', 'connection'}
                self.assertEqual({n: v for n, v in got.items() if n not in common}, headers)


class Writes(ProviderCase):
    """A4: what is read at once goes out at once, the last item together with the end."""
    FIRST, REST = [chunk('a'), chunk('b'), chunk('c')], [chunk('d'), chunk(finish='stop'), chunk(choices=[], usage=USAGE), DONE]
    ANSWERS = {'bursts': [head(transfer_encoding='chunked') + chunked(b''.join(FIRST)), 0.3, chunked(chunk('x')), 0.3,
                          b''.join(chunked(i) for i in REST) + b'0\r\n\r\n']}

    def test_bursts(self):
        with Conn(self.node.port) as c:
            c.request('POST', CHAT, chat_body('bursts', True), [('connection', 'close')], self.key)
            data, last = b'', b''
            while c.fill():
                data, last, c.buffer = data + c.buffer, c.buffer, b''
        chunks, data = [], data.partition(b'\r\n\r\n')[2]
        while data:
            size, _, data = data.partition(b'\r\n')
            n = int(size, 16)
            chunks.append(data[:n])
            data = data[n + 2:]
        self.assertEqual([i.count(b'"content"') for i in chunks[:3]], [3, 1, 1])
        self.assertEqual(chunks[-1], b'')
        self.assertTrue(last.endswith(b'data: [DONE]\n\n\r\n0\r\n\r\n'), last)


class HeldBack(ProviderCase):
    """A4: lifecycle frames wait for content, at most 64 of them or 256 KiB; then the stream is committed."""
    ANSWERS = {'few': [head(), *frames(64)], 'many': [head(), *frames(65), 0.2], 'light': [head(), *frames(5, 50000)],
               'heavy': [head(), *frames(6, 50000), 0.2],
               'good': [stream(*frames(70), chunk('hi'), chunk(finish='stop', usage=USAGE), DONE)]}
    MODELS = {name: model('p-%s/%s' % (name, name), 'p-good/good') for name in ('few', 'many', 'light', 'heavy')}
    CONFIG = {'breaker': {'failures': 32, 'requests': 32}, 'retry': {'minimum': 100000}}

    def test_limits(self):
        for name, committed in (('few', False), ('many', True), ('light', False), ('heavy', True)):
            with self.subTest(name):
                a = self.chat(name, True)
                self.assertEqual(a.status, 200, a.headers)
                self.assertEqual(a.get('x-aigw-attempts'), '1' if committed else '2', a.headers)
                if committed:
                    self.assertEqual((a.ended, a.error['metadata']['status']), ('cut', 502), a.headers)
                else:
                    self.assertTrue(a.is_whole and a.is_done and a.text == 'hi', a.headers)


class LongWhole(ProviderCase):
    """Design 4: whole answers above answer_buffer are relayed in chunks; a cut is visible and no second answer is begun."""
    BIG = json.dumps(dict(ANSWER, choices=[{'index': 0, 'message': {'role': 'assistant', 'content': 'y' * 300000}, 'finish_reason': 'stop'}])).encode()
    ANSWERS = {'long': [whole(BIG)], 'cut': [whole(BIG)[:-1000]], 'short': [whole(ANSWER)], 'late-cut': [whole(BIG)[:-1]]}
    MODELS = {name: model('p-%s/%s' % (name, name), 'p-short/short') for name in ('cut', 'late-cut')}
    CONFIG = {'answer_buffer': '64KiB'}

    def test_long(self):
        a = self.chat('long')
        self.assertEqual((a.status, a.ended, len(a.text)), (200, 'chunked', 300000), a.headers)
        self.assertEqual(nusd(a.usage['cost']), 5 * 1000 + 2 * 2000)
        self.assertEqual(nusd(self.node.record(a.get('x-request-id'))['charge_usd']), 9000)
        self.assertEqual(self.chat('short').ended, 'length')

    def test_cut(self):
        for name in ('cut', 'late-cut'):
            with self.subTest(name):
                a = self.chat(name)
                self.assertEqual((a.status, a.ended, a.get('x-aigw-attempts')), (200, 'cut', '1'), a.headers)
                self.assertNotIn(b'"cost"', a.body)
                self.assertNotIn(b'hello', a.body)


class TooBig(ProviderCase):
    """A request that is larger than what the provider's account may have in a minute is its client's affair: no key rests for it."""
    SAYS = {'error': {'message': 'Request too large for m in organization org-x on tokens per min (TPM): Limit 30000, Requested 342389. Reduce it.',
                      'type': 'tokens', 'code': 'rate_limit_exceeded'}}
    ANSWERS = {'small': [whole(SAYS, 429, retry_after='30')], 'tiny': [whole(SAYS, 429)], 'fits': [stream(chunk('hi'), chunk(finish='stop'), DONE)],
               'limited': [whole({'error': {'message': 'slow down', 'code': 'rate_limit_exceeded'}}, 429, retry_after='7')]}
    MODELS = {'other': model('p-small/fits'), 'roomy': model('p-small/small', 'p-fits/fits'), 'both': model('p-small/small', 'p-tiny/tiny'),
              'later': model('p-limited/limited', 'p-small/small')}

    def test_no_key_rests(self):
        for name in ('small', 'both', 'tiny'):
            with self.subTest(name):
                a = self.chat(name)
                self.assertEqual((a.status, a.error['code'], a.get('x-should-retry'), a.get('retry-after')), (413, 'request_too_large', 'false', None), a)
                self.assertIn('Limit 30000, Requested 342389', a.error['message'])
                self.assertNotIn('org-x', a.error['message'])
                self.assertEqual(self.chat('other', True).text, 'hi')
        self.assertEqual([a['status'] for a in self.node.record(self.chat('both').get('x-request-id'))['attempts']], [429, 429])

    def test_another_provider_takes_it(self):
        a = self.chat('roomy', True)
        self.assertEqual((a.text, a.get('x-aigw-attempts')), ('hi', '2'), a)

    def test_one_that_is_only_at_its_limits_may_take_it_later(self):
        a = self.chat('later')
        self.assertEqual((a.status, a.error['code'], a.get('x-should-retry')), (429, 'upstream_rate_limited', 'true'), a)


class Words(ProviderCase):
    """A3: the words and waits of refusals."""
    ANSWERS = {'limited': [whole({'error': {'message': 'quota exceeded, see billing', 'code': 'rate_limit_exceeded'}}, 429, retry_after='7')],
               'limited-long': [whole({'error': {'message': 'x', 'code': 'rate_limit_exceeded'}}, 429, retry_after='90')],
               'overloaded-long': [whole({'error': {'message': 'x'}}, 529, retry_after='90')],
               'in-stream': [stream(chunk('hi'), b'data: {"error":{"message":"quota","code":"rate_limit_exceeded"}}\n\n')],
               'slow': [head(transfer_encoding='chunked') + chunked(chunk('hi')), 3]}
    CONFIG = {'breaker': {'failures': 32, 'requests': 32}}
    NEVER = re.compile('reset at|quota|credit|billing', re.I)

    def check_429(self, a, code, seconds, retry=True):
        self.assertEqual((a.status, a.error['code'], a.error['type']), (429, code, 'rate_limit_error'), a)
        self.assertEqual((a.get('x-should-retry'), a.get('retry-after')), ('true' if retry else 'false', str(seconds)), a)
        ms = int(a.get('retry-after-ms'))
        self.assertTrue(seconds * 1000 - 1000 < ms <= seconds * 1000, a)
        if retry:
            self.assertRegex(a.error['message'], 'try again in %d seconds?\\b' % seconds)
            self.assertNotRegex(a.error['message'], self.NEVER)

    def test_providers_limits(self):
        self.check_429(self.chat('limited'), 'upstream_rate_limited', 7)
        self.check_429(self.chat('limited-long'), 'upstream_rate_limited', 90, False)

    def test_overloaded(self):
        a = self.chat('overloaded-long')
        self.assertEqual((a.status, a.error['code'], a.get('retry-after'), a.get('x-should-retry')), (503, 'overloaded', '90', 'false'), a)

    def test_limit_in_a_stream(self):
        e = self.chat('in-stream', True).error
        self.assertEqual((e['code'], e['metadata']['status']), ('upstream_rate_limited', 429))
        self.assertRegex(e['message'], r'try again in \d+ seconds?\b')
        self.assertNotRegex(e['message'], self.NEVER)

    def test_own_limits(self):
        key = self.node.customer('one', rpm=1)
        self.chat('in-stream', key=key)
        a = self.chat('in-stream', key=key)
        self.check_429(a, 'rate_limit_exceeded', int(a.get('retry-after')), int(a.get('retry-after')) <= 60)
        self.assertEqual(a.error['metadata']['scope'], 'key %s: requests a minute' % key.split('-')[2])
        self.assertIn('`%s`' % key.split('-')[2], a.error['message'])
        key = self.node.key('one', rpd=1, name='daily credit')
        self.chat('in-stream', key=key)
        a = self.chat('in-stream', key=key)
        self.check_429(a, 'rate_limit_exceeded', int(a.get('retry-after')), False)
        self.assertGreater(int(a.get('retry-after')), 60)
        metadata = a.error['metadata']
        self.assertEqual((metadata['scope'], metadata['limit'], metadata['remaining'], metadata['unit']), ('key daily credit: requests a day', 1, 0, 'requests'), a)
        self.assertRegex(metadata['reset'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')

    def test_concurrency(self):
        key = self.node.customer('single', concurrency=1)
        with Conn(self.node.port) as c:
            c.request('POST', CHAT, chat_body('slow', True), key=key).head()
            self.check_429(self.chat('slow', key=key), 'rate_limit_exceeded', 1)


class Usage(ProviderCase):
    """A4: the forms of usage in streams, and how its cost is written."""
    OWN = dict(USAGE, cost=0.5, cost_details={'upstream': 1}, is_byok=False, cost_in_usd_ticks=7, prompt_tokens_details={'cached_tokens': 0}, new_field=[1])
    TWO = [chunk(choices=[{'index': i, 'delta': {'content': 'x'}, 'finish_reason': None}]) for i in (0, 1)] + [
        chunk(choices=[{'index': i, 'delta': {}, 'finish_reason': 'stop'}]) for i in (0, 1)]
    ANSWERS = {
        'apart': [stream(chunk('hi'), chunk(finish='stop'), chunk(choices=[], usage=OWN), DONE)],
        'late': [head(transfer_encoding='chunked') + chunked(chunk('hi')) + chunked(chunk(finish='stop')), 0.6,
                 chunked(chunk(choices=[], usage=OWN)) + chunked(DONE) + b'0\r\n\r\n'],
        'inside': [stream(chunk('hi'), chunk(finish='stop', usage=OWN), DONE)],
        'on-all': [stream(chunk('h', usage=USAGE), chunk('i', usage=USAGE), chunk(finish='stop', usage=OWN), DONE)],
        'two': [stream(*TWO, chunk(choices=[], usage=OWN), DONE)],
        'two-twice': [stream(*TWO, *TWO[2:], chunk(choices=[], usage=OWN), chunk(choices=[], usage=OWN), DONE)],
        'none': [stream(chunk('hi'), chunk(finish='stop'), DONE)],
        'null': [stream(*[i.replace(b']}', b'], "usage": null}') for i in (chunk('hi'), chunk(finish='stop'))], DONE)],
        'text': [stream(*[b'data: %s\n\n' % json.dumps(dict({'id': 'c', 'object': 'text_completion', 'created': 1, 'model': 'up'}, **more)).encode() for more in (
            {'choices': [{'index': 0, 'text': 'hi', 'logprobs': None, 'finish_reason': None}]},
            {'choices': [{'index': 0, 'text': '', 'logprobs': None, 'finish_reason': 'stop'}]}, {'choices': [], 'usage': OWN})], DONE)],
        'cost': [whole(dict(ANSWER, usage=OWN))],
    }
    PRICES = {'tiny': ('0.001', '0.001', '0.000000007'), 'round': ('100000', '250000', '1.0'),
              'large': ('1000000', '1000000', '7.0'), 'odd': ('0.123457', '0.2', '0.000001018')}
    MODELS = {'cost-' + name: model('p-cost/cost', price={'input': i, 'output': o}) for name, (i, o, _) in PRICES.items()} | {
        'cost-free': model('p-cost/cost', price='free')}

    def check(self, a, asked, choices=1, estimated=False):
        self.assertTrue(a.is_done and a.ended == 'chunked', a)
        items = a.data()
        with_usage = [i for i in items if i.get('usage')]
        self.assertEqual(len(with_usage), 1, a)
        self.assertEqual(sorted(c['index'] for i in items for c in i['choices'] if c.get('finish_reason')), list(range(choices)), a)
        self.assertEqual([i for i in items if not i['choices']], with_usage if asked else [], a)
        if asked or choices > 1:
            self.assertIs(items[-1], with_usage[0])
        usage = with_usage[0]['usage']
        self.assertEqual(set(usage) & {'cost_details', 'is_byok', 'cost_in_usd_ticks'}, set())
        self.assertEqual(nusd(usage['cost']), nusd(self.node.record(a.get('x-request-id'))['charge_usd']))
        if not estimated:
            self.assertEqual((nusd(usage['cost']), usage['new_field']), (9000, [1]), a)
        return with_usage[0]

    def test_streams(self):
        asking = {'stream_options': {'include_usage': True}}
        for name in ('apart', 'late', 'inside', 'on-all', 'none', 'null', 'two', 'two-twice'):
            for asked in (False, True):
                with self.subTest(name, asked=asked):
                    two = name.startswith('two')
                    a = self.chat(name, True, **({'n': 2} if two else {}), **(asking if asked else {}))
                    item = self.check(a, asked, 2 if two else 1, name in ('none', 'null'))
                    finishes = bool([c for c in item['choices'] if c.get('finish_reason')])
                    self.assertEqual(finishes, not asked and not two and name != 'late', a)
                    if not asked and not finishes:
                        self.assertEqual(item['choices'], [{'index': 0, 'delta': {}, 'finish_reason': None}])
                    self.assertEqual(self.provider.asked[name][-1][2]['stream_options'], {'include_usage': True})

    def test_completions(self):
        for asked in (False, True):
            with self.subTest(asked=asked):
                body = {'model': 'text', 'prompt': 'x', 'stream': True, **({'stream_options': {'include_usage': True}} if asked else {})}
                a = self.node.ask('POST', '/v1/completions', body, self.key)
                self.check(a, asked)

    def test_a_provider_that_takes_no_stream_options(self):
        self.provider_set('apart', usage_option=False)
        self.addCleanup(self.provider_set, 'apart', usage_option=None)
        self.check(self.chat('apart', True, stream_options={'include_usage': True}), True)
        self.assertNotIn('stream_options', self.provider.asked['apart'][-1][2])

    def test_cost_is_a_plain_decimal_with_a_point(self):
        for name, (_, _, text) in dict(self.PRICES, free=('', '', '0.0')).items():
            with self.subTest(name):
                a = self.chat('cost-' + name, max_tokens=9)
                self.assertIn(b'"cost":%s}' % text.encode(), a.body)
                self.assertEqual(a.get('x-aigw-cost-usd'), text)
                self.assertEqual(set(a.usage) & {'cost_details', 'is_byok', 'cost_in_usd_ticks'}, set())


class Limits(NodeCase):
    """A7: the limits to the byte."""
    MODELS = on_both('m', 'tokens=2&input=5')

    def status(self, data):
        with Conn(self.node.port) as c:
            c.send(data)
            a = c.answer()
            return a.status, a.error['code'] if a.status != 200 else None

    def test_request_line(self):
        for n, want in ((8192, (200, None)), (8193, (414, 'uri_too_long'))):
            line = b'GET /v1/models?%s HTTP/1.1\r\n'
            line = line.replace(b'%s', b'q' * (n - len(line) + 2))
            self.assertEqual((len(line), self.status(line + b'host: x\r\nauthorization: Bearer %s\r\n\r\n' % self.key.encode())), (n, want))

    def test_head(self):
        for n, want in ((65536, (200, None)), (65537, (431, 'headers_too_large'))):
            data = b'GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\npad: %%s\r\n\r\n' % self.key.encode()
            data = data.replace(b'%s', b'p' * (n - len(data) + 2))
            self.assertEqual((len(data), self.status(data)), (n, want))

    def test_body(self):
        start = json.dumps(chat_body('m-oai')).encode()
        for n, want in ((32 << 20, 200), ((32 << 20) + 1, 413)):
            for chunks in (False, True):
                with self.subTest(n, chunks=chunks):
                    body = start + b' ' * (n - len(start))
                    headers = [('transfer-encoding', 'chunked')] if chunks else []
                    a = self.node.ask('POST', CHAT, chunked(body) + b'0\r\n\r\n' if chunks else body, self.key, headers)
                    self.assertEqual((a.status, a.get('connection')), (want, None if want == 200 else 'close'), a)

    def test_depth(self):
        for back in ('oai', 'ant'):
            for depth, want in ((127, 200), (128, 400)):
                with self.subTest(back, depth=depth):
                    body = json.dumps(chat_body('m-' + back))[:-1] + ',"metadata":' + '[' * depth + ']' * depth + '}'
                    a = self.node.ask('POST', CHAT, body, self.key)
                    self.assertEqual((a.status, a.error['code'] if want == 400 else None), (want, 'invalid_json' if want == 400 else None), a)


class BodyMemory(NodeCase):
    """Design 4: all bodies of a worker together; beyond that 503, and what was held comes back."""
    MODELS = {**on_both('m', 'tokens=2&input=5'), 'slow': model('oai/sim?delay=1s&tokens=2')}
    CONFIG = {'workers': 1, 'limits': {'body': '1MiB', 'body_memory': '1MiB'}}

    def test_full(self):
        text = 'x' * (600 << 10)
        for _ in range(2):
            self.sim.reset()
            with Conn(self.node.port) as c:
                c.request('POST', CHAT, chat_body('slow', text=text), key=self.key)
                wait_for(lambda: self.sim.counts()['requests'] == 1)
                a = self.chat('m-oai', text=text)
                self.assertEqual((a.status, a.error['code'], a.get('retry-after'), a.get('x-should-retry')), (503, 'overloaded', '1', 'true'), a)
                self.assertEqual(self.chat('m-oai').status, 200)
                self.assertEqual(c.answer().status, 200)
            self.assertEqual(self.chat('m-ant', text=text).status, 200)


class OddTypes(ProviderCase):
    """Streams under another content type than theirs, as some servers send them, and what is none."""
    ITEMS = chunk('hi') + chunk(finish='stop', usage=USAGE) + DONE
    CONFIG = {'breaker': {'failures': 32, 'requests': 32}}
    ANSWERS = {'json': [head(content_type='application/json') + ITEMS], 'plain': [head(content_type='text/plain; charset=utf-8') + b': hello\n\n' + ITEMS],
               'slowly': [head(content_type='application/json'), b'd', 0.05, b'at', 0.05, ITEMS[3:]],
               'body': [whole(ANSWER)], 'page': [head(content_type='text/html') + b'<html>data: no</html>'],
               'error': [whole({'error': {'message': 'too much', 'code': 'context_length_exceeded'}})]}

    def test_streams(self):
        for name in ('json', 'plain', 'slowly'):
            with self.subTest(name):
                a = self.chat(name, True)
                self.assertTrue(a.status == 200 and a.is_done and a.is_whole and a.text == 'hi', a)
                self.assertEqual(nusd(self.node.record(a.get('x-request-id'))['charge_usd']), 9000)
                self.assertEqual(self.chat(name).status, 502)

    def test_others(self):
        for name, status in (('body', 502), ('page', 502), ('error', 400)):
            with self.subTest(name):
                self.assertEqual(self.chat(name, True).status, status)
        self.assertEqual(self.chat('body').status, 200)


class Browsers(NodeCase):
    """A6 where it is narrowed, and off."""
    MODELS = on_both('m', 'tokens=2&input=5')
    CONFIG = {'cors': {'origins': ['https://one.example', 'https://two.example']}}

    def asked(self, method, path, origin, body=None):
        headers = [('origin', origin)] if origin else []
        if method == 'OPTIONS':
            headers += [('access-control-request-method', 'POST'), ('access-control-request-headers', 'authorization, x-odd')]
        return self.node.ask(method, path, body, self.key, headers)

    def test_narrowed(self):
        for origin in ('https://one.example', 'https://two.example', 'https://three.example', None):
            mine = origin if origin and 'three' not in origin else None
            for method, path, body in (('OPTIONS', CHAT, None), ('GET', '/v1/models', None), ('GET', '/nowhere', None), ('POST', CHAT, chat_body('m-oai')),
                                       ('POST', CHAT, chat_body('m-ant', True)), ('POST', CHAT, '{')):
                with self.subTest(origin, method=method, path=path):
                    a = self.asked(method, path, origin, body)
                    self.assertEqual(a.get('access-control-allow-origin'), mine, a)
                    self.assertEqual(a.get('vary'), 'origin', a)
                    self.assertEqual(a.get('access-control-expose-headers'), '*' if mine else None)
                    if method == 'OPTIONS':
                        self.assertEqual((a.status, a.get('access-control-max-age')), (204, '86400' if mine else None), a)
                        self.assertEqual(a.get('access-control-allow-headers'), 'authorization, x-odd' if mine else None)


class BrowsersOff(NodeCase):
    MODELS = on_both('m', 'tokens=2&input=5')
    CONFIG = {'cors': {'origins': []}}

    def test_off(self):
        for method, path, body in (('OPTIONS', CHAT, None), ('GET', '/v1/models', None), ('POST', CHAT, chat_body('m-oai', True))):
            with self.subTest(method + path):
                a = Browsers.asked(self, method, path, 'https://one.example', body)
                self.assertFalse([n for n in a.names if n.startswith('access-control') or n == 'vary'], a)


class Codings(NodeCase):
    MODELS = on_both('m', 'tokens=2&input=5')

    def test_codings(self):
        body = json.dumps(chat_body('m-oai')).encode()
        deflated = zlib.compress(body)
        for coding, data, status in (
                ('gzip', gzip.compress(body), 200), ('GZIP', gzip.compress(body), 200), ('x-gzip', gzip.compress(body), 200), ('identity', body, 200),
                ('deflate', deflated, 415), ('gzip, gzip', gzip.compress(gzip.compress(body)), 415), ('zstd', body, 415),
                ('gzip', body, 400), ('gzip', gzip.compress(body)[:-9], 400), ('gzip', gzip.compress(body) + b'x', 400), ('gzip', b'', 400)):
            for chunks in (False, True):
                with self.subTest(coding, status=status, chunks=chunks, n=len(data)):
                    headers = [('content-encoding', coding)] + ([('transfer-encoding', 'chunked')] if chunks else [])
                    sent = (chunked(data) if data else b'') + b'0\r\n\r\n' if chunks else data
                    a = self.node.ask('POST', CHAT, sent, self.key, headers)
                    self.assertEqual((a.status, a.is_whole), (status, True), a)
                    if status == 415:
                        self.assertEqual(a.error['code'], 'unsupported_media_type')
                        self.assertIn('gzip', a.error['message'])

    def test_limit_is_of_what_is_decoded(self):
        """32 MiB after decoding: a bomb costs neither memory nor time."""
        start = json.dumps(chat_body('m-oai')).encode()
        z = zlib.compressobj(9, zlib.DEFLATED, 31)
        # Of the bomb each MiB is the same block; its end is never read.
        bomb = z.compress(start) + z.flush(zlib.Z_FULL_FLUSH) + (z.compress(b' ' * (1 << 20)) + z.flush(zlib.Z_FULL_FLUSH)) * 2048
        fits, over = (gzip.compress(start + b' ' * (size - len(start))) for size in ((32 << 20) - 100, (32 << 20) + 1))
        for size, data, status in (('fits', fits, 200), ('over', over, 413), ('2 GiB', bomb, 413)):
            with self.subTest(size):
                begun = time.monotonic()
                a = self.node.ask('POST', CHAT, data, self.key, [('content-encoding', 'gzip')])
                self.assertEqual(a.status, status, a)
                self.assertLess(time.monotonic() - begun, 5)


class Times(NodeCase):
    """A4, A7: head_after and keepalive of 0; a client's time-out for streams."""
    MODELS = {**on_both('slow', 'tokens=2&input=5&delay=1500ms'), **on_both('drip', 'tokens=4&rate=1&input=5'), **on_both('endless', 'tokens=1000&rate=2')}
    CONFIG = {'timeouts': {'head_after': 0, 'keepalive': 0}}

    def test_never_early_and_no_signs_of_life(self):
        for name, a in self.chats(('slow-oai', 'slow-ant', 'drip-oai'), True).items():
            with self.subTest(name):
                self.assertGreater(a.head_at - a.begun, 1.4 if name != 'drip-oai' else 0)
                self.assertNotIn(b': aigw', a.body)

    def test_a_stream_ends_before_its_client_gives_up(self):
        for name in ('x-stainless-timeout', 'x-stainless-read-timeout'):
            for model, a in self.chats(('endless-oai', 'endless-ant'), True, headers=[(name, '4')]).items():
                with self.subTest(model, name=name):
                    self.assertTrue(1.5 < a.end_at - a.begun < 3.9)
                    self.assertEqual((a.status, a.ended, a.error['code'], a.error['metadata']['status']), (200, 'cut', 'upstream_timeout', 504), a)
                    self.assertGreater(nusd(self.node.record(a.get('x-request-id'))['charge_usd']), 0)


class Draining(NodeCase):
    """A7: while a node drains, idle connections serve what arrives for a while, and say that they close."""
    MODELS = on_both('m', 'tokens=2&input=5') | on_both('run', 'tokens=40&rate=20&input=5')
    CONFIG = {'timeouts': {'drain_timeout': '8s'}}

    def is_refused(self):
        """Nobody listens any more: every worker is draining."""
        try:
            Conn(self.node.port).close()
        except ConnectionError:
            return True

    def test_zzz_drain(self):
        idle = [Conn(self.node.port) for _ in range(4)]
        with Conn(self.node.port) as running:
            for c in idle:
                a = c.request('GET', '/v1/models', key=self.key).answer()
                self.assertEqual((a.status, a.get('connection')), (200, None))
            running.request('POST', CHAT, chat_body('run-oai', True), key=self.key)
            h = running.head()
            self.assertIsNone(h.get('connection'))
            self.node.signal(signal.SIGTERM)
            wait_for(self.is_refused)
            for c, (method, path, body) in zip(idle, (('GET', '/v1/models', None), ('POST', CHAT, chat_body('m-ant')), ('POST', CHAT, chat_body('m-oai', True)))):
                with self.subTest(path):
                    a = c.request(method, path, body, key=self.key).answer()
                    self.assertEqual((a.status, a.get('connection'), a.get('keep-alive'), a.is_whole), (200, 'close', None, True), a)
                    self.assertTrue(c.is_closed())
            body = b''.join(running.parts(h))
            self.assertTrue(body.endswith(DONE), body[-300:])
            self.assertTrue(idle[3].is_closed(6))
        self.assertEqual(self.node.master.wait(20), 0)

    def test_zz_books_are_right_and_no_secret_shows(self):
        self.node.check_books()


if __name__ == '__main__':
    tap.main()
