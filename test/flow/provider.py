"""Providers whose every byte a test writes: for what aigwsim has no script for. Standard library only."""
import json
import socket
import threading
import time


class Server:
    """Accepts connections on a free port of 127.0.0.1, or on the given socket, and serves each in a thread of its own, until closed."""

    def __init__(self, s=None):
        self.s = s or socket.create_server(('127.0.0.1', 0))
        self.port, self.accepted = self.s.getsockname()[1], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def config(self, dialect='openai', scheme='http', host='127.0.0.1', **more):
        """It as a provider in a configuration."""
        return dict({'dialect': dialect, 'base_url': '%s://%s:%d/v1' % (scheme, host, self.port), 'keys': ['env:MOCK_KEY']}, **more)

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        with c:
            try:
                self.serve(c)
            except OSError:
                pass  # the other side had enough

    def serve(self, c):
        """One connection; it is closed at the end."""
        raise NotImplementedError

    def close(self):
        """The thread has ended before the socket goes: its number may be that of the next one's."""
        self.s.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.s.close()


def request(c):
    """(request line, {name: value}, body) of the next request, once all of it is there."""
    data = b''
    while b'\r\n\r\n' not in data:
        data += some(c)
    head, _, body = data.partition(b'\r\n\r\n')
    line, *fields = head.decode('latin-1').split('\r\n')
    headers = {n.lower(): v.strip() for n, _, v in (f.partition(':') for f in fields)}
    while len(body) < int(headers.get('content-length', 0)):
        body += some(c)
    return line, headers, body


def some(c):
    part = c.recv(65536)
    if not part:
        raise ConnectionResetError
    return part


class Provider(Server):
    """Answers by the model asked for: `answers` is {model: [bytes to send or seconds to wait …]}, ended by the end of the connection.
    The bytes are a whole HTTP answer; head() and chunked() make them. `asked` is {model: [(request line, {name: value}, body)]}."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, {}
        super().__init__()

    def serve(self, c):
        line, headers, body = request(c)
        body = json.loads(body)
        self.asked.setdefault(body['model'], []).append((line, headers, body))
        for step in self.answers[body['model']]:
            if isinstance(step, bytes):
                c.sendall(step)
            else:
                time.sleep(step)


def head(status=200, content_type='text/event-stream', reason='x', **fields):
    """An answer's head; a field's _ stands for -."""
    lines = ['HTTP/1.1 %d %s' % (status, reason), 'content-type: ' + content_type]
    return ('\r\n'.join(lines + ['%s: %s' % (n.replace('_', '-'), v) for n, v in fields.items()]) + '\r\n\r\n').encode()


def whole(body, status=200, **fields):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, 'application/json', content_length=len(body), **fields) + body


def chunked(data):
    return b'%x\r\n%s\r\n' % (len(data), data)


def chunk(content=None, finish=None, usage=None, choices=None, **more):
    """One item of a chat stream."""
    delta = {} if content is None else {'content': content}
    item = {'id': 'c1', 'object': 'chat.completion.chunk', 'created': 1, 'model': 'up',
            'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}] if choices is None else choices}
    if usage:
        item['usage'] = usage
    item.update(more)
    return b'data: %s\n\n' % json.dumps(item).encode()


USAGE = {'prompt_tokens': 5, 'completion_tokens': 2, 'total_tokens': 7}
DONE = b'data: [DONE]\n\n'


def stream(*items):
    """A whole stream, chunk by chunk, with its proper end."""
    return head(transfer_encoding='chunked') + b''.join(chunked(i) for i in items) + b'0\r\n\r\n'
