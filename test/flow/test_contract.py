"""Routes (A1), credentials and ids (A2), errors (A3), headers in both directions (A5), browsers (A6)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from canary import PROVIDER_KEY
from client import Conn
from gateway import free_port, wait_for
from node import BACKS, NodeCase, chat_body, model, on_both
import tap

ERROR_KEYS = {'message', 'type', 'param', 'code', 'metadata'}
CHAT = '/v1/chat/completions'


class Routes(NodeCase):
    MODELS = {**on_both('m', 'tokens=2&input=5'), 'org/with/slashes': model('oai/sim?tokens=2&input=5'),
              'embed': model('oai/sim?input=5', price={'input': 1, 'output': 0})}
    # (method, route without prefix) of those that this version does not serve yet
    LATER = [('POST', '/responses'), ('POST', '/moderations'), ('POST', '/images/generations'), ('POST', '/images/edits'),
             ('POST', '/images/variations'), ('POST', '/audio/speech'), ('POST', '/audio/transcriptions'), ('POST', '/audio/translations'),
             ('POST', '/rerank'), ('GET', '/videos'), ('GET', '/files'), ('POST', '/files'), ('GET', '/files/f1/content'), ('GET', '/batches'), ('GET', '/realtime')]

    def test_prefixes_and_folding(self):
        """/v1, /v1/v1, /api/v1, /api, /openai/v1, /openai or nothing; a route repeated at the end counts once; // and trailing / folded."""
        for prefix in ('/v1', '/v1/v1', '/api/v1', '/api', '/openai/v1', '/openai', ''):
            for route in ('/chat/completions', '/chat/completions/chat/completions', '//chat//completions', '/chat/completions/',
                          '/chat/completions?api-version=1'):
                with self.subTest(prefix + route):
                    self.assertEqual(self.node.ask('POST', prefix + route, chat_body('m-oai'), self.key).status, 200)
            for route in ('/models', '/key', '/credits', '/models/m-oai'):
                with self.subTest(prefix + route):
                    self.assertEqual(self.node.ask('GET', prefix + route, key=self.key).status, 200)

    def test_deployment_in_the_path(self):
        body = chat_body('m-oai')
        del body['model']
        a = self.node.ask('POST', '/openai/deployments/m-oai/chat/completions?api-version=2024-02-01', body, self.key)
        self.assertEqual((a.status, a.get('x-aigw-model')), (200, 'm-oai'), a)

    def test_own_and_unlogged(self):
        for method in ('GET', 'HEAD'):
            for path in ('/', '/api/hello', '/healthz', '/readyz'):
                with self.subTest(method + path):
                    a = self.node.ask(method, path)
                    self.assertEqual(a.status, 200)
                    self.assertEqual(a.body, b'' if method == 'HEAD' else a.body)
                    if path in ('/', '/api/hello') and method == 'GET':
                        self.assertEqual(a.json(), {'name': 'aigw'})
        self.assertFalse([e for e in self.node.events('request') if e['path'] in ('/', '/api/hello', '/healthz', '/readyz')])

    def test_head_works_where_get_does(self):
        self.node.verify()  # the ledger has what was spent: both answers tell the same
        for path in ('/v1/models', '/v1/models/m-oai', '/v1/key', '/v1/credits'):
            with self.subTest(path):
                with Conn(self.node.port) as c:
                    get = c.request('GET', path, key=self.key).answer()
                    head = c.request('HEAD', path, key=self.key).answer('HEAD')
                    self.assertEqual((head.status, head.body), (200, b''))
                    self.assertEqual(head.get('content-length'), get.get('content-length'))
                    self.assertEqual(c.request('GET', path, key=self.key).answer().status, 200)

    def test_wrong_method(self):
        for method, path, allow in (('GET', CHAT, 'POST'), ('POST', '/v1/models', 'GET'), ('DELETE', '/v1/key', 'GET'), ('PUT', CHAT, 'POST')):
            with self.subTest(method + path):
                a = self.node.ask(method, path, key=self.key)
                self.assertEqual((a.status, a.error['code']), (405, 'method_not_allowed'), a)
                self.assertIn(allow, a.get('allow'))
                self.assertEqual(a.get('x-should-retry'), 'false')

    def test_unknown_path_names_the_nearest(self):
        for path, near in (('/v1/chat/completion', '/v1/chat/completions'), ('/v1/embedings', '/v1/embeddings'), ('/v1/model', '/v1/models')):
            with self.subTest(path):
                a = self.node.ask('POST', path, chat_body('m-oai'), self.key)
                self.assertEqual((a.status, a.error['code']), (404, 'unknown_url'), a)
                for word in ('POST', path, near):
                    self.assertIn(word, a.error['message'])

    def test_routes_to_come_say_so(self):
        for method, path in self.LATER:
            with self.subTest(path):
                a = self.node.ask(method, '/v1' + path, {} if method == 'POST' else None, self.key)
                self.assertEqual((a.status, a.error['code']), (404, 'unknown_url'), a)
                self.assertRegex(a.error['message'], r'is not served by this version of the gateway; use .{8}')
        for path in ('/v1/messages', '/anthropic/v1/messages', '/anthropic/messages', '/messages', '/v1/messages/count_tokens'):
            with self.subTest(path):
                a = self.node.ask('POST', path, {}, self.key)
                self.assertEqual((a.status, a.json()['type'], a.json()['error']['type']), (404, 'error', 'not_found_error'), a)
                self.assertEqual(a.json()['request_id'], a.get('request-id'))
                self.assertRegex(a.json()['error']['message'], r'is not served by this version of the gateway; use /v1/chat/completions')

    def test_percent_decoding_once(self):
        self.assertEqual(self.node.ask('GET', '/v1/models/org%2Fwith%2Fslashes', key=self.key).json()['id'], 'org/with/slashes')
        self.assertEqual(self.node.ask('GET', '/v1/models/org/with/slashes', key=self.key).json()['id'], 'org/with/slashes')
        self.assertEqual(self.node.ask('GET', '/v1/models/org%252Fwith', key=self.key).status, 404)

    def test_models(self):
        a = self.node.ask('GET', '/v1/models', key=self.key)
        body = a.json()
        self.assertEqual((body['object'], body['has_more']), ('list', False))
        ids = [m['id'] for m in body['data']]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual((body['first_id'], body['last_id']), (ids[0], ids[-1]))
        for key in ('id', 'object', 'type', 'created', 'created_at', 'owned_by', 'display_name', 'name', 'context_length',
                    'max_completion_tokens', 'architecture', 'pricing', 'supported_parameters'):
            self.assertIn(key, body['data'][0])
        self.assertIsInstance(body['data'][0]['pricing']['prompt'], str)
        self.assertEqual(self.node.ask('GET', '/v1/models', key=self.key, headers=[('if-none-match', a.get('etag'))]).status, 304)
        page = self.node.ask('GET', '/v1/models?limit=2&after_id=' + ids[0].replace('/', '%2F'), key=self.key).json()
        self.assertEqual([m['id'] for m in page['data']], ids[1:3])
        self.assertTrue(page['has_more'])
        self.assertEqual(self.node.ask('GET', '/v1/models').status, 401)

    def test_responses_body_at_chat(self):
        a = self.node.ask('POST', CHAT, {'model': 'm-oai', 'input': 'hi'}, self.key)
        self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'missing_required_parameter', 'messages'))
        self.assertIn('this looks like a Responses request', a.error['message'])
        self.assertRegex(a.error['message'], r"does not serve.*'messages' to /v1/chat/completions")
        self.assertNotIn('/v1/responses', a.error['message'])


