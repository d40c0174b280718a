#!/usr/bin/env python3
"""The runner of ./dev test on small projects: everything that can happen to a test is counted as what it is."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
import tap  # noqa: E402

RUNNER = os.path.join(HERE, '..', '..', 'tools', 'run_tests.py')
FAILING = '''import sys, unittest
sys.path.insert(0, %r)
import tap


class It(unittest.TestCase):
    def explain(self):
        return ['the end of the log']

    def test_wrong(self):
        self.assertEqual('a\\nb', 'a\\nc')

    def test_part(self):
        with self.subTest(n=1):
            self.fail('no')

    def test_behind(self):
        try:
            {}['first']
        except KeyError:
            raise RuntimeError('the second')


tap.main()
'''


class Runner(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix='run-tests-')
        self.addCleanup(shutil.rmtree, self.root)

    def run_project(self, tests, *words):
        """tests: name → (shell program, further arguments of Meson's test()). Returns exit status and lines."""
        build = ["project('p', version: '1', meson_version: '>=1.0.0')", "sh = find_program('sh')"]
        for name, (program, more) in tests.items():
            path = name.replace('/', '-') + '.sh'
            with open(os.path.join(self.root, path), 'w', encoding='utf-8') as f:
                f.write(program)
            build.append("test('%s', sh, args: files('%s')%s)" % (name, path, more and ', ' + more))
        with open(os.path.join(self.root, 'meson.build'), 'w', encoding='utf-8') as f:
            f.write('\n'.join(build) + '\n')
        folder = os.path.join(self.root, 'b')
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(['meson', 'setup', folder, self.root], check=True, capture_output=True)
        run = subprocess.run([sys.executable, RUNNER, '--build', folder, *words], capture_output=True, text=True)
        return run.returncode, run.stdout.splitlines(), run.stderr

    def test_counts_subtests_and_programs(self):
        status, lines, _ = self.run_project({
            'base/a': ('echo "ok 1 - x"; echo "ok 2 - y # SKIP not here"; echo "1..2"', "protocol: 'tap'"),
            'base/ab': ('exit 0', ''),
            'flow/a': ('echo no gateway; exit 77', "suite: ['flow', 'slow']"),
            'flow/d': ('echo "ok 1 - x # SKIP no room"; echo "ok 2 - y # SKIP no time"; echo "1..2"', "suite: 'flow', protocol: 'tap'"),
            'wire/c': ('echo "1..1"; echo "# no records"; echo "ok 1 # SKIP c"; echo "# ok - tests"', "suite: 'wire', protocol: 'tap'"),
        })
        self.assertEqual((status, lines[-1]), (0, '2 passed, 0 failed, 4 skipped'))
        self.assertTrue(any(line.startswith('unit     2 passed, 0 failed, 1 skipped') for line in lines), lines)
        self.assertIn('flow     flow/a skipped: no gateway', lines)
        self.assertIn('flow     flow/d skipped: no room', lines)
        self.assertIn('wire     wire/c skipped: no records', lines)
        self.assertIn('unit     base/a: y skipped: not here', lines)
        self.assertTrue(any(line.startswith('sdk      skipped: this build has no tests') for line in lines), lines)

    def test_every_kind_of_failure_fails(self):
        for program, more in (('exit 1', ''), ('kill -9 $$', ''), ('echo "not ok 1 - x"; echo "1..1"', "protocol: 'tap'"),
                              ('echo "ok 1 - x"; echo "1..2"', "protocol: 'tap'"),
                              ('echo "ok 1 - x"; echo "1..1"; exit 3', "protocol: 'tap'"),
                              ('echo "ok 1 - x"; kill -6 $$', "protocol: 'tap'"), ('exec sleep 60', 'timeout: 1')):
            status, lines, _ = self.run_project({'base/good': ('exit 0', ''), 'base/bad': (program, more)})
            self.assertEqual(status, 1, program)
            self.assertRegex(lines[-1], r'^[12] passed, 1 failed$', program)
            self.assertTrue(any(line.startswith('---- base/bad: ') for line in lines), program)

    def test_what_is_shown_of_a_failure(self):
        """Its name and the assertion come first, whatever else was said, and not much of that."""
        program = 'echo "ok 1 - x"; for i in 2 3; do echo "not ok $i - y$i"; echo "# 5 != 6"; seq -f "# line %g" 200; done; ' \
                  'seq -f "# later %g" 200; echo "1..3"; echo "noise" >&2'
        _, lines, _ = self.run_project({'base/bad': (program, "protocol: 'tap'")})
        at = next(i for i, line in enumerate(lines) if line.startswith('---- base/bad: '))
        self.assertEqual(lines[at + 1:at + 4], ['not ok 2 - y2', '# 5 != 6', '# line 1'])
        self.assertEqual(lines[at + 33:at + 36], ['not ok 3 - y3', '# 5 != 6', '# line 1'])
        self.assertEqual(lines[at + 65:at + 67], ['noise', '----'])
        _, lines, _ = self.run_project({'base/bad': ('seq 200; echo "last words" >&2; exit 1', '')})
        at = next(i for i, line in enumerate(lines) if line.startswith('---- base/bad: '))
        self.assertEqual(lines[at + 30:at + 32], ['last words', '----'])

    def test_failures_in_tap_begin_with_what_was_wrong(self):
        with open(os.path.join(self.root, 'test_it.py'), 'w', encoding='utf-8') as f:
            f.write(FAILING % os.path.join(HERE, '..', 'lib'))
        out = subprocess.run([sys.executable, f.name], capture_output=True, text=True).stdout.splitlines()
        self.assertEqual([line for line in out if line[:1] != '#'], [
            'not ok 1 - It.test_behind', 'not ok 2 - It.test_part (n=1)', 'not ok 3 - It.test_wrong', '1..3'])
        at = out.index('not ok 3 - It.test_wrong')
        self.assertEqual(out[at + 1], "# AssertionError: 'a\\nb' != 'a\\nc'")
        self.assertRegex(out[at + 2], r"^#   test_it\.py:\d+ in test_wrong: self\.assertEqual")
        self.assertEqual(out[-2], '# the end of the log')
        self.assertRegex('\n'.join(out[1:at]), r"# RuntimeError: the second\n#   test_it.*\n# KeyError: 'first'\n#   test_it")

    def test_skipping_everything_is_no_success(self):
        status, lines, _ = self.run_project({'sdk/x': ('echo "1..0 # SKIP no registry"', "suite: 'sdk', protocol: 'tap'")})
        self.assertEqual((status, lines[-1]), (1, '0 passed, 0 failed, 1 skipped'))
        self.assertIn('sdk      sdk/x skipped: no registry', lines)

    def test_named_suites_only(self):
        status, lines, _ = self.run_project({'base/a': ('exit 1', ''), 'wire/a': ('exit 0', "suite: 'wire'")}, 'wire')
        self.assertEqual((status, lines[-1]), (0, '1 passed, 0 failed'))
        status, _, said = self.run_project({'base/a': ('exit 0', '')}, 'wired')
        self.assertEqual(status, 2)
        self.assertIn('no suite named wired', said)


if __name__ == '__main__':
    tap.main()
