"""Long work says on a terminal how far it is, and nothing of that where nobody looks."""
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import NodeCase, model
import tap

KEYS = 300


class Progress(NodeCase):
    MODELS = {'m': model('oai/sim?tokens=1')}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for _ in range(3):
            assert cls.node.chat(cls.key, 'm').status == 200
        cls.node.settled('main')
        cls.keys = os.path.join(cls.node.dir, 'keys.ndjson')
        cls.folder = os.path.join(cls.node.dir, 'backup')

    def key_file(self, name):
        with open(self.keys, 'w', encoding='utf-8') as f:
            for n in range(KEYS):
                f.write(json.dumps({'account': 'main', 'name': '%s-%d' % (name, n)}) + '\n')
        return self.keys

    def on_terminal(self, *words):
        """(exit status, what stood on standard output, what stood on the terminal)."""
        ours, theirs = pty.openpty()
        p = subprocess.Popen([os.environ['AIGWCTL'], *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        out, told, open_fds = b'', b'', {ours, p.stdout.fileno()}
        try:
            while open_fds:
                for fd in select.select(list(open_fds), [], [], 60)[0]:
                    try:
                        data = os.read(fd, 65536)
                    except OSError:  # a terminal whose other end is closed
                        data = b''
                    if not data:
                        open_fds.remove(fd)
                    elif fd == ours:
                        told += data
                    else:
                        out += data
            return p.wait(60), out.decode(), told.decode()
        finally:
            p.stdout.close()
            os.close(ours)

    def check(self, words, piped, pattern):
        """The last line of progress is wiped, so that what follows stands alone."""
        status, out, told = self.on_terminal(*words)
        self.assertEqual(status, 0, told)
        self.assertRegex(told, pattern)
        self.assertRegex(told, r'\r\x1b\[K[^\r]*$')
        self.assertNotRegex(out, pattern)
        p = subprocess.run([os.environ['AIGWCTL'], *piped], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotRegex(p.stdout + p.stderr, pattern)
        self.assertNotIn('\x1b', p.stdout + p.stderr)
        self.assertNotIn('\r', p.stderr)

    def same(self, words, pattern):
        words = ('--socket', self.node.socket) + words
        self.check(words, words, pattern)
        status, _, told = self.on_terminal(*words, '--json')
        self.assertEqual((status, re.findall(pattern, told)), (0, []))

    def test_export(self):
        self.same(('ledger', 'export'), r'100\.0 % of the records')

    def test_verify(self):
        self.same(('ledger', 'verify', '--charges'), r'\d+\.\d % of the ledger')

    def test_import(self):
        at = ('--socket', self.node.socket, 'key', 'import')
        status, out, told = self.on_terminal(*at, self.key_file('a'))
        self.assertEqual((status, len(out.splitlines()) >= KEYS), (0, True), told)
        self.assertIn('%d of %d keys made' % (KEYS, KEYS), told)
        p = subprocess.run([os.environ['AIGWCTL'], *at, self.key_file('b')], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotIn('keys made', p.stdout + p.stderr)
        self.assertNotIn('\x1b', p.stderr)
        for secret in re.findall(r'sk-aigw-[a-z0-9]{12}-[A-Za-z0-9_-]{43}', out + p.stdout):
            self.node.canary.plant(secret)

    def test_zy_backup_and_restore(self):
        words = ('--socket', self.node.socket, 'ledger', 'backup')
        self.check(words + (self.folder,), words + (self.folder + '-2',), r'\d+ % of \d+ MB')
        first, second = (os.path.join(self.node.dir, n) for n in ('restored', 'restored-2'))
        words = ('ledger', 'restore', self.folder, '--state')
        for folder in first, second:
            os.mkdir(folder, 0o700)
        self.check(words + (first,), words + (second,), r'\d+ % of \d+ MB')
        for folder in first, second, self.folder, self.folder + '-2':
            shutil.rmtree(folder)


if __name__ == '__main__':
    tap.main()
