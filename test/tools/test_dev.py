#!/usr/bin/env python3
"""./dev tells how it is used before it fetches, configures or builds anything."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'test', 'lib'))
import tap  # noqa: E402


class Help(unittest.TestCase):
    def test_before_a_build(self):
        for words, told in (('--help', './dev COMMAND'), ('bench --help', 'bench.py'), ('bench -h', 'bench.py'), ('bench --ledger --help', 'bench_ledger.py'),
                            ('test --help', './dev COMMAND'), ('build -h', './dev COMMAND'), ('soak --help', './dev COMMAND')):
            with self.subTest(words), tempfile.TemporaryDirectory() as folder:
                p = subprocess.run(['./dev', *words.split()], cwd=ROOT, env={**os.environ, 'BUILD': os.path.join(folder, 'build')},
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
                self.assertEqual((p.returncode, os.listdir(folder)), (0, []), p.stderr)
                self.assertIn('usage: ' + told, p.stdout)


if __name__ == '__main__':
    tap.main()
