"""Connections and times (A7): parsing, splitting, limits, lingering, drip-fed bodies; rows 44, 45, 48."""
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, message
from node import LONG, NodeCase, chat_body, model, on_both
import tap

CHAT = '/v1/chat/completions'


class Parsing(NodeCase):
    MODELS = on_both('m', 'tokens=2&input=5')

    def raw(self, data, timeout=10):
        with Conn(self.node.port, timeout=timeout) as c:
            c.send(data)
            a = c.answer()
            return a, c.is_closed()

    def request(self, lines='', body=None, line='POST %s HTTP/1.1' % CHAT, host='host: x\r\n'):
        body = json.dumps(chat_body('m-oai')).encode() if body is None else body
        return ('%s\r\n%sauthorization: Bearer %s\r\n%s\r\n' % (line, host, self.key, lines)).encode('latin-1') + body

    def plain(self, **more):
        body = json.dumps(chat_body('m-oai')).encode()
        return self.request('content-length: %d\r\n' % len(body), body, **more)

    def test_refused_with_400_and_close(self):
        """Issue 2 section 4, strict parsing."""
        body = json.dumps(chat_body('m-oai')).encode()
        n = len(body)
        chunked = 'transfer-encoding: chunked\r\n'
        good_chunk = b'%x\r\n%s\r\n0\r\n\r\n' % (n, body)
        cases = {
            'TE and CL': self.request(chunked + 'content-length: %d\r\n' % n, good_chunk),
            'two CL': self.request('content-length: %d\r\ncontent-length: %d\r\n' % (n, n), body),
            'differing CL': self.request('content-length: %d\r\ncontent-length: 3\r\n' % n, body),
            'CL list': self.request('content-length: %d, %d\r\n' % (n, n), body),
            'CL sign': self.request('content-length: +%d\r\n' % n, body),
            'CL hex': self.request('content-length: 0x%x\r\n' % n, body),
            'CL huge': self.request('content-length: 99999999999999999999\r\n', body),
            'bare LF': self.plain().replace(b'host: x\r\n', b'host: x\n'),
            'bare CR': self.plain().replace(b'host: x\r\n', b'host: x\rfoo: y\r\n'),
            'obs-fold': self.plain().replace(b'host: x\r\n', b'host: x\r\nfoo: a\r\n b\r\n'),
            'chunk size': self.request(chunked, b'zz\r\n' + body),
            'chunk size sign': self.request(chunked, b'-1\r\n' + body),
            'chunk size huge': self.request(chunked, b'ffffffffffffffffff\r\n' + body),
            'chunk end': self.request(chunked, b'%x\r\n%sXX0\r\n\r\n' % (n, body)),
            'NUL': self.plain().replace(b'host: x\r\n', b'host: x\r\nfoo: a\0b\r\n'),
            'space before colon': self.plain().replace(b'host: x\r\n', b'host: x\r\nfoo : b\r\n'),
            'no host': self.plain(host=''),
            'two hosts': self.plain(host='host: x\r\nhost: x\r\n'),
            'TE gzip, chunked': self.request('transfer-encoding: gzip, chunked\r\n', good_chunk),
            'TE twice': self.request(chunked + chunked, good_chunk),
            'HTTP/2.0': self.plain(line='POST %s HTTP/2.0' % CHAT),
            'no version': b'GET /\r\n\r\n',
            'garbage': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        }
        for name, data in cases.items():
            with self.subTest(name):
                a, closed = self.raw(data + (b'\r\n\r\n' if name == 'garbage' else b''))
                self.assertIsNotNone(a)
                self.assertIn(a.status, (400, 505) if name == 'HTTP/2.0' else (400,), a)
                self.assertEqual(a.get('connection'), 'close')
                self.assertRegex(a.error['message'], r'^The request is not (valid HTTP|understood): [^.]+\.$')
                self.assertTrue(closed)

    def test_accepted(self):
        body = json.dumps(chat_body('m-oai')).encode()
        halves = b''.join(b'%x;ext=1\r\n%s\r\n' % (len(p), p) for p in (body[:20], body[20:])) + b'0\r\ntrailer: x\r\n\r\n'
        for name, data in {
                'plain': self.plain(), 'chunked': self.request('transfer-encoding: chunked\r\n', halves),
                'chunked in capitals': self.request('Transfer-Encoding: CHUNKED\r\n', halves),
                'empty lines before': b'\r\n' + self.plain(),
                'absolute form': self.plain(line='POST http://x%s HTTP/1.1' % CHAT)}.items():
            with self.subTest(name):
                with Conn(self.node.port) as c:
                    c.send(data)
                    a = c.answer()
                self.assertEqual(a.status, 200, a)

    def test_pipelining(self):
        """Row 44: 16 requests at once, answered in order, one connection."""
        with Conn(self.node.port) as c:
            c.send(b''.join(message('POST', CHAT, chat_body('m-' + ('oai', 'ant')[i % 2], i % 3 == 0), [('x-request-id', 'n%d' % i)], self.key)
                            for i in range(16)))
            for i in range(16):
                a = c.answer()
                self.assertEqual((a.status, a.get('x-client-request-id')), (200, 'n%d' % i), a)
                self.assertTrue(a.is_whole)

    def test_every_split_point(self):
        """Row 44: one request cut in two at every offset; then byte by byte: the answer is that of the whole."""
        data = message('POST', CHAT, chat_body('m-oai'), key=self.key)

        def same(a):
            """What must not depend on the cut."""
            body = a.json()
            return a.status, sorted(n for n in a.names), body['choices'], body['usage'], a.get('x-aigw-cost-usd')
        with Conn(self.node.port) as c:
            c.send(data)
            whole = same(c.answer())
            self.assertEqual(whole[0], 200)
            for i in range(1, len(data)):
                c.send(data[:i])
                if i % 16 == 0:
                    time.sleep(0.002)
                c.send(data[i:])
                self.assertEqual(same(c.answer()), whole, i)
            for i in range(len(data)):
                c.send(data[i:i + 1])
            self.assertEqual(same(c.answer()), whole)

    def memory_kib(self):
        """Of the workers, or 0 where it means nothing or may not be seen."""
        total = 0
        for pid in self.node.children('worker') if os.geteuid() == 0 and not self.node.is_sanitized() else ():
            with open('/proc/%d/smaps_rollup' % pid) as f:
                total += next(int(line.split()[1]) for line in f if line.startswith('Anonymous:'))
        return total

    def test_line_head_and_body_limits(self):
        """Row 45: 414, 431, 413 within a second, and nothing of it stays."""
        before = self.memory_kib()
        big = self.plain()
        cases = {
            414: self.plain(line='POST %s?%s HTTP/1.1' % (CHAT, 'q' * 65536)),
            431: big.replace(b'host: x\r\n', b'host: x\r\nfoo: ' + b'a' * 100000 + b'\r\n'),
            413: self.request('content-length: %d\r\n' % (33 << 20), b'{'),
        }
        for status, data in list(cases.items()) + [(431, big.replace(b'host: x\r\n', b'host: x\r\n' + b'a: b\r\n' * 10000))]:
            with self.subTest(status):
                begun = time.monotonic()
                a, closed = self.raw(data)
                self.assertEqual((a.status, a.get('connection'), a.get('x-should-retry')), (status, 'close', 'false'), a)
                self.assertLess(time.monotonic() - begun, 10 if self.node.is_sanitized() else 1)
        self.assertLess(self.memory_kib() - before, 1024)

    def test_chunk_extensions_without_end(self):
        """Row 45: a million of them on one chunk; on many chunks."""
        before = self.memory_kib()
        for name, body in {'one chunk': b'5' + b';a=b' * 1000000 + b'\r\n', 'many chunks': b'1;a=b;c=d\r\n \r\n' * 500000}.items():
            with self.subTest(name):
                begun = time.monotonic()
                a, closed = self.raw(self.request('transfer-encoding: chunked\r\n', body) + b'0\r\n\r\n')
                self.assertEqual((a.status, closed), (400, True), a)
                self.assertLess(time.monotonic() - begun, 10 if self.node.is_sanitized() else 1)
        self.assertLess(self.memory_kib() - before, 1024)

    def test_json_bombs(self):
        """Row 48: 400 in bounded time (413 above the body limit)."""
        head = '{"model":"m-oai","messages":[{"role":"user","content":"x"}],'
        cases = {
            'depth 1e6': head + '"x":' + '[' * 1000000, 'depth 1e6 closed': head + '"x":' + '[' * 1000000 + ']' * 1000000 + '}',
            'objects': head + '"x":' + '{"a":' * 200000, 'number': head + '"temperature":' + '1' * (5 << 20) + '}',
            'duplicate': head + '"model":"m-ant"}', 'escaped duplicate': head + '"\\u006dodel":"m-ant"}',
            'case': head + '"STREAM":true}', 'keys': head + ','.join('"k%d":1' % i for i in range(1000000)) + '}',
            'surrogate': head + '"x":"\\ud800"}'}
        fine = {'keys', 'number', 'surrogate'}
        for name, body in cases.items():
            with self.subTest(name):
                begun = time.monotonic()
                a = self.node.ask('POST', CHAT, body, self.key)
                self.assertIn(a.status, (200, 400) if name in fine else (400,), a)
                self.assertLess(time.monotonic() - begun, 5)
        with self.subTest('invalid UTF-8'):
            a = self.node.ask('POST', CHAT, (head + '"x":"').encode() + b'\xff\xfe"}', self.key)
            self.assertEqual(a.status, 400, a)
        with self.subTest('50 MB number'):
            a, _ = self.raw(self.request('content-length: %d\r\n' % (50 << 20), (head + '"temperature":' + '1' * (1 << 20)).encode()))
            self.assertEqual(a.status, 413, a)

    def test_keep_alive(self):
        with Conn(self.node.port) as c:
            for _ in range(3):
                a = c.request('POST', CHAT, chat_body('m-oai'), key=self.key).answer()
                self.assertEqual((a.status, a.get('keep-alive'), a.get('connection')), (200, 'timeout=75', None), a)
            a = c.request('POST', CHAT, chat_body('m-oai'), [('connection', 'close')], self.key).answer()
            self.assertEqual((a.status, a.get('connection')), (200, 'close'))
            self.assertTrue(c.is_closed())
        a, closed = self.raw(self.plain(line='POST %s HTTP/1.0' % CHAT))
        self.assertTrue(closed)

    def test_expect_100(self):
        body = json.dumps(chat_body('m-oai')).encode()
        head = self.request('expect: 100-continue\r\ncontent-length: %d\r\n' % len(body), b'')
        with Conn(self.node.port) as c:
            c.send(head)
            self.assertIn(b'100', c.until(b'\r\n\r\n'))
            c.send(body)
            self.assertEqual(c.answer().status, 200)
        with self.subTest('the final status replaces the 100'):
            with Conn(self.node.port) as c:
                c.send(head.replace(self.key.encode(), b'sk-wrong'))
                a = c.answer()
                self.assertEqual((a.status, a.interim, a.get('connection')), (401, [], 'close'))


    def test_unknown_expectation_is_417(self):
        for lines in ('expect: cake\r\n', 'expect: 100-continue, cake\r\n'):
            for line in ('GET /healthz HTTP/1.1', 'POST %s HTTP/1.1' % CHAT):
                with self.subTest(lines, line=line):
                    a, closed = self.raw(self.request(lines + 'content-length: 5\r\n', b'', line=line))
                    self.assertEqual((a.status, a.interim, a.error['code']), (417, [], 'expectation_failed'), a)
                    self.assertEqual((a.get('connection'), a.get('x-should-retry'), closed), ('close', 'false', True), a)
        a, _ = self.raw(self.request('expect: cake\r\n', b'', line='GET /healthz HTTP/1.0'))
        self.assertEqual(a.status, 200, a)

    def test_connect_is_refused_and_closed(self):
        for target in ('example.org:443', '/v1/chat/completions', 'http://example.org/'):
            with self.subTest(target):
                a, closed = self.raw(self.request('', b'', line='CONNECT %s HTTP/1.1' % target))
                self.assertIn(a.status, (400, 404, 405), a)
                self.assertEqual((a.get('connection'), closed), ('close', True), a)

    def test_unreadable_requests_are_answered_in_the_dialect_of_their_path(self):
        """A3: in the caller's dialect, where the head got that far."""
        cases = {
            400: b'POST %s HTTP/1.1\r\nhost : x\r\n\r\n', 414: b'POST %s?' + b'q' * 65536 + b' HTTP/1.1\r\nhost: x\r\n\r\n',
            431: b'POST %s HTTP/1.1\r\nhost: x\r\nfoo: ' + b'a' * 100000 + b'\r\n\r\n',
            408: b'POST %s HTTP/1.1\r\nhost: x\r\n'}
        try:
            self.node.configure(timeouts={'head': '500ms'})
            self.node.ctl('reload')
            for status, data in cases.items():
                for path in ('/v1/messages', '/anthropic/v1/messages', CHAT, '/v1/models'):
                    with self.subTest(status=status, path=path):
                        a, closed = self.raw(data.replace(b'%s', path.encode()))
                        self.assertEqual((a.status, closed), (status, True), a)
                        body = a.json()
                        if 'messages' in path:
                            self.assertEqual((body['type'], body['error']['type']), ('error', 'invalid_request_error'), a)
                            self.assertEqual((body['request_id'], a.get('request-id')), (a.get('x-request-id'),) * 2)
                        else:
                            self.assertEqual(body['error']['metadata']['status'], status)
                        line = self.node.access(a.get('x-request-id'))[a.get('x-request-id')]
                        self.assertEqual((line['method'], line['path'], line['status']), ('POST', path, status), line)
        finally:
            self.node.configure(timeouts={'head': None})
            self.node.ctl('reload')


