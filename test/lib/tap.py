"""Runs a unittest module with TAP on standard output, so that every test counts one by one. A test file ends with
    if __name__ == '__main__':
        tap.main()
and takes, as unittest does, names of tests as arguments. A test case may have explain(): lines that are added to its failures."""
import sys
import traceback
import unittest


class Result(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.count = 0

    def line(self, word, test, note=''):
        self.count += 1
        self.out.write('%s %d - %s%s\n' % (word, self.count, test.id().rpartition('__main__.')[2], note))
        self.out.flush()

    def trouble(self, test, err):
        text = ''.join(traceback.format_exception(*err))
        self.line('not ok', test)
        explain = getattr(getattr(test, 'test_case', test), 'explain', list)
        try:
            more = list(explain())
        except Exception: # the test failed before there was anything to explain it
            more = []
        for line in text.splitlines() + more:
            self.out.write('# %s\n' % line)
        self.out.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line('ok', test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line('ok', test, ' # SKIP ' + reason)

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


def main(module='__main__'):
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    here = sys.modules[module]
    # A base class that was imported is no test of this file.
    own = [c.__name__ for c in vars(here).values() if isinstance(c, type) and issubclass(c, unittest.TestCase) and c.__module__ == module]
    suite = loader.loadTestsFromNames(names or own, here)
    result = Result(sys.stdout)
    suite.run(result)
    if result.count == 0:
        print('1..0 # SKIP no tests')
    else:
        print('1..%d' % result.count)
    sys.exit(0 if result.wasSuccessful() else 1)
