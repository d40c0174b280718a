#!/usr/bin/env python3
"""Measures what the gateway costs, beside nginx as a plain reverse proxy and beside no proxy at all.

    tools/bench.py --build build [--quick] [--json FILE] [--rounds N] [--seconds N] [--only WORD] [--strict]

Every round runs each load through each way in turn, so that a slow minute of the machine meets all alike; the median of the rounds
counts, and of their ratios. CPU time is that of all processes of the gateway (or nginx) over a run, divided by its requests. The
figures and budgets are those of the design; "missed" is said, not hidden, and with --strict the exit status is 1. Everything stays on
the loopback device. Without nginx the figures beside it are left out, and said to be.
"""
import argparse
import collections
import datetime
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

from bench_parts import Bench, Gateway, Held, HeldTls, KIB, Nginx, SCRIPTS, cpu_us, pss_kib, sockets

CONNECTIONS = (1, 32, 256)
LATENCY_RATE = 2000
KEEPER_RATE = 20000
STREAMS = 100
PAIRS = 6
PROMPT, PROMPTS = 400 * KIB, 8


class Figures:
    """Rows of the report, in the order of their making."""

    def __init__(self, part=1.0):
        """`part` of each budget is what counts."""
        self.rows, self.part = [], part

    def missed(self):
        return [row['name'] for row in self.rows if row['verdict'] == 'missed']

    def add(self, name, value, unit, budget=None, beside=None, ratio=None, at_least=False, note=None):
        """`budget` bounds the ratio where there is one, else the value; at_least: from below."""
        measured = ratio if ratio is not None else value
        verdict = None
        if budget is not None and measured is not None:
            verdict = 'met' if (measured >= budget if at_least else measured <= budget * self.part) else 'missed'
        self.rows.append({'name': name, 'value': value, 'unit': unit, 'nginx': beside, 'ratio': ratio, 'budget': budget,
                          'at_least': at_least, 'verdict': verdict, 'note': note})

    def text(self):
        lines = ['%-56s %10s %-6s %9s %7s %9s  %s' % ('figure', 'value', '', 'nginx', 'ratio', 'budget', '')]
        for row in self.rows:
            budget = '' if row['budget'] is None else '%s %s%s' % ('>=' if row['at_least'] else '<=', short(row['budget']),
                                                                  'x' if row['ratio'] is not None else '')
            lines.append('%-56s %10s %-6s %9s %7s %9s  %s' % (
                row['name'], short(row['value']), row['unit'], short(row['nginx']), short(row['ratio']), budget,
                '; '.join(word for word in (row['verdict'], row['note']) if word)))
        return '\n'.join(line.rstrip() for line in lines)


def short(value):
    if value is None:
        return ''
    if value == 0 or abs(value) >= 100:
        return '%.0f' % value
    return '%.1f' % value if abs(value) >= 10 else '%.2f' % value


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


class Way:
    """Something that requests can go through; `direct` has nothing that is measured."""

    def __init__(self, name, port, key, pids, prefix):
        self.name, self.port, self.key, self.pids, self.prefix = name, port, key, pids, prefix


