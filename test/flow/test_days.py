"""Days pass while a node serves: they are sealed, what need be kept no longer is removed, and reports and verify know what is left. The
wall clock is stepped, which a build with test hooks allows."""
import datetime
import errno
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import stand_still, wait_for
from node import CtlError, NodeCase, NodePerTest, chat_body, model
from recorder import Recorded
from test_clock import DAY, ClockNode
import tap


class Case(NodeCase):
    NODE = ClockNode
    MODELS = {'cent': model('oai/sim?tokens=2&input=5', price={'request': '0.01'})}


class Days(Case):
    def spend(self, n):
        for _ in range(n):
            a = self.chat('cent', key=self.key)
            self.assertEqual(a.status, 200, a)
        self.node.settled('main')

    def day(self):
        return self.node.now().strftime('%Y-%m-%d')

    def usage(self, *words):
        return {row['day']: row['requests'] for row in self.node.ctl('usage', '--by', 'day', *words)['rows']}

    def verify(self):
        v = self.node.verify('--charges')
        self.assertTrue(v['good'], v)
        return v

    def removed(self):
        """Once all that may go has gone."""
        return wait_for(lambda: (lambda v: v if v['first_seq'] > 1 else None)(self.verify()), 30, 0.2)

    def test_sealed_and_removed(self):
        spent = {}
        for n in range(1, 5):
            self.spend(n)
            spent[self.day()] = n
            self.verify()  # the ledger has them
            self.node.age(DAY)
        self.spend(1)
        spent[self.day()] = 1
        self.assertEqual(self.usage(), spent)
        wait_for(lambda: self.verify()['seals'] == 4, 20, 0.2)
        before = self.verify()
        self.assertEqual(before['first_seq'], 1)
        everything = [json.loads(line) for line in self.node.ctl_raw('ledger', 'export').stdout.splitlines()]

        self.node.configure(ledger={'retain_days': 2})
        self.node.ctl('reload')
        after = self.removed()
        self.assertLess(after['records'], before['records'])
        self.assertEqual(after['seals'], before['seals'])
        self.assertEqual((after['granted_usd'], after['settled_usd']), (before['granted_usd'], before['settled_usd']))
        wait_for(lambda: len(self.node.events('day_removed')) == 2, 20, 0.2)
        # The chain says what went, and that the setting changed.
        lines = [json.loads(line) for line in self.node.ctl_raw('ledger', 'export').stdout.splitlines()]
        notes = [(r['type'], r['who'], r['number']) for r in lines if r.get('type') in ('reload', 'retain')]
        self.assertEqual([n[:2] for n in notes[1:]], [('retain', 'aigwd')] * 2)
        self.assertEqual((notes[0][0], notes[-1][2]), ('reload', self.verify()['first_seq'] - 1))
        # Whole days are still told, parts of a removed one are not.
        self.assertEqual(self.usage(), spent)
        first = min(spent)
        self.assertEqual(self.usage('--since', first, '--until', sorted(spent)[1]), {first: 1})
        with self.assertRaises(CtlError) as e:
            self.usage('--since', first + 'T00:00:01Z')
        self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'removed'))
        # Whose end users they were is no longer known, and not told wrongly.
        day = sorted(spent)[2]
        for words in (('--by', 'tag'), ('--tag', ''), ('--tag', 'ann', '--since', sorted(spent)[1])):
            with self.assertRaises(CtlError) as e:
                self.node.ctl('usage', *words)
            self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'removed'))
            self.assertRegex(e.exception.error['message'], '^the records of days before %s have been removed.*: give --since %s or a later day$' % (day, day))
        self.assertEqual(sum(r['requests'] for r in self.node.ctl('usage', '--by', 'tag', '--since', day)['rows']), sum(list(spent.values())[2:]))
        a = self.node.ask('GET', '/v1/usage?by=tag', key=self.key)
        self.assertEqual((a.status, a.error['param']), (400, 'since'), a)
        self.assertIn('end users', a.error['message'])
        self.assertEqual(self.node.ask('GET', '/v1/usage?by=tag&since=' + day, key=self.key).json()['total']['requests'], sum(list(spent.values())[2:]))
        # What has gone is not told to be nothing.
        kept = sorted(spent)[2]
        for words in (('--since', first), ('--until', kept), ('--since', first, '--changes'), ('--since', first, '--until', kept)):
            with self.assertRaises(CtlError) as e:
                self.node.ctl('ledger', 'export', *words)
            self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'removed'))
            self.assertIn('before %s have been removed' % kept, e.exception.error['message'])
        for words in ((), ('--since', kept), ('--changes',), ('--since', '1970-01-01'), ('--since', first, '--seals')):
            self.assertEqual(self.node.ctl_raw('ledger', 'export', *words).returncode, 0, words)
        gone = next(r['id'] for r in everything if r.get('type') == 'charge')
        later = next(r['id'] for r in lines if r.get('type') == 'charge')
        never = later[:-1] + ('0' if later[-1] != '0' else '1')
        for rid, code in ((gone, 'removed'), ('chatcmpl-sim-0', 'removed'), (never, 'not_found')):
            with self.assertRaises(CtlError) as e:
                self.node.ctl('request', 'show', rid)
            self.assertEqual((e.exception.status, e.exception.error['code']), (4, code), rid)
            self.assertEqual('before %s have been removed' % kept in e.exception.error['message'], code == 'removed', rid)
        a = self.node.ask('GET', '/v1/receipts/' + gone, key=self.key)
        self.assertEqual((a.status, a.error['code']), (404, 'not_found'), a)
        self.assertIn('no longer kept', a.error['message'])
        # A new start, kill -9 before it, has the same books.
        self.node.kill_all()
        self.node.start()
        again = self.verify()
        self.assertEqual((again['first_seq'], again['settled_usd']), (self.verify()['first_seq'], before['settled_usd']))
        self.assertEqual(self.usage(), spent)
        self.spend(1)


