#!/usr/bin/env python3
"""Runs the test suites of a build folder and adds up what they counted.

    tools/run_tests.py --build build [--sanitize | --valgrind] [SUITE...]

Every test is registered with Meson; its `suite:` sorts it, tests without one are unit tests. Subtests in TAP count one by one, a
program that only has an exit status counts as one test, 77 is a skip. The last line is "N passed, N failed[, N skipped]", and the
exit status is 1 when something failed or nothing ran.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

# In the order in which they run: what fails fast comes first.
SUITES = {
    'unit': 'every module alone, without sockets',
    'tools': 'what ./dev calls',
    'golden': 'dialect pairs, byte by byte',
    'fuzz': 'the corpus of every fuzz entry, replayed',
    'wire': 'recorded exchanges of providers',
    'flow': 'real processes on loopback',
    'sdk': 'official client libraries',
}
# Not signal 7: a mapped file that is cut ends a process with it, the master says what that means, and a test asks for its words.
SANITIZERS = {
    'ASAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:detect_leaks=1:allocator_may_return_null=1:handle_sigbus=0',
    'UBSAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:print_stacktrace=1',
}
# Under valgrind: all that runs in one process, and these of the flow suite, whose nodes it follows through all their processes. A program that
# takes its time as given (rates, deadlines, kills) says nothing there.
VALGRIND = 'valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite'
VALGRIND_SUITES = ('unit', 'golden', 'fuzz', 'wire')
VALGRIND_FLOW = ('flow/canary', 'flow/chat', 'flow/contract', 'flow/tls')
# Their tests wait most of the time, so there is room for more of them than cores, also where sanitizers make the rest of it longer. Those
# that measure are registered to run alone.
WAITING_SUITES = ('flow', 'sdk')
CASES_SHOWN = 6
CASE_LINES = 30


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        skipped = ', %d skipped' % self.skipped if self.skipped else ''
        return '%d passed, %d failed%s' % (self.passed, self.failed, skipped)


def registered(build):
    """suite → names of its tests."""
    out = subprocess.run(['meson', 'introspect', '--tests', build], check=True, capture_output=True, text=True).stdout
    suites = collections.defaultdict(list)
    for test in json.loads(out):
        words = [suite.rpartition(':')[2] for suite in test['suite']]
        suite = next((word for word in words if word in SUITES), 'unit')
        suites[suite].append(test['name'])
    return suites


def plain_name(label, names):
    """The registered name in a label of Meson's, which adds project and suites in front, differently in each version."""
    return max((name for name in names if label == name or label.endswith((' / ' + name, ':' + name, '.' + name))),
               key=len, default=None)


def count_subtests(path, names):
    """test name → Count of its TAP subtests."""
    counts = collections.defaultdict(Count)
    for suite in xml.parse(path).getroot().iter('testsuite'):
        name = plain_name(suite.get('name'), names)
        for case in suite.iter('testcase') if name else ():
            count = counts[name]
            if case.find('failure') is not None or case.find('error') is not None:
                count.failed += 1
            elif case.find('skipped') is not None:
                count.skipped += 1
            else:
                count.passed += 1
    return counts


def count_test(entry, subtests):
    """The Count of one test, never at odds with how it ended."""
    count = Count()
    if subtests and entry['result'] != 'SKIP':
        count.add(subtests)
    elif entry['result'] == 'SKIP':
        count.skipped = 1
    elif entry['result'] == 'OK':
        count.passed = 1
    if entry['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL') and not count.failed:
        count.failed = 1
    return count


def skip_reason(entry):
    """TAP has a place for the reason of a whole program; where it was not used, the last thing that the program said, else what its first
    skipped test says."""
    lines = entry.get('stdout', '').splitlines() + (entry.get('stderr') or '').splitlines()
    for line in lines:
        match = re.match(r'1\.\.0\s*#\s*SKIP\s*(.*)', line, re.IGNORECASE)
        if match:
            return match.group(1)
    said = [line.lstrip('# ') for line in lines
            if line.strip() and not re.match(r'(not )?ok |# (not )?ok - |\d+\.\.\d+$|TAP version', line)]
    each = [match.group(1) for match in (re.match(r'ok .*# SKIP\s+(.+)', line, re.IGNORECASE) for line in lines) if match]
    return said[-1] if said else each[0] if each else 'it says no reason'


