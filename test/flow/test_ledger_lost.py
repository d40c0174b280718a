"""The ledger's file is gone, empty or cut short: no new one takes its place, and the node says what is the matter."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import Gateway, is_alive, named_by, stand_still, wait_for
from node import NodePerTest, chat_body, model
import tap


class Base(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=8&input=20')}

    def setUp(self):
        self.make(log={'access': 'off'})
        self.state = self.node.state
        self.ledger = os.path.join(self.state, 'ledger')
        self.data = os.path.join(self.ledger, 'data.mdb')
        self.kept = self.state + '.kept'

    def stopped(self):
        """A node with an account that was stopped, and a copy of its ledger."""
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        self.node.stop()
        shutil.copytree(self.ledger, self.kept)

    def refused(self, words):
        mark = self.node.mark()
        with self.assertRaisesRegex(RuntimeError, 'ended with 1'):
            self.node.start()
        self.assertRegex(self.node.events('keeper_failed', mark)[0]['message'], words)

    def put_back(self):
        shutil.rmtree(self.ledger, ignore_errors=True)
        shutil.copytree(self.kept, self.ledger)

    def goes_on(self):
        self.node.start()
        self.assertEqual(self.chat('m').status, 200)
        self.assertEqual(self.node.settled('main')['granted_usd'], self.CREDIT)
        self.assertTrue(self.node.verify()['good'])

    def lose_running(self, size):
        """Cuts the file off under a keeper that rests; the workers."""
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        self.node.ctl('account', 'update', 'main', '--rpm', '100000')  # before it all that was charged is taken over
        keeper, workers = self.node.children('keeper'), self.node.children('worker')
        stand_still(keeper[0])
        shutil.copytree(self.ledger, self.kept)
        os.truncate(self.data, size)
        os.kill(keeper[0], signal.SIGCONT)
        wait_for(lambda: self.chat('m').status == 200 and self.node.children('keeper') != keeper, 20)
        return workers

    def given_back_running(self, workers):
        """Workers have served on; with the file in place the next keeper takes over what waits."""
        self.assertEqual(self.chat('m').status, 200)
        shutil.copyfile(os.path.join(self.kept, 'data.mdb'), self.data)
        wait_for(lambda: self.node.ctl_raw('account', 'show', 'main').returncode == 0, 40)
        self.assertEqual(self.chat('m').status, 200)
        self.assertEqual(self.node.settled('main')['granted_usd'], self.CREDIT)
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)
        self.assertEqual(self.node.children('worker'), workers)
        self.assertTrue(self.node.verify()['good'])


class Gone(Base):
    WORDS = r'^the ledger /.*/state/ledger/data\.mdb is gone, or nothing is in it, .*is its disk mounted\? .*ledger restore.*remove ledger_id and pepper in /'

    def test_no_new_one(self):
        """The live store has everybody's money: it is not thrown away for an empty ledger."""
        self.stopped()
        live = os.path.join(self.node.live, open(os.path.join(self.state, 'ledger_id')).read().strip(), 'data.mdb')
        ino = os.stat(live).st_ino
        for lose in (lambda: os.unlink(self.data), lambda: os.truncate(self.data, 0), lambda: shutil.rmtree(self.ledger)):
            self.put_back()
            lose()
            self.refused(self.WORDS)
            self.assertFalse(os.path.exists(self.data) and os.path.getsize(self.data))
        self.assertEqual(os.stat(live).st_ino, ino)
        self.put_back()
        self.goes_on()
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)

    def test_after_a_reboot(self):
        """The pepper alone tells, and so does the live store."""
        self.stopped()
        shutil.rmtree(self.ledger)
        pepper = os.path.join(self.state, 'pepper')
        os.rename(pepper, pepper + '.kept')
        self.refused(self.WORDS)
        os.rename(pepper + '.kept', pepper)
        shutil.rmtree(self.node.live)
        self.refused(self.WORDS)
        self.put_back()
        self.goes_on()

    def test_begins_anew(self):
        """As it says: without the two files it is a new node."""
        self.stopped()
        shutil.rmtree(self.ledger)
        for name in ('ledger_id', 'pepper'):
            os.unlink(os.path.join(self.state, name))
        self.node.start()
        self.assertEqual(self.chat('m').status, 401)
        self.key = self.node.customer('main', self.CREDIT)
        self.assertEqual(self.chat('m').status, 200)

    def test_restored(self):
        """The remedy, whatever is left of the ledger's folder."""
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        backup = self.state + '.backup'
        self.node.ctl('ledger', 'backup', backup)
        for lose in (lambda: shutil.rmtree(self.ledger), lambda: os.truncate(self.data, 0), lambda: os.unlink(self.data)):
            self.node.stop()
            lose()
            self.refused(self.WORDS)
            p = subprocess.run([os.environ['AIGWCTL'], 'ledger', 'restore', '--state', self.state, backup],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.goes_on()

    def test_first_start_cut_off(self):
        """What a first start has left that was killed early is no ledger."""
        os.makedirs(self.state, exist_ok=True)
        with open(os.path.join(self.state, 'ledger_id'), 'w') as f:
            f.write('0123456789abcdef' * 2 + '\n')
        os.mkdir(self.ledger)
        open(self.data, 'w').close()
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        self.assertEqual(self.node.status()['node'][0]['ledger_id'], '0123456789abcdef' * 2)
        changes = self.node.ctl_raw('ledger', 'export', '--changes').stdout
        self.assertNotIn('pepper', changes)  # its first one is no change

    def test_out_of_its_place(self):
        """No record goes into a file that has lost its name. With it all goes on, or with a copy of it and another keeper: nothing is lost."""
        self.start()
        answered = 0
        for way in ('renamed', 'copied'):
            mark = self.node.mark()
            os.rename(self.data, self.data + '.away')
            while (a := self.chat('m')).status == 200:
                answered += 1
            self.assertEqual((a.status, a.error['code']), (503, 'ledger_unavailable'), a)
            self.assertIn('its file is not in its place any more', self.node.events('ledger_failed', mark)[0]['message'])
            change = self.node.ctl_raw('account', 'credit', 'main', '--add', '1', '--json')
            self.assertEqual(json.loads(change.stderr)['error']['code'], 'ledger_unavailable')
            backup = '%s.%s' % (self.state, way)
            made = self.node.ctl_raw('ledger', 'backup', backup, '--json')
            self.assertEqual(json.loads(made.stderr)['error']['code'], 'incomplete')  # what waits is told, the rest is there
            if way == 'renamed':
                os.rename(self.data + '.away', self.data)
            else:
                shutil.copyfile(os.path.join(backup, 'ledger', 'data.mdb'), self.data)
                owner = os.stat(self.data + '.away')
                os.chown(self.data, owner.st_uid, owner.st_gid)
                self.node.kill('keeper')
            wait_for(lambda: self.node.ctl_raw('account', 'show', 'main').returncode == 0 and self.chat('m').status == 200, 40)
            answered += 1
            self.assertEqual(self.node.settled('main')['granted_usd'], self.CREDIT)
            self.assertEqual(self.node.ctl('usage')['total']['requests'], answered)
            self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)
            self.assertTrue(self.node.verify()['good'])

    def check_renewed(self, workers, answered):
        """The next keeper has made a new live store: with it there are other workers, and what they answer is recorded."""
        wait_for(lambda: self.node.ctl_raw('account', 'show', 'main').returncode == 0 and self.chat('m').status == 200 and
                 not set(self.node.children('worker')) & set(workers), 40)
        self.node.settled('main')
        before = self.node.ctl('usage')['total']['requests']
        for _ in range(6):
            self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        self.assertEqual(self.node.ctl('usage')['total']['requests'], before + 6)
        self.assertGreaterEqual(before, answered)
        self.assertTrue(self.node.verify()['good'])

    def test_older_copy(self):
        """An older copy of the file, and a keeper that finds it: the store that workers have is not one of it any more."""
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        shutil.copyfile(self.data, self.kept)
        for _ in range(5):
            self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        self.node.account('other', 1)  # charges alone the live store could still tell of
        workers, owner = self.node.children('worker'), os.stat(self.data)
        os.rename(self.data, self.data + '.away')
        shutil.copyfile(self.kept, self.data)
        os.chown(self.data, owner.st_uid, owner.st_gid)
        mark = self.node.mark()
        self.node.kill('keeper')
        self.check_renewed(workers, 1)
        gap = self.node.events('live_store_gap', mark)[0]
        self.assertIn('dollars in charges at risk: unknown', gap['message'])

    def test_live_folder_gone_without_a_keeper(self):
        """Only the master can make it again."""
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        workers, keeper = self.node.children('worker'), self.node.children('keeper')[0]
        stand_still(keeper)
        shutil.rmtree(self.node.live)
        os.kill(keeper, signal.SIGKILL)
        self.check_renewed(workers, 1)

    def test_under_a_running_keeper(self):
        """The next keeper makes no ledger while workers have one."""
        mark = self.node.mark()
        workers = self.lose_running(0)
        wait_for(lambda: self.node.events('child_failed', mark), 20)
        failed = self.node.events('child_failed', mark)[0]
        self.assertEqual(failed['level'], 'error')
        self.assertRegex(failed['message'], r'^keeper, pid \d+: ' + self.WORDS[1:])
        self.assertEqual(os.path.getsize(self.data), 0)
        self.given_back_running(workers)


