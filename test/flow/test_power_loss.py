"""Row 23: the power is cut at any moment of the keeper's writing. What the real keeper writes and syncs under load is recorded, and so is
what clients and the administrator were told when; power_loss makes what a cut may have left of it, again and again."""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import wait_for
from money import Spender, check_books
from node import FAR_BUDGETS, LONG, model, nusd
from recorder import Recorded
import tap
from test_clock import DAY, ClockNode

IMAGES = 1000 if LONG else 75
SEED = int(os.environ.get('AIGW_TEST_SEED') or random.randrange(1 << 32))
TOP_UP = '0.0002'  # dollars: a few requests


class PowerLoss(Recorded):
    RECORD = True
    MODELS = {'m': model('oai/sim?tokens=8&input=20', max_output=20)}

    def told(self, what, name, value):
        self.acks.append((time.monotonic_ns(), what, name, value))

    def administrate(self, i):
        """Credit as it is used up, so that charges soon depend on the newest grant; accounts and keys come and go."""
        granted = nusd(self.node.ctl('account', 'credit', 'main', '--add', TOP_UP)['granted_usd'])
        self.told('granted', 'main', granted)
        name = 'account%d' % i
        self.told('granted', name, nusd(self.node.account(name, '0.5')['granted_usd']))
        key = self.node.ctl('key', 'create', '--account', name)
        self.node.canary.plant(key['key'])
        self.told('key', key['id'], 0)
        self.node.ctl('key', 'revoke', key['id'])
        self.told('key', key['id'], 2)

    def load(self, seconds):
        self.acks = []
        self.node.start()
        self.key = self.node.family('main', TOP_UP)
        load = Spender(self.node, self.key, 'm', 3)
        end, i = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            self.administrate(i)
            i += 1
        load.stop()
        self.assertEqual([f for f in load.failed if not f.startswith(('402', '429'))], [])
        account, _ = check_books(self, self.node, 'main', load)
        self.assertEqual(self.node.budgets_used(self.key, 'ann'),
                         dict.fromkeys(('account', 'team', 'key', 'user'), [nusd(account['settled_usd'])] * FAR_BUDGETS))
        self.assertEqual(self.node.stop(), 0)
        for request_id, cost in load.answered.items():
            self.acks.append((load.ended_ns[request_id], 'charge', request_id, cost))
        self.assertGreater(len(load.answered), 20)

    def cut(self, lag, from_ns=0):
        path = os.path.join(self.folder, 'acks')
        with open(path, 'w') as f:
            for ack in self.acks:
                f.write('%d %s %s %d\n' % ack)
        p = subprocess.run([os.environ['POWER_LOSS'], os.path.join(self.folder, 'log'), path, str(SEED), str(IMAGES), str(lag), str(from_ns)],
                           capture_output=True, text=True)
        print(''.join('# %s\n' % line for line in p.stdout.splitlines()), end='')
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr[-2000:])
        return p.stdout

    def test_settle(self):
        """An answer that was seen to its end is there, whatever the disk made of the rest."""
        self.make_recorded(durability='settle')
        self.load(20 if LONG else 6)
        self.cut(0)

    def test_group(self):
        """An answer may be missing when it is younger than the last commit but one, which takes all that was there when it began."""
        self.make_recorded(durability='group')
        self.load(20 if LONG else 6)
        self.cut(2)


class Days(PowerLoss):
    """The same while days are sealed and the records of those before are removed: what removed records add up to is there with what is left."""
    test_settle = test_group = None

    def make(self, models=None, sim=None, **config):
        self.node = ClockNode(self.MODELS, **config)
        self.addCleanup(self.node.close)

    def removed(self):
        return len(self.node.events('day_removed'))

    def spend(self):
        load = Spender(self.node, self.key, 'm', 2)
        time.sleep(1)
        load.stop()
        self.assertEqual(load.failed, [])
        self.told('settled', 'main', nusd(self.node.settled('main')['settled_usd']))
        for request_id, cost in load.answered.items():
            self.acks.append((load.ended_ns[request_id], 'charge', request_id, cost))

    def test_days_are_removed(self):
        self.make_recorded(durability='settle', ledger={'retain_days': 1})
        self.acks = []
        self.node.start()
        self.key = self.node.family('main', '1000')
        for day in range(4):
            self.spend()
            if day < 3:
                self.acks = [ack for ack in self.acks if ack[1] != 'charge']  # its records may go
                before = time.monotonic_ns()
                self.node.age(DAY)
        wait_for(lambda: self.removed() == 2, 60, 0.2)
        self.spend()
        self.assertEqual(self.node.stop(), 0)
        self.assertRegex(self.cut(0, before), 'days had gone from [1-9]')


if __name__ == '__main__':
    tap.main()
