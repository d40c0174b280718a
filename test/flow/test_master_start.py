"""How a master starts: one on a state folder, clear refusals, what it leaves to its children."""
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import Gateway, is_alive
import tap

NOBODY = 65534


class Start(unittest.TestCase):
    def setUp(self):
        self.g = Gateway()
        self.addCleanup(self.g.close)

    def explain(self):
        return self.g.tail()

    def refused(self, *words, seconds=5):
        mark = self.g.mark()
        p = self.g.spawn()
        self.assertEqual(p.wait(seconds), 1)
        text = '\n'.join(self.g.log_text().split('\n')[mark:])
        for word in words:
            self.assertIn(word, text)
        self.g.masters.pop()

    @tap.alone
    def test_starts_serves_and_stops(self):
        begun = time.monotonic()
        self.g.start()
        status, (pid, slot, generation) = self.g.get()
        self.assertLess(time.monotonic() - begun, 1.0)
        self.assertEqual((status, generation), (200, 1))
        self.assertIn(slot, (0, 1))
        self.assertEqual(self.g.stop(), 0)
        for pid in self.g.pids():
            self.assertFalse(is_alive(pid))
        self.assertFalse(os.path.exists(self.g.socket))

    def test_second_master_is_refused_and_told_who_runs(self):
        first = self.g.start()
        self.refused('pid %d' % first.pid)
        self.assertEqual(self.g.get()[0], 200)

    def test_taken_address_is_refused(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(('127.0.0.1', self.g.port))
            s.listen()
            self.refused('cannot listen on 127.0.0.1:%d' % self.g.port, 'in use')

    def test_bad_configuration_is_refused(self):
        self.g.configure('region: [oops\n')
        self.refused('aigw.yaml:')

    def test_shared_memory_must_be_a_tmpfs(self):
        self.g.configure(live=os.path.join(self.g.dir, 'live'))
        self.refused('tmpfs')

    def test_shared_memory_must_have_room(self):
        self.g.configure(text=open(self.g.config).read().replace('live_size: 4MiB', 'live_size: 60GiB'))
        self.refused('MiB are needed', 'live_size')

    def bind_by_modes(self):
        """Masters run as somebody whom modes of files bind."""
        if os.geteuid() == 0:
            self.g.who = dict(user=NOBODY, group=NOBODY, extra_groups=[])
            try:
                subprocess.run([self.g.program, '--version'], check=True, capture_output=True, **self.g.who)
            except (PermissionError, subprocess.CalledProcessError):
                self.skipTest('another user cannot run %s' % self.g.program)
            for folder in (self.g.dir, self.g.live):
                os.chown(folder, NOBODY, NOBODY)
        return 'uid %d' % (os.geteuid() or NOBODY)

    def test_folders_that_the_user_may_not_write_in(self):
        """Each refusal names the user, the folder that is in the way, whose it is, and what to set else."""
        user = self.bind_by_modes()
        os.mkdir(self.g.state, 0o555)
        self.refused('cannot use the state folder %s: user ' % self.g.state, user + ') may not write in %s, which belongs to user ' % self.g.state,
                     '(mode 0555)', 'set `state` to another folder')
        os.chmod(self.g.state, 0)
        self.refused('cannot use the state folder', user, 'set `state`')
        os.rmdir(self.g.state)
        os.chmod(self.g.live, 0o555)
        self.refused('cannot use the live folder %s/' % self.g.live, user + ') may not write in %s, which' % self.g.live, 'set `shared_memory`')
        os.chmod(self.g.live, 0o755)
        with open(os.path.join(self.g.state, 'master.lock'), 'w') as f:
            os.fchmod(f.fileno(), 0o444)
        self.refused('cannot lock', user + ') may not write %s/master.lock' % self.g.state)

    def test_a_file_in_the_way(self):
        open(self.g.state, 'w').close()
        self.refused('cannot use the state folder', '%s is no folder' % self.g.state)

    def mounted_read_only(self, path):
        os.makedirs(path, exist_ok=True)
        mount = ['mount', '-t', 'tmpfs', '-o', 'ro,mode=755', 'tmpfs', path]
        if os.geteuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
            self.skipTest('nothing can be mounted here')
        self.addCleanup(subprocess.run, ['umount', '-l', path])

    def test_state_on_a_read_only_file_system(self):
        self.mounted_read_only(self.g.state)
        self.refused('cannot use the state folder', '%s lies on a file system that is mounted read-only' % self.g.state, 'set `state`')

    def test_live_folder_on_a_read_only_file_system(self):
        self.mounted_read_only(self.g.live)
        self.refused('cannot use the live folder', '%s lies on a file system that is mounted read-only' % self.g.live, 'set `shared_memory`')

    def test_child_that_says_why_it_cannot_start_ends_the_start(self):
        self.g.ask('failed-1')
        self.refused('worker 1 cannot start', 'made of cheese')
        for pid in self.g.pids():
            self.assertFalse(is_alive(pid))

    def test_table_that_a_worker_rejects_ends_the_start(self):
        self.g.configure(region='rejected')
        self.refused('worker 1 rejects the configuration: not this one')

    @unittest.skipUnless(os.geteuid() == 0, 'only root may look into processes that are not dumpable')
    def test_children_get_no_secret_and_no_other_descriptor(self):
        self.g.start(SECRET_CANARY='sk-canary-abcdef')
        for pid in self.g.pids():
            with open('/proc/%d/environ' % pid, 'rb') as f:
                self.assertNotIn(b'canary', f.read())
            fds = [os.readlink('/proc/%d/fd/%s' % (pid, fd)) for fd in os.listdir('/proc/%d/fd' % pid)]
            self.assertFalse([f for f in fds if f.endswith(('master.lock', 'control.sock'))], fds)
            with open('/proc/%d/limits' % pid) as f:
                self.assertRegex(f.read(), r'Max core file size +0 ')
            with open('/proc/%d/status' % pid) as f:
                self.assertRegex(f.read(), r'NoNewPrivs:\t1')

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_children_drop_to_the_user(self):
        self.g.start()
        for pid in self.g.pids():
            with open('/proc/%d/status' % pid) as f:
                text = f.read()
            self.assertNotRegex(text, r'Uid:\t0|Gid:\t0')
            self.assertEqual(int(re.search(r'CapPrm:\t(\w+)', text).group(1), 16), 0)
            self.assertEqual(len(set(re.search(r'Groups:\t(.*)', text).group(1).split())), 1)

    def test_tells_the_service_manager(self):
        path = os.path.join(self.g.dir, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(10)
            self.g.start(NOTIFY_SOCKET=path, WATCHDOG_USEC='200000')
            seen = [s.recv(4096).decode() for _ in range(4)]
            self.assertIn('READY=1', seen)
            self.assertIn('WATCHDOG=1', seen)
            self.g.signal(signal.SIGHUP)
            while not seen[-1].startswith('RELOADING=1\nMONOTONIC_USEC='):
                seen.append(s.recv(4096).decode())
            while seen[-1] != 'READY=1':
                seen.append(s.recv(4096).decode())
            self.g.signal(signal.SIGTERM)
            while not seen[-1].startswith('STOPPING=1\n'):
                seen.append(s.recv(4096).decode())
            # drain_timeout 5 s, 5 s for error items, 20 s for the ledger: the manager must not be faster.
            self.assertEqual(seen[-1], 'STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000')
            self.assertEqual(self.g.master.wait(10), 0)

    def run_aigwd(self, *args):
        return subprocess.run([self.g.program, *args], capture_output=True, text=True, timeout=20,
                              env=dict(os.environ, MOCK_KEY='sk-canary-1'))

    def test_check_and_print(self):
        p = self.run_aigwd('-t', '-c', self.g.config)
        self.assertEqual((p.returncode, p.stderr), (0, ''))
        self.assertIn('ok, 1 provider', p.stdout)
        p = self.run_aigwd('-T', '-c', self.g.config)
        self.assertEqual(p.returncode, 0)
        self.assertIn('m1', p.stdout)
        self.assertNotIn('canary', p.stdout)
        self.g.configure('region: x\nnonsense: 1\n')
        p = self.run_aigwd('-t', '-c', self.g.config)
        self.assertEqual(p.returncode, 1)
        self.assertRegex(p.stderr, r'aigw.yaml:2:1: ')

    def test_versions_and_usage(self):
        p = self.run_aigwd('-V')
        self.assertEqual(p.returncode, 0, p.stdout)
        for name in ('libuv', 'mbedtls', 'lmdb', 'llhttp', 'msgpack-c', 'yyjson', 'libyaml', 'zlib'):
            self.assertRegex(p.stdout, r'(?m)^%s \d' % name)
        self.assertEqual(self.run_aigwd('--version').stdout.split()[0], 'aigwd')
        self.assertIn('--config', self.run_aigwd('--help').stdout)
        self.assertEqual(self.run_aigwd('--nonsense').returncode, 2)
        self.assertEqual(self.run_aigwd('extra').returncode, 2)


if __name__ == '__main__':
    tap.main()
