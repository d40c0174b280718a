"""The keeper killed, yielded, drained; the live store taken away: the books stay right."""
import glob
import json
import os
import re
import shutil
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import is_alive, wait_for
from money import Spender, check_books
from node import LONG, FiveScopes, NodePerTest, model, nusd
import tap

MONEY = ('granted_usd', 'balance_usd', 'settled_usd', 'held_usd')
MODELS = {'m': model('oai/sim?tokens=8&input=20'), 'slow': model('oai/sim?tokens=40&rate=20&input=20')}


class Base(FiveScopes, NodePerTest):
    MODELS = MODELS

    def setUp(self):
        self.begin(log={'access': 'off'})

    def live_file(self):
        return glob.glob(self.node.live + '/*/data.mdb')[0]


class Crash(Base):
    # A keeper that is killed again and again does not get far on a busy machine; the default size holds the records of some seconds.
    CONFIG = {'ledger_lag_max': '60s', 'live_size': '128MiB'}

    @tap.alone
    def test_killed_at_any_time(self):
        """Row 20: kill -9 of the keeper; requests go on, another one is ready within 250 ms."""
        self.node.come_first(self)
        rounds = 100 if LONG else 25
        load = Spender(self.node, self.key, 'm')
        waits = []
        for i in range(rounds):
            time.sleep(0.05 + 0.007 * (i % 10))
            waits.append(self.node.kill('keeper'))
        load.stop()
        self.assertEqual(load.failed, [])
        self.node.check_restarts(self, waits)
        account, total = check_books(self, self.node, 'main', load)
        self.assertEqual(nusd(account['settled_usd']), sum(load.answered.values()))
        self.assertEqual(total['requests'], len(load.answered))
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)

    def test_next_master_has_its_own_keeper(self):
        load = Spender(self.node, self.key, 'm')
        for _ in range(3):
            time.sleep(0.2)
            old = self.node.children('keeper')
            self.node.lose_master()
            self.node.start()
            wait_for(lambda: not any(is_alive(p) for p in old), 5)
        load.stop()
        account, _ = check_books(self, self.node, 'main', load)
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 1)

    def gaps(self):
        """The epochs that a record says to have begun with a loss."""
        records = map(json.loads, self.node.ctl_raw('ledger', 'export', '--changes').stdout.splitlines())
        return [r['epoch'] for r in records if r.get('type') == 'gap']

    def test_live_store_unlinked(self):
        """Issue 2: nothing lost, nothing twice, one store at the end."""
        load = Spender(self.node, self.key, 'm')
        for epoch in (2, 3):
            time.sleep(0.3)
            workers = [w['pid'] for w in self.node.status()['worker']]
            os.unlink(self.live_file())
            wait_for(lambda: self.node.status()['ledger'][0]['epoch'] == epoch, 10)
            wait_for(lambda: all(w['state'] == 'ready' and w['pid'] not in workers for w in self.node.status()['worker']), 10)
        time.sleep(0.3)
        load.stop()
        check_books(self, self.node, 'main', load)
        self.assertEqual(len(glob.glob(self.node.live + '/*')), 1)
        self.assertEqual(self.gaps(), [2, 3])
        # Another start takes what is there.
        self.node.stop()
        self.node.start()
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 3)
        check_books(self, self.node, 'main', load)

    def test_live_store_replaced_by_a_copy(self):
        """Row 24: a copy made under load is never served."""
        load = Spender(self.node, self.key, 'm')
        time.sleep(0.3)
        path = self.live_file()
        shutil.copy(path, path + '.copy')
        os.rename(path + '.copy', path)
        wait_for(lambda: self.node.status()['ledger'][0]['epoch'] == 2, 10)
        wait_for(lambda: all(w['state'] == 'ready' for w in self.node.status()['worker']), 10)
        time.sleep(0.3)
        load.stop()
        check_books(self, self.node, 'main', load)

    def test_live_store_replaced_while_stopped(self):
        load = Spender(self.node, self.key, 'm')
        time.sleep(0.3)
        load.stop()
        before = self.node.settled('main')
        self.assertEqual(self.node.stop(), 0)
        path = self.live_file()
        shutil.copy(path, path + '.copy')
        os.rename(path + '.copy', path)
        self.node.start()
        self.assertEqual(self.node.status()['ledger'][0]['epoch'], 2)
        self.assertEqual(self.gaps(), [2])
        self.assertRegex(self.node.events('live_store_gap')[0]['message'], r'; dollars in charges at risk: (unknown|[0-9.]+)$')
        self.assertEqual(self.node.show('main')['balance_usd'], before['balance_usd'])
        check_books(self, self.node, 'main', load)

    def give_another_layout(self):
        """As if another version had made the live store; all else of it stays."""
        with open(os.path.join(self.node.dir, 'state', 'ledger_id')) as f:
            ledger_id = bytes.fromhex(f.read().strip())
        with open(self.live_file(), 'r+b') as f:
            data = f.read()
            heads = [m.start() - 16 for m in re.finditer(re.escape(ledger_id), data)]
            self.assertGreater(len(heads), 0)
            for at in heads:  # before it: layout, regions, slots, 0
                layout, regions, slots, rest = struct.unpack_from('<4I', data, at)
                self.assertTrue(0 < layout < 1000 and regions and slots and not rest)
                f.seek(at)
                f.write(struct.pack('<I', layout + 1))

    def last_gap(self):
        records = map(json.loads, self.node.ctl_raw('ledger', 'export', '--changes').stdout.splitlines())
        return [r for r in records if r.get('type') == 'gap'][-1]

    def start_anew(self, before):
        """Money is as it was, and it serves; the place in the log before it."""
        mark = self.node.mark()
        self.node.start()
        account = self.node.settled('main')
        self.assertEqual([account[k] for k in MONEY], [before[k] for k in MONEY])
        self.assertEqual(self.chat('m').status, 200)
        return mark

    def alarms(self, mark):
        return {e['event'] for e in self.node.events(since=mark) if e['level'] in ('error', 'warn')}

    def test_another_version_after_a_clean_stop(self):
        """Nothing is lost, and nobody is alarmed. Killed under load, then: as much as may be lost, an error."""
        always = self.alarms(0)
        load = Spender(self.node, self.key, 'm')
        time.sleep(0.5)
        load.stop()
        before = self.node.settled('main')
        for words in ('the live store was made by another version of aigwd', 'there is no live store'):
            self.node.signal(signal.SIGTERM)
            self.assertEqual(self.node.master.wait(30), 0)
            if 'version' in words:
                self.give_another_layout()
            else:
                os.unlink(self.live_file())
            mark = self.start_anew(before)
            self.assertEqual(self.alarms(mark), always)
            self.assertIn(words, self.node.events('live_store_anew', mark, level='info')[0]['message'])
            gap = self.last_gap()
            self.assertEqual((gap['what'], gap['amount_nusd'], gap['note']), (words, 0, 'after a clean stop'))
            before = self.node.settled('main')
        self.node.kill_all()
        self.give_another_layout()
        mark = self.node.mark()
        self.node.start()
        self.assertEqual(self.node.events('live_store_rebuilt', mark)[0]['level'], 'error')
        self.assertIn('at risk: unknown', self.node.events('live_store_gap', mark)[0]['message'])
        self.assertEqual(self.last_gap()['amount_nusd'], -1)
        self.assertTrue(self.node.verify('--charges')['good'])

    def test_live_size(self):
        """Another one is taken after a clean stop, larger or smaller, without alarm; else the store stays as it is, and what to do is told."""
        always = self.alarms(0)
        self.assertEqual(self.chat('m').status, 200)
        size = lambda: os.stat(self.live_file()).st_size >> 20
        was = size()
        before = self.node.settled('main')
        for mib in (was + 16, was):
            self.assertEqual(self.node.stop(), 0)
            self.node.configure(live_size='%dMiB' % mib)
            mark = self.start_anew(before)
            self.assertEqual((size(), self.alarms(mark)), (mib, always))
            self.assertIn('live_size', self.node.events('live_store_anew', mark, level='info')[0]['message'])
            gap = self.last_gap()
            self.assertEqual((gap['what'], gap['amount_nusd'], gap['note']), ('live_size is another one', 0, 'after a clean stop'))
            before = self.node.settled('main')
        self.node.kill_all()
        self.node.configure(live_size='%dMiB' % (was + 16))
        mark = self.start_anew(before)
        self.assertEqual((size(), self.alarms(mark)), (was, always | {'live_size_waits'}))
        before = self.node.settled('main')
        self.assertEqual(self.node.stop(), 0)
        mark = self.start_anew(before)
        self.assertEqual((size(), self.alarms(mark)), (was + 16, always))
        self.assertTrue(self.node.verify('--charges')['good'])

    def test_live_size_without_room(self):
        """What the store holds would fill more than half of the new one: it stays as it is, and serves."""
        always = self.alarms(0)
        self.assertEqual(self.chat('m').status, 200)
        path = os.path.join(self.node.dir, 'keys.jsonl')
        with open(path, 'w') as f:
            for i in range(6000):
                f.write('{"account":"main","name":"key %d"}\n' % i)
        self.assertEqual(self.node.ctl_raw('key', 'import', path).returncode, 0)
        was = os.stat(self.live_file()).st_size >> 20
        self.assertGreater(was, 4)
        before = self.node.settled('main')
        self.assertEqual(self.node.stop(), 0)
        self.node.configure(live_size='4MiB')
        mark = self.start_anew(before)
        self.assertEqual((os.stat(self.live_file()).st_size >> 20, self.alarms(mark)), (was, always | {'live_size_waits'}))
        self.assertFalse(self.node.events('live_store_anew', mark, level='info'))
        self.assertTrue(self.node.verify('--charges')['good'])

    def test_keeper_ended_by_itself(self):
        """That is no clean stop of the node: its workers may charge before the next keeper is there."""
        self.assertEqual(self.chat('m').status, 200)
        before = self.node.settled('main')
        self.node.lose_master()
        for pid in self.node.children('worker'):
            os.kill(pid, signal.SIGKILL)
        keeper = self.node.children('keeper')[0]
        os.kill(keeper, signal.SIGTERM)
        wait_for(lambda: not is_alive(keeper), 20)
        os.unlink(self.live_file())
        mark = self.start_anew(before)
        self.assertEqual(self.node.events('live_store_rebuilt', mark)[0]['level'], 'error')
        self.assertEqual(self.last_gap()['amount_nusd'], -1)

    @tap.alone
    def test_worker_killed_its_holds_are_settled(self):
        """Row 18: no hold of a dead worker after one sweep; charged is what was delivered."""
        loads = [Spender(self.node, self.key, 'slow', 8, stream=True)]
        wait_for(lambda: self.node.show('main')['holds'] == 8, 10)
        for w in self.node.status()['worker']:
            os.kill(w['pid'], signal.SIGKILL)
        begun = time.monotonic()
        loads[0].going = False
        wait_for(lambda: self.node.show('main')['holds'] == 0, 5)
        self.assertLess(time.monotonic() - begun, 1)
        loads[0].stop()
        a = self.node.settled('main')
        self.assertGreater(a['settled_usd'], 0)
        self.assertTrue(self.node.verify('--charges')['good'])
        wait_for(lambda: all(w['state'] == 'ready' for w in self.node.status()['worker']), 10)
        self.assertEqual(self.chat('m').status, 200)

    def test_drain_takes_everything(self):
        load = Spender(self.node, self.key, 'm')
        time.sleep(0.5)
        self.node.signal(signal.SIGTERM)
        self.assertEqual(self.node.master.wait(20), 0)
        load.stop()
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])
        self.node.start()
        account, total = check_books(self, self.node, 'main', load)
        self.assertEqual(nusd(account['settled_usd']), sum(load.answered.values()))
        self.assertEqual(total['requests'], len(load.answered))