class Rounds:
    """The loads that are repeated: results[load][way] is a list with one result a round."""

    def __init__(self, bench, gateway, nginx, seconds):
        self.bench, self.gateway, self.nginx, self.seconds = bench, gateway, nginx, seconds
        self.bodies = {}
        self.results = collections.defaultdict(lambda: collections.defaultdict(list))

    def ways(self, provider, buffered):
        port = {'tls': 'port_tls_up'}.get(provider, 'port_buffered' if buffered else 'port')
        found = []
        if provider == 'sim' and not buffered:
            found.append(Way('direct', self.bench.sim.port, 'sk-bench', [], ''))
        if self.nginx and provider != 'ant':
            found.append(Way('nginx', getattr(self.nginx, port), 'sk-bench', self.nginx.pids(), ''))
        found.append(Way('aigwd', self.gateway.port, self.gateway.key, self.gateway.pids(), provider + '-'))
        return found

    def body(self, way, script, stream, size):
        model = way.prefix + script if way.prefix else SCRIPTS[script]
        key = (model, stream, size)
        if key not in self.bodies:
            self.bodies[key] = self.bench.body(model, stream, size)
        return self.bodies[key]

    def run_pairs(self, load, turn, seconds, **options):
        """What varies most between two runs, by how connections fall to processes: several short ones, in turn."""
        for i in range(PAIRS):
            self.run(load, turn * PAIRS + i, seconds=round(seconds / PAIRS, 3), **options)

    def run(self, load, turn, script='1k', provider='sim', stream=False, size=1024, buffered=False, **options):
        ways = self.ways(provider, buffered)
        for i in range(len(ways)):
            way = ways[(i + turn) % len(ways)]
            body = self.body(way, script, stream, size)
            keeper = self.gateway.keeper() if way.name == 'aigwd' else []
            before, keeper_before = cpu_us(way.pids), cpu_us(keeper)
            result = self.bench.load(way.port, body, way.key, **options)
            time.sleep(0.06 if way.pids else 0)  # the ledger's commit belongs to it
            result['cpu'] = cpu_us(way.pids) - before
            result['keeper'] = cpu_us(keeper) - keeper_before
            self.results[load][way.name].append(result)

    def each(self, load, way, what):
        return [what(r) for r in self.results[load][way]] if load in self.results else []

    def cpu_a(self, unit, load, way='aigwd'):
        return self.each(load, way, lambda r: r['cpu'] / max(1, r[unit]))

    def beside(self, figures, name, load, unit, budget=None):
        """A row of CPU time a request or event, with the median of the rounds' ratios to nginx."""
        mine, theirs = self.cpu_a(unit, load), self.cpu_a(unit, load, 'nginx')
        if not mine:
            return
        ratio = median([a / b for a, b in zip(mine, theirs)])
        figures.add(name, median(mine), 'us', budget if theirs else None, median(theirs), ratio)


class Memory:
    """The most that processes take while something runs."""

    def __init__(self, pids):
        self.pids, self.peak, self.before = pids, 0, pss_kib(pids)

    def during(self, what):
        going = threading.Event()

        def sample():
            while not going.wait(0.02):
                self.peak = max(self.peak, pss_kib(self.pids))
        thread = threading.Thread(target=sample)
        thread.start()
        try:
            result = what()
        finally:
            going.set()
            thread.join()
        time.sleep(0.5)
        result['memory'] = {'before': self.before, 'peak': self.peak, 'after': pss_kib(self.pids)}
        return result


def run_rounds(rounds, n, wanted):
    s = rounds.seconds
    plan = [('requests %d' % c, dict(connections=c, seconds=s)) for c in CONNECTIONS]
    plan += [
        ('64k', dict(script='64k', connections=32, seconds=s)),
        ('tls', dict(provider='tls', connections=32, seconds=s)),
        ('latency', dict(connections=32, rate=LATENCY_RATE, seconds=max(1.0, s))),
        ('keeper', dict(connections=256, rate=KEEPER_RATE, seconds=s)),
        ('first', dict(script='burst', stream=True, connections=16, rate=200, seconds=max(1.0, s))),
        ('events', dict(script='flow', stream=True, connections=STREAMS, requests=STREAMS)),
        ('events ant', dict(script='flow', provider='ant', stream=True, connections=STREAMS, requests=STREAMS)),
    ]
    for turn in range(n):
        for load, options in plan:
            if wanted(load):
                rounds.run(load, turn, **options)
        if wanted('prompt'):
            rounds.run_pairs('prompt', turn, s, size=PROMPT, buffered=True, connections=PROMPTS)


