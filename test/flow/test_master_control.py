"""The control socket: verbs of the master, rights, handing over, odd peers."""
import socket
import struct
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import Control, Gateway, pack, wait_for
import tap


class Master(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.g = Gateway()
        cls.addClassCleanup(cls.g.close)
        cls.g.start()

    def explain(self):
        return self.g.tail()

    def rows(self, verb, **args):
        end, rows, _ = self.g.control(verb, **args)
        self.assertEqual(end['status'], 0, end)
        return rows

    def test_status(self):
        s = self.g.status()
        self.assertEqual(s['node'][0]['state'], 'serving')
        self.assertEqual(s['node'][0]['pid'], self.g.master.pid)
        self.assertEqual(len(s['worker']), 2)
        self.assertEqual({r['address'] for r in s['listener']},
                         {'127.0.0.1:%d' % self.g.port, '127.0.0.1:%d' % self.g.admin_port})

    def test_providers_and_models(self):
        self.assertEqual([(k, f['name'], f['keys'], f['offers']) for k, f in self.rows('provider list')],
                         [('provider', 'mock', 1, 1)])
        kinds = [k for k, f in self.rows('provider show', name='mock')]
        self.assertEqual(kinds, ['provider', 'key', 'offer'])
        key = [f for k, f in self.rows('provider show', name='mock') if k == 'key'][0]
        self.assertEqual((key['source'], key['state']), ('env:MOCK_KEY', 'good'))
        model = self.rows('model list')[0][1]
        self.assertEqual((model['name'], model['input_pusd'], model['output_pusd']), ('m1', 1000000, 2000000))
        self.assertEqual([k for k, f in self.rows('model show', name='m1')], ['model', 'offer'])
        for verb in ('provider show', 'model show'):
            end, _, _ = self.g.control(verb, name='nothing')
            self.assertEqual((end['status'], end['code']), (4, 'not_found'))
            self.assertEqual(self.g.control(verb)[0]['status'], 2)

    def test_config(self):
        text = ''.join(f['text'] for k, f in self.rows('config show'))
        self.assertIn('m1', text)
        self.assertNotIn('canary', text)
        self.assertEqual(self.g.control('config check')[0]['status'], 0)
        self.g.configure(text='nonsense: 1\n')
        end, rows, _ = self.g.control('config check')
        self.assertEqual((end['status'], end['line']), (6, 1))
        self.g.configure()

    def test_no_secret_in_any_answer(self):
        for verb in ('status', 'config show', 'provider list', 'worker list', 'model list'):
            self.assertNotIn('canary', repr(self.g.control(verb)))
        self.assertNotIn('canary', repr(self.g.control('provider show', name='mock')))
        self.assertNotIn('canary', self.g.log_text())

    def test_other_verbs_are_handed_over(self):
        end, _, _ = self.g.control('account list')
        self.assertEqual(end['message'], 'keeper: uid %d, rights 3, verb account list' % os.getuid())
        end, _, _ = self.g.control('provider test', name='mock')
        self.assertTrue(end['message'].startswith('worker: '))

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_rights(self):
        self.assertEqual(os.stat(self.g.socket).st_mode & 0o007, 0)
        os.chmod(self.g.socket, 0o666)
        os.chmod(os.path.dirname(self.g.socket), 0o755)
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                for verb in ('status', 'reload', 'account create'):
                    os.write(w, b'%d ' % Control(self.g.socket).call(verb)[0]['status'])
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(w)
        os.chmod(self.g.socket, 0o600)
        with os.fdopen(r) as f:
            self.assertEqual(f.read().split(), ['0', '5', '5'])

    def test_unknown_verb_and_version(self):
        self.assertEqual(self.g.control('make coffee')[0]['status'], 2)
        end, _, _ = Control(self.g.socket).call('status', version=99)
        self.assertEqual((end['status'], end['code']), (1, 'version'))

    def test_odd_peers_are_dropped(self):
        for data in (b'GET / HTTP/1.1\r\n\r\n', struct.pack('<IBBBB', 1 << 30, 0, 0, 0, 0), struct.pack('<IBBBB', 3, 0, 0, 0, 0) + b'abc',
                     struct.pack('<IBBBB', 0, 0, 0, 0, 0), struct.pack('<IBBBB', 8, 1, 0, 0, 0) + b'12345678'):
            c = Control(self.g.socket)
            c.s.sendall(data)
            try:
                self.assertEqual(c.s.recv(100), b'')
            except ConnectionResetError:
                pass
        c = Control(self.g.socket)
        c.send(pack([c.numbers['COMMIT'], 7]))
        self.assertIsNone(c.receive())
        self.assertEqual(self.g.status()['node'][0]['state'], 'serving')

    def test_request_in_small_pieces(self):
        c = Control(self.g.socket)
        payload = pack([c.numbers['REQUEST'], 1, 'worker list', pack({})])
        for byte in struct.pack('<IBBBB', len(payload), 0, 0, 0, 0) + payload:
            c.s.sendall(bytes([byte]))
        while True:
            name, fields = c.receive()
            if name == 'END':
                break
        self.assertEqual(fields[0], 0)

    def test_many_connections(self):
        idle = []
        for _ in range(200):
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.g.socket)
            idle.append(s)
        for s in idle:
            s.close()

        def served():
            try:
                return self.g.control('status')[0]['status'] == 0
            except (ConnectionResetError, BrokenPipeError, EOFError):
                return False # the closed ones still count
        wait_for(served)

    def test_keeper_away(self):
        os.kill(self.g.status()['keeper'][0]['pid'], signal.SIGSTOP)
        c = Control(self.g.socket, 15)
        c.request('account list')
        self.assertEqual(c.receive(), None)
        wait_for(lambda: self.g.status()['keeper'][0]['state'] == 'ready')


if __name__ == '__main__':
    tap.main()