class Short(Base):
    WORDS = r'^stored data is corrupt: the ledger /.*/state/ledger/data\.mdb is shorter than it says, its end is missing: .*ledger restore'

    def test_says_what_is_the_matter(self):
        """Not signal 7 for ever: what is missing is not read."""
        self.stopped()
        whole = os.path.getsize(self.data)
        for size in (8192, 12288, whole // 2):
            self.put_back()
            os.truncate(self.data, size)
            mark = self.node.mark()
            self.refused(self.WORDS)
            cut = self.node.events('store_cut_short', mark)[0]
            self.assertEqual((cut['level'], cut['process']), ('error', 'keeper'))
            self.assertIn('data.mdb has %d bytes, and says that it has ' % size, cut['message'])
            self.assertEqual(os.path.getsize(self.data), size)
        self.put_back()
        self.goes_on()

    def test_live_store(self):
        """That one is made anew, as when it is damaged otherwise."""
        self.stopped()
        live = os.path.join(self.node.live, open(os.path.join(self.state, 'ledger_id')).read().strip(), 'data.mdb')
        os.truncate(live, 8192)
        mark = self.node.mark()
        self.goes_on()
        self.assertIn('the live store is damaged', self.node.events('live_store_rebuilt', mark)[0]['message'])

    def test_under_a_running_keeper(self):
        """Its signal is told in words, and the next keeper finds why."""
        mark = self.node.mark()
        workers = self.lose_running(8192)
        wait_for(lambda: self.node.events('child_failed', mark), 20)
        died = self.node.events('child_died', mark)[0]['message']
        self.assertRegex(died, r"^keeper, pid \d+: signal 7: the ledger's file is shorter than it says, or its disk fails$")
        self.assertRegex(self.node.events('child_failed', mark)[0]['message'], r'^keeper, pid \d+: ' + self.WORDS[1:])
        self.given_back_running(workers)


class Masterless(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=8&input=20'), 'slow': model('oai/sim?tokens=100&rate=5&input=20')}
    PROGRAM = 'AIGWD_FAULTY'

    def orphan(self, name):
        """The keeper of a node of its own that has no master and no worker any more; one of these had a request that ran."""
        self.make(log={'access': 'off'})
        self.node.env['AIGW_TEST_DIR'] = self.node.state
        self.start()
        self.assertEqual(self.chat('m').status, 200)
        conn = Conn(self.node.port).request('POST', '/v1/chat/completions', chat_body('slow', True), (), self.key)
        self.addCleanup(conn.close)
        self.assertEqual(conn.head().status, 200)
        if name == 'damaged':
            self.node.end_conservation()
            Gateway.ask(self.node, 'damage-hold')
            self.assertEqual(self.chat('m').status, 200)
        keeper, workers = self.node.children('keeper'), self.node.children('worker')
        self.node.lose_master()
        if name != 'damaged':
            stand_still(keeper[0])
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        return self.node, keeper[0]

    def test_keeper_ends(self):
        """A keeper without a master that can write nothing ends as the others do, once no worker is alive, and says why."""
        nodes = {name: self.orphan(name) for name in ('ledger', 'both', 'damaged')}
        for name, (node, keeper) in nodes.items():
            if name != 'damaged':
                shutil.rmtree(node.state)
            if name == 'both':
                shutil.rmtree(node.live)
            os.kill(keeper, signal.SIGCONT)
        for name, (node, keeper) in nodes.items():
            with self.subTest(name):
                wait_for(lambda: not is_alive(keeper), 60, 0.1)
                self.assertEqual(named_by(node.dir), [])
                self.assertTrue(node.events('keeper_orphan'))
                why = 'could not be written: stored data is corrupt' if name == 'damaged' else 'was removed or replaced: what it lacks'
                self.assertIn(why, node.events('keeper_failed')[-1]['message'])


if __name__ == '__main__':
    tap.main()