class PowerLoss(Base):
    """All processes and the live store are gone at once: what is lost is younger than the level allows."""

    def lose_power(self):
        self.node.kill_all()
        shutil.rmtree(glob.glob(self.node.live + '/*')[0])

    def sync_s(self):
        """How long the disk takes now to sync a page, seconds."""
        with open(os.path.join(self.node.dir, 'page'), 'wb') as f:
            f.write(bytes(4096))
            f.flush()
            begun = time.monotonic()
            os.fsync(f.fileno())
            return time.monotonic() - begun

    def lose_again_and_again(self, age):
        """age: seconds after which an answer's charge is on disk; twice a sync more, for the commit before it and its own."""
        for i in range(5):
            load = Spender(self.node, self.key, 'm')
            time.sleep(0.3 + 0.01 * i)
            load.stop()
            if age:
                time.sleep(age + 2 * max(self.sync_s() for _ in range(3)))
            self.lose_power()
            self.node.start()
            self.assertEqual(self.node.status()['ledger'][0]['epoch'], 2 + i)
            for request_id, cost in list(load.answered.items())[-30:]:
                self.assertEqual(nusd(self.node.ctl('request', 'show', request_id)['charge_usd']), cost)
            self.assertTrue(self.node.verify('--charges')['good'])


class PowerLossGroup(PowerLoss):
    CONFIG = {'durability': 'group'}

    def test_power_loss(self):
        self.lose_again_and_again(0.15)


class PowerLossSettle(PowerLoss):
    CONFIG = {'durability': 'settle'}

    def test_power_loss(self):
        self.lose_again_and_again(0)


if __name__ == '__main__':
    tap.main()