def report_rounds(rounds, f):
    for c in CONNECTIONS:
        rounds.beside(f, 'CPU a request, 1 KB, %d connection%s' % (c, 's' * (c > 1)), 'requests %d' % c, 'requests',
                      3.0 if c == 32 else None)
    rounds.beside(f, 'CPU a request, 64 KB answer, 32 connections', '64k', 'requests')
    rounds.beside(f, 'CPU a request, TLS upstream, 32 connections', 'tls', 'requests')
    if 'tls' in rounds.results and 'requests 32' in rounds.results:
        f.add('TLS upstream over plain, a request',
              median([a - b for a, b in zip(rounds.cpu_a('requests', 'tls'), rounds.cpu_a('requests', 'requests 32'))]), 'us', 10)
    if peak(rounds, 'aigwd'):
        f.add('peak, 2 workers', peak(rounds, 'aigwd'), '/s', 20000, peak(rounds, 'nginx'), at_least=True)
        f.add('peak without a proxy', peak(rounds, 'direct'), '/s')
    report_latency(rounds, f)
    rounds.beside(f, 'CPU an SSE event, same dialect, %d streams' % STREAMS, 'events', 'events', 1.4)
    report_translated(rounds, f)
    report_first(rounds, f)
    for load, rate, budget in (('latency', LATENCY_RATE, 10), ('keeper', KEEPER_RATE, 5), ('requests 256', None, 5)):
        for row in rounds.results[load]['aigwd'][:1]:
            reached = round(median(rounds.each(load, 'aigwd', per_second)), -2)
            f.add('keeper a record at %d/s' % (rate or reached), median(rounds.each(load, 'aigwd', lambda r: r['keeper'] / r['requests'])), 'us', budget,
                  note='%d/s reached' % reached if rate and reached < 0.95 * rate else None)
    rounds.beside(f, 'CPU a request, 400 KB prompt, %d connections' % PROMPTS, 'prompt', 'requests', 2.0)


def per_second(result):
    return result['requests'] / result['elapsed_us'] * 1e6


def peak(rounds, way):
    """The number of connections that does most counts, by the median of its rounds."""
    rates = [median(rounds.each('requests %d' % c, way, per_second)) for c in CONNECTIONS]
    return max((r for r in rates if r is not None), default=None)


def added(rounds, load, way, where, at):
    return [a - b for a, b in zip(rounds.each(load, way, lambda r: r[where][at]),
                                  rounds.each(load, 'direct', lambda r: r[where][at]))]


def report_latency(rounds, f):
    if 'latency' not in rounds.results:
        return
    mine, theirs = (added(rounds, 'latency', way, 'latency_us', 'p50') for way in ('aigwd', 'nginx'))
    ratio = median([a / b for a, b in zip(mine, theirs) if b > 0])
    f.add('added latency at %d/s, p50' % LATENCY_RATE, median(mine), 'us', 2.0 if ratio else None, median(theirs), ratio)
    f.add('added latency at %d/s, p99' % LATENCY_RATE, median(added(rounds, 'latency', 'aigwd', 'latency_us', 'p99')), 'us', 500,
          median(added(rounds, 'latency', 'nginx', 'latency_us', 'p99')))


def report_translated(rounds, f):
    mine, theirs = rounds.cpu_a('events', 'events ant'), rounds.cpu_a('events', 'events', 'nginx')
    if mine:
        ratio = median([a / b for a, b in zip(mine, theirs)])
        f.add('CPU an SSE event, translated, %d streams' % STREAMS, median(mine), 'us', 2.5 if ratio else None, median(theirs),
              ratio)


def report_first(rounds, f):
    if 'first' not in rounds.results:
        return
    f.add('time to first event added, p50', median(added(rounds, 'first', 'aigwd', 'first_us', 'p50')), 'us', 250,
          median(added(rounds, 'first', 'nginx', 'first_us', 'p50')))
    f.add('time to first event, p99 (a step would be 40000)',
          median(rounds.each('first', 'aigwd', lambda r: r['first_us']['p99'])), 'us', 40000,
          median(rounds.each('first', 'nginx', lambda r: r['first_us']['p99'])))
    f.add('between events 10 ms apart, p99 (a step: 50000)',
          median(rounds.each('events', 'aigwd', lambda r: r['gap_us']['p99'])), 'us', 40000,
          median(rounds.each('events', 'nginx', lambda r: r['gap_us']['p99'])))


