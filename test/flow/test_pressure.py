"""Figures that the proofs hold us to: memory of idle TLS connections (row 9), CPU and memory of large bodies beside nginx (row 12), upstream
connections of many clients (row 14), senders and readers that are slow (rows 38, 39). AIGW_LONG=1 runs the full counts."""
import glob
import json
import os
import resource
import selectors
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from canary import PROVIDER_KEY
from client import Conn, message
from figures import anonymous_kib, cpu_seconds
from gateway import free_port, wait_for
from node import LONG, NodePerTest, Sim, chat_body, model
import tap

NGINX = '''worker_processes 2;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 12000; }
http {
	access_log off;
	client_max_body_size 16m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream sim { server 127.0.0.1:%(sim)d; keepalive 64; }
	server {
		listen 127.0.0.1:%(port)d;
		location / {
			proxy_pass http://sim;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_request_buffering on;
			proxy_buffering off;
		}
	}
}
'''
MODELS = {'quick': model('oai/sim?tokens=5&input=11'), 'slow': model('oai/sim?tokens=5&input=11&delay=1500ms', context=10000000),
          'large': model('oai/sim?tokens=5&input=11', context=10000000)}
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
ROOT_ONLY = unittest.skipUnless(os.geteuid() == 0, 'only root may look into processes that are not dumpable')


def children(pid):
    """Both of nginx's workers, or None."""
    with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
        found = [int(child) for child in f.read().split()]
    return found if len(found) == 2 else None


class Peak(threading.Thread):
    """The most anonymous memory of some processes while it runs."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.kib, self.going = pids, 0, True
        self.start()

    def run(self):
        while self.going:
            self.kib = max(self.kib, anonymous_kib(self.pids))
            time.sleep(0.003)

    def stop(self):
        self.going = False
        self.join()
        return self.kib


class Case(NodePerTest):
    MODELS = MODELS
    CREDIT = 10000

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.dir = tempfile.mkdtemp(prefix='aigw-pressure-')
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir)

    def make(self, *args, **config):
        super().make(*args, **config)
        if self.node.is_sanitized():
            self.skipTest("a sanitizer's time and memory are not the program's")

    def start(self):
        super().start()
        self.workers = self.node.children('worker')

    def certificate(self):
        subprocess.run([os.environ['MAKE_CERT'], self.dir], check=True)
        return [os.path.join(self.dir, name) for name in ('ca.pem', 'crt.pem', 'key.pem')]

    def load(self, port, body, key, **options):
        """What the load generator says of a run."""
        path = os.path.join(self.dir, 'request.json')
        with open(path, 'w') as f:
            f.write(json.dumps(body))
        words = [os.environ['LOAD'], '--port', str(port), '--path', '/v1/chat/completions', '--body', path, '--key', key]
        for name, value in {'seconds': 200, **options}.items():
            words += ['--' + name, str(value)]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    def begin_nginx(self):
        """A plain proxy to the same provider: (port, pids). What both feel is the machine's."""
        port = free_port()
        with open(os.path.join(self.dir, 'nginx.conf'), 'w') as f:
            f.write(NGINX % {'sim': self.node.sim.port, 'port': port})
        p = subprocess.Popen(['nginx', '-e', 'error.log', '-p', self.dir, '-c', 'nginx.conf'], cwd=self.dir)
        self.addCleanup(p.wait)
        self.addCleanup(p.terminate)

        def is_open():
            try:
                Conn(port).close()
                return True
            except ConnectionRefusedError:
                return False
        wait_for(is_open)
        return port, [p.pid] + wait_for(lambda: children(p.pid))


