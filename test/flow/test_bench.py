"""./dev bench on a node of its own, short: its figures are all there and in form, whatever they are on this machine."""
import json
import os
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'test', 'lib'))
import tap


def bench(*words):
    done = subprocess.run([sys.executable, os.path.join(ROOT, 'tools', 'bench.py'), '--build', os.environ['AIGW_BUILD'], '--quick',
                           '--seconds', '0.2', *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout


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


if __name__ == '__main__':
    tap.main()
