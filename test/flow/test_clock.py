"""The wall clock is stepped while a node serves, which a build with test hooks allows (row 29): rates do not notice, no wait is negative,
budget windows never go back, and the books stay right."""
import datetime
import os
import shutil
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from node import CtlError, Node, NodeCase, chat_body, model, nusd
import tap

HOUR, DAY = 3600, 86400
YEAR = 365 * DAY


def utc(text):
    return text if isinstance(text, datetime.datetime) else datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))


def last_sunday(year, month):
    day = datetime.datetime(year, month, 31, tzinfo=datetime.timezone.utc)
    return day - datetime.timedelta(days=(day.weekday() + 1) % 7)


class ClockNode(Node):
    """A node whose wall clock is wrong by as many seconds as step() was told last; what age() lets pass has passed for who counts in days."""

    def __init__(self, *args, **config):
        super().__init__(*args, program=os.environ['AIGWD_HOOKS'], **config)
        path = os.path.join(self.dir, 'wall')
        self.wall = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.wrong_by = self.aged = 0
        self.step(0)
        self.env['AIGW_TEST_WALL'] = path

    def step(self, seconds):
        """Forward or back from where it is."""
        self.wrong_by += seconds
        os.pwrite(self.wall, struct.pack('=qq', self.wrong_by * 10**9, self.aged * 10**9), 0)

    def age(self, seconds):
        """Time passes, by every clock."""
        self.aged += seconds
        self.step(seconds)

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.wrong_by)

    def until(self, moment):
        """Steps the clock to this moment, or to a moment of this day."""
        self.step(int((moment - self.now()).total_seconds()))

    def close(self):
        super().close()
        os.close(self.wall)


class Stepped(NodeCase):
    NODE = ClockNode
    MODELS = {'cent': model('oai/sim?tokens=2&input=5', price={'request': '0.01'}),
              'slow': model('oai/sim?tokens=10&rate=20&input=5', price={'request': '0.01'})}

    def tearDown(self):
        self.node.step(-self.node.wrong_by)

    def spend(self, key, n, **more):
        for _ in range(n):
            a = self.chat('cent', key=key, **more)
            self.assertEqual(a.status, 200, a)

    def over(self, key, **more):
        """The budget is used up; when it resets."""
        a = self.chat('cent', key=key, **more)
        self.assertEqual((a.status, a.error['code']), (402, 'budget_exceeded'), a)
        reset = datetime.datetime.fromisoformat(a.error['metadata']['reset'].replace('Z', '+00:00'))
        self.assertGreater(reset, self.node.now(), a)
        return reset