# --- what is measured once ---

def measure_start(bench, gateway, f, times):
    """A node that has its stores, stopped and started again; the first answer is a whole chat completion with status 200."""
    taken = []
    body = bench.body('sim-1k')
    for _ in range(times):
        gateway.stop()
        begun = time.monotonic()
        gateway.spawn([bench.program('aigwd'), '-c', gateway.dir + '/aigw.yaml'], BENCH_KEY='sk-bench')
        while True:
            done = subprocess.run(bench.load_command(gateway.port, body, gateway.key, requests=1), capture_output=True, check=False)
            if done.returncode == 0 and not json.loads(done.stdout)['errors']:
                break
        taken.append((time.monotonic() - begun) * 1e3)
    f.add('start to first answer', median(taken), 'ms', 50)
    time.sleep(1.0)
    f.add('idle, sum of PSS: master, keeper, 2 workers', pss_kib(gateway.pids()) / KIB, 'MB', 15)


def fresh(bench, what):
    """A gateway of its own that has served a few requests; what(gateway) measures."""
    gateway = Gateway(bench)
    try:
        bench.load(gateway.port, bench.body('sim-1k'), gateway.key, connections=16, requests=64)
        bench.load(gateway.port, bench.body('sim-burst', stream=True), gateway.key, connections=16, requests=64)
        time.sleep(0.3)
        return what(gateway)
    finally:
        gateway.close()


def fresh_nginx(bench, what):
    """The same for what(nginx)."""
    nginx = Nginx(bench)
    try:
        bench.load(nginx.port, bench.body(SCRIPTS['1k']), connections=16, requests=64)
        bench.load(nginx.port, bench.body(SCRIPTS['burst'], stream=True), connections=16, requests=64)
        time.sleep(0.3)
        return what(nginx)
    finally:
        nginx.stop()


def measure_prompts(bench, f, seconds):
    def during(gateway):
        body = bench.body('sim-1k', size=PROMPT)
        # What short ones take too, once, is not the long ones': above all the ring of the log.
        bench.load(gateway.port, bench.body('sim-1k'), gateway.key, connections=PROMPTS, requests=8000)
        return Memory(gateway.workers()).during(lambda: bench.load(gateway.port, body, gateway.key, connections=PROMPTS,
                                                                   seconds=seconds))['memory']
    memory = fresh(bench, during)
    f.add('memory at the peak of 400 KB prompts, a request', (memory['peak'] - memory['before']) / PROMPTS, 'KiB', 400 + 64)
    f.add('memory kept after them, all', memory['after'] - memory['before'], 'KiB')


def a_connection(pids, n, hold):
    before = pss_kib(pids)
    held = hold()
    time.sleep(0.5)
    try:
        return (pss_kib(pids) - before) / n
    finally:
        held.close()


def measure_streams(bench, beside, f, n):
    def plain(gateway):
        workers = gateway.workers()
        before = [sockets(pid) for pid in workers]
        held = []

        def hold():
            held.append(Held(bench, gateway.port, bench.body('sim-long', stream=True), gateway.key, connections=n))
            share = [sockets(pid) - b for pid, b in zip(workers, before)]
            f.add('share of the busier of 2 workers, %d streams' % n, max(share) / max(1, sum(share)), '', 0.6)
            return held[0]
        return a_connection(workers, n, hold)

    def tls_up(gateway):
        return a_connection(gateway.workers(), n, lambda: Held(
            bench, gateway.port, bench.body('tls-long', stream=True), gateway.key, connections=n))

    def tls_both(gateway):
        return a_connection(gateway.workers(), n, lambda: HeldTls(
            bench, gateway.port_tls, bench.body('tls-long', stream=True), gateway.key, n, False))

    theirs = beside and fresh_nginx(bench, lambda nginx: a_connection(nginx.workers(), n, lambda: Held(
        bench, nginx.port, bench.body(SCRIPTS['long'], stream=True), 'sk-bench', connections=n)))
    f.add('memory a live stream, plain', fresh(bench, plain), 'KiB', 20, theirs)
    f.add('memory a live stream, TLS upstream', fresh(bench, tls_up), 'KiB', 66)
    f.add('memory a live stream, TLS on both sides', fresh(bench, tls_both), 'KiB', 112)


