"""kill -9 at random moments: workers, keeper, master, all of them. What clients have seen complete is in the ledger exactly once, at the cost
that they were told; what was cut is charged as far as it had come, by the provider's own count."""
import glob
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import kill_if_there
from load import StreamLoad
from money import records
from node import FAR_BUDGETS, LONG, charge_nusd, on_both
from test_crash import PRICE, Kills as Base
import tap

KILLS = 1000 if LONG else 24
SEED = int(os.environ.get('AIGW_TEST_SEED') or random.randrange(1 << 32))
# Three bytes a token: what has no usage is estimated by its pieces of content.
MODELS = {**on_both('slow', 'tokens=12&rate=6&size=36&input=11', max_output=100), **on_both('fast', 'tokens=6&size=18&input=11', max_output=100)}
TOKENS = {'slow': 12, 'fast': 6}
SEEN = ('done', 'cut', 'refused', 'error_item', 'status 503')


@tap.alone
class Kills(Base):
    MODELS = MODELS
    CREDIT = 100000
    USER = None  # each request has one of its own

    for name in [n for n in dir(Base) if n.startswith('test_')]:
        locals()[name] = None
    del name

    def one(self, who):
        if who == 'all':
            self.node.kill_all()
            self.node.start()
        elif who == 'master':
            self.node.lose_master()
            time.sleep(self.random.random() / 10)
            self.node.start()
        else:
            for pid in self.node.children(who)[:self.random.randint(1, 2)]:
                kill_if_there(pid)

    def kill_them(self, seed):
        print('# seed %d' % seed)
        self.random = random.Random(seed)
        self.start()
        self.node.come_first(self)  # what a worker has not got round to reading is sent as well
        load = StreamLoad(self.node.port, self.key, list(MODELS), 12, tag='u')
        self.addCleanup(setattr, load, 'going', False)
        sent = {}
        for i in range(KILLS):
            time.sleep(self.random.uniform(0.02, 0.4))
            self.one(self.random.choice(('worker', 'worker', 'keeper', 'master', 'all')))
            if i % 50 == 0:  # the simulator remembers so many only
                sent.update(self.sent())
        time.sleep(0.5)
        load.stop()
        sent.update(self.sent())
        self.check_books()
        self.check_outcomes(load, sent)
        return load

    def sent(self):
        """{end user: output tokens that the provider has sent}"""
        found = {}
        for r in self.node.sim.requests():
            found[r['user']] = found.get(r['user'], 0) + r['output']
        return found

    def check_outcomes(self, load, sent):
        self.assertLessEqual(set(load.kinds()), set(SEEN), load.kinds())
        found, cut, short = {}, 0, []
        for request in records(self.node).values():
            self.assertEqual(len(request), 1, request)
            found.setdefault(request[0]['user'], []).append(request[0])
        for o in load.outcomes:
            self.assertLessEqual(len(found.get(o.user, [])), 1, o)
            record = found.get(o.user, [None])[0]
            if o.kind == 'done':
                self.assertIsNotNone(record, o)
                tokens = TOKENS[record['model_asked'].split('-')[0]]
                self.assertEqual((record['charge_nusd'], o.items), (charge_nusd({'input': 11, 'output': tokens}, PRICE), tokens), (o, record))
                self.assertEqual(record['charge_nusd'], o.cost_nusd)
            elif record and record['end'] == 'worker_died':
                cut += 1
                self.assertLessEqual(o.items, record['usage'].get('output', 0), (o, record))
                # A worker that was killed between hold and sending has sent nothing.
                short.append((sent.get(o.user, 0) - record['usage'].get('output', 0), record['model_asked'].split('-')[0]))
        for o in random.sample(load.of('done'), 10):
            self.assertEqual(self.node.budgets_used(self.key, o.user)['user'], [found[o.user][0]['charge_nusd']] * FAR_BUDGETS, o)
        print('# %s; %d settled after their worker had died, %d of them not as far as the provider had sent: %s' % (
            load.kinds(), cut, sum(n != 0 for n, _ in short), sorted(short)[-10:]))
        self.assertGreater(cut, KILLS // 4)
        # One chunk may be on its way: of a paced answer a token, of the other one all, since the provider sends it at once.
        self.assertLessEqual(set(short), {(n, name) for name in TOKENS for n in (0, 1)} | {(TOKENS['fast'], 'fast')})

    def setUp(self):
        pass  # each makes its own

    def test_settle(self):
        """And all of it is on disk, what was cut included once it is settled."""
        self.make(durability='settle')
        self.kill_them(SEED)
        before = records(self.node)
        self.node.kill_all()
        shutil.rmtree(glob.glob(os.path.join(self.node.live, '*'))[0])
        self.node.start()
        self.assertEqual(records(self.node), before)

    def test_group(self):
        """The live store outlives its processes, so that nothing is lost here either."""
        self.make(durability='group')
        self.kill_them(SEED + 1)


del Base

if __name__ == '__main__':
    tap.main()