class Midnight:
    """Records that wait for the ledger over midnight: the days they are of have a seal each."""
    MODELS = {**Case.MODELS, 'brief': model('oai/sim?tokens=3&rate=10'), 'slow': model('oai/sim?tokens=20&rate=10')}

    def make(self, models=None, sim=None, **config):
        self.node = ClockNode(self.MODELS, sim, **config)
        self.addCleanup(self.node.close)
        self.node.until(self.node.now().replace(hour=12))
        self.first = self.node.now().date()

    def start(self):
        super().start()
        self.spend(2)
        self.node.verify()  # the ledger has them

    def spend(self, n):
        for _ in range(n):
            a = self.chat('cent')
            self.assertEqual(a.status, 200, a)

    def check_days(self, *requests):
        """Of the days since the first: as many charges, between their seals; the last one has none yet."""
        self.node.settled('main')
        verdict = self.node.verify('--charges')
        self.assertTrue(verdict['good'], verdict)
        self.assertEqual(self.node.recompute(), [])
        days, charges = [], []
        for line in map(json.loads, self.node.ctl_raw('ledger', 'export').stdout.splitlines()):
            if line.get('type') == 'charge':
                charges.append(datetime.datetime.fromtimestamp(line['wall_ms'] / 1000, datetime.timezone.utc).date())
            if 'seal' in line or line.get('end') is True:
                day = self.first + datetime.timedelta(days=len(days))
                self.assertEqual(line.get('seal', str(day)), str(day))
                self.assertEqual(charges, [day] * len(charges))
                days.append(len(charges))
                charges = []
        self.assertEqual(days, list(requests))


class MidnightWithoutKeeper(Midnight, NodePerTest):
    def test_sealed(self):
        """Two midnights; and the next keeper dies as soon as it is there."""
        self.begin()
        stand_still(self.node.children('keeper')[0])
        self.spend(3)
        for n in (4, 5):
            self.node.step(DAY)
            self.spend(n)
        self.node.kill('keeper')
        self.node.kill('keeper')
        self.check_days(5, 4, 5)
        self.node.step(DAY)
        wait_for(lambda: self.node.verify()['seals'] == 3, 20, 0.2)
        self.spend(1)
        self.check_days(5, 4, 5, 1)


class MidnightOnFullDisk(Midnight, Recorded):
    def test_sealed(self):
        """What runs over midnight ends on the next day."""
        self.make_recorded()
        self.start()
        with Conn(self.node.port) as one, Conn(self.node.port) as other:
            for conn, name in ((one, 'brief'), (other, 'slow')):
                conn.request('POST', '/v1/chat/completions', chat_body(name, stream=True), key=self.key)
            answers = one.head(), other.head()
            self.fail_from(1, 1 << 40, errno.ENOSPC)
            for conn, a in zip((one, other), answers):
                for _ in conn.parts(a):
                    pass
                self.assertEqual((a.status, a.is_whole), (200, True), a)
                wait_for(lambda: self.node.status()['ledger'][0]['state'] == 'commit failed', 10, 0.02)
                self.node.step(DAY if conn is one else 0)
        self.fail_no_more()
        wait_for(lambda: self.node.status()['ledger'][0]['state'] == 'good', 20, 0.05)
        self.check_days(3, 1)
        self.spend(2)
        self.check_days(3, 3)


