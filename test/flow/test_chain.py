"""Who changed what, when: every command of aigwctl that writes leaves a record of it in the ledger's chain. The commands are read from the
tables that aigwctl and aigwd are made of: one that writes and stands neither in VERBS nor in NO_RECORD fails here."""
import json
import os
import pwd
import random
import re
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib')]
import tap
from gateway import wait_for
from node import CtlError, NodePerTest, model

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
ME = pwd.getpwuid(os.geteuid()).pw_name
NOTE = 'as agreed'

# A writing verb: its words, and (type, what) of the records that it must leave; {k}: a key of the account main, {gone}: a revoked one,
# {file}: of keys to import.
VERBS = {
    'account create': ('one --credit 5', [('account', 'create'), ('grant', 'grant')]),
    'account update': ('main --overdraft 2 --rpm 100', [('account', 'update'), ('rules', 'create')]),
    'account credit': ('main --add 3', [('grant', 'grant')]),
    'account credit take': ('main --take 1', [('take', 'take')]),
    'account suspend': ('main', [('account', 'suspend')]),
    'account resume': ('main', [('account', 'resume')]),
    'team create': ('red --account main', [('team', 'create')]),
    'team update': ('red --account main --rpm 9', [('team', 'update')]),
    'team suspend': ('red --account main', [('team', 'suspend')]),
    'team resume': ('red --account main', [('team', 'resume')]),
    'user update': ('ann --account main --limit budget=1/day', [('user', 'create')]),
    'user update raise': ('ann --account main --limit 1:raise=5', [('user', 'update')]),
    'user remove': ('ann --account main', [('user', 'remove')]),
    'key create': ('--account main', [('key', 'create')]),
    'key update': ('{k} --limit budget=1/month', [('key', 'update')]),
    'key update raise': ('{k} --limit 1:raise=5', [('key', 'update')]),
    'key suspend': ('{k}', [('key', 'suspend')]),
    'key resume': ('{k}', [('key', 'resume')]),
    'key rotate': ('{k} --grace 1h', [('key', 'rotate')]),
    'key import': ('{file}', [('key', 'import')] * 2),
    'key revoke': ('{k}', [('key', 'revoke')]),
    'key revoke now': ('{k} --now', [('key', 'revoke now')]),
    'pepper rotate': ('', [('pepper', 'made'), ('pepper', 'in use')]),
}
# These have a test of their own below.
OWN_TEST = {'reload': 'test_reload', 'ledger restore': 'test_restore'}
NO_RECORD = {
    'stop': 'ends processes; neither books nor configuration change',
    'log reopen': 'the log is no part of the books',
    'provider test': 'asks a provider for its models; nothing is kept',
    'ledger backup': 'reads: the ledger that it copies cannot name its own copy',
}
# Commands that aigwctl does by itself.
LOCAL_READS = {'', 'chat', 'top', 'completion', 'config check'}


def table(path, pattern):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return re.findall(pattern, f.read(), re.S)


def writing_verbs():
    verbs = table('shared/ipc/control_tbl.h', r'CONTROL_VERB\(\w+, "([^"]*)", \w+, (\w+)\)')
    local = set(table('admin-cli/command_tbl.h', r'COMMAND\(LOCAL_\w+, "([^"]*)"'))
    return {v for v, right in verbs if right == 'CONTROL_MAY_WRITE'} | (local - LOCAL_READS)