class Lingering(NodeCase):
    MODELS = {**on_both('m', 'tokens=2&input=5'), 'dear': model('oai/sim?tokens=2', input=1000, output=1000, context=100000000)}
    CONFIG = {'limits': {'body': '16MiB', 'json_depth': 20}, 'timeouts': {'head': '1s', 'idle': '2s'}}

    def test_nesting_has_its_limit(self):
        for levels in 19, 20:
            body = '{"model":"m-oai","messages":[{"role":"user","content":"x"}],"x":%s%s}' % ('[' * levels, ']' * levels)
            a = self.node.ask('POST', CHAT, body, self.key)
            self.assertEqual(a.status, 200 if levels == 19 else 400, a)
        self.assertIn('nested', a.error['message'])

    def upload(self, mb, key, model='m-oai', chunked=False):
        """Sends a body of so many MB with no eye on the answer, as Python's and Node's clients do; the status, None when it broke."""
        body = json.dumps(chat_body(model, text='x ' * (mb << 19))).encode()
        head = message('POST', CHAT, body if not chunked else None, [('transfer-encoding', 'chunked')] if chunked else [], key)
        with socket.create_connection(('127.0.0.1', self.node.port), 20) as s:
            if chunked:
                s.sendall(head)
                for i in range(0, len(body), 65536):
                    part = body[i:i + 65536]
                    s.sendall(b'%x\r\n%s\r\n' % (len(part), part))
                s.sendall(b'0\r\n\r\n')
            else:
                s.sendall(head)
            data = b''
            while b'\r\n\r\n' not in data:
                part = s.recv(65536)
                if not part:
                    return None
                data += part
        return int(data.split()[1])

    def test_upload_sees_the_status_every_time(self):
        """Issue 2 section 6: 12 MB with a wrong key, no credit, or too large."""
        poor = self.node.customer('poor', '0.0001')
        for i in range(30 if LONG else 6):
            for chunked in (False, True):
                with self.subTest(i, chunked=chunked):
                    self.assertEqual(self.upload(12, self.key[:-1] + '!', chunked=chunked), 401)
                    self.assertEqual(self.upload(12, poor, 'dear', chunked=chunked), 402)
                    self.assertEqual(self.upload(20, self.key, chunked=chunked), 413)
                    self.assertEqual(self.upload(12, self.key, chunked=chunked), 200)

    def test_slow_head_is_408(self):
        with Conn(self.node.port) as c:
            c.send(b'POST %s HTTP/1.1\r\nhost: x\r\n' % CHAT.encode())
            begun = time.monotonic()
            a = c.answer()
            self.assertEqual((a.status, a.get('x-should-retry'), a.get('retry-after')), (408, 'true', None), a)
            self.assertTrue(0.7 < time.monotonic() - begun < 3)

    def test_slow_body_is_408(self):
        """At least 1 KiB/s once the head's time has passed."""
        with Conn(self.node.port) as c:
            c.send(message('POST', CHAT, None, [('content-length', '100000')], self.key))
            begun, a = time.monotonic(), None
            c.s.settimeout(0.1)
            while a is None and time.monotonic() - begun < 8:
                try:
                    c.s.sendall(b' ')
                    if not c.fill():
                        break
                except socket.timeout:
                    continue
                c.s.settimeout(5)
                a = c.answer()
            self.assertIsNotNone(a)
            self.assertEqual((a.status, a.get('x-should-retry')), (408, 'true'), a)

    def test_idle_connection_is_closed_silently(self):
        with Conn(self.node.port) as c:
            c.request('POST', CHAT, chat_body('m-oai'), key=self.key)
            self.assertEqual(c.answer().get('keep-alive'), 'timeout=2')
            self.assertTrue(c.is_closed(5))

    @tap.alone
    def test_many_slow_uploads_do_not_disturb(self):
        """Row 38, short: 300 connections that send a byte now and then; others are served as ever."""
        slow = [Conn(self.node.port) for _ in range(300)]
        try:
            for c in slow:
                c.send(b'POST /v1/chat')
            took = []
            for _ in range(50):
                begun = time.monotonic()
                self.assertEqual(self.chat('m-oai').status, 200)
                took.append(time.monotonic() - begun)
            self.assertLess(sorted(took)[45], 0.1)
            time.sleep(1.2)
            deadline = time.monotonic() + 2
            for c in slow:
                c.s.settimeout(max(deadline - time.monotonic(), 0.01))
                a = c.answer()
                self.assertTrue(a is None or a.status == 408, a)
        finally:
            for c in slow:
                c.close()


if __name__ == '__main__':
    tap.main()