class Errors(NodeCase):
    MODELS = {
        **on_both('m', 'tokens=2&input=5'),
        **{'status-%d-%s' % (n, back): model('%s/sim?status=%d' % (back, n)) for n in (400, 404, 413, 422, 500, 503) for back in BACKS},
        'too-long': model('oai/sim?status=400&code=context_length_exceeded'),
    }
    CONFIG = {'breaker': {'failures': 32, 'requests': 32}, 'retry': {'minimum': 100000}}

    def refused(self, a, status, type_, code, retry='false'):
        self.assertEqual((a.status, a.is_whole), (status, True), a)
        self.assertEqual(a.get('content-type'), 'application/json')
        self.assertEqual(set(a.json()), {'error'})
        e = a.error
        self.assertEqual(set(e), ERROR_KEYS)
        self.assertEqual((e['type'], e['code'], e['metadata']['status']), (type_, code, status), a)
        self.assertTrue(e['message'])
        self.assertEqual(a.get('x-should-retry'), retry)
        self.assertEqual('retry-after' in a.names, 'retry-after-ms' in a.names)
        return e

    def test_bodies(self):
        bad = 'invalid_request_error'
        for body, code, param in (
                ('{', 'invalid_json', None), ('[]', 'invalid_json', None), ('', 'invalid_json', None),
                ({'messages': [{'role': 'user', 'content': 'x'}]}, 'missing_required_parameter', 'model'),
                ({'model': 'm-oai'}, 'missing_required_parameter', 'messages'),
                ({'model': 7, 'messages': []}, 'invalid_value', 'model'),
                (chat_body('m-ant', temperature='hot'), 'invalid_value', 'temperature'),
                ({'model': 'm-oai', 'messages': [{'role': 'user', 'content': 'x'}], 'stream': 'yes'}, 'invalid_value', 'stream'),
                (chat_body('m-oai', max_tokens=5, max_completion_tokens=6), 'invalid_value', None),
                (chat_body('m-oai', max_tokens=-1), 'invalid_value', 'max_tokens'),
                (chat_body('m-oai', n=0), 'invalid_value', 'n'),
                ('{"model":"m-oai","model":"m-ant","messages":[{"role":"user","content":"x"}]}', 'invalid_value', 'model'),
                ('{"model":"m-oai","m\\u006fdel":"m-ant","messages":[{"role":"user","content":"x"}]}', 'invalid_value', 'model'),
                ('{"Model":"m-ant","model":"m-oai","messages":[{"role":"user","content":"x"}]}', 'invalid_value', None)):
            with self.subTest(str(body)[:70]):
                a = self.node.ask('POST', CHAT, body, self.key)
                self.assertEqual(a.status, 400, a)
                e = self.refused(a, 400, bad, a.error['code'])
                self.assertIn(e['code'], (code, 'invalid_json') if code == 'invalid_value' and param is None else (code,), a)
                if param:
                    self.assertEqual(e['param'], param, a)

    def test_unsupported_field_on_a_back_that_cannot_express_it(self):
        a = self.chat('m-ant', n=2)
        self.refused(a, 400, 'invalid_request_error', a.error['code'])
        self.assertIn(a.error['code'], ('unsupported_parameter', 'invalid_value'))
        self.assertEqual(a.error['param'], 'n')

    def test_context_too_long(self):
        self.refused(self.chat('too-long'), 400, 'invalid_request_error', 'context_length_exceeded')

    def test_credentials(self):
        for headers in ([], [('authorization', 'Bearer nonsense')], [('authorization', 'Bearer ' + self.key[:-1] + 'x')],
                        [('x-api-key', 'sk-aigw-000000000000-' + 'x' * 43)]):
            with self.subTest(str(headers)[:40]):
                a = self.node.ask('POST', CHAT, chat_body('m-oai'), headers=headers)
                e = self.refused(a, 401, 'invalid_request_error', 'invalid_api_key')
                self.assertEqual(a.get('www-authenticate'), 'Bearer')
                for _, v in headers:
                    self.assertNotIn(v.split()[-1], e['message'])
        e = self.node.ask('POST', CHAT, chat_body('m-oai'), headers=[('x-api-key', self.key[:-1] + 'x')]).error
        self.assertIn('x-api-key', e['message'])
        self.assertIn(self.key.split('-')[2], e['message'])

    def test_unknown_model(self):
        e = self.refused(self.chat('gpt-nothing'), 404, 'invalid_request_error', 'model_not_found')
        self.assertIn('gpt-nothing', e['message'])

    def test_providers_word_on_the_request_is_final(self):
        """A 400, 404, 413 or 422 about the request: its status, its text first, no further candidate."""
        for status in (400, 404, 413, 422):
            for back in BACKS:
                for stream in (False, True):
                    with self.subTest(status=status, back=back, stream=stream):
                        a = self.chat('status-%d-%s' % (status, back), stream)
                        self.assertEqual((a.status, a.get('x-should-retry'), a.get('x-aigw-attempts')), (status, 'false', '1'), a)
                        self.assertTrue(a.error['message'].startswith('simulated error %d' % status), a)
                        self.assertTrue(a.error['metadata']['provider_code'])

    def test_providers_faults_are_502(self):
        for status in (500, 503):
            for back in BACKS:
                with self.subTest(status=status, back=back):
                    self.refused(self.chat('status-%d-%s' % (status, back)), 502, 'server_error', 'upstream_error', 'true')

    def test_addresses_of_providers_are_for_the_log_only(self):
        def at(url):
            return {'dialect': 'openai', 'base_url': url + '/v1', 'keys': ['env:MOCK_KEY']}
        dead = free_port()
        self.node.configure(providers={'gone': at('http://127.0.0.1:%d' % dead), 'plain': at('https://127.0.0.1:%d' % self.node.port)},
                            models={'gone': model('gone/x'), 'plain': model('plain/x')})
        self.node.ctl('reload')
        for name, said, code in (('gone', 'the connection was refused', 'connection_refused'),
                                 ('plain', 'no trusted TLS connection could be made', 'tls_failed')):
            for stream in (False, True):
                with self.subTest(name, stream=stream):
                    a = self.chat(name, stream)
                    e = self.refused(a, 502, 'server_error', 'upstream_error', 'true')
                    self.assertEqual(e['message'], 'Provider `%s`: %s.' % (name, said))
                    self.assertEqual(e['metadata']['attempts'], [{'provider': name, 'model': 'x', 'code': code}])
                    self.assertNotRegex(str(a.headers) + a.body.decode(), r'127\.0\.0\.1|%d|%d' % (dead, self.node.port))
                    line = wait_for(lambda: [e for e in self.node.events('attempt_failed') if e['request_id'] == a.get('x-request-id')])[0]
                    self.assertEqual((line['provider'], line['upstream'], line['code'], line['level']), (name, 'x', code, 'warn'))
                    self.assertIn('127.0.0.1', line['cause'])

    def test_gzip_and_other_codings(self):
        import gzip
        import json
        body = json.dumps(chat_body('m-oai')).encode()
        a = self.node.ask('POST', CHAT, gzip.compress(body), self.key, [('content-encoding', 'gzip')])
        self.assertEqual(a.status, 200, a)
        self.refused(self.node.ask('POST', CHAT, body, self.key, [('content-encoding', 'br')]), 415, 'invalid_request_error',
                     'unsupported_media_type')
        bomb = gzip.compress(b' ' * (200 << 20), 9)
        self.refused(self.node.ask('POST', CHAT, bomb, self.key, [('content-encoding', 'gzip')]), 413, 'invalid_request_error',
                     'request_too_large')


