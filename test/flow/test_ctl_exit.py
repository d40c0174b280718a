"""The exit statuses of aigwctl (contract B2), each provoked."""
import contextlib
import grp
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap
from node import Node, NodeCase, model

NOBODY = 65534


class Statuses(NodeCase):
    MODELS = {'m1': model('oai/sim?tokens=4'), 'bad': model('oai/sim?status=500')}

    def refused(self, status, code, *words):
        """The command ends with that status, an error on stderr, nothing on stdout; in both forms."""
        p = self.node.ctl_raw(*words)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        self.assertTrue(p.stderr.startswith('aigwctl: '), p.stderr)
        self.assertEqual(p.stdout, '')
        p = self.node.ctl_raw(*words, '--json')
        self.assertEqual((p.returncode, p.stdout), (status, ''), p.stdout + p.stderr)
        error = json.loads(p.stderr)['error']
        self.assertEqual(sorted(error), ['code', 'file', 'line', 'message'])
        self.assertEqual(error['code'], code)
        return error['message']

    def test_0_done(self):
        self.assertEqual(self.node.ctl_raw('status').returncode, 0)

    def test_1_refused(self):
        self.refused(1, 'exists', 'account', 'create', 'main')
        self.refused(1, 'refused', 'account', 'credit', 'main', '--take', '100000')
        p = self.node.ctl_raw('chat', 'bad', 'x', '--key', self.key)
        self.assertEqual(p.returncode, 1, p.stderr)

    def test_2_usage(self):
        self.assertIn("did you mean 'account'", self.refused(2, 'usage', 'acount', 'list'))
        self.assertIn("did you mean 'list'", self.refused(2, 'usage', 'account', 'lst'))
        self.assertIn("did you mean '--credit'", self.refused(2, 'usage', 'account', 'create', 'a', '--credt', '1'))
        self.refused(2, 'usage', 'account', 'create')
        self.refused(2, 'usage', 'account', 'credit', 'main')
        self.refused(2, 'usage', 'key', 'create')
        self.refused(2, 'usage', 'usage', '--by', 'colour')
        self.refused(2, 'invalid', 'key', 'create', '--account', 'main', '--ip', 'home')
        self.assertIn('user: 1 to 128 bytes', self.refused(2, 'invalid', 'limit', 'explain', 'aaaaaaaaaaaa', '--user', 'x' * 129))
        p = self.node.ctl_raw('acount')
        self.assertIn('usage: aigwctl', p.stderr)

    def test_3_no_daemon(self):
        p = subprocess.run([os.environ['AIGWCTL'], '--socket', os.path.join(self.node.dir, 'none.sock'), 'status'],
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, 3)
        self.assertIn('AIGW_SOCKET', p.stderr)
        # The environment names the socket as well.
        p = subprocess.run([os.environ['AIGWCTL'], 'status'], capture_output=True, text=True,
                           env=dict(os.environ, AIGW_SOCKET=self.node.socket))
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_4_no_such_object(self):
        self.refused(4, 'not_found', 'account', 'show', 'nobody')
        self.refused(4, 'not_found', 'account', 'credit', 'nobody', '--add', '1')
        self.refused(4, 'not_found', 'key', 'create', '--account', 'nobody')
        self.refused(4, 'not_found', 'key', 'show', 'aaaaaaaaaaaa')
        self.refused(4, 'not_found', 'key', 'revoke', 'aaaaaaaaaaaa')
        self.refused(4, 'not_found', 'limit', 'explain', 'aaaaaaaaaaaa')
        self.refused(4, 'not_found', 'provider', 'show', 'nobody')
        self.refused(4, 'not_found', 'provider', 'test', 'nobody')
        self.refused(4, 'not_found', 'model', 'show', 'nothing')
        self.refused(4, 'not_found', 'request', 'show', 'gen_00000000000000000000000000')
        self.refused(4, 'model_not_found', 'chat', 'nothing', 'x', '--key', self.key)

    def check_others_can_run_it(self):
        program = os.environ['AIGWCTL']
        try:
            subprocess.run([program, '--version'], user=NOBODY, group=NOBODY, extra_groups=[], check=True, capture_output=True)
        except (PermissionError, subprocess.CalledProcessError):
            self.skipTest('another user cannot run %s' % program)

    def as_nobody(self, *words):
        p = subprocess.run([os.environ['AIGWCTL'], '--socket', self.node.socket, *words, '--json'], capture_output=True,
                           text=True, user=NOBODY, group=NOBODY, extra_groups=[])
        self.node.canary.look(p.stdout + p.stderr, ' '.join(words))
        return p

    @unittest.skipUnless(os.geteuid() == 0, 'needs root to become somebody else')
    def test_5_not_allowed(self):
        self.check_others_can_run_it()
        p = self.as_nobody('status')
        self.assertEqual((p.returncode, json.loads(p.stderr)['error']['code']), (5, 'not_allowed'), p.stderr)
        # Whoever may open the socket may read, and not write.
        os.chmod(self.node.socket, 0o666)
        self.assertEqual(self.as_nobody('account', 'list').returncode, 0)
        for words in (['account', 'create', 'mine'], ['reload'], ['stop'], ['key', 'revoke', 'aaaaaaaaaaaa']):
            p = self.as_nobody(*words)
            self.assertEqual((p.returncode, json.loads(p.stderr)['error']['code']), (5, 'not_allowed'), p.stderr)
        self.refused(5, 'invalid_api_key', 'chat', 'm1', 'x', '--key', 'sk-aigw-aaaaaaaaaaaa-' + 'a' * 43)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root to become somebody else')
    def test_rights(self):
        """The socket is root's and the group's; the group reads, root and admin.users write, others cannot even connect."""
        self.check_others_can_run_it()
        group = grp.getgrgid(NOBODY).gr_name
        with contextlib.closing(Node({'m1': model('oai/sim')}, admin={'group': group})) as node:
            node.start()
            s = os.stat(node.socket)
            self.assertEqual((stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid), (0o660, 0, NOBODY))

            def status(gid, *words):
                return subprocess.run([os.environ['AIGWCTL'], '--socket', node.socket, *words], capture_output=True,
                                      user=NOBODY, group=gid, extra_groups=[]).returncode
            write = ('account', 'create')
            self.assertEqual([status(NOBODY - 1, 'status'), status(NOBODY, 'status'), status(NOBODY, *write, 'a')], [5, 0, 5])
            node.configure(admin={'users': [pwd.getpwuid(NOBODY).pw_name]})
            node.ctl('reload')
            self.assertEqual([status(NOBODY, *write, 'a'), status(NOBODY - 1, *write, 'b')], [0, 5])
            self.assertEqual([a['name'] for a in node.ctl('account', 'list')['accounts']], ['a'])

    def test_6_findings(self):
        path = os.path.join(self.node.dir, 'broken.yaml')
        with open(path, 'w') as f:
            f.write('region: x\nworkerz: 2\n')
        p = self.node.ctl_raw('config', 'check', path, '--json')
        self.assertEqual(p.returncode, 6)
        error = json.loads(p.stderr)['error']
        self.assertEqual((error['code'], error['file'], error['line']), ('invalid_config', path, 2))
        self.assertEqual(json.loads(p.stdout)['messages'][0]['line'], 2)
        p = self.node.ctl_raw('config', 'check', path)
        self.assertEqual(p.returncode, 6)
        self.assertTrue(p.stdout.startswith('%s:2:1: error: ' % path), p.stdout)

    def test_7_timed_out(self):
        with tempfile.TemporaryDirectory() as d, socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.join(d, 'silent.sock'))
            s.listen()
            p = subprocess.run([os.environ['AIGWCTL'], '--socket', os.path.join(d, 'silent.sock'), 'status', '--timeout', '200ms'],
                               capture_output=True, text=True, timeout=10)
        self.assertEqual(p.returncode, 7, p.stderr)


class Stop(unittest.TestCase):
    def test_stop_waits_for_the_end(self):
        node = Node({'slow': model('oai/sim?tokens=10&rate=10')})
        try:
            node.start()
            key = node.customer('main')
            chat = subprocess.Popen([os.environ['AIGWCTL'], '--socket', node.socket, 'chat', 'slow', 'x', '--key', key],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertTrue(chat.stdout.read(1))
            p = node.ctl_raw('stop')
            self.assertEqual((p.returncode, p.stdout), (0, 'stopped\n'), p.stderr)
            self.assertEqual(node.master.wait(5), 0)
            # The running stream was not cut.
            chat.communicate(timeout=5)
            self.assertEqual(chat.returncode, 0)
            self.assertEqual(node.ctl_raw('status').returncode, 3)
        finally:
            node.close()


if __name__ == '__main__':
    tap.main()
