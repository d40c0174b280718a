"""Row 27: the n-th write, sync or cut of the ledger's file fails, with ENOSPC or EIO, once or until the disk is well again. Clients and the
administrator get a clear error or what they asked for; what they were told is true for ever."""
import errno
import glob
import json
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import wait_for
from money import Spender, check_books, records
from node import LONG, CtlError, FiveScopes, model, nusd
from recorder import FAILED, Recorded
import tap

SEED = int(os.environ.get('AIGW_TEST_SEED') or random.randrange(1 << 32))
UNTIL_WELL = 1 << 40


class DiskFaults(FiveScopes, Recorded):
    MODELS = {'m': model('oai/sim?tokens=8&input=20', max_output=20)}
    CONFIG = {'durability': 'settle'}

    def setUp(self):
        print('# seed %d' % SEED)
        self.random = random.Random(SEED)
        self.make_recorded()
        self.start()
        self.told = self.tried = nusd(self.CREDIT)

    def credit(self):
        """A dollar more; afterwards the account has been granted between `told` and `tried`."""
        self.tried += nusd('1')
        try:
            self.node.ctl('account', 'credit', 'main', '--add', '1')
        except CtlError as e:
            # The last one where the keeper ended before it could answer: whether it was done is not known.
            self.assertIn(e.error.get('code'), ('ledger_unavailable', 'unavailable', 'connection_lost'), e.error)
            return
        self.told += nusd('1')

    def check_granted(self):
        granted = nusd(self.node.show('main')['granted_usd'])
        self.assertTrue(self.told <= granted <= self.tried, (self.told, granted, self.tried))
        self.told = self.tried = granted

    def serves(self):
        return self.chat('m').status == 200

    def one(self, n, times, error):
        """Whether the keeper has lived on."""
        keeper, failed = self.node.children('keeper'), self.page[FAILED]
        self.fail_from(n, times, error)
        end = time.monotonic() + 20
        while self.page[FAILED] == failed:
            self.assertLess(time.monotonic(), end, 'nothing was written for 20 s')
            self.credit()
        self.credit()
        time.sleep(self.random.random() / 2)
        self.fail_no_more()
        wait_for(self.serves, 30, 0.05)
        wait_for(lambda: self.node.status()['ledger'][0]['state'] == 'good', 20, 0.05)
        self.check_granted()
        return self.node.children('keeper') == keeper

    def check_answered(self, load):
        found = records(self.node)
        for request_id, cost in load.answered.items():
            self.assertEqual([r['charge_nusd'] for r in found.get(request_id, [])], [cost], request_id)

    def walk(self, error):
        load, lived = Spender(self.node, self.key, 'm', 2, patience_s=0.02), []
        numbers = range(1, 201) if LONG else sorted(self.random.sample(range(1, 201), 5)) + [1, 2, 3]
        for n in numbers:
            times = self.random.choice((1, 2, UNTIL_WELL))
            try:
                lived.append(self.one(n, times, error))
            except BaseException:
                print('# at call %d, %d times' % (n, times))
                raise
        load.stop()
        self.assertEqual([f for f in load.failed if not f.startswith('503')], [])
        self.assertTrue(load.answered)
        print('# %d faults, %d keepers lived on, %d answers, %d refused' % (len(lived), sum(lived), len(load.answered), len(load.failed)))
        check_books(self, self.node, 'main', load)
        self.check_answered(load)
        # Only what is on disk counts.
        self.node.kill_all()
        shutil.rmtree(glob.glob(os.path.join(self.node.live, '*'))[0])
        self.node.start()
        check_books(self, self.node, 'main', load)
        self.check_granted()
        self.check_answered(load)
        return lived

    def test_full(self):
        """The keeper tries again by itself, but where LMDB cannot: after a failed write of a meta page."""
        self.assertIn(True, self.walk(errno.ENOSPC))

    def test_full_in_the_middle(self):
        """What has no room for all of it takes a part, which LMDB calls an error of the disk."""
        self.assertIn(True, self.walk(0))
        self.assertTrue(self.node.events('ledger_failed'))

    def test_broken(self):
        """The keeper ends; the next one verifies before it writes."""
        self.assertNotIn(True, self.walk(errno.EIO))
        self.assertTrue(self.node.events('ledger_verify'))

    def test_full_between_two_changes(self):
        """An update of an account is two records: the answer says which of them there are."""
        codes = set()
        for n in range(1, 13):
            self.node.ctl('account', 'update', 'main', '--rpm', '100000', '--overdraft', '1')
            wait_for(lambda: self.node.status()['ledger'][0]['outbox_records'] == 0, 20, 0.05)
            self.fail_from(n, 1, errno.ENOSPC)
            p = self.node.ctl_raw('account', 'update', 'main', '--rpm', 'none', '--overdraft', str(n + 1), '--json')
            self.fail_no_more()
            wait_for(self.serves, 30, 0.05)
            wait_for(lambda: self.node.status()['ledger'][0]['state'] == 'good', 20, 0.05)
            shown = self.node.show('main')
            done = (shown['overdraft_usd'] == n + 1, not any(r['text'] == 'requests a minute' for r in shown['limits']))
            code = json.loads(p.stderr)['error']['code'] if p.returncode else 'done'
            codes.add(code)
            if code in ('ledger_unavailable', 'partly', 'done'):
                self.assertEqual(done, {'ledger_unavailable': (False, False), 'partly': (True, False), 'done': (True, True)}[code], n)
            else: # where LMDB cannot go on the keeper ends
                self.assertIn(code, ('unavailable', 'connection_lost'))
        print('# %s' % sorted(codes))
        self.assertLessEqual({'ledger_unavailable', 'partly', 'done'}, codes)

    def test_broken_under_a_restriction(self):
        """A restriction is in force before the ledger has it, so its command is told so; the keeper ends all the same."""
        keeper = self.node.children('keeper')
        self.fail_from(1, 1, errno.EIO)
        done = self.node.ctl('team', 'suspend', 'team', '--account', 'main')
        self.assertEqual((done['status'], done['durable']), ('suspended', False))
        wait_for(lambda: self.node.children('keeper') not in ([], keeper), 20, 0.05)
        wait_for(lambda: self.node.events('ledger_verify'), 20, 0.05)
        self.assertEqual(self.chat('m').status, 403)
        wait_for(lambda: self.node.ctl_raw('account', 'list').returncode == 0, 20, 0.05)
        self.assertEqual(self.node.ctl('team', 'resume', 'team', '--account', 'main')['status'], 'active')
        wait_for(self.serves, 20, 0.05)

    def test_broken_under_the_keepers_own_work(self):
        """That an old pepper goes stands in the ledger first: a keeper that the disk refuses that ends like any other."""
        for n in range(1, 100):
            self.node.ctl('pepper', 'rotate')
            for key in self.node.ctl('key', 'list')['keys']:
                self.node.ctl('key', 'rotate', key['id'], '--grace', '0s')
            failed, verified = self.page[FAILED], len(self.node.events('ledger_verify'))
            self.fail_from(n, 1, errno.EIO)
            self.node.kill('keeper')
            wait_for(lambda: self.page[FAILED] > failed or self.peppers() == 1, 20, 0.02)
            if self.page[FAILED] == failed:
                break
            wait_for(lambda: len(self.node.events('ledger_verify')) > verified, 20, 0.02)
            wait_for(lambda: self.peppers() > 0, 20, 0.02)
        self.fail_no_more()
        print('# %d keepers ended' % (n - 1))
        self.assertEqual(self.peppers(), 1)

    def peppers(self):
        """How many there are; 0: nobody can say now."""
        p = self.node.ctl_raw('pepper', 'list', '--json')
        return len(json.loads(p.stdout)['peppers']) if p.returncode == 0 else 0


if __name__ == '__main__':
    tap.main()
