"""Starts a gateway for a flow test: a folder with a configuration, the daemon, its log, small HTTP and control clients.
Only the standard library."""
import collections
import functools
import glob
import json
import math
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib')]
from canary import PROVIDER_KEY, Canary

CONFIG = '''region: %(region)s
workers: %(workers)d
listen: [{address: "%(listen)s"}]
admin: {socket: run/control.sock, http: "%(admin)s"}
state: state
shared_memory: %(live)s
live_size: 4MiB
log: {to: %(log)s, format: json}
timeouts: {drain_timeout: %(drain_timeout)s, drain_delay: %(drain_delay)s}
providers:
  mock: {dialect: openai, base_url: "http://127.0.0.1:9/v1", keys: ["env:MOCK_KEY"]}
models:
  m1: {context: 128000, max_output: 100, price: {input: 1, output: 2}, offers: {mock/up-m1: {priority: 1}}}
'''


# Prints nothing for a process that is clean.
VALGRIND = ['valgrind', '-q', '--vgdb=no', '--trace-children=yes', '--child-silent-after-fork=yes', '--leak-check=full', '--show-leak-kinds=definite',
            '--errors-for-leak-kinds=definite'] if os.environ.get('AIGW_VALGRIND') else []

PATIENCE = 10 if VALGRIND else 1  # times what is waited for
LONG = os.environ.get('AIGW_LONG') == '1'
RESTART_MAX_S = 1.0


PORTS = []  # what says that a port is ours, for as long as this program runs


def free_port():
    """One that nobody listens on or will, below the range that the kernel takes for outgoing connections: while a gateway is away none
    of these may sit on its port, and no other test program on this machine may draw it before it is bound, which a name in the same
    network namespace tells them."""
    with open('/proc/sys/net/ipv4/ip_local_port_range') as f:
        top = int(f.read().split()[0])
    while True:
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', random.randrange(10000, top) if top > 11000 else 0))
                port = s.getsockname()[1]
                name = socket.socket(socket.AF_UNIX)
                name.bind('\0aigw-test-port-%d' % port)
                PORTS.append(name)
                return port
            except OSError:
                pass


def wait_for(what, seconds=10.0, step=0.01):
    """Calls `what` until it is true; its value, or TimeoutError."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError('waited %g s for %s' % (seconds, getattr(what, '__name__', what)))
        time.sleep(step)


def is_alive(pid):
    """Also while only its first thread has ended: the others may hold its files and locks for a moment."""
    try:
        with open('/proc/%d/stat' % pid) as f:
            fields = f.read().rpartition(')')[2].split()
        return fields[0] not in 'ZX' or int(fields[17]) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stranger(pid):
    """Whether the number of a process that has ended is somebody else's by now: a thread's, which a signal would end with its process, of another
    session, as each test program has one, or no aigwd's."""
    try:
        with open('/proc/%d/status' % pid) as f:
            if '\nTgid:\t%d\n' % pid not in f.read():
                return True
        with open('/proc/%d/cmdline' % pid, 'rb') as f:
            words = f.read()
        return os.getsid(pid) != os.getsid(0) or bool(words) and b'aigwd' not in words
    except (FileNotFoundError, ProcessLookupError):
        return False


def named_by(folder):
    """Numbers of the living aigwd whose command line or environment names the folder; but no other session's."""
    found = []
    for pid in (int(name) for name in os.listdir('/proc') if name.isdigit()):
        try:
            with open('/proc/%d/cmdline' % pid, 'rb') as c, open('/proc/%d/environ' % pid, 'rb') as e:
                words, text = c.read(), e.read()
        except OSError:
            continue
        if b'aigwd' in words and folder.encode() + b'/' in words + text and is_alive(pid) and not is_stranger(pid):
            found.append(pid)
    return found


def children_of(parent):
    """Numbers of the processes that `parent` has now; its log may come a moment later. (The kernel's own list leaves some out while they come and go.)"""
    found = []
    for name in os.listdir('/proc'):
        try:
            with open('/proc/%d/stat' % int(name)) as f:
                if int(f.read().rpartition(')')[2].split()[1]) == parent:
                    found.append(int(name))
        except (ValueError, FileNotFoundError, ProcessLookupError):
            continue
    return found


