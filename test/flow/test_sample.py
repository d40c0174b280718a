"""The sample configuration of the first steps, in a fresh folder that nobody else may enter: as root, whose keeper and workers run as
another user, and as an ordinary user. And what a start says that cannot be."""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import is_alive, wait_for
from node import Node
import tap

SAMPLE = '''region: test
workers: 2
listen: [{address: "127.0.0.1:8181"}]
admin: {socket: run/control.sock, http: "127.0.0.1:9465"}
state: run/state
shared_memory: /dev/shm/aigw-test
durability: group
providers:
  mock: {dialect: openai, base_url: "http://127.0.0.1:9900/v1", keys: ["env:MOCK_KEY"]}
models:
  m1: {context: 128000, max_output: 100, price: {input: 1, output: 2}, offers: {mock/up-m1: {priority: 1}, mock/up-m2: {priority: 2}}}
'''
ORDINARY = 54321 # no user of this number needs to exist


class Sample(Node):
    """The sample in its own closed folder; ports and the folder in /dev/shm, which may be taken, are others."""

    def __init__(self, user=None):
        self.user = user
        super().__init__({})
        self.who = {} if user is None else {'user': user, 'group': user, 'extra_groups': []}

    def configure(self, text=None, **config):
        text = text or SAMPLE
        for old, new in (('8181', self.port), ('9465', self.admin_port), ('9900', self.sim.port), ('/dev/shm/aigw-test', self.live)):
            text = text.replace(old, str(new))
        super().configure(text)
        os.chmod(self.dir, 0o700)
        if self.user is not None:
            for path in (self.dir, self.live, self.config):
                os.chown(path, self.user, self.user)


class Starts(unittest.TestCase):
    def serve(self, user=None):
        self.node = Sample(user)
        self.addCleanup(self.node.close)
        self.node.start()
        key = self.node.customer('acme', '1')
        self.assertEqual(self.node.chat(key, 'm1').status, 200)
        return key

    def explain(self):
        return self.node.tail(40)

    def users(self):
        """Of keeper and workers: {(user, group)}."""
        found = set()
        for pid in self.node.children():
            with open('/proc/%d/status' % pid) as f:
                lines = dict(line.split(':', 1) for line in f)
            found.add((lines['Uid'].split()[0], lines['Gid'].split()[0]))
        return found

    def charged(self, n):
        """So many charges are in the ledger, a group commit later, and all are right."""
        self.node.settled('acme')
        verdict = wait_for(lambda: (lambda v: v if v['charges'] >= n else None)(self.node.verify('--charges')), 5, 0.05)
        self.assertEqual((verdict['good'], verdict['charges']), (True, n))

    def again(self, key):
        """The keeper alone, then all of it, starts again; the books go on."""
        self.node.kill('keeper')
        self.assertEqual(self.node.chat(key, 'm1').status, 200)
        self.node.settled('acme')
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        self.assertEqual(self.node.chat(key, 'm1').status, 200)
        self.charged(3)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_as_root(self):
        """Nobody but root may enter the folder, and still no process but the master is root."""
        key = self.serve()
        self.assertNotIn('0', {n for pair in self.users() for n in pair})
        self.assertEqual(len(self.node.events('runs_as_nobody')), 'aigw' not in {u.pw_name for u in pwd.getpwall()})
        self.again(key)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_state_that_was_given_to_root(self):
        """As systemd does with a StateDirectory at each start; and another user takes over what the one before left, live store
        included."""
        key = self.serve()
        self.node.settled('acme')
        for user in ('', 'user: daemon\n'):
            self.assertEqual(self.node.stop(), 0)
            if not user:
                subprocess.run(['chown', '-R', '0:0', self.node.dir + '/run/state'], check=True)
            self.node.configure(user + SAMPLE)
            self.node.start()
            self.assertEqual(self.node.chat(key, 'm1').status, 200)
        self.charged(3)
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_files_of_others_are_not_given_away(self):
        """Who owns the state folder can put a link there: what it leads to stays whose it is."""
        self.serve()
        self.assertEqual(self.node.stop(), 0)
        state, mine = self.node.dir + '/run/state', self.node.dir + '/mine'
        for name in ('soft', 'hard'):
            with open(mine + name, 'w') as f:
                f.write('x' * 32)
        os.symlink(mine + 'soft', state + '/pepper.new')
        os.unlink(state + '/keeper.lock')
        os.link(mine + 'hard', state + '/keeper.lock')
        os.rename(state + '/ledger', self.node.dir + '/ledger')
        subprocess.run(['chown', '-R', '0:0', self.node.dir + '/ledger'], check=True)
        os.symlink(self.node.dir + '/ledger', state + '/ledger')
        p = self.node.spawn()
        p.wait(15)
        for path in (mine + 'soft', mine + 'hard', self.node.dir + '/ledger', self.node.dir + '/ledger/data.mdb'):
            self.assertEqual(os.stat(path).st_uid, 0, path)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_as_root_that_stays_root(self):
        self.node = Sample()
        self.addCleanup(self.node.close)
        self.node.configure('user: root\n' + SAMPLE)
        self.node.start()
        self.assertEqual(self.users(), {('0', '0')})

    def test_as_an_ordinary_user(self):
        user = ORDINARY if os.geteuid() == 0 else None
        try:
            key = self.serve(user)
        except PermissionError:
            self.skipTest('the programs lie where another user may not go')
        self.again(key)

    def test_live_folder_removed_while_running(self):
        """All of it, by somebody who cleans up: the master makes the folder, the keeper the store; nothing is lost."""
        key = self.serve()
        workers = self.node.children('worker')
        shutil.rmtree(self.node.live)
        wait_for(lambda: self.node.status()['ledger'][0]['epoch'] == 2, 15)
        wait_for(lambda: not any(is_alive(p) for p in workers) and
                 all(w['state'] == 'ready' for w in self.node.status()['worker']), 15)
        self.assertEqual(self.node.chat(key, 'm1').status, 200)
        self.charged(2)
        self.assertEqual(self.node.events('live_store_gap'), [])
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        self.assertEqual(self.node.chat(key, 'm1').status, 200)


    def test_master_that_dies_after_the_live_folder_was_removed(self):
        """The page went with the folder: the orphans see that the next master has made another."""
        key = self.serve()
        old = self.node.children()
        shutil.rmtree(self.node.live)
        wait_for(lambda: self.node.status()['ledger'][0]['epoch'] == 2, 15)
        wait_for(lambda: all(w['state'] == 'ready' and w['pid'] not in old for w in self.node.status()['worker']), 15)
        old = self.node.children()
        self.node.lose_master()
        self.assertEqual(self.node.chat(key, 'm1').status, 200)
        self.node.start()
        self.assertEqual(self.node.chat(key, 'm1').status, 200)
        wait_for(lambda: not any(is_alive(p) for p in old), 10)
        self.charged(3)


