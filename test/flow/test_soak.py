"""Row 51: a node at 70 % of what it can bear, in five scopes, of which a worker is killed every 10 s and which is told to reload every 30 s. Its memory,
descriptors and live store stay as they are, only what ran in a killed worker fails, and at the end the books are right. `./dev soak MINUTES` runs
it for long, 30 minutes unless told; within the suite it is a few of these rounds, ten times as fast."""
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from figures import anonymous_kib
from gateway import kill_if_there, wait_for
from load import StreamLoad
from node import LONG, FiveScopes, NodePerTest, chat_body, model, nusd
import tap

MINUTES = float(os.environ.get('AIGW_SOAK_MINUTES') or (30 if LONG else 0))
ROUND_S, ROUNDS = (10, max(int(MINUTES * 6), 6)) if MINUTES else (1, 12)
CONNECTIONS, STREAMS, PART = 64, 20, 0.7
KIB_A_MINUTE = 1024 / 10
ROOM_KIB, ROOM_FDS, ROOM_BYTES = 0 if MINUTES >= 20 else 1024, 16, 1 << 20  # a stream more or less has two descriptors


@tap.alone
@unittest.skipUnless(os.geteuid() == 0, 'only root may look into processes that are not dumpable')
class Soak(FiveScopes, NodePerTest):
    # An answer of some work, so that the ledger of half an hour is some gigabytes.
    MODELS = {'busy': model('oai/sim?tokens=60&size=600&input=11', max_output=100), 'slow': model('oai/sim?tokens=20&rate=40&input=11', max_output=100)}
    CONFIG = {'workers': 3, 'live_size': '128MiB', 'log': {'access': 'off'}}
    CREDIT = 1000000

    def setUp(self):
        self.begin()
        if self.node.is_sanitized():
            self.skipTest("a sanitizer's time and memory are not the program's")
        self.body = os.path.join(self.node.dir, 'body')
        with open(self.body, 'w') as f:
            json.dump(chat_body('busy', True, user='ann'), f)
        self.kills, self.samples, self.dice = [], [], tap.dice('victims')

    def load(self, seconds, **options):
        words = ['--port', self.node.port, '--path', '/v1/chat/completions', '--body', self.body, '--key', self.key, '--connections', CONNECTIONS,
                 '--seconds', seconds]
        for name, value in options.items():
            words += ['--' + name, value]
        return subprocess.Popen([os.environ['LOAD'], *map(str, words)], stdout=subprocess.PIPE, text=True)

    @staticmethod
    def done(load):
        return json.loads(load.communicate(timeout=120)[0])

    def sample(self):
        """(time, KiB of master, keeper and the worker that is never killed, their descriptors, bytes of the live store)"""
        pids = [self.node.master.pid, *self.node.children('keeper'), self.first]
        fds = sum(len(os.listdir('/proc/%d/fd' % pid)) for pid in pids)
        self.samples.append((time.monotonic(), anonymous_kib(pids), fds, self.node.metrics()['aigw_live_bytes']))

    def workers(self):
        """Numbers of the workers once all serve."""
        def all_ready():
            rows = self.node.status()['worker']
            return [row['pid'] for row in rows] if all(row['state'] == 'ready' for row in rows) else None
        return wait_for(all_ready, 20)

    def one(self, i, rate):
        """One round: a kill in it, and a reload in every third."""
        load = self.load(ROUND_S, rate=rate)
        time.sleep(ROUND_S / 4)
        victim = self.dice.choice(self.workers()[1:])
        begun = time.monotonic()
        kill_if_there(victim)
        self.kills.append((begun, time.monotonic()))
        if i % 3 == 0:
            self.node.configure(region='r%d' % (i % 2))
            self.node.signal(signal.SIGHUP)
        done = self.done(load)
        self.sample()  # what is in flight is no growth
        self.assertLessEqual(done['errors'], CONNECTIONS, done)
        return done['requests'] - done['errors']

    def check_flat(self):
        """The last third of the samples beside the second one; in the first one there is nothing that is not new."""
        n = len(self.samples) // 3
        now, then = ([statistics.median(column) for column in zip(*part)] for part in (self.samples[-n:], self.samples[n:-n]))
        minutes, kib, fds, stored = (now[0] - then[0]) / 60, now[1] - then[1], now[2] - then[2], now[3] - then[3]
        print('# in %.1f minutes: memory %d KiB %+d, descriptors %d %+d, live store %d KiB %+d' % (
            minutes, then[1], kib, then[2], fds, then[3] / 1024, stored / 1024))
        self.assertLess(kib, minutes * KIB_A_MINUTE + ROOM_KIB)
        self.assertLessEqual(fds, ROOM_FDS)
        self.assertLess(stored, ROOM_BYTES)

    def check_streams(self, streams):
        """None failed but of killed workers."""
        self.assertLessEqual(set(streams.kinds()), {'done', 'cut'}, streams.kinds())
        for o in streams.of('cut'):
            self.assertTrue(any(o.begun <= after and before <= o.ended < after + 1 for before, after in self.kills), o)

    def check_ledger(self, served):
        account = self.node.settled('main', 30)
        self.assertEqual(nusd(account['granted_usd']), nusd(account['balance_usd']) + nusd(account['settled_usd']))
        self.check_scopes()
        verdict = self.node.ctl('ledger', 'verify', '--charges', timeout=3600)
        total = self.node.ctl('usage', timeout=300)['total']
        self.assertTrue(verdict['good'], verdict)
        self.assertEqual(total['charge_usd'], account['settled_usd'])
        self.assertGreaterEqual(total['requests'], served)

    def test_soak(self):
        peaks = [self.done(self.load(1)) for _ in range(5 if MINUTES else 1)]
        rate = int(PART * max(p['requests'] / p['elapsed_us'] for p in peaks) * 1e6)
        served, self.first = sum(p['requests'] - p['errors'] for p in peaks), self.workers()[0]
        streams = StreamLoad(self.node.port, self.key, ['slow'], STREAMS, user='ann')
        self.addCleanup(setattr, streams, 'going', False)
        for i in range(ROUNDS):
            served += self.one(i, rate)
        streams.stop()
        print('# %d requests at %d/s, %d streams %s, %d kills, generation %d' % (
            served, rate, len(streams.outcomes), streams.kinds(), len(self.kills), self.node.status()['node'][0]['config_generation']))
        self.assertEqual(self.workers()[0], self.first)
        self.assertGreater(self.node.status()['node'][0]['config_generation'], ROUNDS // 3)
        self.check_streams(streams)
        self.check_ledger(served + len(streams.of('done')))
        self.check_flat()


if __name__ == '__main__':
    tap.main()