def measure_idle(bench, beside, f, n, n_tls):
    theirs = beside and fresh_nginx(bench, lambda nginx: a_connection(nginx.workers(), n, lambda: Held(
        bench, nginx.port, bench.body(SCRIPTS['1k']), 'sk-bench', connections=n)))
    f.add('memory an idle connection, plain', fresh(bench, lambda g: a_connection(g.workers(), n, lambda: Held(
        bench, g.port, bench.body('sim-1k'), g.key, connections=n))), 'KiB', 2, theirs)
    f.add('memory an idle connection, TLS', fresh(bench, lambda g: a_connection(g.workers(), n_tls, lambda: HeldTls(
        bench, g.port_tls, bench.body('sim-1k'), g.key, n_tls, True))), 'KiB', 46)


def measure_reload(bench, f, models):
    gateway = Gateway(bench, models)
    taken, late, control = [], [], []
    try:
        body = bench.body('sim-1k')
        for price in (2, 3, 4):
            control.append(bench.load(gateway.port, body, gateway.key, connections=32, rate=LATENCY_RATE, seconds=1))
            gateway.configure(models, price)
            process = subprocess.Popen(bench.load_command(gateway.port, body, gateway.key, connections=32, rate=LATENCY_RATE,
                                                          seconds=1), stdout=subprocess.PIPE)
            time.sleep(0.3)
            begun = time.monotonic()
            gateway.ctl('reload')
            taken.append((time.monotonic() - begun) * 1e3)
            late.append(json.loads(process.communicate()[0]))
        f.add('reload of %d models, aigwctl included' % models, median(taken), 'ms', 100)
        f.add('requests over 5 ms beside it, of %d' % LATENCY_RATE, median([r['latency_us']['over_5ms'] for r in late]), '', 0,
              note='%s without a reload; the longest %s ms' % (
                  short(median([r['latency_us']['over_5ms'] for r in control])),
                  short(median([r['latency_us']['max'] for r in late]) / 1e3)))
    finally:
        gateway.close()


def measure_reuse(bench, gateway, f, seconds):
    """Once the pools are filled."""
    body = bench.body('tls-1k')
    bench.load(gateway.port, body, gateway.key, connections=256, seconds=0.5)
    before = bench.sim_tls.counts()
    load = bench.load(gateway.port, body, gateway.key, connections=256, seconds=seconds)
    after = bench.sim_tls.counts()
    dialled = after['connections'] - before['connections'] - 1  # one is this program's own
    f.add('TLS upstream, requests on reused connections', 100 - 100 * dialled / load['requests'], '%', 99.9, at_least=True)


STORE = {
    'hold + settle, one by one': ('hold + settle, 1 worker, unbatched', 16),
    'hold + settle, batches of 8': ('hold + settle, 1 worker, batches of 8', None),
    'hold + settle, 2 processes, batches of 1': ('hold + settle, 2 saturated workers, unbatched', None),
    'hold + settle, 2 processes, batches of 8': ('hold + settle, 2 saturated workers, batches of 8', 14),
    'idempotency keys, batches of 8': ('hold + settle with idempotency keys, 1 worker, batches of 8', None),
    'five scopes, batches of 8': ('hold + settle over five scopes, 1 worker, batches of 8', None),
    'five scopes, 2 processes, batches of 8': ('hold + settle over five scopes, 2 saturated workers, batches of 8', 20),
    'keeper a record, commits of 96': ('keeper a record, commits of 96, alone', 10),
    'keeper a record, commits of 1000': ('keeper a record, commits of 1000, alone', 5),
}


