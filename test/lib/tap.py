"""TAP on standard output. Runs a unittest module so that every test counts one by one: a test file ends with
    if __name__ == '__main__':
        tap.main()
and takes, as unittest does, names of tests as arguments, or --alone: those that need the machine for themselves, --beside: the others. A test
case may have explain(): lines that are added to its failures. Tests that run elsewhere, in a browser or in Node.js, are told to a Report. What
is random in a test comes from dice()."""
import os
import random
import sys
import traceback
import unittest

SEED = int(os.environ.get('AIGW_TEST_SEED') or random.randrange(1 << 32))
LONGEST = 600  # characters of a line: what was asserted may hold a whole answer


def dice(what):
    """Random numbers, others for each `what`, that AIGW_TEST_SEED brings back. The seed is printed, and again with each failure from now on."""
    if not Result.seed:
        Result.seed = ['AIGW_TEST_SEED=%d' % SEED]
        print('# ' + Result.seed[0], flush=True)
    return random.Random('%d %s' % (SEED, what))


def causes(error):
    """An exception and those behind it."""
    while error:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def described(error):
    """Lines about an exception: what was wrong first, then where, then the rest of what it says."""
    lines, rest = [], []
    for e in causes(error):
        said = ''.join(traceback.format_exception_only(type(e), e)).splitlines()
        lines.append(said[0])
        rest += said[1:]
        lines += ['  %s:%d in %s: %s' % (os.path.basename(f.filename), f.lineno, f.name, f.line) for f in traceback.extract_tb(e.__traceback__)
                  if '%sunittest%s' % (os.sep, os.sep) not in f.filename]
    return lines + rest


class Report:
    def __init__(self):
        self.out = sys.stdout
        self.count = self.failed = 0

    def line(self, word, name, note=''):
        self.count += 1
        self.out.write('%s %d - %s%s\n' % (word, self.count, name, note))
        self.out.flush()

    def ok(self, name):
        self.line('ok', name)

    def skip(self, name, reason):
        self.line('ok', name, ' # SKIP ' + reason)

    def not_ok(self, name, error, more=()):
        """`error` is an exception or a text, `more` are lines that explain it."""
        self.failed += 1
        self.line('not ok', name)
        for line in [*(error.splitlines() if isinstance(error, str) else described(error)), *more]:
            self.out.write('# %s\n' % line[:LONGEST])
        self.out.flush()

    def test(self, name, error='', more=()):
        """One that ran elsewhere, with what was wrong."""
        if error:
            self.not_ok(name, error, more)
        else:
            self.ok(name)

    def run(self, name, check, tail=tuple):
        """Runs one that raises AssertionError or TimeoutError when it fails."""
        try:
            check()
        except (AssertionError, TimeoutError) as e:
            self.not_ok(name, e, tail())
        else:
            self.ok(name)

    def end(self):
        self.out.write('1..%d\n' % self.count if self.count else '1..0 # SKIP no tests\n')
        sys.exit(1 if self.failed else 0)


class Result(unittest.TestResult):
    """What unittest tells of its tests, told to a Report."""
    seed = []

    def __init__(self, report):
        super().__init__()
        self.report = report

    @staticmethod
    def name(test):
        return test.id().rpartition('__main__.')[2]

    def trouble(self, test, err):
        try:
            more = list(getattr(getattr(test, 'test_case', test), 'explain', list)())
        except Exception: # the test failed before there was anything to explain it
            more = []
        self.report.not_ok(self.name(test), err[1], self.seed + more)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.report.ok(self.name(test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.report.skip(self.name(test), reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.trouble(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.trouble(subtest, err)


def alone(test):
    """Marks a test, or all of a class, whose figures other work on this machine would spoil: a short time, a share of the CPU, a cost."""
    test.is_alone = True
    return test


def single(suite):
    """The tests of a suite and of those in it."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from single(test)
        else:
            yield test


def is_alone(test):
    return getattr(test, 'is_alone', False) or getattr(getattr(test, test.id().rpartition('.')[2], None), 'is_alone', False)


def main(module='__main__'):
    loader = unittest.TestLoader()
    names = [word for word in sys.argv[1:] if word not in ('--alone', '--beside')]
    here = sys.modules[module]
    # A base class that was imported is no test of this file.
    own = [c.__name__ for c in vars(here).values() if isinstance(c, type) and issubclass(c, unittest.TestCase) and c.__module__ == module]
    report = Report()
    result = Result(report)
    suite = loader.loadTestsFromNames(names or own, here)
    if len(names) < len(sys.argv) - 1:
        suite = unittest.TestSuite(test for test in single(suite) if is_alone(test) == ('--alone' in sys.argv))
    suite.run(result)
    report.failed = not result.wasSuccessful()
    report.end()
