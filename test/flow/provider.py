"""A provider whose every byte a test writes: for what aigwsim has no script for. Standard library only."""
import json
import socket
import threading
import time


class Provider:
    """Answers by the model asked for: `answers` is {model: [bytes to send or seconds to wait …]}, ended by the end of the connection.
    The bytes are a whole HTTP answer; head() and chunked() make them. `asked` is {model: [(request line, {name: value}, body)]}."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, {}
        self.s = socket.create_server(('127.0.0.1', 0))
        self.port = self.s.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def config(self, dialect='openai', **more):
        return dict({'dialect': dialect, 'base_url': 'http://127.0.0.1:%d/v1' % self.port, 'keys': ['env:MOCK_KEY']}, **more)

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c:
            try:
                for step in self.answers[self.read(c)]:
                    if isinstance(step, bytes):
                        c.sendall(step)
                    else:
                        time.sleep(step)
            except OSError:
                pass  # the gateway had enough

    def read(self, c):
        """The model of the request, once all of it is there."""
        data = b''
        while b'\r\n\r\n' not in data:
            data += self.more(c)
        head, _, body = data.partition(b'\r\n\r\n')
        line, *fields = head.decode('latin-1').split('\r\n')
        headers = {n.lower(): v.strip() for n, _, v in (f.partition(':') for f in fields)}
        while len(body) < int(headers['content-length']):
            body += self.more(c)
        body = json.loads(body)
        self.asked.setdefault(body['model'], []).append((line, headers, body))
        return body['model']

    @staticmethod
    def more(c):
        part = c.recv(65536)
        if not part:
            raise ConnectionResetError
        return part

    def close(self):
        """The thread has ended before the socket goes: its number may be that of the next one's."""
        self.s.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.s.close()


def head(status=200, content_type='text/event-stream', **fields):
    """An answer's head; a field's _ stands for -."""
    lines = ['HTTP/1.1 %d x' % status, 'content-type: ' + content_type]
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