def heed_signals():
    """In a child: who runs the tests may ignore some, as nohup and the background jobs of a shell do, and that is inherited."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def kill_if_there(pid):
    """Whoever ends just now by itself does not have to be killed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def stand_still(pid):
    """Stops a process: returns once none of its threads does anything any more, which on a busy machine comes later than the signal."""
    def stopped():
        for name in os.listdir('/proc/%d/task' % pid):
            with open('/proc/%d/task/%s/stat' % (pid, name)) as f:
                if f.read().rpartition(')')[2].split()[0] != 'T':
                    return False
        return True
    os.kill(pid, signal.SIGSTOP)
    wait_for(stopped, 20, 0.002)


def parsed(line):
    """A line of the log; one that is no JSON has its text in `raw` and, where it is an event in the text format, in `message`."""
    try:
        return json.loads(line)
    except ValueError:
        text = line.decode('utf-8', 'replace')
    return {'raw': text, 'event': text.split('event=')[1].split()[0], 'message': text} if 'event=' in text else {'raw': text}


class Stalls:
    """When this machine stood still for everybody: a thread that writes a little to the disk below `folder`, again and again, and notes what
    that took beyond what is usual."""
    PAUSE_S, USUAL_S = 0.01, 0.05

    def __init__(self, folder):
        self.path, self.found, self.begun, self.going = os.path.join(folder, 'stalls'), [], time.monotonic(), True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with open(self.path, 'wb', buffering=0) as f:
            while self.going:
                self.begun = time.monotonic()
                f.write(bytes(4096))  # that it grows is what costs a ledger too
                os.fdatasync(f.fileno())
                time.sleep(self.PAUSE_S)
                if time.monotonic() > self.begun + self.USUAL_S:
                    self.found.append((self.begun + self.USUAL_S, time.monotonic()))

    def between(self, begun, ended):
        """Seconds, one that is under way included."""
        return sum(max(0.0, min(e, ended) - max(b, begun)) for b, e in self.found + [(self.begun + self.USUAL_S, ended)])

    def end(self):
        self.going = False
        self.thread.join()


