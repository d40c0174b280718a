"""What a benchmark starts, and how it reads what that costs: aigwsim, nginx, a gateway, the load generator, figures of /proc."""
import glob
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

SHARED = '/dev/shm'
KIB = 1024

NGINX = '''worker_processes 2;
daemon off;
pid %(dir)s/nginx.pid;
error_log %(dir)s/nginx.log warn;
worker_rlimit_nofile 16384;
events {worker_connections 8192;}
http {
  access_log off;
  client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3;
  uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
  keepalive_requests 1000000000; keepalive_timeout 600s; proxy_read_timeout 900s;
  proxy_http_version 1.1; proxy_set_header connection "";
  client_max_body_size 64m; client_body_buffer_size 1m;
  upstream plain {server 127.0.0.1:%(sim)d; keepalive 256; keepalive_requests 1000000000;}
  upstream secure {server 127.0.0.1:%(sim_tls)d; keepalive 256; keepalive_requests 1000000000;}
  server {listen 127.0.0.1:%(port)d backlog=4096 reuseport;
    location / {proxy_pass http://plain; proxy_buffering off; proxy_request_buffering off;}}
  server {listen 127.0.0.1:%(port_buffered)d backlog=4096 reuseport;
    location / {proxy_pass http://plain; proxy_buffering off;}}
  server {listen 127.0.0.1:%(port_tls_up)d backlog=4096 reuseport;
    location / {proxy_pass https://secure; proxy_buffering off; proxy_request_buffering off;
      proxy_ssl_verify on; proxy_ssl_trusted_certificate %(dir)s/ca.pem; proxy_ssl_name 127.0.0.1;}}
}
'''

# nginx takes a buffer of its own for each long body, and the C library gives the end of the heap back to the system when those are
# freed: whether it does so after each request or never is a matter of luck and costs from 0 to 80 page faults, 70 to 190 us a request. So
# nginx keeps its memory, as our workers keep theirs for the next body, which is the best it can do.
NGINX_MALLOC = 'glibc.malloc.trim_threshold=4194304:glibc.malloc.mmap_threshold=1048576'

GATEWAY = '''region: bench
workers: 2
listen:
  - {address: "127.0.0.1:%(port)d"}
  - {address: "127.0.0.1:%(port_tls)d", tls: {certificate: %(dir)s/crt.pem, key: %(dir)s/key.pem}}
admin: {socket: %(dir)s/control.sock, http: "127.0.0.1:%(port_admin)d"}
state: %(dir)s/state
shared_memory: %(shared)s
durability: group
log: {to: "file:%(dir)s/aigwd.log", format: json, access: on}
limits: {connections_address: 20000, calls_address: 20000}
timeouts: {idle: 600s, between: 900s, keepalive: 0s}
upstream: {ca_file: %(dir)s/ca.pem}
include: [models.yaml]
providers:
  sim: {dialect: openai, base_url: "http://127.0.0.1:%(sim)d/v1", keys: ["env:BENCH_KEY"]}
  tls: {dialect: openai, base_url: "https://127.0.0.1:%(sim_tls)d/v1", keys: ["env:BENCH_KEY"]}
  ant: {dialect: anthropic, base_url: "http://127.0.0.1:%(sim)d/v1", keys: ["env:BENCH_KEY"]}
models:
'''
MODEL = '  "%s": {context: 1000000, max_output: 1000, price: {input: %d, output: 2}, offers: {"%s": {}}}\n'

# What the simulator plays; each is a model of the gateway by provider and name, "sim-1k".
SCRIPTS = {
    '1k': 'sim?size=1024',
    '64k': 'sim?size=65536',
    'flow': 'sim?tokens=250&rate=100',
    'burst': 'sim?tokens=16',
    'long': 'sim?tokens=900&rate=1',
}


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(what, seconds=10.0, step=0.005):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError('waited %g s' % seconds)
        time.sleep(step)


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


# --- figures of /proc ---

def family(pid):
    """A process and all below it."""
    found = [pid]
    for path in glob.glob('/proc/%d/task/*/children' % pid):
        try:
            with open(path) as f:
                children = f.read().split()
        except FileNotFoundError:
            continue
        for child in children:
            found += family(int(child))
    return found