class Steps(Stepped):
    def test_a_rate_does_not_notice(self):
        key = self.node.customer('rate', rpm=6)
        self.spend(key, 2)
        for seconds in (YEAR, -YEAR, -HOUR, 10 * YEAR):
            self.node.step(seconds)
            self.spend(key, 1)
        for seconds in (0, YEAR, -2 * YEAR, HOUR):
            self.node.step(seconds)
            a = self.chat('cent', key=key)
            self.assertEqual((a.status, a.error['code']), (429, 'rate_limit_exceeded'), a)
            self.assertTrue(1 <= int(a.get('retry-after')) <= 60, a)
            self.assertTrue(0 < int(a.get('retry-after-ms')) <= 60000, a)
            self.assertEqual(a.error['metadata']['remaining'], 0)

    def test_a_budget_goes_on_after_a_step_forward(self):
        """Noon of one day, then of the next: a new window. A year forward: another one."""
        key = self.node.customer('forward', budget='0.03', period='day')
        noon = self.node.now().replace(hour=12, minute=0, second=0, microsecond=0) + datetime.timedelta(days=1)
        self.node.until(noon)
        self.spend(key, 3)
        self.assertEqual(self.over(key), noon.replace(hour=0) + datetime.timedelta(days=1))
        self.node.step(DAY)
        self.spend(key, 3)
        self.assertEqual(self.over(key), noon.replace(hour=0) + datetime.timedelta(days=2))
        self.node.step(YEAR)
        self.spend(key, 3)
        self.over(key)

    def test_a_budget_never_goes_back(self):
        for period, rolling in (('minute', False), ('hour', False), ('day', False), ('week', False), ('month', False), ('quarter', False),
                                ('year', False), ('hour', True), ('month', True)):
            with self.subTest(period=period, rolling=rolling):
                self.node.step(-self.node.wrong_by)
                key = self.node.customer('back-%s-%d' % (period, rolling), budget='0.03', period=period, rolling='on' if rolling else 'off')
                self.node.until((self.node.now() + datetime.timedelta(days=1)).replace(hour=12, minute=30, second=30))
                self.spend(key, 2)
                self.node.step(2 * YEAR)
                self.spend(key, 2)  # of the new window
                self.node.step(-HOUR)
                self.spend(key, 1)
                end = self.over(key)
                for back in (DAY, YEAR, 3 * YEAR):
                    self.node.step(-back)
                    self.assertEqual(self.over(key), end)
                # A budget that is taken away and set anew knows nothing of the future.
                self.node.ctl('key', 'update', key, '--budget', 'none')
                self.node.ctl('key', 'update', key, '--budget', '0.01', '--period', period, '--rolling', 'on' if rolling else 'off')
                self.spend(key, 1)
                self.assertLess(self.over(key), end)

    def test_what_a_key_has_spent(self):
        """Of today, this week and this month: a day to come, from before the clock was set back, is in none of them."""
        def spent(key):
            k = self.node.ask('GET', '/v1/key', key=key).json()['data']
            return [nusd(k['usage_' + n]) // 10**7 for n in ('daily', 'weekly', 'monthly')]
        key = self.node.customer('spent')
        # A Wednesday in the middle of a month, then the day after it, and the month after that.
        self.node.until((self.node.now() + datetime.timedelta(days=40)).replace(day=15, hour=12))
        self.node.until(self.node.now() + datetime.timedelta(days=(2 - self.node.now().weekday()) % 7))
        self.spend(key, 1)
        self.node.step(DAY)
        self.spend(key, 2)
        self.assertEqual(spent(key), [2, 3, 3])
        self.node.step(31 * DAY)
        self.spend(key, 4)
        self.assertEqual(spent(key)[0], 4)
        self.node.step(-31 * DAY)
        self.assertEqual(spent(key), [2, 3, 3])
        self.node.step(-DAY)
        self.assertEqual(spent(key), [1, 1, 1])

    def test_five_scopes(self):
        """Each of them refuses as long as its own window lasts, also when its rule is of some models, and the others have what was let through."""
        for scope, models in (('account', ''), ('team', ' models=c*'), ('key', ''), ('user', ' models=c*')):
            with self.subTest(scope):
                self.node.step(-self.node.wrong_by)
                key = self.node.family('five-' + scope, '100', **{scope: 'budget=0.03/day,requests=6/minute' + models})
                self.node.until((self.node.now() + datetime.timedelta(days=1)).replace(hour=12))
                self.spend(key, 2, user='ann')
                self.node.step(2 * DAY)
                self.spend(key, 3, user='ann')
                end = self.over(key, user='ann')
                for seconds in (-DAY, -HOUR, 2 * HOUR, -3 * YEAR):
                    self.node.step(seconds)
                    self.assertEqual(self.over(key, user='ann'), end)
                used = self.node.budgets_used(key, 'ann')
                self.assertEqual({s: max(u) for s, u in used.items()}, dict.fromkeys(('account', 'team', 'key', 'user'), 5 * 10**7))
                # Five in a minute of the clock that nobody steps, and no more than six.
                self.node.step(4 * YEAR)
                self.spend(key, 1, user='ann')
                a = self.chat('cent', key=key, user='ann')
                self.assertEqual((a.status, a.error['code']), (429, 'rate_limit_exceeded'), a)

    def test_an_hour_back_and_forth_under_load(self):
        """All answers are served or refused with a wait that is none of the past; nothing is lost and nothing charged twice."""
        key = self.node.customer('load', '1000', budget='900', period='hour')
        limited = self.node.key('load', rpm=50)
        stop, answers = threading.Event(), []

        def run(key, stream):
            with Conn(self.node.port) as c:
                while not stop.wait(0.01):
                    c.request('POST', '/v1/chat/completions', chat_body('slow' if stream else 'cent', stream), key=key)
                    answers.append(c.answer())
        threads = [threading.Thread(target=run, args=a) for a in ((key, False), (key, True), (key, True), (limited, False))]
        for t in threads:
            t.start()
        for seconds in (HOUR, -HOUR, -HOUR, YEAR, -YEAR, DAY, -DAY, 3 * HOUR) * 2:
            stop.wait(0.25)
            self.node.step(seconds)
        stop.set()
        for t in threads:
            t.join()
        good = [a for a in answers if a.status == 200]
        self.assertGreater(len(good), 50)
        for a in answers:
            if a.status != 200:
                self.assertEqual(a.status, 429, a)
                self.assertGreaterEqual(int(a.get('retry-after-ms')), 1)
        account = self.node.settled('load')
        self.assertEqual(nusd(account['settled_usd']), len(good) * 10**7)
        for line in self.node.access(*(a.get('x-request-id') for a in good)).values():
            self.assertTrue(0 <= line['total_ms'] < 60000, line)
        self.assertEqual(len({a.get('x-request-id') for a in answers}), len(answers))
        self.assertEqual(self.node.ctl('usage', '--account', 'load')['total']['requests'], len(good))
        by_day = self.node.ctl('usage', '--account', 'load', '--by', 'day')['rows']
        self.assertEqual(sum(row['requests'] for row in by_day), len(good))
        self.assertGreater(len(by_day), 2)

    def test_a_key_expires_by_the_wall_clock(self):
        """At the next request, whichever way the clock went."""
        key = self.node.customer('expiry', expires='1h')
        for wrong_by, status in ((0, 200), (2 * HOUR, 401), (0, 200), (YEAR, 401), (-YEAR, 200)):
            self.node.step(wrong_by - self.node.wrong_by)
            for _ in range(4):
                self.assertEqual(self.chat('cent', key=key).status, status, wrong_by)


    def test_windows_roll_under_load(self):
        """Two workers, eight clients, more than any window takes: each admits what it may, to the cent."""
        for rolling in ('off', 'on'):
            self.node.until((self.node.now() + datetime.timedelta(days=1)).replace(hour=12))
            key = self.node.customer('roll-' + rolling, budget='0.25', period='day', rolling=rolling)
            stop, answers = threading.Event(), []

            def run():
                with Conn(self.node.port) as c:
                    while not stop.is_set():
                        c.request('POST', '/v1/chat/completions', chat_body('cent'), key=key)
                        answers.append(c.answer())
            threads = [threading.Thread(target=run) for _ in range(8)]
            for t in threads:
                t.start()
            for window in range(1, 11):
                # Full when one is refused that does not wait for others: each window is used up before the next one begins.
                wait_for(lambda: any(a.status == 402 for a in answers[-4:]) and self.admitted(answers) >= 25 * window)
                self.assertEqual(self.admitted(answers), 25 * window)
                self.node.step(DAY + 60)
            stop.set()
            for t in threads:
                t.join()
            self.assertLessEqual({a.error['code'] for a in answers if a.status != 200}, {'budget_exceeded', 'credit_held'})
            account = self.node.settled('roll-' + rolling)
            self.assertEqual(nusd(account['settled_usd']), self.admitted(answers) * 10**7)
            self.assertTrue(250 <= self.admitted(answers) <= 275, self.admitted(answers))

    @staticmethod
    def admitted(answers):
        return sum(1 for a in answers if a.status == 200)


class Restarts(Stepped):
    def test_starts_with_a_clock_of_the_past(self):
        """A new keeper, a new node, and one that has to rebuild from the ledger: the window of the future still counts."""
        key = self.node.customer('restart', budget='0.03', period='day')
        self.node.step(40 * DAY)
        self.spend(key, 3)
        end = self.over(key)
        self.node.settled('restart')
        self.node.step(-40 * DAY)
        self.node.kill('keeper')
        self.assertEqual(self.over(key), end)
        self.node.stop()
        self.node.start()
        self.assertEqual(self.over(key), end)
        self.node.stop()
        for folder in os.listdir(self.node.live):
            shutil.rmtree(os.path.join(self.node.live, folder))
        self.node.start()
        self.assertEqual(self.over(key), end)
        self.node.step(41 * DAY)
        self.spend(key, 3)
        self.over(key)

    def test_zz_books_are_right_and_no_secret_shows(self):
        """The log has errors here: of the keeper that was killed and the store that was lost."""
        self.node.settled('restart')
        self.assertTrue(self.node.verify('--charges')['good'])
        self.assertEqual(self.node.metrics()['aigw_ledger_imbalance_nanousd'], 0)


@unittest.skipUnless(os.path.exists('/usr/share/zoneinfo/Europe/Berlin'), 'no tzdata here')
class Zones(Stepped):
    """Windows with the calendar of a named time zone, over the days on which its clocks change."""

    def windows(self, key, *moments):
        """A cent fits into each window once; of (moment, when it resets)."""
        for moment, end in moments:
            with self.subTest(moment):
                self.node.until(utc(moment))
                self.spend(key, 1)
                self.assertEqual(self.over(key), utc(end))

    def customer(self, zone, period):
        return self.node.customer('%s-%s' % (zone.replace('/', '-'), period), budget='0.01', period=period, zone=zone)

    def test_days_of_23_and_25_hours(self):
        year = self.node.now().year + 1
        spring, autumn = last_sunday(year, 3), last_sunday(year, 10)
        key = self.customer('Europe/Berlin', 'day')
        for before, day, after in ((23, spring, 22), (22, autumn, 23)):
            begin = (day - datetime.timedelta(days=1)).replace(hour=before)
            end = day.replace(hour=after)
            self.windows(key, (begin - datetime.timedelta(minutes=5), begin), (begin + datetime.timedelta(minutes=5), end),
                         (end + datetime.timedelta(minutes=5), end + datetime.timedelta(days=1)))

    def test_the_hour_that_comes_twice(self):
        day = last_sunday(self.node.now().year + 1, 10)
        self.windows(self.customer('Europe/Berlin', 'hour'), *((day.replace(hour=h, minute=30), day.replace(hour=h + 1)) for h in range(4)))

    def test_leap_day_and_the_end_of_the_year(self):
        key = self.customer('Asia/Kolkata', 'month')
        self.windows(key, ('2028-02-29T18:29:00Z', '2028-02-29T18:30:00Z'), ('2028-02-29T18:31:00Z', '2028-03-31T18:30:00Z'),
                     ('2028-12-31T18:31:00Z', '2029-01-31T18:30:00Z'))

    def test_all_windows_at_once(self):
        """Seen by two workers: begin and end are those of Auckland, which is 13 hours ahead in January."""
        for period, end in (('hour', '2030-01-16T10:00:00Z'), ('day', '2030-01-16T11:00:00Z'), ('week', '2030-01-20T11:00:00Z'),
                            ('month', '2030-01-31T11:00:00Z'), ('quarter', '2030-03-31T11:00:00Z'), ('year', '2030-12-31T11:00:00Z')):
            self.windows(self.customer('Pacific/Auckland', period), ('2030-01-16T09:15:00Z', end))

    def test_what_is_no_zone(self):
        self.node.account('no-zone')
        for zone, word in (('Europe/Atlantis', 'Europe/Atlantis'), ('../../etc/passwd', 'zone'), ('/etc/passwd', 'zone'), ('Europe', 'zone')):
            with self.subTest(zone):
                with self.assertRaises(CtlError) as e:
                    self.node.key('no-zone', budget='1', zone=zone)
                self.assertEqual(e.exception.status, 2)
                self.assertIn(word, str(e.exception.error))

    def test_a_zone_that_went_away_is_utc(self):
        """One line in the log of each process that counts; a limit that is set meanwhile is refused."""
        key = self.customer('Asia/Tokyo', 'day')
        self.node.until(utc('2031-05-05T12:00:00Z'))
        self.spend(key, 1)
        self.assertEqual(self.over(key), utc('2031-05-05T15:00:00Z'))
        self.node.stop()
        self.node.start(TZDIR=self.node.dir)
        mark = self.node.mark()
        self.node.until(utc('2031-05-06T12:00:00Z'))
        self.spend(key, 1)
        for _ in range(8):
            self.assertEqual(self.over(key), utc('2031-05-07T00:00:00Z'))
        told = self.node.events('zone_missing', since=mark)
        self.assertTrue(1 <= len(told) <= 3 and len({e['process'] for e in told}) == len(told), told)
        with self.assertRaises(CtlError):
            self.node.key('Asia-Tokyo-day', budget='1', zone='Asia/Tokyo')
        self.node.stop()
        self.node.start()
        self.node.until(utc('2031-05-08T12:00:00Z'))
        self.spend(key, 1)
        self.assertEqual(self.over(key), utc('2031-05-08T15:00:00Z'))


del Stepped

if __name__ == '__main__':
    tap.main()
