"""Figures that the proofs hold us to: memory of idle TLS connections (row 9), CPU and memory of large bodies beside nginx (row 12), upstream
connections of many clients (row 14). AIGW_LONG=1 runs the full counts."""
import glob
import json
import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, message
from gateway import free_port, wait_for
from node import LONG, UP_KEY, Node, Sim, chat_body, model
import tap

NGINX = '''worker_processes 2;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 1024; }
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


def anonymous_kib(pids):
    total = 0
    for pid in pids:
        with open('/proc/%d/smaps_rollup' % pid) as f:
            total += next(int(line.split()[1]) for line in f if line.startswith('Anonymous:'))
    return total


def cpu_seconds(pids):
    """User and system time; the kernel's ticks are coarse, so it must be for many requests."""
    total = 0
    for pid in pids:
        with open('/proc/%d/stat' % pid) as f:
            v = f.read().rpartition(')')[2].split()
        total += int(v[11]) + int(v[12])
    return total / os.sysconf('SC_CLK_TCK')


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


class Case(unittest.TestCase):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.dir = tempfile.mkdtemp(prefix='aigw-pressure-')
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir)

    def begin(self, models=MODELS, sim=None, **config):
        self.node = Node(models, sim=sim, **config)
        self.addCleanup(self.node.close)
        if self.node.is_sanitized():
            self.skipTest("a sanitizer's time and memory are not the program's")
        self.node.start()
        self.key = self.node.customer('main', '10000')
        self.workers = self.node.children('worker')

    def explain(self):
        return self.node.tail(10)

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
        n = 500000 if LONG else 60000
        ca, crt, key_file = self.certificate()
        sim = Sim(*(['--certificate', crt, '--key', key_file] if scheme == 'https' else []))
        self.addCleanup(sim.close)
        plain = Sim()  # counts are asked for in the clear
        self.addCleanup(plain.close)
        providers = {'up': {'dialect': 'openai', 'base_url': '%s://127.0.0.1:%d/v1' % (scheme, sim.port), 'keys': ['env:MOCK_KEY'], 'ca_file': ca}}
        self.begin({'quick': model('up/sim?tokens=5&input=11')}, sim=plain, providers=providers, log={'access': 'off'})
        self.load(self.node.port, chat_body('quick'), self.key, connections=500, requests=20000)
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
                self.assertLessEqual(opened, n // 1000)


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

    def begin_nginx(self):
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

    @unittest.skipUnless(shutil.which('nginx'), 'nginx is not installed')
    def test_cpu_beside_nginx(self):
        self.begin(**self.CONFIG)
        port, nginx = self.begin_nginx()
        mine, n, ratios = self.workers + self.node.children('keeper') + [self.node.master.pid], 2000 if LONG else 600, []
        body = chat_body('large', text=self.prompt(400000))
        direct = chat_body('sim?tokens=5&input=11', text=self.prompt(400000))
        for _ in range(5):
            used = []
            for pids, to, what, key in ((nginx, port, direct, UP_KEY), (mine, self.node.port, body, self.key)):
                before = cpu_seconds(pids)
                done = self.load(to, what, key, connections=16, requests=n)
                self.assertEqual((done['requests'], done['errors']), (n, 0), done)
                used.append((cpu_seconds(pids) - before) / n * 1e6)
            ratios.append(used[1] / used[0])
            print('# nginx %.0f us, aigwd %.0f us a request, ratio %.2f' % (*used, ratios[-1]))
        self.assertLessEqual(sorted(ratios)[len(ratios) // 2], 2)

    @ROOT_ONLY
    def test_memory(self):
        """At most the body and 64 KiB a request at the peak, back to idle after it."""
        self.begin(**self.CONFIG)
        for size, n in ((400000, 64), (12 << 20, 4)):
            with self.subTest(size):
                data = message('POST', '/v1/chat/completions', chat_body('slow', text=self.prompt(size)), key=self.key)
                # The first ones pay for what a worker keeps at hand.
                for _ in range(8):
                    self.assertEqual(self.node.chat(self.key, 'quick').status, 200)
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


if __name__ == '__main__':
    tap.main()
