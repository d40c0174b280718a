"""Backup of a node that serves, and restore: what is in it, what old lives of the ledger may still do, and what is refused."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
from decimal import Decimal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap
from gateway import named_by, wait_for
from money import Spender, records
from node import CtlError, NodePerTest, chat_body, model, nusd


class Backup(NodePerTest):
    MODELS = {'m': dict(model('oai/sim?tokens=1'), price={'request': '0.01'})}

    def setUp(self):
        super().setUp()
        self.begin()
        self.folder = os.path.join(self.node.dir, 'backup')
        self.state = os.path.join(self.node.dir, 'state')

    def spend(self, n):
        for _ in range(n):
            self.assertEqual(self.node.chat(self.key, 'm').status, 200)
        self.node.settled('main')

    def spent(self):
        return self.node.settled('main')['settled_usd']

    def backup(self):
        return self.node.ctl('ledger', 'backup', self.folder)

    def command(self):
        return [os.environ['AIGWCTL'], 'ledger', 'restore', self.folder, '--state', self.state]

    def restore(self, *words, status=0):
        p = subprocess.run(self.command() + list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p.stdout + p.stderr

    def give_layout(self, old, new):
        """Writes another layout into the rows of the ledger's state."""
        with open(os.path.join(self.state, 'ledger', 'data.mdb'), 'r+b') as f:
            data = f.read()
            self.assertIn(b'state' + struct.pack('<I', old), data)
            f.seek(0)
            f.write(data.replace(b'state' + struct.pack('<I', old), b'state' + struct.pack('<I', new)))

    def test_ledger_of_another_version(self):
        """It is refused in words, with status 1, and left as it is."""
        self.spend(1)
        layout = json.loads(self.node.ctl_raw('ledger', 'export').stdout.splitlines()[0])['layout']
        self.node.stop()
        for other in (layout - 1, layout + 1):
            self.give_layout(layout, other)
            with self.assertRaisesRegex(RuntimeError, 'ended with 1'):
                self.node.start()
            self.assertIn('the ledger has layout %d, this version of aigwd reads layout %d: start the version that wrote it' % (other, layout),
                          self.node.log_text())
            self.give_layout(other, layout)
        self.node.start()
        self.assertEqual(self.spent(), Decimal('0.01'))

    def test_another_ledger_in_its_place(self):
        """A copy over the file of a node that runs: the keeper says which file, and what to do."""
        self.spend(1)
        self.backup()
        self.spend(1)
        self.node.ctl('account', 'create', 'later')
        with open(os.path.join(self.folder, 'ledger', 'data.mdb'), 'rb') as f:
            other = f.read()
        path, mark = os.path.join(self.state, 'ledger', 'data.mdb'), self.node.mark()
        with open(path, 'r+b') as f:
            f.write(other)
        with contextlib.suppress(CtlError):
            self.node.ctl('account', 'create', 'more')
        told = self.node.wait_event('child_failed', since=mark)['message']  # its own line it may not come to
        self.node.kill_all()
        self.assertEqual(named_by(self.node.dir), [])
        self.assertIn('%s is not as this node wrote it last' % path, told)
        self.assertIn("'aigwctl ledger restore'", told)

    def test_a_damaged_row_of_a_key(self):
        """It is told as that: the account's balance is right."""
        self.node.ctl('key', 'create', '--account', 'main', '--name', 'namedlikenoother')
        path = os.path.join(self.state, 'ledger', 'data.mdb')

        def findings():
            p = self.node.ctl_raw('ledger', 'verify', '--json')
            return json.loads(p.stdout)['findings']

        def written():
            with open(path, 'rb') as f:
                return f.read().count(b'namedlikenoother')
        wait_for(lambda: written() > 1, 15, 0.5)
        with open(path, 'r+b', buffering=0) as f:
            for at in re.finditer(b'namedlikenoother', f.read()):
                f.seek(at.start())
                f.write(b'N')
                found = findings()
                f.seek(at.start())
                f.write(b'n')
                if [x['what'] for x in found] == ['account']:
                    break
            else:
                self.fail('no row of the key was found')
        self.assertIn('a row is not what its records make: its own, or that of a team, a key or an end user', found[0]['text'])
        self.assertEqual(findings(), [])

    def test_back_to_the_backup(self):
        self.spend(3)
        told = self.backup()
        self.assertEqual(sorted(os.listdir(self.folder)), ['backup.json', 'ledger', 'pepper'])
        for path, mode in (('', 0o700), ('ledger', 0o700), ('ledger/data.mdb', 0o600), ('pepper', 0o600), ('backup.json', 0o600)):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.folder, path)).st_mode), mode, path)
        with open(os.path.join(self.folder, 'backup.json')) as f:
            manifest = json.load(f)
        with open(os.path.join(self.folder, 'ledger/data.mdb'), 'rb') as f:
            data = f.read()
        self.assertEqual((manifest['sha256'], manifest['bytes']), (hashlib.sha256(data).hexdigest(), len(data)))
        self.assertEqual((told['records'], told['ledger_id']), (manifest['records'], self.node.ctl('status')['node']['ledger_id']))
        # It is a ledger by itself, and what is spent from here on is not in it.
        self.spend(2)
        self.assertEqual(str(self.spent()), '0.05')
        epoch = self.epoch()
        self.assertEqual(self.node.stop(), 0)
        with open(os.path.join(self.state, 'pepper'), 'r+b') as f:
            f.write(bytes(32))  # the backup's takes its place again
        self.assertIn('restored', self.restore())
        self.node.start()
        self.assertEqual(str(self.spent()), '0.03')
        self.spend(1)  # the key is known: its pepper came back
        self.assertEqual(str(self.spent()), '0.04')
        self.assertGreater(self.epoch(), epoch)
        self.assertEqual(sorted(os.listdir(os.path.join(self.state, 'ledger'))), ['data.mdb', 'lock.mdb'])
        self.assertEqual([n for n in os.listdir(self.state) if n.startswith('ledger.before-')][1:], [])
        self.assertTrue(self.node.verify('--charges')['good'])

    def test_back_to_what_was_kept(self):
        """The ledger that a restore put aside, with its name back, is what it was: its keys' pepper was kept with it."""
        self.backup()
        self.node.ctl('pepper', 'rotate')
        late = self.node.key('main')
        self.assertEqual(self.node.chat(late, 'm').status, 200)
        spent = self.spent()
        self.node.stop()
        kept = json.loads(self.restore('--json'))['kept']
        self.node.start()
        self.assertEqual(self.node.chat(late, 'm').status, 401)
        self.node.stop()
        ledger = os.path.join(self.state, 'ledger')
        os.rename(ledger, ledger + '.restored')
        os.rename(kept, ledger)
        self.node.start()
        self.assertEqual(self.spent(), spent)
        self.assertEqual(self.node.chat(late, 'm').status, 200)
        self.assertTrue(self.node.verify('--charges')['good'])

    def test_idempotency_keys(self):
        """Keys of requests that the backup has stand for them; those of later ones, which no ledger has any more, are free."""
        def ask(word, **fields):
            return self.node.ask('POST', '/v1/chat/completions', chat_body('m', **fields), self.key, [('idempotency-key', word)])

        before = {word: ask(word).get('x-request-id') for word in ('one', 'two')}
        self.node.settled('main')
        self.backup()
        self.assertEqual(ask('three').status, 200)
        self.node.settled('main')
        for _ in range(2):  # and once more: with a live store that was in use
            self.assertEqual(self.node.stop(), 0)
            self.restore()
            self.node.start()
            for word, rid in before.items():
                a = ask(word)
                self.assertEqual((a.status, a.error['code'], a.error['metadata']['generation_id']), (422, 'idempotency_completed', rid))
                a = ask(word, text='another')
                self.assertEqual((a.status, a.error['code']), (422, 'idempotency_mismatch'))
            self.assertEqual(str(self.spent()), '0.02')
            a = ask('three')
            self.assertEqual(a.status, 200, a)
            again = ask('three')
            self.assertEqual((again.status, again.error['metadata']['generation_id']), (422, a.get('x-request-id')))
            self.assertEqual(str(self.spent()), '0.03')
        self.node.check_books()

    def epoch(self):
        """The last one that began with a record."""
        lines = map(json.loads, self.node.ctl_raw('ledger', 'export').stdout.splitlines())
        return max([line['epoch'] for line in lines if line.get('type') == 'gap'], default=1)

    def test_old_outbox_is_not_taken_again(self):
        """The live store of the life before still stands, its outbox full, when the restored ledger starts."""
        self.backup()
        self.spend(4)
        self.node.kill_all()
        self.restore()
        self.node.start()
        self.assertEqual(str(self.spent()), '0.0')
        self.assertTrue(self.node.verify()['good'])
        # A second time from the same backup: nothing of the life in between.
        self.spend(2)
        self.node.kill_all()
        self.restore()
        self.node.start()
        self.assertEqual(str(self.spent()), '0.0')
        self.assertTrue(self.node.verify()['good'])

    def test_while_serving(self):
        """Backups under load are whole: each starts, verifies, has all that was answered before it was asked for, whatever `durability` says, and
        no more than was spent."""
        for durability in ('group', 'async', 'settle'):
            with self.subTest(durability):
                self.begin(durability=durability)
                self.state = os.path.join(self.node.dir, 'state')
                self.while_serving()

    def while_serving(self):
        load, before = Spender(self.node, self.key, 'm', 2), []
        try:
            for i in range(3):
                # The load goes on; one more answer comes right before, as a client's that then asks for the backup.
                wait_for(lambda: len(load.answered) >= 20 * (i + 1))
                with load.lock:
                    before.append(dict(load.answered))
                a = self.node.chat(self.key, 'm')
                before[i][a.get('x-generation-id')] = nusd(a.usage['cost'])
                self.folder = os.path.join(self.node.dir, 'backup-%d' % i)
                self.backup()
        finally:
            load.stop()
        self.assertEqual(load.failed, [])
        spent = nusd(self.spent())
        self.node.stop()
        for i, answered in enumerate(before):
            self.folder = os.path.join(self.node.dir, 'backup-%d' % i)
            self.restore()
            self.node.start()
            self.assertTrue(self.node.verify('--charges')['good'])
            has = {rid: r[0]['charge_nusd'] for rid, r in records(self.node).items()}
            self.assertEqual({rid: has.get(rid) for rid in answered}, answered)
            self.assertTrue(sum(answered.values()) <= nusd(self.spent()) <= spent)
            self.node.stop()

    def test_refusals(self):
        self.spend(1)
        self.backup()
        with self.assertRaises(CtlError) as e:
            self.backup()
        self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'exists'))
        p = self.node.ctl_raw('ledger', 'backup', os.path.join(self.node.dir, 'missing', 'backup'))
        self.assertEqual((p.returncode, p.stdout), (1, ''))
        self.assertIn('the folder to make it in is not there', p.stderr)
        p = self.node.ctl_raw('ledger', 'backup', '-')
        self.assertEqual((p.returncode, p.stdout, os.path.exists('-')), (2, '', False))
        self.assertIn('a backup is a folder', p.stderr)
        self.assertIn('stop it first', self.restore(status=1))
        self.node.stop()
        data = os.path.join(self.folder, 'ledger/data.mdb')
        with open(data, 'r+b') as f:
            f.seek(5000)
            byte = f.read(1)
            f.seek(5000)
            f.write(bytes([byte[0] ^ 1]))
        self.assertIn('damaged', self.restore(status=1))
        with open(data, 'r+b') as f:
            f.seek(5000)
            f.write(byte)
        with open(os.path.join(self.state, 'ledger_id')) as f:
            own = f.read()
        with open(os.path.join(self.state, 'ledger_id'), 'w') as f:
            f.write('0' * 32 + '\n')
        self.assertIn('another ledger', self.restore(status=1))
        with open(os.path.join(self.state, 'ledger_id'), 'w') as f:
            f.write(own)
        # Nothing of all that changed anything or stayed behind.
        self.assertEqual([n for n in os.listdir(self.state) if n.startswith('ledger.')], [])
        self.node.start()
        self.assertEqual(str(self.spent()), '0.01')

    def damage(self, word):
        """Another byte in each place of the ledger's file that has the word."""
        with open(os.path.join(self.state, 'ledger', 'data.mdb'), 'r+b', buffering=0) as f:
            places = [at.start() for at in re.finditer(word.encode(), f.read())]
            self.assertTrue(places)
            for at in places:
                f.seek(at)
                f.write(b'?')

    def test_ledger_that_is_not_in_order(self):
        """Its backup is made, and says so; a restore puts it back only when told to."""
        self.spend(1)
        self.assertEqual(self.backup()['findings'], [])
        good, self.folder = self.folder, self.folder + '-2'
        self.node.ctl('account', 'credit', 'main', '--add', '1', '--note', 'notedlikenoother')
        lines = map(json.loads, self.node.ctl_raw('ledger', 'export').stdout.splitlines())
        at = [line['seq'] for line in lines if line.get('note') == 'notedlikenoother'][0]
        self.damage('notedlikenoother')
        p = self.node.ctl_raw('ledger', 'backup', self.folder, '--json')
        self.assertEqual((p.returncode, [(f['what'], f['at']) for f in json.loads(p.stdout)['findings']]), (6, [('chain', at)]), p)
        self.assertIn('the ledger is not in order, and the backup is made of it as it is: chain %d: ' % at, json.loads(p.stderr)['error']['message'])
        p = self.node.ctl_raw('ledger', 'backup', self.folder + '-3')
        self.assertEqual(p.returncode, 6, p)
        self.assertRegex(p.stdout, r'chain +%d +the first record whose hash' % at)
        self.node.stop()
        ledger = os.stat(os.path.join(self.state, 'ledger')).st_ino
        said = self.restore(status=1)
        self.assertIn('not in order when the backup was made: chain %d: the first record whose hash' % at, said)
        self.assertIn('--force', said)
        self.assertEqual((os.stat(os.path.join(self.state, 'ledger')).st_ino, [n for n in os.listdir(self.state) if n.startswith('ledger.')]),
                         (ledger, []))
        self.assertIn('it was not in order when the backup was made: chain %d: ' % at, self.restore('--force'))
        self.node.start()
        self.assertEqual([f['at'] for f in json.loads(self.node.ctl_raw('ledger', 'verify', '--json').stdout)['findings']], [at])
        self.node.stop()
        self.folder = good
        self.assertNotIn('in order', self.restore())
        self.node.start()
        self.assertTrue(self.node.verify()['good'])

    def test_backup_that_nobody_has_checked(self):
        """A restore says so: it has no list of findings."""
        self.backup()
        self.node.stop()
        with open(os.path.join(self.folder, 'backup.json'), 'r+') as f:
            manifest = json.load(f)
            self.assertEqual(manifest.pop('findings'), [])
            f.seek(0)
            f.truncate()
            json.dump(manifest, f)
        self.assertIn('was not looked at when it was made; once the node runs, aigwctl ledger verify does', self.restore())
        self.node.start()
        self.assertTrue(self.node.verify()['good'])

    def test_new_machine(self):
        """Into an empty folder: id, pepper and books are those of the backup."""
        self.spend(2)
        self.backup()
        self.node.stop()
        shutil.rmtree(self.state)
        shutil.rmtree(self.node.live, ignore_errors=True)
        self.assertIn('there is no such folder: make it', self.restore(status=1))
        os.mkdir(self.state, 0o700)
        self.restore()
        self.node.start()
        self.spend(1)
        self.assertEqual(str(self.spent()), '0.03')

    def test_cut_off(self):
        """A backup whose aigwctl is killed leaves nothing that looks like one, and the node goes on."""
        self.spend(1)
        for _ in range(5):
            p = subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'ledger', 'backup', self.folder],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            p.send_signal(signal.SIGKILL)
            p.wait()
        self.spend(1)
        if not os.path.exists(self.folder):
            self.backup()
        self.assertTrue(self.node.verify()['good'])


if __name__ == '__main__':
    tap.main()