def cpu_us(pids):
    """CPU time of all threads, to the nanosecond where the kernel keeps it (schedstat), else in its ticks (stat)."""
    total = 0.0
    for pid in pids:
        for task in glob.glob('/proc/%d/task/*' % pid):
            try:
                with open(task + '/schedstat') as f:
                    total += int(f.read().split()[0]) / 1e3
            except FileNotFoundError:
                with open(task + '/stat') as f:
                    fields = f.read().rpartition(')')[2].split()
                total += (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf('SC_CLK_TCK')
    return total


def pss_kib(pids):
    """Memory of processes, shared pages counted by share, without files on a tmpfs (the stores and pages that they share)."""
    total = 0
    for pid in pids:
        counts = True
        with open('/proc/%d/smaps' % pid) as f:
            for line in f:
                word = line.split(None, 1)[0]
                if not word.endswith(':'):
                    counts = SHARED not in line and '/memfd:' not in line and '/run/' not in line
                elif word == 'Pss:' and counts:
                    total += int(line.split()[1])
    return total


def sockets(pid):
    n = 0
    for path in glob.glob('/proc/%d/fd/*' % pid):
        try:
            n += os.readlink(path).startswith('socket:')
        except FileNotFoundError:
            pass
    return n


# --- parts ---

class Part:
    """A program with its children, ended with the benchmark."""

    def spawn(self, command, log=None, **env):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log or subprocess.DEVNULL,
                                        stderr=log or subprocess.DEVNULL, env={**os.environ, **env})

    def pids(self):
        return family(self.process.pid)

    def stop(self, sig=signal.SIGTERM):
        pids = self.pids()
        self.process.send_signal(sig)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()


