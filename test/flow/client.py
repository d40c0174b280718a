"""A small HTTP/1.1 client over raw sockets that shows how an answer ended, and a reader of event streams. Standard library only."""
import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from canary import Ear


class Answer:
    """One answer. `ended`: length, chunked, none (no body), close (by the connection's end), cut (before its end), reset."""

    def __init__(self):
        self.status, self.reason, self.headers, self.body = 0, '', [], b''
        self.ended, self.interim, self.begun, self.head_at, self.first_at, self.end_at = 'cut', [], 0, 0, 0, 0

    def get(self, name, default=None):
        return next((v for n, v in self.headers if n == name), default)

    def all(self, name):
        return [v for n, v in self.headers if n == name]

    @property
    def names(self):
        return [n for n, _ in self.headers]

    @property
    def is_whole(self):
        return self.ended in ('length', 'chunked', 'none')

    def json(self):
        return json.loads(self.body, parse_float=Decimal)

    @property
    def error(self):
        """The error object of a whole answer or of the last item of a stream."""
        if (self.get('content-type') or '').startswith('text/event-stream'):
            return self.data()[-1]['error']
        return self.json()['error']

    def events(self):
        """[(event, data)] of an event stream; comments are left out."""
        found = []
        for block in self.body.decode('utf-8').replace('\r\n', '\n').split('\n\n'):
            lines = [line.partition(':') for line in block.split('\n') if line and not line.startswith(':')]
            data = [v[1:] if v.startswith(' ') else v for n, _, v in lines if n == 'data']
            if data:
                found.append((next((v.strip() for n, _, v in lines if n == 'event'), ''), '\n'.join(data)))
        return found

    def data(self):
        """The events' data, JSON decoded, without [DONE]."""
        return [json.loads(d, parse_float=Decimal) for _, d in self.events() if d != '[DONE]']

    @property
    def is_done(self):
        return self.body.decode('utf-8', 'replace').rstrip().endswith('data: [DONE]')

    @property
    def text(self):
        """Content of a chat answer, whole or streamed, first choice."""
        if (self.get('content-type') or '').startswith('text/event-stream'):
            return ''.join(c['delta'].get('content') or '' for d in self.data() for c in d.get('choices', ()) if c['index'] == 0)
        return self.json()['choices'][0]['message'].get('content') or ''

    @property
    def usage(self):
        if (self.get('content-type') or '').startswith('text/event-stream'):
            found = [d['usage'] for d in self.data() if d.get('usage')]
            return found[0] if len(found) == 1 else None
        return self.json().get('usage')

    def __repr__(self):
        return '<%d %s %r %r>' % (self.status, self.ended, self.headers, self.body[-600:])


class Conn:
    """One connection. Answers come in the order of the requests."""

    def __init__(self, port, host='127.0.0.1', timeout=30, tls=None, name=None, session=None, rcvbuf=0):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(timeout)
        self.s.connect((host, port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.s = tls.wrap_socket(self.s, server_hostname=name, session=session)
        self.buffer, self.eof, self.was_reset, self.ear = b'', False, False, Ear(port)
        self.begun = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.s.close()

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.s.close()

    def send(self, data):
        self.begun = time.monotonic()
        self.s.sendall(data)

    def request(self, method, path, body=None, headers=(), key=None):
        self.send(message(method, path, body, headers, key))
        return self

    def fill(self):
        """More bytes into the buffer; False at the end."""
        if self.eof:
            return False
        try:
            part = self.s.recv(65536)
        except ConnectionResetError:
            part, self.was_reset = b'', True
        self.eof = not part
        self.ear.hear(part)
        self.buffer += part
        return bool(part)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                return None
        part, _, self.buffer = self.buffer.partition(mark)
        return part

    def exactly(self, n):
        """Parts that make n bytes together; the last one is None when the connection ended before."""
        while n > 0:
            if not self.buffer and not self.fill():
                yield None
                return
            part, self.buffer = self.buffer[:n], self.buffer[n:]
            n -= len(part)
            yield part

    def head(self):
        """Reads up to the head's end; None when the connection ended before a byte of it."""
        a = Answer()
        a.begun = self.begun
        while True:
            text = self.until(b'\r\n\r\n')
            if text is None:
                a.ended = 'reset' if self.was_reset else 'cut'
                return None if not self.buffer and not self.was_reset else a
            lines = text.decode('latin-1').split('\r\n')
            version, status, a.reason = (lines[0] + '  ').split(' ', 2)
            assert version == 'HTTP/1.1', lines[0]
            a.status, a.reason = int(status), a.reason.strip()
            a.headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(':') for line in lines[1:])]
            a.head_at = time.monotonic()
            if a.status != 100:
                return a
            a.interim.append(a.status)

    def parts(self, a, method='GET'):
        """The body's bytes as they come, without the framing; sets a.ended."""
        length, chunked = a.get('content-length'), a.get('transfer-encoding') == 'chunked'
        if method == 'HEAD' or a.status in (204, 304):
            a.ended = 'none'
        elif length is not None:
            a.ended = 'length'
            for part in self.exactly(int(length)):
                if part is None:
                    a.ended = 'cut'
                    break
                yield part
        elif chunked:
            yield from self.chunks(a)
        else:
            a.ended = 'close'
            while self.buffer or self.fill():
                part, self.buffer = self.buffer, b''
                yield part
        a.end_at = time.monotonic()
        if self.was_reset and a.ended in ('cut', 'close'):
            a.ended = 'reset'

    def chunks(self, a):
        a.ended = 'cut'
        while True:
            line = self.until(b'\r\n')
            if line is None:
                return
            n = int(line.partition(b';')[0], 16)
            for part in self.exactly(n):
                if part is None:
                    return
                yield part
            if self.until(b'\r\n') is None:
                return
            if n == 0:
                a.ended = 'chunked'
                return

    def answer(self, method='GET'):
        """The whole answer, or None when the connection ended before a byte of it."""
        a = self.head()
        if a is None or a.status == 0:
            return a
        got = []
        for part in self.parts(a, method):
            if not a.first_at:
                a.first_at = time.monotonic()
            got.append(part)
        a.body = b''.join(got)
        return a

    def is_closed(self, seconds=2):
        """Whether the other side closes within so many seconds, without a further byte."""
        self.s.settimeout(seconds)
        try:
            return not self.buffer and not self.fill()
        except socket.timeout:
            return False


def message(method, path, body=None, headers=(), key=None):
    """The bytes of a request."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    elif isinstance(body, str):
        body = body.encode()
    lines = ['%s %s HTTP/1.1' % (method, path)]
    given = {n.lower() for n, _ in headers}
    if 'host' not in given:
        lines.append('host: gateway')
    if key and 'authorization' not in given:
        lines.append('authorization: Bearer ' + key)
    if body is not None and 'content-type' not in given:
        lines.append('content-type: application/json')
    if body is not None and not given & {'content-length', 'transfer-encoding'}:
        lines.append('content-length: %d' % len(body))
    lines += ['%s: %s' % h for h in headers]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1') + (body or b'')


def ask(port, method, path, body=None, headers=(), key=None, **more):
    """One request on a connection of its own."""
    with Conn(port, **more) as c:
        return c.request(method, path, body, headers, key).answer(method)


def at_once(*calls, threads=16):
    """What functions return that are called beside each other, in their order."""
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
