"""kill -9 at random moments: workers, keeper, master, all of them. What clients have seen complete is in the ledger exactly once, at the cost
that they were told; what was cut is charged as far as it had come, by the provider's own count."""
import collections
import glob
import os
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
            self.node.kill_all(self.random)
            self.node.start()
        elif who == 'master':
            self.node.lose_master()
            time.sleep(self.random.random() / 10)
            self.node.start()
        else:
            for pid in self.node.children(who)[:self.random.randint(1, 2)]:
                kill_if_there(pid)

    def kill_them(self, durability):
        self.make(durability=durability)
        self.random = tap.dice(durability)
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
        """{end user: output tokens that the provider has sent}; who is not in it, of whom the provider has never heard"""
        found = {}
        for r in self.node.sim.requests():
            found[r['user']] = found.get(r['user'], 0) + r['output']
        return found

    def check_outcomes(self, load, sent):
        """Each request that a provider was asked has one record, whatever the client saw, and nobody else is charged."""
        self.assertLessEqual(set(load.kinds()), set(SEEN), load.kinds())
        found, ends, short = {}, collections.Counter(), collections.Counter()
        for request in records(self.node).values():
            self.assertEqual(len(request), 1, request)
            self.assertNotIn(request[0]['user'], found, request)
            found[request[0]['user']] = request[0]
        self.assertEqual(set(found) - {o.user for o in load.outcomes}, set())
        for o in load.outcomes:
            record = found.get(o.user)
            ends[o.kind, record and record['end']] += 1
            if o.user in sent or o.items:
                self.assertIsNotNone(record, (o, o.items, sent.get(o.user)))
            if record:
                self.check_record(o, record, sent.get(o.user, 0), short)
            else:  # cut before it was admitted
                self.assertIn(o.kind, ('cut', 'refused', 'status 503'), o)
        for o in self.random.sample(load.of('done'), 10):
            self.assertEqual(self.node.budgets_used(self.key, o.user)['user'], [found[o.user]['charge_nusd']] * FAR_BUDGETS, o)
        print('# (seen, recorded): %s; tokens that the provider had sent and nobody was charged for: %s' % (dict(ends), dict(short)))
        self.assertGreater(ends['cut', 'worker_died'], KILLS // 4)

    def check_record(self, o, record, sent, short):
        """Charged is what was sent: of a stream that was cut, within one chunk, which of a paced answer is a token, of the other one all, since
        the provider sends it at once; a worker that dies over it has taken some of its pieces."""
        name, charge = record['model_asked'].split('-')[0], record['charge_nusd']
        usage = {c: record['usage'].get(c, 0) for c in PRICE}
        output = usage['output']
        about = (o, o.items, sent, record)
        self.assertEqual(charge, charge_nusd(usage, PRICE), about)
        self.assertLessEqual(o.items, output, about)
        if record['end'] == 'done':  # who was cut behind that lacks the last bytes only
            self.assertIn(o.kind, ('done', 'cut'), about)
            self.assertEqual((usage, sent), ({'input': 11, 'output': TOKENS[name]}, TOKENS[name]), about)
        else:
            self.assertEqual((o.kind, record['end']), ('cut', 'worker_died'), about)
            short[name, sent - output] += 1
            self.assertIn(sent - output, range(TOKENS[name] + 1) if name == 'fast' else (0, 1), about)
            self.assertEqual(usage['input'] > 0, output > 0, about)
        if o.kind == 'done':
            self.assertEqual((record['end'], charge, o.items), ('done', o.cost_nusd, TOKENS[name]), about)

    def setUp(self):
        pass  # each makes its own

    def test_settle(self):
        """And all of it is on disk, what was cut included once it is settled."""
        self.kill_them('settle')
        before = records(self.node)
        self.node.kill_all()
        shutil.rmtree(glob.glob(os.path.join(self.node.live, '*'))[0])
        self.node.start()
        self.assertEqual(records(self.node), before)

    def test_group(self):
        """The live store outlives its processes, so that nothing is lost here either."""
        self.kill_them('group')


del Base

if __name__ == '__main__':
    tap.main()