class Removed(Case):
    CONFIG = {'ledger': {'retain_days': 1}}

    def test_while_it_is_exported(self):
        """Who reads so slowly that records go before they were read is told so, and has no end."""
        for _ in range(1000):
            self.assertEqual(self.chat('cent').status, 200)
        self.node.settled('main')
        with subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'ledger', 'export'], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as p:
            self.assertTrue(json.loads(p.stdout.readline())['export'])
            self.node.age(3 * DAY)
            self.assertEqual(self.chat('cent').status, 200)
            self.node.wait_event('day_removed', 30)
            lines, error = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 1, error)
        self.assertIn('removed meanwhile', error)
        self.assertEqual(json.loads(lines.splitlines()[-1])['type'], 'charge')
        self.assertEqual(self.node.recompute(), [])


class Ahead(Case):
    """A clock that is ahead for a while makes no record old."""
    CONFIG = {'ledger': {'retain_days': 1}}

    def spend(self):
        a = self.chat('cent', key=self.key)
        self.assertEqual(a.status, 200, a)
        self.node.settled('main')
        self.node.verify()  # the ledger has it
        return a.get('x-request-id')

    def receipt(self, rid):
        return self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).status

    def test_records_stay(self):
        """The first day's go when their time has come, the second's not before they have theirs, though a year has passed by the clock."""
        noon = (self.node.now() + datetime.timedelta(days=1)).replace(hour=12, minute=0, second=0)
        self.node.age(int((noon - self.node.now()).total_seconds()))
        first = self.spend()
        self.node.age(DAY)
        second = self.spend()
        self.node.step(400 * DAY)
        self.spend()
        self.node.wait_event('clock_jumped', 10)
        self.node.age(13 * 3600)
        wait_for(lambda: self.receipt(first) == 404, 40, 0.2)
        self.assertEqual(self.receipt(second), 200)
        self.node.step(-400 * DAY)
        self.spend()
        self.assertEqual(self.receipt(second), 200)
        # What has lasted for a day is no jump.
        self.node.step(400 * DAY)
        self.assertTrue(self.node.ctl('pepper', 'list'))  # the clock is looked at
        self.node.age(DAY)
        self.node.wait_event('clock_believed', 10)
        wait_for(lambda: self.receipt(second) == 404, 40, 0.2)


class Alerts(Case):
    def test_alerts(self):
        """A line at each share of a budget and of the credit, once, restarts included."""
        node = self.node
        node.account('small', '0.2')
        key = node.key('small', budget='0.1', period='day')

        def told(event, account):
            return [e['share'] for e in node.events(event) if e['account'] == account]

        def spend(n):
            for _ in range(n):
                self.assertEqual(self.chat('cent', key=key).status, 200)
        spend(8)
        wait_for(lambda: told('budget_threshold', 'small') == ['0.8'], 15, 0.2)
        node.kill_all()
        node.start()
        spend(2)
        wait_for(lambda: told('budget_threshold', 'small') == ['0.8', '1'], 15, 0.2)
        self.assertEqual(told('credit_low', 'small'), [])
        node.step(DAY)
        spend(6)
        wait_for(lambda: told('credit_low', 'small') == ['0.8'], 15, 0.2)
        spend(2)
        wait_for(lambda: told('budget_threshold', 'small') == ['0.8', '1', '0.8'], 15, 0.2)
        line = node.events('budget_threshold')[-1]
        self.assertEqual((line['scope'], line['used_usd'], line['limit_usd'], line['level']), ('key', 0.08, 0.1, 'warn'))

    def is_listed(self, line):
        """Every member of the line stands in the manual."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'etc', 'aigw.yaml.5.in')) as f:
            manual = f.read().partition('.SH ALERTS\n')[2].partition('.SH ')[0]
        told = {word.strip('" ') for at in re.findall(r'^\.BR? (.*)$', manual, re.M) for word in at.replace(' and ', ',').split(',')}
        self.assertEqual(set(line) - told, set())

    def test_changed_before_the_look(self):
        """What a raised budget and new credit put out of reach within seconds had been reached."""
        node = self.node
        node.account('quick', '0.1')
        key = node.key('quick', budget='0.1', period='day')
        for _ in range(10):
            self.assertEqual(self.chat('cent', key=key).status, 200)
        node.ctl('key', 'update', key[8:20], '--budget', '0.4')
        node.ctl('account', 'credit', 'quick', '--add', '0.3')
        wait_for(lambda: len([e for e in node.events('credit_low') if e['account'] == 'quick']) == 2, 15, 0.2)
        for event, of in (('budget_threshold', 'limit_usd'), ('credit_low', 'of_usd')):
            self.assertEqual([(e['share'], e['used_usd'], e[of]) for e in node.events(event) if e['account'] == 'quick'],
                             [('0.8', 0.1, 0.1), ('1', 0.1, 0.1)])
            self.is_listed(node.events(event)[-1])


if __name__ == '__main__':
    tap.main()