class Headers(NodeCase):
    MODELS = {**on_both('m', 'tokens=2&input=5'), 'two': model('oai/sim?status=500', 'oai/sim?tokens=2&input=5'),
              'fails': model('oai/sim?status=500'), 'final': model('oai/sim?status=400')}
    CONFIG = {'breaker': {'failures': 32, 'requests': 32}, 'providers': {'oai': {'headers': {'x-extra': 'configured'}}}}
    DOWN_NEVER = ('set-cookie', 'alt-svc', 'openai-organization', 'server', 'via')

    def test_down(self):
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back=back, stream=stream):
                    a = self.chat('m-' + back, stream)
                    self.assertRegex(a.get('x-request-id'), r'^gen_[0-9a-z]{26}$')
                    self.assertEqual(a.get('x-generation-id'), a.get('x-request-id'))
                    self.assertEqual((a.get('x-aigw-provider'), a.get('x-aigw-model'), a.get('x-aigw-attempts'), a.get('x-aigw-config')),
                                     (back, 'm-' + back, '1', '1'))
                    self.assertRegex(a.get('x-aigw-upstream-request-id'), r'^req-sim\d+$')
                    self.assertRegex(a.get('server-timing'), r'^gw;dur=[\d.]+, up;dur=[\d.]+$')
                    self.assertEqual('x-aigw-cost-usd' in a.names, not stream)
                    self.assertEqual(len(a.names), len(set(a.names)), a.names)
                    self.assertFalse([n for n in a.names if n.startswith('x-ratelimit') or n in self.DOWN_NEVER])
                    self.assertEqual((a.get('access-control-allow-origin'), a.get('access-control-expose-headers')), ('*', '*'))
        self.assertEqual(self.chat('two').get('x-aigw-attempts'), '2')

    def test_limits_are_told(self):
        key = self.node.customer('told', rpm=10, tpm=5000)
        a = self.chat('m-oai', key=key)
        self.assertEqual((a.get('x-ratelimit-limit-requests'), a.get('x-ratelimit-remaining-requests')), ('10', '9'))
        self.assertEqual(a.get('x-ratelimit-limit-tokens'), '5000')
        self.assertLess(int(a.get('x-ratelimit-remaining-tokens')), 5000)
        self.assertRegex(a.get('x-ratelimit-reset-requests'), r'^(\d+m)?\d+(\.\d+)?(s|ms)$')

    def test_limits_are_told_on_errors_too(self):
        """A5: a client needs them most when it is refused."""
        def told(a):
            return {n[12:]: v for n, v in a.headers if n.startswith('x-ratelimit-')}
        key = self.node.customer('refused', rpm=2, tpm=100000)
        for left in ('1', '0'):
            a = self.chat('m-oai', key=key)
            self.assertEqual((a.status, told(a)['remaining-requests']), (200, left), a)
        a = self.chat('m-oai', key=key)
        self.assertEqual((a.status, a.error['code']), (429, 'rate_limit_exceeded'), a)
        self.assertEqual((told(a)['limit-requests'], told(a)['remaining-requests'], told(a)['limit-tokens']), ('2', '0', '100000'), a)
        self.assertRegex(told(a)['reset-requests'], r'^(\d+m)?\d+(\.\d+)?(s|ms)$')
        poor = self.node.customer('poor', '0.000000001', rpm=7)
        a = self.chat('m-oai', key=poor)
        self.assertEqual((a.status, told(a)['limit-requests'], told(a)['remaining-requests']), (402, '7', '7'), a)
        key = self.node.customer('failing', rpm=9)
        for name, status in (('fails', 502), ('final', 400)):
            a = self.chat(name, key=key)
            self.assertEqual((a.status, told(a)['limit-requests']), (status, '9'), a)
            self.assertNotIn('limit-tokens', told(a))
        self.assertEqual(told(a)['remaining-requests'], '7')
        for a in (self.chat('fails'), self.chat('no-such'), self.chat('m-oai', key='sk-aigw-x')):
            self.assertEqual(told(a), {}, a)

    def test_up(self):
        """Only what A5 names crosses; never the client's key, cookies, forwarding headers or idempotency keys."""
        sent = [('openai-beta', 'beta=1'), ('anthropic-beta', 'abeta'), ('anthropic-version', '2023-06-01'), ('traceparent', '00-a-b-01'),
                ('tracestate', 'k=v'), ('cookie', 'c=1'), ('x-forwarded-for', '1.2.3.4'), ('forwarded', 'for=1.2.3.4'),
                ('x-stainless-lang', 'python'), ('openai-organization', 'org-1'), ('openai-project', 'p'),
                ('user-agent', 'OpenAI/Python'), ('accept', 'application/json'), ('accept-encoding', 'gzip, br'), ('x-extra', 'of the client'),
                ('x-api-key', 'x'), ('referer', 'http://x/'), ('via', '1.1 x')]
        common = {'host', 'content-type', 'content-length', 'accept', 'accept-encoding', 'user-agent', 'traceparent', 'tracestate', 'connection'}
        allowed = {'oai': common | {'authorization', 'openai-beta', 'x-extra'},
                   'ant': common | {'x-api-key', 'anthropic-version', 'anthropic-beta'}}
        for back in BACKS:
            for stream in (False, True):
                with self.subTest(back=back, stream=stream):
                    a = self.chat('m-' + back, stream, headers=sent + [('idempotency-key', 'crosses-%s-%s' % (back, stream))])
                    self.assertEqual(a.status, 200, a)
                    _, headers, body = self.sim.last()
                    got = dict(headers)
                    self.assertEqual(set(got) - allowed[back], set())
                    self.assertEqual(len(headers), len(got))
                    self.assertEqual(got['accept-encoding'], 'identity')
                    self.assertRegex(got['user-agent'], r'^aigw/\d')
                    self.assertEqual(got['traceparent'], '00-a-b-01')
                    if back == 'oai':
                        self.assertEqual((got['authorization'], got['openai-beta'], got['x-extra']), ('Bearer ' + PROVIDER_KEY, 'beta=1', 'configured'))
                    else:
                        self.assertEqual((got['x-api-key'], got['anthropic-version'], got['anthropic-beta']), (PROVIDER_KEY, '2023-06-01', 'abeta'))
                    self.assertNotIn(self.key, str(headers) + body)

    def test_own_fields_are_consumed(self):
        self.chat('m-oai', session_id='s', transforms=[], route='fallback', usage={'include': True})
        for word in ('session_id', 'transforms', '"route"', '"usage"'):
            self.assertNotIn(word, self.sim.last()[2])
        self.chat('m-oai', some_new_field={'a': [1.50, 'x']})
        self.assertIn('"some_new_field": {"a": [1.5, "x"]}', self.sim.last()[2])

    def test_credential_headers_in_their_order(self):
        for headers in ([('authorization', 'bearer ' + self.key)], [('authorization', 'BEARER  "%s" ' % self.key)], [('x-api-key', self.key)],
                        [('api-key', self.key)], [('x-goog-api-key', " '%s'" % self.key)],
                        [('authorization', 'Bearer unknown'), ('x-api-key', self.key)]):
            with self.subTest(headers[0][0] + headers[-1][0]):
                a = self.node.ask('POST', CHAT, chat_body('m-oai'), headers=headers)
                self.assertEqual(a.status, 200, a)
        self.assertEqual(self.node.ask('POST', CHAT + '?key=' + self.key, chat_body('m-oai')).status, 200)

    def test_clients_id_is_echoed_and_logged(self):
        for name in ('x-request-id', 'x-client-request-id'):
            a = self.chat('m-oai', headers=[(name, 'mine-1')])
            self.assertEqual(a.get('x-client-request-id'), 'mine-1')
            self.assertIn('mine-1', str(self.node.access(a.get('x-request-id'))))
        for bad in ('x' * 129, 'a b', 'caf\xe9'):
            self.assertIsNone(self.chat('m-oai', headers=[('x-request-id', bad)]).get('x-client-request-id'))

    def test_access_line(self):
        a = self.chat('m-oai', True)
        line = self.node.access(a.get('x-request-id'))[a.get('x-request-id')]
        for name in ('time', 'request_id', 'key', 'account', 'client', 'front', 'method', 'path', 'model', 'model_used', 'provider', 'status',
                     'end', 'attempts', 'tokens_in', 'tokens_cached', 'tokens_out', 'tokens_reasoning', 'cost_usd', 'first_byte_ms', 'total_ms',
                     'gateway_ms', 'bytes_in', 'bytes_out'):
            self.assertIn(name, line)
        self.assertEqual((line['tokens_in'], line['tokens_out'], line['end'], line['client']), (5, 2, 'done', '127.0.0.1'))