class Refusals(unittest.TestCase):
    def refused(self, text, *words):
        self.node = Sample()
        self.addCleanup(self.node.close)
        self.node.configure(text)
        p = self.node.spawn()
        self.assertEqual(p.wait(10), 1)
        for word in words:
            self.assertIn(word, self.node.log_text())
        self.assertEqual(self.node.pids(), [])

    def explain(self):
        return self.node.tail(40)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_live_folder_that_workers_may_not_enter(self):
        """Everyone opens it by its name: the way must be open, and who blocks it is named."""
        with tempfile.TemporaryDirectory(prefix='aigw-flow-', dir='/dev/shm') as closed:
            self.refused(SAMPLE.replace('/dev/shm/aigw-test', closed + '/in/side'), 'may not enter %s ' % closed, 'user nobody',
                         '`user`', '`shared_memory`')
        with tempfile.TemporaryDirectory(prefix='aigw-flow-', dir='/dev/shm') as closed:
            self.refused('user: daemon\n' + SAMPLE.replace('/dev/shm/aigw-test', closed), 'may not enter %s ' % closed, 'user daemon')

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which('setpriv'), 'needs root and setpriv')
    def test_root_that_may_not_change_users(self):
        """As in a container without those capabilities."""
        self.node = Sample()
        self.addCleanup(self.node.close)
        for user, wanted in (('', 'cannot become user'), ('user: root\n', '"event":"ready"')):
            self.node.configure(user + SAMPLE)
            with open(self.node.log_path, 'ab') as log:
                p = subprocess.Popen(['setpriv', '--bounding-set', '-setuid,-setgid', self.node.program, '-c', self.node.config], stdout=log,
                                     stderr=log, env={**os.environ, **self.node.env})
            self.node.masters.append(p)
            wait_for(lambda: wanted in self.node.log_text())
            if not user:
                self.assertEqual(p.wait(5), 1)
        self.assertEqual(self.node.stop(), 0)

    @unittest.skipUnless(os.geteuid() == 0, 'root has another default')
    def test_default_live_folder_without_a_tmpfs(self):
        """As in a container whose /run is on its disk."""
        stat = subprocess.run(['stat', '-f', '-c', '%T', '/run'], capture_output=True, text=True)
        if stat.stdout.strip() == 'tmpfs':
            self.skipTest('/run is a tmpfs here')
        self.refused(SAMPLE.replace('shared_memory: /dev/shm/aigw-test\n', ''), '/run/aigw/live', 'not on a tmpfs',
                     'set `shared_memory` to a folder on a tmpfs, such as /dev/shm/aigw')


if __name__ == '__main__':
    tap.main()