class Sim(Part):
    def __init__(self, bench, port, tls=False):
        self.port = port
        command = [bench.program('aigwsim'), '--listen', '127.0.0.1:%d' % port, '--workers', '2']
        if tls:
            command += ['--certificate', bench.dir + '/crt.pem', '--key', bench.dir + '/key.pem']
        self.tls = ssl.create_default_context(cafile=bench.dir + '/ca.pem') if tls else None
        self.spawn(command)
        wait_for(lambda: is_open(port))

    def counts(self):
        s = socket.create_connection(('127.0.0.1', self.port))
        if self.tls:
            s = self.tls.wrap_socket(s, server_hostname='127.0.0.1')
        with s:
            s.sendall(b'GET /sim/counts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
            data = b''
            while True:
                part = s.recv(65536)
                data += part
                head, found, body = data.partition(b'\r\n\r\n')
                try:
                    return json.loads(body)
                except ValueError:
                    if not part:
                        raise


class Nginx(Part):
    def __init__(self, bench):
        names = ['port', 'port_buffered', 'port_tls_up']
        for name, port in zip(names, free_ports(3)):
            setattr(self, name, port)
        path = bench.dir + '/nginx.conf'
        with open(path, 'w') as f:
            f.write(NGINX % {**bench.ports, 'dir': bench.dir, **{n: getattr(self, n) for n in names}})
        self.spawn(['nginx', '-e', bench.dir + '/nginx.log', '-p', bench.dir, '-c', path], GLIBC_TUNABLES=NGINX_MALLOC)
        wait_for(lambda: is_open(self.port_tls_up))

    def workers(self):
        return self.pids()[1:]


class Gateway(Part):
    """aigwd with two workers, an account with much credit and a key without limits."""

    def __init__(self, bench, models=0):
        self.bench = bench
        self.dir = tempfile.mkdtemp(prefix='gateway-', dir=bench.dir)
        self.shared = tempfile.mkdtemp(prefix='aigw-bench-', dir=SHARED)
        for folder in (self.dir, self.shared):
            os.chmod(folder, 0o755)  # started by root, aigwd works as somebody else
        self.port, self.port_tls, self.port_admin = free_ports(3)
        for name in ('ca.pem', 'crt.pem', 'key.pem'):
            shutil.copy(os.path.join(bench.dir, name), self.dir)
            os.chmod(os.path.join(self.dir, name), 0o600)
        self.configure(models)
        self.process = None
        try:
            self.start()
            self.ctl('account', 'create', 'bench', '--credit', '1000000')
            self.key = json.loads(self.ctl('key', 'create', '--account', 'bench', '--json'))['key']
        except BaseException:
            self.close()
            raise

    def configure(self, models, price=1):
        text = GATEWAY % {**self.bench.ports, **vars(self)}
        for provider in ('sim', 'tls', 'ant'):
            for name, script in SCRIPTS.items():
                text += MODEL % (provider + '-' + name, 1, provider + '/' + script)
        with open(self.dir + '/aigw.yaml', 'w') as f:
            f.write(text)
        with open(self.dir + '/models.yaml', 'w') as f:
            f.write('models:\n' if models else '{}\n')
            for i in range(models):
                f.write(MODEL % ('model-%d' % i, price, 'sim/model-%d' % i))

    def start(self):
        log = open(self.dir + '/stderr.log', 'ab')
        self.spawn([self.bench.program('aigwd'), '-c', self.dir + '/aigw.yaml'], log, BENCH_KEY='sk-bench')
        log.close()
        try:
            wait_for(lambda: self.process.poll() is not None or is_open(self.port))
            wait_for(lambda: self.process.poll() is not None or self.is_ready())
            wait_for(lambda: len(self.workers()) == 2)
        except TimeoutError:
            pass
        if self.process.poll() is not None or not self.is_ready():
            raise RuntimeError('aigwd does not start:\n' + self.words())

    def words(self):
        found = ''
        for name in ('stderr.log', 'aigwd.log'):
            if os.path.exists(self.dir + '/' + name):
                with open(self.dir + '/' + name) as f:
                    found += f.read()[-4000:]
        return found

    def is_ready(self):
        return subprocess.run(self.ctl_command('account', 'list'), capture_output=True, check=False).returncode == 0

    def ctl_command(self, *words):
        return [self.bench.program('aigwctl'), '--socket', self.dir + '/control.sock', *words]

    def ctl(self, *words):
        done = subprocess.run(self.ctl_command(*words), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError('aigwctl %s: %s' % (' '.join(words), done.stderr))
        return done.stdout

    def role(self, role):
        found = []
        for pid in self.pids()[1:]:
            with open('/proc/%d/cmdline' % pid, 'rb') as f:
                if role.encode() in f.read():
                    found.append(pid)
        return found

    def workers(self):
        return self.role('worker')

    def keeper(self):
        return self.role('keeper')

    def close(self):
        if self.process:
            self.stop(signal.SIGINT)
        shutil.rmtree(self.shared, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)


class Bench:
    """The folder, the ports and the two simulators that all runs share."""

    def __init__(self, build):
        self.build = build
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.dir = tempfile.mkdtemp(prefix='aigw-bench-')
        os.chmod(self.dir, 0o755)
        subprocess.run([self.program('test/bench/make_cert'), self.dir], check=True)
        plain, secure = free_ports(2)
        self.ports = {'sim': plain, 'sim_tls': secure}
        self.sim, self.sim_tls = Sim(self, plain), Sim(self, secure, tls=True)

    def program(self, name):
        return os.path.join(self.build, name)

    def body(self, model, stream=False, size=1024):
        """Path of a chat request of about `size` bytes."""
        request = {'model': model, 'messages': [{'role': 'user', 'content': ''}]}
        if stream:
            request['stream'] = True
        words = 'the quick brown fox jumps over the lazy dog, '
        missing = max(0, size - len(json.dumps(request)))
        request['messages'][0]['content'] = (words * (missing // len(words) + 1))[:missing]
        handle, path = tempfile.mkstemp(prefix='body-', dir=self.dir)
        with os.fdopen(handle, 'w') as f:
            json.dump(request, f)
        return path

    def load_command(self, port, body, key='sk-bench', path='/v1/chat/completions', **options):
        command = [self.program('test/bench/load'), '--port', str(port), '--path', path, '--body', body, '--key', key]
        for name, value in options.items():
            command += ['--' + name] if value is True else ['--' + name, str(value)]
        return command

    def load(self, *where, **options):
        done = subprocess.run(self.load_command(*where, **options), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError('load: ' + done.stderr)
        result = json.loads(done.stdout)
        if result['errors'] or not result['requests']:
            raise RuntimeError('load: %d of %d requests failed, status %d' % (result['errors'], result['requests'],
                                                                              result['status']))
        return result

    def close(self):
        self.sim.stop()
        self.sim_tls.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Held:
    """Connections that stay open until closed, each with one answer behind it or a stream in it."""

    def __init__(self, bench, *where, **options):
        self.process = subprocess.Popen(bench.load_command(*where, hold=True, **options), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b'held\n':
            raise RuntimeError('load: connections could not be held')

    def close(self):
        self.process.communicate()


class HeldTls:
    """The same over TLS, few of them, without a load generator."""

    def __init__(self, bench, port, body, key, connections, whole):
        context = ssl.create_default_context(cafile=bench.dir + '/ca.pem')
        with open(body, 'rb') as f:
            data = f.read()
        head = ('POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\n'
                'content-type: application/json\r\ncontent-length: %d\r\n\r\n' % (key, len(data))).encode()
        self.sockets = []
        for _ in range(connections):
            s = context.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='127.0.0.1')
            s.sendall(head + data)
            self.sockets.append(s)
        for s in self.sockets:
            got = b''
            while (b'}]' if whole else b'\n\n') not in got.partition(b'\r\n\r\n')[2]:
                part = s.recv(65536)
                if not part:
                    raise RuntimeError('a TLS connection was closed')
                got += part
            if not got.startswith(b'HTTP/1.1 200'):
                raise RuntimeError('not answered with 200: %r' % got[:200])

    def close(self):
        for s in self.sockets:
            s.close()
