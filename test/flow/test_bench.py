"""./dev bench on a node of its own, short: its figures are all there and in form, whatever they are on this machine."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'test', 'lib'))
import tap


BUILD = os.environ['AIGW_BUILD']


def run(program, *words, status=0):
    """(Standard output, standard error) of a program that ends with this status."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, os.path.join(ROOT, 'tools', program), '--build', BUILD, *words], cwd=folder, capture_output=True,
                              text=True, check=False)
        left = os.listdir(folder)
    if done.returncode != status or left:
        raise AssertionError('%s ended with %d and left %s: %s' % (program, done.returncode, left, done.stdout + done.stderr))
    return done.stdout, done.stderr


def bench(*words):
    return run('bench.py', '--quick', '--seconds', '0.2', *words)[0]


def is_sanitized():
    with open(os.environ['AIGWD'], 'rb') as f:
        return b'__asan_init' in f.read()


@tap.alone
class Bench(unittest.TestCase):
    def test_rounds_as_json(self):
        report = json.loads(bench('--only', 'requests', '--json', '-'))
        rows = {row['name']: row for row in report['figures']}
        row = rows['CPU a request, 1 KB, 32 connections']
        self.assertGreater(row['value'], 0)
        self.assertEqual(row['budget'], 3.0 if shutil.which('nginx') else None)
        self.assertEqual(row['ratio'] is None, not shutil.which('nginx'))
        self.assertEqual(bool(report['skipped']), not shutil.which('nginx'))
        self.assertGreater(rows['peak without a proxy']['value'], rows['peak, 2 workers']['value'])

    def test_prompts_in_pairs(self):
        rows = {row['name']: row for row in json.loads(bench('--only', 'prompt', '--json', '-'))['figures']}
        self.assertGreater(rows['CPU a request, 400 KB prompt, 8 connections']['value'], 0)
        self.assertGreater(rows['memory at the peak of 400 KB prompts, a request']['value'], 0)
        self.assertIn('memory kept after them, all', rows)

    def test_memory_as_text(self):
        text = bench('--only', 'stream')
        for name in ('share of the busier', 'memory a live stream, plain', 'TLS on both sides'):
            self.assertIn(name, text)
        self.assertNotIn('nan', text)

    def test_stores(self):
        """Those that are told in CPU time are not beyond their budgets here either; beside other programs they may take twice as long."""
        rows = {row['name']: row for row in json.loads(bench('--only', 'store', '--json', '-'))['figures']}
        for name in ('hold + settle, 2 saturated workers, batches of 8', 'hold + settle over five scopes, 2 saturated workers, batches of 8'):
            self.assertGreater(rows[name]['value'], 0)
        for name in ('hold + settle, 1 worker, unbatched', 'keeper a record, commits of 96, alone', 'keeper a record, commits of 1000, alone'):
            self.assertGreater(rows[name]['value'], 0)
            if not is_sanitized():
                self.assertLess(rows[name]['value'], 2 * rows[name]['budget'], name)

    def test_keeper_at_20000_a_second(self):
        rows = {row['name']: row for row in json.loads(bench('--only', 'keeper', '--json', '-'))['figures']}
        self.assertGreater(rows['keeper a record at 20000/s']['value'], 0)
        self.assertEqual(rows['keeper a record at 20000/s']['budget'], 5)

    def test_missed_budget(self):
        self.assertIn('missed: start to first answer\n', run('bench.py', '--quick', '--only', 'start', '--strict', '0', status=1)[1])
        run('bench.py', '--quick', '--only', 'start', '--strict', '1000')


@tap.alone
class Ledger(unittest.TestCase):
    def test_figures_of_a_small_one(self):
        """10,000 records: all figures are there, and each report is within its share of 100 ms."""
        text, _ = run('bench_ledger.py', '0.01', *(('--budget', '2000') if is_sanitized() else ()))
        for by in ('day', 'model', 'provider', 'account', 'team', 'key', 'tag', 'day,model', 'day,tag', 'day,key', 'key,tag', 'day,key,tag'):
            self.assertRegex(text, r'\| report by %s: \d+ rows \| [0-9.]+ m?s \| ' % by)
        for name in ('size on disk, all / a million records', 'start: the ledger is open, what the checkpoint lacks is taken over',
                     'start of aigwd until it is ready, its live store made anew from the ledger',
                     'start of aigwd until it is ready, after kill -9 of all its processes', 'verify', 'verify --charges', 'export, all of it',
                     'backup, on disk', 'restore, on disk', 'retention: the records of a day removed'):
            self.assertIn('| %s | ' % name, text)
        self.assertIn('| aigwctl usage --by day,model, with the keeper\'s part: 360 rows | ', text)

    def test_missed_budget(self):
        """Each report says so, and so does aigwctl's."""
        _, told = run('bench_ledger.py', '0.001', '--budget', '0', status=1)
        for by in ('day', 'tag', 'day,key,tag'):
            self.assertRegex(told, r'missed: report by %s takes [0-9.]+ ms of CPU, more than 0.0 ms\n' % by)
        self.assertIn('missed: aigwctl usage takes ', told)


if __name__ == '__main__':
    tap.main()
