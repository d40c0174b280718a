#!/usr/bin/env python3
"""What a large ledger costs, alone and below a node: the table of test/bench/ledger_scale, with rows of aigwd and aigwctl on what it filled.

    tools/bench_ledger.py --build build [MILLIONS] [--budget MS]

The exit status is 1 when a report took more than its budget of CPU, which standard error tells. The ledger stands below the current folder.
"""
import argparse
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from bench_parts import Part, SHARED, cpu_us, family, free_ports

CONFIG = '''region: bench
workers: 2
listen: [{address: "127.0.0.1:%(port)d"}]
admin: {socket: %(dir)s/control.sock, http: "127.0.0.1:%(port_admin)d"}
state: %(state)s
shared_memory: %(shared)s
log: {to: "file:%(dir)s/aigwd.log", format: json}
providers:
  none: {dialect: openai, base_url: "http://127.0.0.1:9/v1", keys: ["env:BENCH_KEY"]}
models:
  none: {context: 1000, max_output: 100, price: {input: 1, output: 2}, offers: {none/none: {}}}
'''
START_S = 60
TIMES = 5


class Node(Part):
    """aigwd on a ledger that is there; its live store is its own."""

    def __init__(self, build, state, ledger_id):
        self.build, self.state = build, os.path.abspath(state)
        self.dir, self.shared = tempfile.mkdtemp(prefix='aigw-bench-'), tempfile.mkdtemp(prefix='aigw-bench-', dir=SHARED)
        for folder in (self.dir, self.shared):
            os.chmod(folder, 0o755)  # started by root, aigwd works as somebody else
        self.port, self.port_admin = free_ports(2)
        self.process = None
        with open(self.state + '/ledger_id', 'w') as f:
            f.write(ledger_id + '\n')
        open(self.state + '/pepper.lost', 'w').close()  # its keys are nobody's
        with open(self.dir + '/aigw.yaml', 'w') as f:
            f.write(CONFIG % vars(self))

    def start(self):
        """{'cpu': of all processes, 'wall': micro-seconds} until it says to its supervisor that it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, open(self.dir + '/aigwd.log', 'ab') as log:
            name = '\0aigw-bench-%d' % os.getpid()
            told.bind(name)
            told.settimeout(0.1)
            begun = time.monotonic()
            self.spawn([os.path.join(self.build, 'aigwd'), '-c', self.dir + '/aigw.yaml'], log, BENCH_KEY='sk-bench',
                       NOTIFY_SOCKET='@' + name[1:])
            while not has_come(told, b'READY=1'):
                if self.process.poll() is not None or time.monotonic() > begun + START_S:
                    with open(self.dir + '/aigwd.log') as f:
                        raise RuntimeError('aigwd does not start:\n' + f.read()[-4000:])
            return {'cpu': cpu_us(self.pids()), 'wall': (time.monotonic() - begun) * 1e6}

    def kill(self):
        pids = self.pids()
        self.process.kill()  # the master first: it starts nobody anew
        for pid in pids[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def keeper(self):
        found = []
        for pid in family(self.process.pid)[1:]:
            with open('/proc/%d/cmdline' % pid, 'rb') as f:
                if b'keeper' in f.read():
                    found.append(pid)
        return found

    def usage(self, by):
        """(The same of one `aigwctl usage`: the keeper's and its own, the best of a few; how many rows.)"""
        taken, keeper = [], self.keeper()
        for _ in range(TIMES):
            before, begun = cpu_us(keeper) + children_us(), time.monotonic()
            done = subprocess.run([os.path.join(self.build, 'aigwctl'), '--socket', self.dir + '/control.sock', 'usage', '--since', '2000-01-01',
                                   '--by', by, '--csv'], stdout=subprocess.PIPE, text=True, check=True)
            wall = (time.monotonic() - begun) * 1e6
            taken.append({'cpu': cpu_us(keeper) + children_us() - before, 'wall': wall})
        return {what: min(t[what] for t in taken) for what in ('cpu', 'wall')}, len(done.stdout.splitlines()) - 1

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.shared, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def has_come(told, word):
    try:
        return word in told.recv(4096)
    except socket.timeout:
        return False


def children_us():
    """CPU time of this program's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e6


def show(name, taken):
    print('| %s | %.1f ms | (%.1f ms) |' % (name, taken['cpu'] / 1e3, taken['wall'] / 1e3), flush=True)


def on_a_node(build, state, ledger_id, budget_ms):
    """Whether no budget was missed."""
    node = Node(build, state, ledger_id)
    try:
        show('start of aigwd until it is ready, its live store made anew from the ledger', node.start())
        node.kill()
        show('start of aigwd until it is ready, after kill -9 of all its processes', node.start())
        taken, rows = node.usage('day,model')
        show('aigwctl usage --by day,model, with the keeper\'s part: %d rows' % rows, taken)
        node.stop()
    finally:
        node.close()
    if taken['cpu'] <= budget_ms * 1e3:
        return True
    print('missed: aigwctl usage takes %.1f ms of CPU, more than %.1f ms' % (taken['cpu'] / 1e3, budget_ms), file=sys.stderr)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--build', default='build')
    parser.add_argument('--budget', type=float, default=100, metavar='MS', help='CPU of a report, of a million records and more')
    parser.add_argument('millions', nargs='?', default='10')
    options = parser.parse_args()
    met = True
    # Signals as they are here, where a broken pipe is none: whatever fails, it goes on until it has removed what it made.
    with subprocess.Popen([os.path.join(options.build, 'test/bench/ledger_scale'), options.millions, '--budget', str(options.budget), '--lend'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, restore_signals=False) as p:
        for line in p.stdout:
            if not line.startswith('# lent '):
                print(line, end='', flush=True)
                continue
            try:
                met = on_a_node(options.build, *line.split()[2:], options.budget)
            finally:
                p.stdin.write('\n')
                p.stdin.flush()
    return p.returncode or not met


if __name__ == '__main__':
    sys.exit(main())