class Gateway:
    """One node in a temporary folder. Several masters may run on it one after the other (start, start_another)."""

    def __init__(self, program=None, **settings):
        self.program = program or os.environ['AIGWD_ROLES']
        self.dir = tempfile.mkdtemp(prefix='aigw-flow-')
        os.chmod(self.dir, 0o755)
        self.live = tempfile.mkdtemp(prefix='aigw-flow-', dir='/dev/shm')
        os.chmod(self.live, 0o755)
        self.state = os.path.join(self.dir, 'state')
        self.socket = os.path.join(self.dir, 'run', 'control.sock')
        self.port, self.admin_port = free_port(), free_port()
        self.canary = Canary(self.port, self.admin_port)
        self.settings = dict(region='test', workers=2, listen='127.0.0.1:%d' % self.port, drain_timeout='5s', drain_delay='0s',
                             admin='127.0.0.1:%d' % self.admin_port, live=self.live, log='stderr')
        self.config = os.path.join(self.dir, 'aigw.yaml')
        self.log_path = os.path.join(self.dir, 'log')
        self.log = open(self.log_path, 'ab')
        self.stalls = None
        self.masters, self.who = [], {}  # who: as whom a master is started, for Popen
        self.read, self.parsed, self.reading = 0, [], threading.Lock()
        self.checks = os.path.join(self.dir, 'valgrind')
        os.mkdir(self.checks)
        os.chmod(self.checks, 0o777)  # workers are somebody else
        self.env = {'MOCK_KEY': PROVIDER_KEY}
        self.configure(**settings)

    def is_sanitized(self):
        """A build that keeps freed memory for a while and is slow, or one under valgrind."""
        if VALGRIND:
            return True
        with open(self.program, 'rb') as f:
            return b'__asan_init' in f.read()

    def configure(self, text=None, **settings):
        self.settings.update(settings)
        with open(self.config + '.new', 'w') as f:
            f.write(text if text is not None else CONFIG % self.settings)
        os.rename(self.config + '.new', self.config)

    def ask(self, *names):
        """Asks the processes of aigwd-roles to misbehave; see roles.c."""
        os.makedirs(self.state, exist_ok=True)
        for name in names:
            open(os.path.join(self.state, 'test-' + name), 'w').close()

    def unask(self, *names):
        for name in names:
            try:
                os.unlink(os.path.join(self.state, 'test-' + name))
            except FileNotFoundError:
                pass # was asked for once

    # --- processes ---

    def spawn(self, **env):
        e = {**os.environ, **self.env, **env}
        checker = VALGRIND + ['--log-file=%s/%%p' % self.checks] if VALGRIND else []
        p = subprocess.Popen([*checker, self.program, '-c', self.config], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                             env=e, **self.who)
        self.masters.append(p)
        return p

    def start(self, wait='ready', **env):
        mark = self.mark()
        p = self.spawn(**env)
        if wait:
            self.wait_event(wait, since=mark, pid=p.pid, process='master')
        return p

    @property
    def master(self):
        return self.masters[-1]

    def signal(self, sig):
        self.master.send_signal(sig)

    def stop(self):
        """Drains at once; the exit status."""
        self.signal(signal.SIGINT)
        self.signal(signal.SIGINT)
        return self.master.wait(20)

    def lose_master(self):
        """kill -9 of the master alone; its children go on."""
        self.master.kill()
        self.master.wait()

    def kill_all(self, dice=random):
        """kill -9 of all processes at once: the master, so that it starts nobody anew, then the others in any order. Returns once they
        are gone."""
        self.master.kill()
        pids = list(filter(is_alive, self.pids()))
        dice.shuffle(pids)
        for pid in pids:
            kill_if_there(pid)
        self.master.wait()
        self.kill_rest()
        wait_for(lambda: not any(is_alive(pid) for pid in pids), 20, 0.002)

    def kill_rest(self):
        """Without masters: whom the last one had started and did not come to name in its log. Returns once nobody is left."""
        def nobody():
            rest = named_by(self.dir)
            for pid in rest:
                kill_if_there(pid)
            return not rest
        wait_for(nobody, 20)

    def close(self):
        """Ends everything that this gateway started, also what lost its master. AssertionError when a credential was seen."""
        for p in self.masters:
            if VALGRIND and p.poll() is None:
                p.terminate()  # what is killed is not looked through for leaks
                p.wait(60)
            if p.poll() is None:
                p.kill()
                p.wait()
        for pid in self.pids():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.kill_rest()
        for pid in self.pids():
            wait_for(lambda: not is_alive(pid))
        self.log.close()
        wrong = [open(path).read() for path in glob.glob(self.checks + '/*') if os.path.getsize(path)]
        self.canary.look_at_files(self.dir, self.live)
        shutil.rmtree(self.live, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        if wrong:
            raise AssertionError('valgrind found:\n' + '\n'.join(wrong)[:8000])
        if self.canary.found:
            raise AssertionError('credentials that show:\n' + '\n'.join(self.canary.found[:20]))

    def kill(self, kind, index=0):
        """kill -9 of a keeper or worker; the seconds until another one is ready in its place, as since() has them."""
        def row():
            return self.status()[kind][index]
        old = row()['pid']
        os.kill(old, signal.SIGKILL)
        begun = time.monotonic()
        wait_for(lambda: row()['pid'] not in (0, old) and row()['state'] == 'ready', 20)
        return self.since(begun)

    def since(self, begun):
        """Seconds since then, once this node has come first without those in which the disk took nobody's writes."""
        now = time.monotonic()
        return now - begun - (self.stalls.between(begun, now) if self.stalls else 0)

    def own_pids(self):
        """All that takes part: this test, and whatever of the node was started last."""
        return [os.getpid(), *(p.pid for p in self.masters[-1:]), *self.pids()]

    def come_first(self, test):
        """Up to the test's end all that takes part, and what it starts, goes before everything else on this machine: the bounds on time are
        those of a machine of one's own. Who may not have that (CAP_SYS_NICE) needs such a machine."""
        def put(pids, niceness):
            for task in (task for pid in pids for task in glob.glob('/proc/%d/task/*' % pid)):
                try:
                    os.setpriority(os.PRIO_PROCESS, int(os.path.basename(task)), niceness)
                except (PermissionError, ProcessLookupError):
                    pass
            # Some kernels share the cores by session first.
            try:
                with open('/proc/self/autogroup', 'w') as f:
                    f.write(str(niceness))
            except OSError:
                pass
        put(self.own_pids(), -20)
        test.addCleanup(put, [os.getpid()], os.getpriority(os.PRIO_PROCESS, 0))
        self.stalls = Stalls(self.dir)
        test.addCleanup(self.stalls.end)

    def check_restarts(self, test, waits, part=0.95 if LONG else 0.75, sanitized_s=2, within_s=0.25):
        """Row 20: this part of the restarts, whose seconds since() told, is over within 250 ms, and none takes longer than a second. Alone on the
        machine all are within 250 ms; of a few the share says little beside other programs."""
        waits = sorted(waits)
        print('# restarted in %.0f ms (median), %.0f ms (longest), %d of %d within %.0f ms; the disk stood still for %.0f ms in all' % (
            waits[len(waits) // 2] * 1e3, waits[-1] * 1e3, sum(w < within_s for w in waits), len(waits), within_s * 1e3,
            self.stalls.between(0, time.monotonic()) * 1e3 if self.stalls else 0))
        slow = self.is_sanitized()
        test.assertLess(waits[math.ceil(len(waits) * part) - 1], sanitized_s if slow else within_s, waits)
        test.assertLess(waits[-1], 4 * sanitized_s if slow else RESTART_MAX_S, waits)

    # --- the log ---

    def lines(self):
        """All whole lines of the log, as dictionaries; each is read and parsed once."""
        with self.reading, open(self.log_path, 'rb') as f:
            f.seek(self.read)
            data = f.read()
            data = data[:data.rfind(b'\n') + 1]
            self.read += len(data)
            self.parsed += map(parsed, data.split(b'\n')[:-1])
            return self.parsed

    def events(self, event=None, since=0, **fields):
        """Lines of the log; `since` counts lines to leave out."""
        return [e for e in self.lines()[since:] if (not event or e.get('event') == event) and all(e.get(k) == v for k, v in fields.items())]

    def mark(self):
        """A place in the log, for `since`."""
        return len(self.lines())

    def wait_event(self, event, seconds=15, since=0, contains='', pid=None, **fields):
        if pid:
            p = next(m for m in reversed(self.masters) if m.pid == pid)  # numbers come again
        end = time.monotonic() + seconds * PATIENCE
        while True:
            for e in self.events(event, since, **fields):
                if contains in e.get('message', '') + e.get('msg', '') + e.get('raw', ''):
                    return e
            if pid and p.poll() is not None:
                raise RuntimeError('aigwd ended with %d:\n%s' % (p.returncode, '\n'.join(self.tail())))
            if time.monotonic() > end:
                raise TimeoutError('no event %r %r' % (event, contains))
            time.sleep(0.005)

    def log_text(self):
        with open(self.log_path, 'rb') as f:
            return f.read().decode('utf-8', 'replace')

    def tail(self, lines=25):
        """The end of the log, for the report of a failure; of the lines about single requests only the last ones."""
        text = self.log_text().splitlines()
        older = set([line for line in text if '"event":"request"' in line][:-5])
        return [line[:300] for line in text if line not in older][-lines:]

    def pids(self):
        """Every child that the log names, those that have ended too unless their number was given away."""
        found = []
        for e in self.events('child_started'):
            text = e.get('message', e.get('msg', e.get('raw', '')))
            found.append(int(text.rpartition('pid ')[2].split()[0].strip('",}')))
        masters = {m.pid for m in self.masters if m.returncode is None}
        return [pid for pid in found if pid not in masters and not is_stranger(pid)]

    # --- clients ---

    def get(self, path='/', timeout=10, port=None):
        """(status, [pid, slot, generation]) of one request on a connection of its own."""
        with socket.create_connection(('127.0.0.1', port or self.port), timeout) as s:
            s.sendall(b'GET %s HTTP/1.1\r\nhost: x\r\n\r\n' % path.encode())
            data = b''
            while True:
                part = s.recv(65536)
                if not part:
                    break
                data += part
        self.canary.look(data, path)
        if not data:
            raise ConnectionResetError('the connection ended without an answer')
        head, _, body = data.partition(b'\r\n\r\n')
        return int(head.split()[1]), [int(x) for x in body.split()]

    def control(self, verb, timeout=20, **args):
        answer = Control(self.socket, timeout).call(verb, **args)
        if verb != 'key create':
            self.canary.look(repr(answer), verb)
        return answer

    def status(self):
        """Rows of `status` by kind."""
        end, rows, _ = self.control('status')
        assert end['status'] == 0, end
        found = {}
        for kind, fields in rows:
            found.setdefault(kind, []).append(fields)
        return found


class GatewayCase(unittest.TestCase):
    """A gateway of its own for each test."""
    SETTINGS = {}

    def setUp(self):
        self.g = Gateway(**self.SETTINGS)
        self.addCleanup(self.g.close)
        self.g.start()

    def explain(self):
        return self.g.tail()

    def load(self, threads=2):
        return Load(lambda: self.g.get()[0], threads)


class Load:
    """Requests one after the other until stopped. `ask` makes one on a new connection and gives its status, or says what else it is;
    `results` counts these, and refused, reset and other errors."""

    def __init__(self, ask, threads=2):
        self.ask, self.results, self.longest = ask, collections.Counter(), 0.0
        self.going, self.lock = True, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while self.going:
            begun = time.monotonic()
            try:
                result = self.ask()
            except ConnectionRefusedError:
                result = 'refused'
            except (ConnectionResetError, BrokenPipeError):
                result = 'reset'
            except OSError as e:
                result = repr(e)
            with self.lock:
                self.longest = max(self.longest, time.monotonic() - begun)
                self.results[result] += 1

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join()
        return self

    def others(self, *allowed):
        """What came besides good answers and what is allowed."""
        return {result: n for result, n in self.results.items() if result not in (200, *allowed)}


# --- the control protocol ---

def pack(v):
    """The part of msgpack that the control protocol uses."""
    if v is None:
        return b'\xc0'
    if v is True or v is False:
        return b'\xc3' if v else b'\xc2'
    if isinstance(v, int):
        return struct.pack('>Bq', 0xd3, v)
    if isinstance(v, str):
        b = v.encode()
        return struct.pack('>BI', 0xdb, len(b)) + b
    if isinstance(v, bytes):
        return struct.pack('>BI', 0xc6, len(v)) + v
    if isinstance(v, dict):
        return struct.pack('>BI', 0xdf, len(v)) + b''.join(pack(k) + pack(x) for k, x in v.items())
    return struct.pack('>BI', 0xdd, len(v)) + b''.join(pack(x) for x in v)


class Unpacker:
    def __init__(self, data):
        self.d, self.i = data, 0

    def take(self, n):
        self.i += n
        return self.d[self.i - n:self.i]

    def number(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def value(self):
        t = self.number('B')
        if t < 0x80:
            return t
        if t >= 0xe0:
            return t - 256
        if t < 0x90:
            return {self.value(): self.value() for _ in range(t & 15)}
        if t < 0xa0:
            return [self.value() for _ in range(t & 15)]
        if t < 0xc0:
            return self.take(t & 31).decode()
        if t in (0xc0, 0xc2, 0xc3):
            return {0xc0: None, 0xc2: False, 0xc3: True}[t]
        if 0xcc <= t <= 0xd3:
            return self.number(('>B', '>H', '>I', '>Q', '>b', '>h', '>i', '>q')[t - 0xcc])
        if 0xd9 <= t <= 0xdb:
            return self.take(self.number(('>B', '>H', '>I')[t - 0xd9])).decode()
        if 0xc4 <= t <= 0xc6:
            return self.take(self.number(('>B', '>H', '>I')[t - 0xc4]))
        if t in (0xdc, 0xdd):
            return [self.value() for _ in range(self.number('>H' if t == 0xdc else '>I'))]
        if t in (0xde, 0xdf):
            return {self.value(): self.value() for _ in range(self.number('>H' if t == 0xde else '>I'))}
        raise ValueError('msgpack type 0x%02x' % t)


@functools.lru_cache(None)
def message_numbers():
    """Names to numbers, from the table itself."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'shared', 'ipc', 'msg_tbl.h')
    with open(path) as f:
        names = [line[4:].split(',')[0] for line in f if line.startswith('MSG(')]
    return {name: i for i, name in enumerate(names)}


class Control:
    """One connection to the control socket."""

    def __init__(self, path, timeout=20, waits=True):
        """`waits`: also while the listen queue is full, which with a time-out fails at once."""
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(None if waits else timeout)
        try:
            self.s.connect(path)
        except OSError:
            self.s.close()
            raise
        self.s.settimeout(timeout)
        self.numbers = message_numbers()

    def send(self, payload):
        self.s.sendall(struct.pack('<IBBBB', len(payload), 0, 0, 0, 0) + payload)

    def receive(self):
        """(name, fields), or None at the end."""
        head = self.exactly(8)
        body = head and self.exactly(struct.unpack('<I', head[:4])[0])
        if body is None:
            return None
        fields = Unpacker(body).value()
        return [n for n, i in self.numbers.items() if i == fields[0]][0], fields[1:]

    def exactly(self, n):
        data = b''
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                return None
            data += part
        return data

    def request(self, verb, version=1, **args):
        self.send(pack([self.numbers['REQUEST'], version, verb, pack(args)]))

    def call(self, verb, version=1, **args):
        """(end, rows, progress); rows are (kind, fields)."""
        self.request(verb, version, **args)
        rows, progress = [], []
        while True:
            m = self.receive()
            if m is None:
                raise EOFError('the connection ended without END')
            name, f = m
            if name == 'ROW':
                rows.append((f[0], Unpacker(f[1]).value()))
            elif name == 'PROGRESS':
                progress.append(f[0])
            else:
                self.s.close()
                return dict(zip(('status', 'code', 'message', 'file', 'line'), f)), rows, progress