def measure_store(bench, f):
    out = subprocess.run([bench.program('test/bench/micro_store')], cwd=bench.dir, check=True, capture_output=True, text=True)
    found = {}
    for line in out.stdout.splitlines():
        match = re.match(r'(.*?)\s+([\d.]+) us wall(?:\s+([\d.]+) us cpu)?$', line)
        if match:
            found[match[1]] = match
    for key, (name, budget) in STORE.items():
        match = found[key] # a row that is not printed any more must not vanish in silence
        # Two processes at once are timed by the clock only: what counts there is how they get in each other's way.
        note = '%s us by the clock' % short(float(match[2])) if match[3] else 'by the clock'
        f.add(name, float(match[3] or match[2]), 'us', budget, note=note)


def measure(options, f):
    skipped = []
    bench = Bench(os.path.abspath(options.build))
    nginx = gateway = None

    def wanted(name):
        return options.only is None or options.only in name
    try:
        if shutil.which('nginx'):
            nginx = Nginx(bench)
        else:
            skipped.append('nginx is not installed: no ratios')
        gateway = Gateway(bench)
        rounds = Rounds(bench, gateway, nginx, options.seconds)
        run_rounds(rounds, options.rounds, wanted)
        report_rounds(rounds, f)
        if wanted('reuse'):
            measure_reuse(bench, gateway, f, options.seconds)
        if wanted('store'):
            measure_store(bench, f)
        if wanted('start'):
            measure_start(bench, gateway, f, 3 if options.quick else 9)
        gateway.close()
        gateway = None
        beside = nginx is not None
        if nginx:
            nginx.stop()
            nginx = None
        if wanted('prompt'):
            measure_prompts(bench, f, options.seconds)
        if wanted('stream'):
            measure_streams(bench, beside, f, 200)
        if wanted('idle'):
            measure_idle(bench, beside, f, 4000, 200)
        if wanted('reload'):
            measure_reload(bench, f, 2000)
    finally:
        if gateway:
            gateway.close()
        if nginx:
            nginx.stop()
        bench.close()
    return skipped


def machine():
    model = 'unknown'
    with open('/proc/cpuinfo') as f:
        for line in f:
            if line.startswith('model name'):
                model = line.partition(':')[2].strip()
                break
    return '%d x %s, Linux %s' % (os.cpu_count(), model, os.uname().release)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--build', default='build')
    parser.add_argument('--quick', action='store_true', help='one short round')
    parser.add_argument('--json', metavar='FILE', help='write the figures there too; - is standard output, without the text')
    parser.add_argument('--rounds', type=int)
    parser.add_argument('--seconds', type=float, help='of each run')
    parser.add_argument('--only', metavar='WORD', help='only what has this in its name: requests, latency, events, stream ...')
    parser.add_argument('--strict', nargs='?', type=float, const=1.0, metavar='PART',
                        help='exit with 1 when a budget, or this part of it, is missed')
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.7 if options.quick else 1.5)
    figures = Figures(1.0 if options.strict is None else options.strict)
    begun = time.monotonic()
    load_before = os.getloadavg()[0]
    skipped = measure(options, figures)
    report = {'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'), 'machine': machine(),
              'rounds': options.rounds, 'seconds': round(time.monotonic() - begun, 1), 'load_before': load_before,
              'skipped': skipped, 'figures': figures.rows}
    if options.json == '-':
        json.dump(report, sys.stdout, indent=1)
        print()
    else:
        print_text(report, figures, options.json)
    missed = figures.missed() if options.strict is not None else []
    for name in missed:
        print('missed: ' + name, file=sys.stderr)
    return bool(missed)


def print_text(report, figures, path):
    print('%(date)s, %(machine)s, %(rounds)d round(s), %(seconds)g s, load before %(load_before)g' % report)
    print(figures.text())
    for what in report['skipped']:
        print('skipped: ' + what)
    if path:
        with open(path, 'w') as f:
            json.dump(report, f, indent=1)


if __name__ == '__main__':
    sys.exit(main())