@tap.alone
class Connections(Case):
    @ROOT_ONLY
    def test_memory_of_an_idle_tls_connection(self):
        """Row 9: at most 46 KiB each after one answered request."""
        n, warm_n = (4000, 200) if LONG else (600, 100)
        ca, crt, key_file = self.certificate()
        tls_port = free_port()
        self.begin(listen=[{'address': '127.0.0.1:%d' % free_port()},
                           {'address': '127.0.0.1:%d' % tls_port, 'tls': {'certificate': crt, 'key': key_file}}])
        tls = ssl.create_default_context(cafile=ca)
        data = message('POST', '/v1/chat/completions', chat_body('quick'), key=self.key)
        conns = []

        def answered(count):
            for _ in range(count):
                c = Conn(tls_port, tls=tls, name='127.0.0.1')
                conns.append(c)
                c.send(data)
                self.assertEqual(c.answer().status, 200)
        answered(warm_n)
        before = anonymous_kib(self.workers)
        answered(n)
        time.sleep(0.5)
        each = (anonymous_kib(self.workers) - before) / n
        print('# %.1f KiB for each of %d idle TLS connections' % (each, n))
        for c in conns:
            c.close()
        self.assertLessEqual(each, 46)

    def reuse(self, scheme):
        """500 clients: (requests, connections that the provider accepted, full handshakes)."""
        n = 600000 if LONG else 20000
        ca, crt, key_file = self.certificate()
        sim = Sim(*(['--certificate', crt, '--key', key_file] if scheme == 'https' else []))
        self.addCleanup(sim.close)
        plain = Sim()  # counts are asked for in the clear
        self.addCleanup(plain.close)
        providers = {'up': {'dialect': 'openai', 'base_url': '%s://127.0.0.1:%d/v1' % (scheme, sim.port), 'keys': ['env:MOCK_KEY'], 'ca_file': ca}}
        self.begin({'quick': model('up/sim?tokens=5&input=11'), 'late': model('up/sim?tokens=5&input=11&delay=500ms')}, sim=plain, providers=providers, log={'access': 'off'},
                   live_size='128MiB')  # the outbox of a keeper that waits for a core
        # Once all 500 wait for their answers at the same time: as many connections as there will ever be.
        self.load(self.node.port, chat_body('late'), self.key, connections=500, requests=1000)
        before = self.opened(sim, scheme, ca)
        done = self.load(self.node.port, chat_body('quick'), self.key, connections=500, requests=n)
        self.assertEqual((done['requests'], done['errors']), (n, 0), done)
        return n, self.opened(sim, scheme, ca) - before - 1

    def opened(self, sim, scheme, ca):
        """Connections that the provider has accepted, this question's one included."""
        tls = ssl.create_default_context(cafile=ca) if scheme == 'https' else None
        with Conn(sim.port, tls=tls, name='127.0.0.1') as c:
            return c.request('GET', '/sim/counts').answer().json()['connections']

    def test_reuse(self):
        """Row 14: 500 clients, 2 workers: at least 99.9 % of the requests on reused connections."""
        for scheme in ('http', 'https'):
            with self.subTest(scheme):
                n, opened = self.reuse(scheme)
                print('# %s: %d requests, %d new connections, %.4f %% reused' % (scheme, n, opened, 100 - 100 * opened / n))
                # No more than the pools of two workers keep; a thousandth, where there are enough requests for 500 connections to be that.
                self.assertLessEqual(opened, 2 * 256)
                if LONG:
                    self.assertLessEqual(opened, n // 1000)


@tap.alone
class LargeBodies(Case):
    """Row 12: prompts of 400 KB, a limit of 16 MB."""
    CONFIG = {'limits': {'body': '16MiB'}, 'log': {'access': 'off'}}

    def prompt(self, size):
        """What people send: this project's own sources and words, which hold escapes in every line."""
        text = ''
        for path in sorted(glob.glob(os.path.join(ROOT, '*.md')) + glob.glob(os.path.join(ROOT, '*', '*', '*.[ch]'))):
            with open(path) as f:
                text += f.read()
        return (text * (size // len(text) + 1))[:size]

    @unittest.skipUnless(shutil.which('nginx'), 'nginx is not installed')
    def test_cpu_beside_nginx(self):
        self.begin()
        port, nginx = self.begin_nginx()
        mine, n, ratios = self.workers + self.node.children('keeper') + [self.node.master.pid], 2000 if LONG else 600, []
        body = chat_body('large', text=self.prompt(400000))
        direct = chat_body('sim?tokens=5&input=11', text=self.prompt(400000))
        for _ in range(5):
            used = []
            for pids, to, what, key in ((nginx, port, direct, PROVIDER_KEY), (mine, self.node.port, body, self.key)):
                before = cpu_seconds(*pids)
                done = self.load(to, what, key, connections=16, requests=n)
                self.assertEqual((done['requests'], done['errors']), (n, 0), done)
                used.append((cpu_seconds(*pids) - before) / n * 1e6)
            ratios.append(used[1] / used[0])
            print('# nginx %.0f us, aigwd %.0f us a request, ratio %.2f' % (*used, ratios[-1]))
        self.assertLessEqual(sorted(ratios)[len(ratios) // 2], 2)

    @ROOT_ONLY
    def test_memory(self):
        """At most the body and 64 KiB a request at the peak, back to idle after it."""
        self.begin()
        for size, n in ((400000, 64), (12 << 20, 4)):
            with self.subTest(size):
                data = message('POST', '/v1/chat/completions', chat_body('slow', text=self.prompt(size)), key=self.key)
                # The first ones pay for what a worker keeps at hand.
                for _ in range(8):
                    self.assertEqual(self.chat('quick').status, 200)
                idle, peak = anonymous_kib(self.workers), Peak(self.workers)
                conns = [Conn(self.node.port) for _ in range(n)]
                for c in conns:
                    c.send(data)
                for c in conns:
                    self.assertEqual(c.answer().status, 200)
                most = peak.stop()
                for c in conns:
                    c.close()
                each = (most - idle) / n - len(data) / 1024
                time.sleep(2)
                left = anonymous_kib(self.workers) - idle
                print('# %d bodies of %d KiB: %.0f KiB above it for each at the peak, %d KiB left in all' % (n, len(data) // 1024, each, left))
                self.assertLessEqual(each, 64)
                self.assertLessEqual(left, 2048 + 8 * n)


@tap.alone
class Slow(Case):
    """What slow clients cost and whether others notice: 500 normal requests a second beside them, with and without. nginx, which is
    as quick with them, is measured in the same rounds: where it is slowed down too, the machine is at fault and the round does not count."""
    # 8 MB each, in events of 400 and of 8,000 bytes.
    MODELS = {**MODELS, **{name: model('floods/sim?tokens=%d&size=8000000&input=11' % n, max_output=2500000, context=10000000)
                           for name, n in (('small', 20000), ('large', 1000))}}
    ROUNDS, ROUNDS_MOST, SLOWER = 5, 8, 1.5
    SECONDS, HEAD_S, QUIET = (2, 4, ROUNDS) if LONG else (1.2, 2, 3)

    def setUp(self):
        super().setUp()
        self.slow, self.ratios = [], []
        # A provider of its own for the long answers: the other one's times are compared.
        self.flood = Sim()
        self.addCleanup(self.flood.close)
        self.providers = {'floods': {'dialect': 'openai', 'base_url': 'http://127.0.0.1:%d/v1' % self.flood.port, 'keys': ['env:MOCK_KEY']}}

    def normal(self, nginx=None):
        """p99 of a normal request in milliseconds, to the node or to nginx on its port."""
        to = (nginx, chat_body('sim?tokens=5&input=11'), PROVIDER_KEY) if nginx else (self.node.port, chat_body('quick'), self.key)
        done = self.load(*to, connections=32, rate=500, seconds=self.SECONDS)
        self.assertEqual(done['errors'], 0, done)
        return done['latency_us']['p99'] / 1000

    def close_slow(self):
        for c in self.slow:
            c.reset()
        self.slow = []

    def note(self, mine, control, what):
        """One round: (p99 alone, p99 beside slow ones) of the node and of nginx. True: go on."""
        (quiet, beside), (nginx_quiet, nginx_beside) = mine, control
        counts = nginx_beside <= self.SLOWER * nginx_quiet
        print('# p99 %.2f ms, beside %s %.2f ms; nginx %.2f and %.2f ms%s' % (
            quiet, what, beside, nginx_quiet, nginx_beside, '' if counts else ': not counted'))
        if counts:
            self.ratios.append(beside / quiet)
        good = sum(r <= self.SLOWER for r in self.ratios)
        return len(self.ratios) < self.ROUNDS and good <= self.ROUNDS // 2

    def assert_unnoticed(self):
        """Comes last in a test: the median of five rounds; three good ones decide it."""
        good = sum(r <= self.SLOWER for r in self.ratios)
        if good <= self.ROUNDS // 2 and len(self.ratios) < self.ROUNDS:
            self.skipTest('the rest is shown, but nginx was slowed down too in most rounds: p99 means nothing on this machine now')
        self.assertGreater(good, self.ROUNDS // 2, self.ratios)

    @ROOT_ONLY
    @unittest.skipUnless(shutil.which('nginx'), 'nginx is not installed')
    def test_slow_heads(self):
        """Row 38: all closed within their deadline and a second, at most 10 KiB each, p99 of the others at most 1.5 times their own."""
        n, head_s = 5000 if LONG else 1500, self.HEAD_S
        self.begin(providers=self.providers, timeouts={'head': '%ds' % head_s}, limits={'connections_address': 20000})
        self.addCleanup(self.close_slow)
        nginx, _ = self.begin_nginx()
        self.normal()
        late, each = [], []
        for _ in range(self.ROUNDS_MOST):
            control = self.normal(nginx), self.beside_slow_heads(n, nginx)
            self.close_slow()
            quiet, before = self.normal(), anonymous_kib(self.workers)
            mine = quiet, self.beside_slow_heads(n)
            each.append((anonymous_kib(self.workers) - before) / n)
            late.append(self.drip.last_closed(head_s + 3) - head_s)
            self.close_slow()
            if not self.note(mine, control, '%d slow heads' % n):
                break
        print('# the last one was closed %.2f s behind its deadline, %.1f KiB each' % (max(late), max(each)))
        self.assertLessEqual(max(late), 1)
        self.assertLessEqual(max(each), 10)
        self.assert_unnoticed()

    def beside_slow_heads(self, n, nginx=None):
        self.slow = [Conn(nginx or self.node.port, timeout=10) for _ in range(n)]
        self.drip = Drip(self.slow)
        return self.normal(nginx)

    @ROOT_ONLY
    @unittest.skipUnless(shutil.which('nginx'), 'nginx is not installed')
    def test_slow_readers(self):
        """Row 39: clients that read a byte a second while the provider is fast: at most 64 KiB a stream, others do not notice."""
        n = 500 if LONG else 120
        self.begin(providers=self.providers, timeouts={'send': '120s'})
        self.addCleanup(self.close_slow)
        nginx, _ = self.begin_nginx()
        self.normal()
        quiet = [(self.normal(), self.normal(nginx)) for _ in range(self.QUIET)]
        # What the workers keep at hand whatever the number of streams is there after the first ones.
        self.read_slowly('small', n // 4)
        before = anonymous_kib(self.workers)
        self.read_slowly('small', n)
        self.assert_small(before, n - n // 4, 'small')
        sip = Sip(self.slow)
        for mine, control in (quiet * self.ROUNDS_MOST)[:self.ROUNDS_MOST]:
            if not self.note((mine, self.normal()), (control, self.normal(nginx)), '%d slow readers' % n):
                break
        sip.stop()
        self.assertEqual(self.node.metrics()['aigw_inflight_requests'], n)
        before = anonymous_kib(self.workers)
        self.read_slowly('large', n + n // 2)
        self.assert_small(before, n // 2, 'large')
        self.close_slow()
        self.check_books()
        self.assert_unnoticed()

    def read_slowly(self, name, n):
        """Until there are `n` streams and the provider has been stopped in all of them."""
        while len(self.slow) < n:
            c = Conn(self.node.port, rcvbuf=4096)
            c.request('POST', '/v1/chat/completions', chat_body(name, True), key=self.key)
            self.slow.append(c)
        wait_for(lambda: self.node.metrics()['aigw_inflight_requests'] == n, 60)
        wait_for(self.flood_is_full, 60)

    def assert_small(self, before, n, what):
        each = (anonymous_kib(self.workers) - before) / n
        print('# %d slow readers of %s events: %.1f KiB each' % (n, what, each))
        self.assertLessEqual(each, 64)

    def flood_is_full(self):
        """The provider has made its answers and waits until somebody reads."""
        before = cpu_seconds(self.flood.p.pid)
        time.sleep(0.5)
        return cpu_seconds(self.flood.p.pid) - before < 0.02


class Sip(threading.Thread):
    """Reads a byte a second from each connection."""

    def __init__(self, conns):
        super().__init__(daemon=True)
        self.conns, self.going = conns, True
        self.start()

    def run(self):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        for c in self.conns:
            c.s.setblocking(False)
        while self.going:
            begun = time.monotonic()
            for c in self.conns:
                try:
                    c.s.recv(1)
                except BlockingIOError:
                    pass
            time.sleep(max(begun + 1 - time.monotonic(), 0))

    def stop(self):
        self.going = False
        self.join()


class Drip(threading.Thread):
    """Sends the bytes of a head on each connection, one a second, and notes when each was closed. The connections take turns
    over the second, as clients that know nothing of each other do."""
    HEAD = b'POST /v1/chat/completions HTTP/1.1\r\nx-slow: ' + b'a' * 200
    TURNS = 500

    def __init__(self, conns):
        super().__init__(daemon=True)
        self.begun, self.closed, self.poll = {}, {}, selectors.DefaultSelector()
        for c in conns:
            c.send(self.HEAD[:1])
            self.begun[c] = time.monotonic()
            c.s.setblocking(False)
            self.poll.register(c.s, selectors.EVENT_READ, c)
        self.start()

    def run(self):
        # Clients do not live on the node: they shall not take its processors from it.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        conns, turn, due = list(self.begun), 0, time.monotonic()
        while len(self.closed) < len(conns):
            for key, _ in self.poll.select(max(due - time.monotonic(), 0)):
                self.read(key.data)
            if time.monotonic() < due:
                continue
            at = 1 + turn // self.TURNS
            for c in conns[turn % self.TURNS::self.TURNS]:
                if c not in self.closed:
                    self.send(c, self.HEAD[at:at + 1])
            turn, due = turn + 1, due + 1 / self.TURNS

    def send(self, c, data):
        try:
            c.s.send(data)
        except OSError:
            pass  # closed just now

    def read(self, c):
        try:
            if c.s.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.closed[c] = time.monotonic()
        self.poll.unregister(c.s)

    def last_closed(self, seconds):
        """The longest time that one stayed open."""
        self.join(seconds)
        assert not self.is_alive(), '%d of %d are still open' % (len(self.begun) - len(self.closed), len(self.begun))
        return max(self.closed[c] - self.begun[c] for c in self.begun)


if __name__ == '__main__':
    tap.main()
