"""Backup and restore are cut off: killed before each of their calls that changes files, refused each of them, and the power goes. A restore
then has happened or has not, wholly, whatever is looked at; a backup is there, wholly, or is not."""
import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap
from cutfs import CutFs
from node import LONG, NodePerTest, model
from recorder import make_file

SEED = int(os.environ.get('AIGW_TEST_SEED') or random.randrange(1 << 32))
CALLS_MAX = 200
IMAGES = 600 if LONG else 60
STARTS = 100 if LONG else 4


def read(path):
    try:
        with open(path, 'rb') as f:
            return f.read()
    except FileNotFoundError:
        return None


def copy(a, b):
    """With the owner."""
    shutil.copy2(a, b)
    st = os.stat(a)
    os.chown(b, st.st_uid, st.st_gid)


def put_back(a, b):
    shutil.rmtree(b, ignore_errors=True)
    shutil.copytree(a, b, copy_function=copy)
    st = os.stat(a)
    os.chown(b, st.st_uid, st.st_gid)


class Cut(NodePerTest):
    MODELS = {'m': dict(model('oai/sim?tokens=1'), price={'request': '0.01'})}

    def setUp(self):
        super().setUp()
        self.make()
        if self.node.is_sanitized():
            self.skipTest('a sanitizer wants to be the first library that is loaded')
        self.start()
        self.state = os.path.join(self.node.dir, 'state')
        self.folder = os.path.join(self.node.dir, 'backups', 'backup')
        os.mkdir(os.path.dirname(self.folder))
        self.spend()

    def spend(self):
        self.assertEqual(self.node.chat(self.key, 'm').status, 200)
        self.node.settled('main')

    def run_cut(self, words, below, **env):
        """The exit status of aigwctl, negative for the signal that ended it; AIGW_TEST_FILES_ stands before the names of `env`."""
        env = {'AIGW_TEST_FILES_' + name: str(value) for name, value in env.items()}
        p = subprocess.run([os.environ['AIGWCTL']] + words, env=dict(os.environ, LD_PRELOAD=os.environ['FILELOG'], AIGW_TEST_FILES=below, **env),
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, text=True)
        self.said = p.stderr
        return p.returncode

    def backup(self, **env):
        return self.run_cut(['--socket', self.node.socket, 'ledger', 'backup', self.folder], os.path.dirname(self.folder), **env)

    def restore(self, **env):
        return self.run_cut(['ledger', 'restore', self.folder, '--state', self.state], self.state, **env)

    def stop_with_late_key(self):
        """What happened since the backup: a request, a rotation, a key that needs the newest pepper. The state of then is kept."""
        self.assertEqual(self.backup(), 0, self.said)
        self.spend()
        self.node.ctl('pepper', 'rotate')
        self.late = self.node.key('main')
        self.assertEqual(self.node.chat(self.late, 'm').status, 200)
        self.node.settled('main')
        self.node.stop()
        self.then = self.state + '.then'
        shutil.copytree(self.state, self.then, copy_function=copy)
        self.own = {name: read(os.path.join(self.then, name)) for name in ('pepper', 'ledger_id', 'ledger/data.mdb')}
        self.backed = {name: read(os.path.join(self.folder, name)) for name in ('pepper', 'ledger/data.mdb')}

    # --- what is there ---

    def extra(self):
        """What stands in the state folder and the ledger's that a node at work does not have."""
        usual = {'clock', 'ledger', 'ledger_id', 'pepper', 'keeper.lock', 'master.lock', 'ledger/data.mdb', 'ledger/lock.mdb'}
        names = os.listdir(self.state) + ['ledger/' + name for name in os.listdir(os.path.join(self.state, 'ledger'))]
        return sorted(name.replace(name[name.rfind('.unfinished-'):], '.unfinished') if '.unfinished-' in name else name.partition('.before-')[0]
                      for name in names if name not in usual)

    def happened(self, is_first=True):
        """Whether the restore has happened; AssertionError when it has in part."""
        has = {name: read(os.path.join(self.state, name)) for name in
               ('pepper', 'ledger_id', 'ledger/data.mdb', 'ledger/pepper', 'ledger/restored')}
        self.assertEqual(has['ledger_id'], self.own['ledger_id'])
        self.assertEqual(self.whose('pepper', has['pepper']), 'own')
        whose = self.whose('ledger/data.mdb', has['ledger/data.mdb']), self.whose('pepper', has['ledger/pepper'])
        if whose[0] == 'own':
            self.assertIn(whose[1], ('none', 'own'))
            self.assertIsNone(has['ledger/restored'])
            return False
        self.assertEqual(whose, ('backup', 'backup'))
        self.assertEqual(has['ledger/restored'].count(b'\n'), 3)
        return True

    def whose(self, name, has):
        """In a word: there are secrets in it."""
        return {None: 'none', self.own[name]: 'own', self.backed[name]: 'backup'}.get(has, 'damaged')

    def kept(self):
        """The ledgers that were put aside, each with its peppers."""
        folders = [os.path.join(self.state, name) for name in os.listdir(self.state) if name.startswith('ledger.before-')]
        for folder in folders:
            whose = {self.whose(name, read(os.path.join(folder, os.path.basename(name)))) for name in self.backed}
            self.assertIn(whose, ({'own'}, {'backup'}))
            self.assertEqual(os.listdir(folder).count('unfinished'), 0)
        return len(folders)

    def check_start(self, happened):
        """The node starts, with the books and the keys of the one or the other, and nothing is left lying about."""
        self.node.start()
        self.assertEqual(str(self.node.settled('main')['settled_usd']), '0.01' if happened else '0.03')
        self.assertEqual(self.node.chat(self.late, 'm').status, 401 if happened else 200)
        self.assertEqual(self.node.chat(self.key, 'm').status, 200)
        self.node.settled('main')
        self.assertTrue(self.node.verify('--charges')['good'])
        self.node.stop()
        self.assertEqual(self.extra(), ['ledger'] if happened else [])
        self.assertEqual(self.kept(), happened)

    # --- killed, and refused ---

    def each_call(self, run):
        """run(n) for each call of a restore, each time with the state of before it; True: there are no more."""
        for n in range(1, CALLS_MAX):
            put_back(self.then, self.state)
            with self.subTest(call=n):
                if run(n):
                    return n - 1
        self.fail('it does not end')

    def test_restore_killed(self):
        """Before each call. A start finds one or the other; a second restore ends what the first one could not."""
        self.stop_with_late_key()
        seen = set()

        def run(n):
            if self.restore(KILL=n) == 0:
                return True
            happened, extra = self.happened(), self.extra()
            if (happened, str(extra)) not in seen:
                seen.add((happened, str(extra)))
                put_back(self.state, self.state + '.cut')
                self.check_start(happened)
                put_back(self.state + '.cut', self.state)
                shutil.rmtree(self.state + '.cut')
            self.assertEqual(self.restore(), 0, self.said)
            self.assertTrue(self.happened())
            self.assertEqual(self.kept(), 1 + happened)
            self.assertEqual([name for name in self.extra() if name != 'ledger'], ['ledger/pepper', 'ledger/restored'])
            return False
        calls = self.each_call(run)
        self.assertEqual({happened for happened, _ in seen}, {False, True})
        print('# killed before each of %d calls, which left %d states' % (calls, len(seen)))

    def test_restore_refused(self):
        """No space, or the disk fails, at each call."""
        self.stop_with_late_key()
        for error in (errno.ENOSPC, errno.EIO):
            def run(n, error=error):
                status = self.restore(FAIL=n, ERROR=error)
                self.assertIn(status, (0, 1), self.said)
                happened = self.happened()
                self.assertTrue(happened or status == 1)
                if status:  # what is wrong is where it is written to
                    self.assertNotIn(self.folder, self.said)
                self.failed += status
                return status == 0 and self.restore(KILL=n) == 0
            self.failed = 0
            calls = self.each_call(run)
            self.assertGreater(self.failed, calls // 2)

    def check_backup(self):
        """True: it is there, and then it is whole."""
        if not os.path.exists(self.folder):
            return False
        manifest = json.loads(read(self.folder + '/backup.json'))
        data = read(self.folder + '/ledger/data.mdb')
        self.assertEqual((manifest['bytes'], manifest['sha256']), (len(data), hashlib.sha256(data).hexdigest()))
        self.assertEqual(read(self.folder + '/pepper'), read(os.path.join(self.state, 'pepper')))
        return True

    def test_backup_cut(self):
        """Before each call. The next backup beside it takes away what is left."""
        beside, there = os.path.dirname(self.folder), set()
        for n in range(1, CALLS_MAX):
            status = self.backup(KILL=n)
            is_there = self.check_backup()
            there.add(is_there)
            left = os.listdir(beside)
            self.assertLessEqual(len(left), 1)
            if is_there:
                shutil.rmtree(self.folder)
            if status == 0:
                break
            self.assertEqual(status, -9, self.said)
        self.assertEqual(there, {False, True})
        self.assertEqual(os.listdir(beside), [])
        self.assertTrue(self.node.verify()['good'])

    # --- the power goes ---

    def test_power_loss_of_backup(self):
        """An image has it wholly or not at all; one in which it is restores."""
        beside, log = os.path.dirname(self.folder), os.path.join(self.node.dir, 'files')
        make_file(log)
        fs = CutFs(beside)
        self.assertEqual(self.backup(LOG=log), 0, self.said)
        fs.note(log)
        rng, there = random.Random(SEED), set()
        for i in range(4 * IMAGES):
            n = i % (len(fs.ops) + 1)
            shutil.rmtree(beside)
            fs.cut(n, rng, beside)
            with self.subTest(seed=SEED, image=i, cut=n):
                there.add(self.check_backup())
        self.assertEqual(there, {False, True})
        shutil.rmtree(beside)
        fs.cut(len(fs.ops), rng, beside)
        self.assertTrue(self.check_backup())  # it was acknowledged
        self.node.stop()
        self.assertEqual(self.restore(), 0, self.said)

    def record(self):
        """A restore and the start after it, and how many of its calls were the restore's."""
        log = os.path.join(self.node.dir, 'files')
        make_file(log)
        fs = CutFs(self.state)
        self.assertEqual(self.restore(LOG=log), 0, self.said)
        fs.note(log)
        restored = len(fs.ops)
        self.node.env.update(LD_PRELOAD=os.environ['FILELOG'], AIGW_TEST_FILES=self.state, AIGW_TEST_FILES_LOG=log)
        self.node.start()
        self.node.stop()
        for name in ('LD_PRELOAD', 'AIGW_TEST_FILES', 'AIGW_TEST_FILES_LOG'):
            del self.node.env[name]
        fs.note(log)
        return fs, restored

    def test_power_loss(self):
        self.stop_with_late_key()
        fs, restored = self.record()
        rng = random.Random(SEED)
        self.assertGreater(len(fs.ops), restored + 10)
        seen, ends = set(), []
        for i in range(IMAGES):
            n = i % (restored + 1)
            shutil.rmtree(self.state)
            fs.cut(n, rng, self.state)
            with self.subTest(seed=SEED, image=i, cut=n):
                happened, extra = self.happened(), self.extra()
                ends.append(happened)
                if (happened, str(extra)) not in seen and len(seen) < STARTS:
                    seen.add((happened, str(extra)))
                    self.check_power(happened)
        for i in range(STARTS):
            n = rng.randrange(restored, len(fs.ops))
            shutil.rmtree(self.state)
            fs.cut(n, rng, self.state)
            with self.subTest(seed=SEED, image=i, cut=n, calls=len(fs.ops)):
                self.check_power(True)
        self.assertEqual(set(ends), {False, True})
        print('# seed %d: %d images of %d calls of a restore, of which %d had happened; %d of %d calls of the start after it' %
              (SEED, IMAGES, restored, sum(ends), STARTS, len(fs.ops) - restored))

    def check_power(self, happened):
        """Shared memory is gone too."""
        for name in os.listdir(self.node.live):
            shutil.rmtree(os.path.join(self.node.live, name))
        self.check_start(happened)


class Synced(NodePerTest):
    """What is done to the disk in a node's life is there for good when it is acknowledged, and nothing gets its name before."""
    MODELS = Cut.MODELS
    LOCKS = {'master.lock', 'keeper.lock', 'lock.mdb'}  # what is in them is not read after a cut

    def note(self):
        self.fs.note(self.log)
        self.assertEqual({path for path in self.fs.unsynced() if os.path.basename(path) not in self.LOCKS}, set())
        self.assertEqual(self.fs.early, [])

    def ctl(self, *words):
        p = subprocess.run([os.environ['AIGWCTL'], *words], env=dict(os.environ, **self.preload), capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.note()

    def test_life(self):
        self.where = 'one/two/state'
        self.make(state='disk/' + self.where)
        if self.node.is_sanitized():
            self.skipTest('a sanitizer wants to be the first library that is loaded')
        disk, self.log = (os.path.join(self.node.dir, name) for name in ('disk', 'files'))
        os.mkdir(disk)
        make_file(self.log)
        self.fs = CutFs(disk)
        self.preload = {'LD_PRELOAD': os.environ['FILELOG'], 'AIGW_TEST_FILES': disk, 'AIGW_TEST_FILES_LOG': self.log}
        self.node.env.update(self.preload)
        self.start()
        self.note()
        self.node.ctl('pepper', 'rotate')
        self.note()
        late = self.node.key('main')
        self.note()
        self.assertEqual(self.node.chat(late, 'm').status, 200)
        self.node.settled('main')
        self.ctl('--socket', self.node.socket, 'ledger', 'backup', os.path.join(disk, 'backup'))
        self.node.stop()
        self.note()
        self.ctl('ledger', 'restore', os.path.join(disk, 'backup'), '--state', os.path.join(disk, self.where))
        self.node.start()
        self.note()
        self.assertEqual(self.node.chat(late, 'm').status, 200)
        self.node.stop()
        self.note()
        self.assertGreater(len(self.fs.ops), 50)


if __name__ == '__main__':
    tap.main()
