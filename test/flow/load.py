"""Many streams and requests at once for flow tests, in one thread over non-blocking sockets."""
import errno
import re
import selectors
import socket
import threading
import time

from canary import Ear
from client import message
from node import chat_body, nusd


class Outcome:
    """One request. `kind`: done, error_item, cut (ended without either), refused, or 'status NNN'. `items` are pieces of content."""

    def __init__(self, kind, begun, ended, data, user):
        self.kind, self.begun, self.ended, self.user = kind, begun, ended, user
        self.request_id = id_of(data)
        self.items = len(re.findall(rb'"content":"[^"]', data))
        cost = re.search(rb'"cost":([0-9.]+(e-?[0-9]+)?)', data)
        self.cost_nusd = nusd(cost[1].decode()) if cost else None

    def __repr__(self):
        return '<%s %.3f..%.3f %s>' % (self.kind, self.begun, self.ended, self.request_id)


class StreamLoad:
    """Keeps `n` streamed requests going, each on a connection of its own, until stopped; `once`: n requests, then no more; `tag`: each is
    of an end user of its own whose tag begins like that."""

    def __init__(self, port, key, models, n, once=False, stream=True, tag=None, **fields):
        self.port, self.once, self.n, self.key, self.tag = port, once, n, key, tag
        self.bodies = [chat_body(m, stream, **fields) for m in models]
        self.outcomes, self.open, self.begun, self.not_before = [], {}, 0, 0
        self.going, self.select = True, selectors.DefaultSelector()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def start_one(self):
        s, begun = socket.socket(), time.monotonic()  # before it: who is killed now may have taken it by the time that connect() returns
        s.setblocking(False)
        try:
            s.connect(('127.0.0.1', self.port))
        except BlockingIOError:
            pass
        body = dict(self.bodies[self.begun % len(self.bodies)])
        if self.tag:
            body['user'] = '%s%d' % (self.tag, self.begun)
        self.open[s] = [begun, b'', message('POST', '/v1/chat/completions', body, key=self.key), body.get('user')]
        self.begun += 1
        self.select.register(s, selectors.EVENT_WRITE)

    def end_one(self, s, failure=None):
        begun, data, _, user = self.open.pop(s)
        Ear(self.port).hear(data)
        self.select.unregister(s)
        s.close()
        self.outcomes.append(Outcome(failure or kind_of(data), begun, time.monotonic(), data, user))

    def serve(self, s, events):
        state = self.open[s]
        try:
            if events & selectors.EVENT_WRITE:
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    self.end_one(s, 'refused' if error == errno.ECONNREFUSED else 'cut')
                    self.not_before = time.monotonic() + 0.005
                    return
                s.send(state[2])
                self.select.modify(s, selectors.EVENT_READ)
                return
            part = s.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self.end_one(s)
            return
        state[1] += part
        if not part or is_over(state[1]):
            self.end_one(s)

    def run(self):
        while True:
            while self.going and time.monotonic() >= self.not_before and len(self.open) < self.n and (not self.once or self.begun < self.n):
                self.start_one()
            if not self.open and (not self.going or self.once):
                return
            for key, events in self.select.select(0.05 if self.open else 0.005):
                self.serve(key.fileobj, events)

    def wait(self, seconds=60):
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def stop(self, seconds=60):
        """Begins no more and waits for those that run."""
        self.going = False
        if not self.wait(seconds):
            raise TimeoutError('%d streams did not end' % len(self.open))
        return self

    def kinds(self):
        found = {}
        for o in self.outcomes:
            found[o.kind] = found.get(o.kind, 0) + 1
        return found

    def of(self, kind):
        return [o for o in self.outcomes if o.kind == kind]


def is_over(data):
    head, _, body = data.partition(b'\r\n\r\n')
    if b'transfer-encoding: chunked' in head:
        return body.endswith(b'\r\n0\r\n\r\n')
    length = head.partition(b'content-length: ')[2]
    return bool(length) and len(body) >= int(length.split(b'\r')[0])


def kind_of(data):
    head, _, body = data.partition(b'\r\n\r\n')
    if not head.startswith(b'HTTP/1.1 '):
        return 'cut'
    if head[9:12] != b'200':
        return 'status ' + head[9:12].decode()
    if b'transfer-encoding: chunked' not in head:
        return 'done' if is_over(data) else 'cut'
    if is_over(data) and b'data: [DONE]\n\n' in body:
        return 'done'
    return 'error_item' if b'data: {"error":' in body else 'cut'


def id_of(data):
    return data.partition(b'x-request-id: ')[2].split(b'\r')[0].decode() or None