class Browsers(NodeCase):
    MODELS = on_both('m', 'tokens=2&input=5')

    def test_preflight(self):
        for path in (CHAT, '/v1/models', '/v1/key', '/v1/messages', '/v1/embeddings'):
            with self.subTest(path):
                a = self.node.ask('OPTIONS', path, headers=[('origin', 'https://app.example'), ('access-control-request-method', 'POST'),
                                                            ('access-control-request-headers', 'authorization,x-odd')])
                self.assertEqual((a.status, a.body), (204, b''), a)
                self.assertEqual([a.get('access-control-' + n) for n in ('allow-origin', 'allow-methods', 'allow-headers', 'max-age')],
                                 ['*', 'GET, POST, DELETE, OPTIONS', 'authorization,x-odd', '86400'])

    def test_every_answer(self):
        for a in (self.chat('m-oai'), self.chat('m-ant', True), self.chat('none'), self.node.ask('GET', '/nowhere'),
                  self.node.ask('POST', CHAT, chat_body('m-oai'))):
            self.assertEqual((a.get('access-control-allow-origin'), a.get('access-control-expose-headers')), ('*', '*'), a)

    def test_admin_port_never(self):
        from client import ask
        for path in ('/metrics', '/healthz', '/readyz', '/nothing'):
            a = ask(self.node.admin_port, 'GET', path, headers=[('origin', 'https://app.example')])
            self.assertFalse([n for n in a.names if n.startswith('access-control')], a)

    def test_narrowed_and_off(self):
        try:
            self.node.configure(cors={'origins': ['https://one.example']})
            self.node.ctl('reload')
            a = self.node.ask('GET', '/v1/models', key=self.key, headers=[('origin', 'https://one.example')])
            self.assertEqual(a.get('access-control-allow-origin'), 'https://one.example')
            a = self.node.ask('GET', '/v1/models', key=self.key, headers=[('origin', 'https://two.example')])
            self.assertIsNone(a.get('access-control-allow-origin'))
            self.node.configure(cors={'origins': []})
            self.node.ctl('reload')
            a = self.node.ask('GET', '/v1/models', key=self.key, headers=[('origin', 'https://one.example')])
            self.assertFalse([n for n in a.names if n.startswith('access-control')], a)
        finally:
            self.node.configure(cors=None)
            self.node.ctl('reload')


if __name__ == '__main__':
    tap.main()