def skipped_cases(entry):
    """(case, reason) of single cases; cmocka writes the case's name where the reason should stand."""
    for case, reason in re.findall(r'^ok \d+ (?:- )?(.*?) *# *SKIP *(.*)$', entry.get('stdout', ''), re.MULTILINE):
        yield (case, reason) if case else (reason, skip_reason(entry))


def failures(output):
    """What TAP says of each failed case: its line, then the comments behind it, of which the first is the assertion."""
    found, case = [], None
    for line in output:
        if line.startswith('not ok'):
            case = [line]
            found.append(case)
        elif case and line.startswith('#'):
            case.append(line)
        else:
            case = None
    return found


def show_failure(entry):
    lines = ['---- %s: %s after %.1f s' % (entry['name'], entry['result'], entry['duration'])]
    stdout, stderr = entry.get('stdout', '').splitlines(), (entry.get('stderr') or '').splitlines()
    found = failures(stdout)
    for i, case in enumerate(found):
        lines += case[:2 + (CASE_LINES if i < CASES_SHOWN else 0)]
    # Where no case failed the program did: what it said last is of that.
    lines += (stderr if found else stdout + stderr)[-CASE_LINES:]
    print('\n'.join(lines + ['----']))


def run_suite(args, suite, names):
    base = 'suite-' + suite
    env = dict(os.environ, AIGW_BUILD=os.path.abspath(args.build))
    command = ['meson', 'test', '-C', args.build, '--no-rebuild', '--logbase', base]
    if suite in WAITING_SUITES:
        cores = os.cpu_count()
        command += ['--num-processes', str(cores + 1 if args.sanitize or args.valgrind else 2 * cores)]
    if args.sanitize:
        env.update(SANITIZERS, AIGW_SANITIZE='1')
        command += ['--timeout-multiplier', '4']
    if args.valgrind:
        env.update(AIGW_VALGRIND='1')
        command += ['--timeout-multiplier', '20']
        if suite in VALGRIND_SUITES:
            command += ['--wrapper', VALGRIND]
            base += '-valgrind'
    logs = os.path.join(args.build, 'meson-logs', base)
    for ending in ('.json', '.junit.xml'):
        if os.path.exists(logs + ending):
            os.remove(logs + ending)
    started = time.monotonic()
    run = subprocess.run(command + names, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    total = Count()
    if not os.path.exists(logs + '.json'):
        print(run.stdout + run.stderr)
        total.failed = 1
        return total
    subtests = count_subtests(logs + '.junit.xml', names)
    with open(logs + '.json', encoding='utf-8') as f:
        entries = [json.loads(line) for line in f]
    for entry in entries:
        name = entry['name'] = plain_name(entry['name'], names) or entry['name']
        count = count_test(entry, subtests.get(name))
        if count.failed:
            show_failure(entry)
        elif entry['result'] == 'SKIP':
            print('%-8s %s skipped: %s' % (suite, name, skip_reason(entry)))
        for case, reason in skipped_cases(entry) if entry['result'] == 'OK' else ():
            print('%-8s %s: %s skipped: %s' % (suite, name, case, reason))
        total.add(count)
    print('%-8s %s  (%d programs, %.1f s)' % (suite, total, len(entries), time.monotonic() - started), flush=True)
    return total


def main():
    parser = argparse.ArgumentParser(description='Runs the test suites: ' + ', '.join(SUITES) + '.')
    parser.add_argument('--build', required=True)
    parser.add_argument('--sanitize', action='store_true', help='the build has sanitizers: give them their options and time')
    parser.add_argument('--valgrind', action='store_true', help='memory errors and leaks, of what can bear its pace')
    parser.add_argument('suite', nargs='*', help='all unless named')
    args = parser.parse_args()
    unknown = set(args.suite) - set(SUITES)
    if unknown:
        parser.error('no suite named %s; there are %s' % (', '.join(sorted(unknown)), ', '.join(SUITES)))
    suites = registered(args.build)
    if args.valgrind:
        suites = {suite: [name for name in names if suite in VALGRIND_SUITES or name in VALGRIND_FLOW] for suite, names in suites.items()}
    total = Count()
    for suite, what in SUITES.items():
        if args.suite and suite not in args.suite:
            continue
        if suites.get(suite):
            total.add(run_suite(args, suite, suites[suite]))
        else:
            print('%-8s skipped: %s (%s)' % (suite, 'too slow under valgrind' if args.valgrind else 'this build has no tests of it', what))
    print(total)
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == '__main__':
    main()