class Chain(NodePerTest):
    MODELS = {'m': dict(model('oai/sim?tokens=1'), price={'request': '0.01'})}

    def setUp(self):
        super().setUp()
        self.begin()

    def records(self, after=0):
        lines = map(json.loads, self.node.ctl_raw('ledger', 'export').stdout.splitlines())
        return [r for r in lines if r.get('seq', 0) > after and r['type'] != 'charge']

    def last(self):
        return self.records()[-1]['seq']

    def check_by(self, records, begun, who=ME):
        for r in records:
            self.assertEqual(r['who'], who, r)
            self.assertTrue(begun * 1000 - 1 <= r['wall_ms'] <= time.time() * 1000 + 1, r)

    def test_every_writing_verb_is_known_here(self):
        known = {v for v in VERBS if not v.endswith((' raise', ' take', ' now'))}
        self.assertEqual(writing_verbs(), known | set(OWN_TEST) | set(NO_RECORD))

    def test_each_leaves_its_records(self):
        key = self.node.ctl('key', 'create', '--account', 'main')
        self.node.canary.plant(key['key'])
        path = os.path.join(self.node.dir, 'keys')
        with open(path, 'w') as f:
            f.write('{"account":"main"}\n{"account":"main"}\n')
        for verb, (words, wanted) in VERBS.items():
            before, begun = self.last(), time.time()
            name = re.sub(' (raise|take|now)$', '', verb)
            args = words.format(k=key['id'], file=path).split()
            noted = [] if name == 'pepper rotate' else ['--note', NOTE]
            p = subprocess.run([os.environ['AIGWCTL'], '--socket', self.node.socket, *name.split(), *args, *noted], capture_output=True,
                               text=True, timeout=60)
            self.assertEqual(p.returncode, 0, '%s: %s' % (verb, p.stderr))
            got = self.records(before)
            self.assertEqual([(r['type'], r['what']) for r in got], wanted, verb)
            self.check_by(got, begun)
            if noted:
                self.assertEqual({r['note'] for r in got}, {NOTE}, verb)
        self.assertEqual([r['number'] for r in self.records() if r['type'] == 'pepper'], [2, 2])
        self.node.check_books()

    def test_changes_are_told_in_words(self):
        self.node.ctl('pepper', 'rotate')
        self.node.configure(models={'n': self.MODELS['m']})
        self.node.ctl('reload')
        out = self.node.ctl_raw('ledger', 'export', '--changes').stdout
        for words in ('%s: pepper 2: made' % ME, '%s: pepper 2: in use' % ME, '%s: configuration 2: in force (added models.n)' % ME):
            self.assertIn(words, out)

    def test_reload(self):
        """One record a generation; none where nothing changes or the configuration is refused."""
        before, begun = self.last(), time.time()
        self.node.ctl('reload')
        self.assertEqual(self.records(before), [])
        self.node.configure(models={'m': {'price': {'request': '0.02'}}})
        self.node.ctl('reload')
        self.node.configure(models={'m': {'price': {'request': '0.03'}}})
        generation = self.node.ctl('status')['node']['config_generation']
        os.kill(self.node.master.pid, 1)
        wait_for(lambda: self.node.ctl('status')['node']['config_generation'] > generation)
        got = wait_for(lambda: [r for r in self.records(before)][1:] and self.records(before))
        self.assertEqual([(r['type'], r['what'], r['note'], r['number']) for r in got],
                         [('reload', 'in force', 'changed models.m', generation), ('reload', 'in force', 'changed models.m', generation + 1)])
        self.check_by(got[:1], begun)
        self.check_by(got[1:], begun, 'SIGHUP')
        self.node.configure(models={'m': {'price': {'request': 'much'}}})
        with self.assertRaises(CtlError):
            self.node.ctl('reload')
        self.assertEqual(len(self.records(before)), 2)

    def test_reloads_when_the_keeper_is_killed(self):
        """Each has its record, and one: the keeper dies at any moment, the one before it wrote the record, or before it could say so."""
        times, begun = 60, self.node.ctl('status')['node']['config_generation']
        rand = random.Random(20261126)
        for i in range(times):
            self.node.configure(models={'m': {'price': {'request': '%.4f' % (0.02 + i * 0.0001)}}})
            os.kill(self.node.master.pid, signal.SIGHUP)
            wanted = begun + 1 + i
            if i % 3 == 0:
                wait_for(lambda: self.node.ctl('status')['node']['config_generation'] >= wanted)
            else:
                time.sleep(rand.uniform(0, 0.06))  # somewhere from the reading of the file to the record
            for pid in self.node.children('keeper'):
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.node.ctl('status')['node']['config_generation'] >= wanted, 20)

        def numbers():
            return [r['number'] for r in self.records() if r['type'] == 'reload']

        wait_for(lambda: begun + times in numbers(), 20)
        self.assertEqual(numbers(), list(range(begun + 1, begun + times + 1)))
        self.assertTrue(self.node.verify('--charges')['good'])
        self.assertEqual(self.node.recompute(), [])

    def test_restore(self):
        folder, state = os.path.join(self.node.dir, 'backup'), os.path.join(self.node.dir, 'state')
        self.node.ctl('ledger', 'backup', folder)
        with open(os.path.join(folder, 'backup.json')) as f:
            made = json.load(f)['made_at']
        before = self.last()
        self.assertEqual(self.node.stop(), 0)
        begun = time.time()
        p = subprocess.run([os.environ['AIGWCTL'], 'ledger', 'restore', folder, '--state', state], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.node.start()
        got = self.records(before)
        self.assertEqual([(r['type'], r['what']) for r in got][:1], [('restore', 'restored from a backup')])
        self.assertRegex(got[0]['note'], '^of %s, put in place [0-9T:.-]+Z$' % re.escape(made))
        self.check_by(got[:1], begun)
        self.assertEqual([r['type'] for r in got], ['restore', 'gap'])
        self.node.check_books()

    def test_an_old_pepper_goes(self):
        """The rotation that finds one that no key needs takes it away, and says so."""
        for key in self.node.ctl('key', 'list')['keys']:
            self.node.ctl('key', 'revoke', key['id'])
        before = self.last()
        self.node.ctl('pepper', 'rotate')
        self.node.ctl('pepper', 'rotate')
        self.assertEqual([(r['what'], r['number']) for r in self.records(before)],
                         [('made', 2), ('in use', 2), ('taken away', 1), ('made', 3), ('in use', 3)])


if __name__ == '__main__':
    tap.main()
