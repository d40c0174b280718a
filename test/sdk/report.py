"""TAP on standard output for programs whose tests run elsewhere: in a browser, in Node.js."""
import sys
import traceback


class Report:
    def __init__(self):
        self.count, self.failed = 0, 0

    def test(self, name, error='', lines=()):
        """One test that ran; `lines` explain a failure."""
        self.count += 1
        self.failed += bool(error)
        print('%s %d - %s' % ('not ok' if error else 'ok', self.count, name))
        for line in error.splitlines() + (list(lines) if error else []):
            print('# ' + line)
        sys.stdout.flush()

    def run(self, name, check, tail=tuple):
        """Runs one that raises AssertionError or TimeoutError when it fails."""
        try:
            check()
        except (AssertionError, TimeoutError):
            self.test(name, traceback.format_exc(), tail())
        else:
            self.test(name)

    def skip(self, name, reason):
        self.count += 1
        print('ok %d - %s # SKIP %s' % (self.count, name, reason), flush=True)

    def end(self):
        print('1..%d' % self.count)
        sys.exit(1 if self.failed else 0)
