"""What the corpora of the fuzz entries reach: every entry is replayed from its corpus in a build with -Db_coverage=true, then gcov is asked for
the lines of the parsers. Used by run_fuzz.py."""
import collections
import glob
import json
import os
import subprocess

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
GOAL = 0.95
# Files that read what others wrote. What they also have to write it, and functions that only hand out constants, are entered by no replay:
# such functions do not count, and are named.
PARSERS = [
    'shared/format/' + name for name in ('http1', 'http1_body', 'inflate', 'jscan', 'json', 'jstep', 'jtext', 'mpack', 'sse', 'uri', 'yaml')
] + ['shared/ipc/' + name for name in ('control', 'frame', 'msg')] + [
    'shared/model/' + name for name in ('config_fields', 'config_file', 'config_merge', 'config_model', 'config_offer', 'config_price', 'config_provider',
                                        'config_secret', 'config_set', 'ptable', 'ptable_fields', 'settings', 'zone')
] + ['shared/store/record/' + name for name in ('record', 'rows')] + [
    'worker/dialect/' + name for name in ('anthropic_dec', 'anthropic_whole', 'chat_facts', 'chat_read', 'chat_read_msg', 'chat_scan', 'embeddings',
                                          'openai_dec', 'openai_whole', 'provider_error')
]


def replay(program):
    """False when the replay itself failed."""
    name = os.path.basename(program)[len('replay_'):]
    run = subprocess.run([program, os.path.join(ROOT, 'test', 'fuzz', 'corpus', name)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if run.returncode:
        print('%s: %s%s' % (name, run.stdout[-500:], run.stderr[-2000:]))
    return run.returncode == 0


def counts(build):
    """{file: {function: {line: times}}} of everything that ran, paths from the root."""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for path in glob.glob(os.path.join(build, '**', '*.p', '*.gcda'), recursive=True):
        out = subprocess.run(['gcov', '--json-format', '--stdout', os.path.basename(path)], cwd=os.path.dirname(path), check=True,
                             capture_output=True).stdout
        for report in out.splitlines():
            for part in json.loads(report)['files']:
                name = os.path.relpath(os.path.normpath(os.path.join(build, part['file'])), ROOT)
                for line in part['lines']:
                    lines = found[name][line.get('function_name', '')]
                    lines[line['line_number']] = lines.get(line['line_number'], 0) + line['count']
    return found


def show(name, functions, verbose):
    """(lines reached, lines) of one parser."""
    entered = {f: lines for f, lines in functions.items() if any(lines.values())}
    reached = sum(1 for lines in entered.values() for n in lines.values() if n)
    total = sum(len(lines) for lines in entered.values())
    print('%-40s %4d of %4d lines, %5.1f %%' % (name, reached, total, 100 * reached / total if total else 0))
    for f, lines in sorted(entered.items()) if verbose else ():
        missed = [str(n) for n, times in sorted(lines.items()) if not times]
        if missed:
            print('    %s: %s' % (f, ' '.join(missed)))
    others = sorted(f for f in functions if f not in entered and f)
    if others:
        print('    not entered: ' + ' '.join(others))
    return reached, total


def measure(build, verbose):
    """True when the parsers together reach the goal."""
    for path in glob.glob(os.path.join(build, '**', '*.gcda'), recursive=True):
        os.unlink(path)
    programs = [path for path in sorted(glob.glob(os.path.join(build, 'test', 'fuzz', 'replay_*'))) if os.path.isfile(path)]
    if not programs or not all([replay(path) for path in programs]):
        return False
    found = counts(build)
    reached = total = 0
    for name in (p + '.c' for p in PARSERS):
        r, t = show(name, found[name], verbose)
        reached, total = reached + r, total + t
    print('parsers: %d of %d lines, %.2f %%' % (reached, total, 100 * reached / total))
    return reached >= GOAL * total
