#!/usr/bin/env python3
"""Runs the libFuzzer programs of a build folder, one after the other, each from its corpus.

    tools/run_fuzz.py --build build-fuzz [--seconds N] [--keep] [ENTRY...]
    tools/run_fuzz.py --build build-coverage --coverage [--lines]

New inputs collect in .dev/fuzz/<entry>. --keep then adds those that reach new code to test/fuzz/corpus/<entry>, which ordinary
test runs replay. A finding is left beside them as crash-* (or oom-*, timeout-*); fix it and add it to the corpus.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

import fuzz_coverage

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))


def fuzz(program, name, seconds, keep):
    """True when nothing was found."""
    corpus = os.path.join(ROOT, 'test', 'fuzz', 'corpus', name)
    work = os.path.join(ROOT, '.dev', 'fuzz', name)
    os.makedirs(work, exist_ok=True)
    limits = ['-timeout=10', '-rss_limit_mb=2048', '-max_len=65536']
    run = subprocess.run([program, '-max_total_time=%d' % seconds, '-print_final_stats=1', '-artifact_prefix=%s/' % work]
                         + limits + [work, corpus], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    stats = dict(re.findall(r'stat::(\w+):\s+(\d+)', run.stderr))
    coverage = re.findall(r'cov: (\d+)', run.stderr)
    print('%-12s %s: %s inputs, %s edges' % (name, 'ok' if run.returncode == 0 else 'FOUND SOMETHING',
                                           stats.get('number_of_executed_units', '?'), coverage[-1] if coverage else '?'), flush=True)
    if run.returncode:
        print(run.stderr[-6000:])
        return False
    if keep:
        subprocess.run([program, '-set_cover_merge=1', '-use_counters=0'] + limits + [corpus, work], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return True


def main():
    parser = argparse.ArgumentParser(description='Fuzzes the parsers, each from its corpus.')
    parser.add_argument('--build', required=True)
    parser.add_argument('--seconds', type=int, default=300, help='for each entry')
    parser.add_argument('--keep', action='store_true', help='add inputs that reach new code to the corpus')
    parser.add_argument('--coverage', action='store_true', help='replay the corpora in a build with gcov, tell what they reach')
    parser.add_argument('--lines', action='store_true', help='with --coverage: the lines that they do not')
    parser.add_argument('entry', nargs='*', help='all unless named')
    args = parser.parse_args()
    if args.coverage:
        sys.exit(0 if fuzz_coverage.measure(os.path.abspath(args.build), args.lines) else 1)
    programs = {os.path.basename(path)[len('fuzz_'):]: os.path.abspath(path)
                for path in sorted(glob.glob(os.path.join(args.build, 'test', 'fuzz', 'fuzz_*'))) if os.path.isfile(path)}
    unknown = set(args.entry) - set(programs)
    if unknown:
        parser.error('no entry named %s; there are %s' % (', '.join(sorted(unknown)), ', '.join(programs)))
    results = [fuzz(programs[name], name, args.seconds, args.keep) for name in args.entry or programs]
    print('%d passed, %d failed' % (results.count(True), results.count(False)))
    sys.exit(0 if results and all(results) else 1)


if __name__ == '__main__':
    main()
