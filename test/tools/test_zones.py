#!/usr/bin/env python3
"""Windows in named time zones against Python's zoneinfo, which reads the same tzdata with code of its own. The reference is slow and
simple: all spans of one offset between 1969 and 2140, found by asking for the offset day by day and halving. A date begins at the first
instant of any span at which it or a later one is shown. AIGW_LONG=1 takes every zone there is, else the odd ones and some by chance."""
import bisect
import datetime
import os
import random
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import tap  # noqa: E402

try:
    import zoneinfo
    ZONES = sorted(zoneinfo.available_timezones() - {'localtime', 'Factory'})
except ImportError:
    ZONES = []
HAVE = 'Europe/Berlin' in ZONES
SEED = int(os.environ.get('AIGW_SEED') or random.SystemRandom().randrange(10**6))
DAY = 86400
EPOCH = datetime.date(1970, 1, 1)
FROM, UNTIL = -400 * DAY, 62135 * DAY  # 2140-02-13: beyond every table of tzdata
# Clocks that skip midnight or fall back over it, or a minute later; offsets of odd length; dates left out; DST of half an hour, of two
# hours, all year, negative, twice around Ramadan; rules beyond the table.
ODD = ('America/Sao_Paulo', 'Africa/Cairo', 'Pacific/Apia', 'America/St_Johns', 'Pacific/Kwajalein', 'Pacific/Enderbury', 'Europe/Dublin',
       'Africa/Casablanca', 'Australia/Lord_Howe', 'Antarctica/Troll', 'Asia/Gaza', 'Asia/Kathmandu', 'Africa/Monrovia', 'America/Havana',
       'America/Asuncion', 'Asia/Beirut', 'Asia/Tehran', 'America/Nuuk', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Chatham',
       'Pacific/Kiritimati', 'Etc/GMT+12', 'UTC', 'Asia/Pyongyang', 'America/Caracas', 'Antarctica/Casey', 'America/Scoresbysund', 'Asia/Manila')


def utc(*words):
    return int(datetime.datetime(*words, tzinfo=datetime.timezone.utc).timestamp())


class Zone:
    """The reference."""

    def __init__(self, name):
        self.tz = zoneinfo.ZoneInfo(name)
        self.spans = []  # (from, offset)
        at, offset = FROM, self.ask(FROM)
        self.spans.append((at, offset))
        for t in range(FROM, UNTIL, DAY):
            now = self.ask(t)
            if now != offset:
                lo, hi = t - DAY, t
                while hi - lo > 1:
                    mid = (lo + hi) // 2
                    lo, hi = (mid, hi) if self.ask(mid) == offset else (lo, mid)
                self.spans.append((hi, now))
                offset = now
        self.starts = [s[0] for s in self.spans]

    def ask(self, t):
        local = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=t)
        return int(local.astimezone(self.tz).utcoffset().total_seconds())

    def offset(self, t):
        return self.spans[bisect.bisect_right(self.starts, t) - 1][1]

    def date_begin(self, date):
        local = (date - EPOCH).days * DAY
        near = bisect.bisect_right(self.starts, local - 2 * DAY) - 1
        found = []
        for i in range(max(near, 0), len(self.spans)):
            begin, offset = self.spans[i]
            end = self.spans[i + 1][0] if i + 1 < len(self.spans) else UNTIL + 10**9
            at = max(begin, local - offset)
            if at < end:
                found.append(at)
            if begin > local + 2 * DAY:
                break
        return min(found)

    def date(self, t):
        d = EPOCH + datetime.timedelta(days=(t + self.offset(t)) // DAY + 2)
        while self.date_begin(d) > t:
            d -= datetime.timedelta(days=1)
        return d

    def ticks(self, t, length):
        """Borders around t: the clock shows a multiple of the length, or the offset changes by a part of it."""
        begin = t - (t + self.offset(t)) % length
        i = bisect.bisect_right(self.starts, t) - 1
        cuts = [s for j, (s, o) in enumerate(self.spans) if j and abs(j - i) <= 3 and (o - self.spans[j - 1][1]) % length]
        end = begin + length
        return max([begin] + [c for c in cuts if c <= t]), min([end] + [c for c in cuts if c > t])

    def window(self, unit, t):
        if unit in ('minute', 'hour'):
            return self.ticks(t, {'minute': 60, 'hour': 3600}[unit])
        d = self.date(t)
        if unit == 'day':
            first, later = d, d + datetime.timedelta(days=1)
        elif unit == 'week':
            first = d - datetime.timedelta(days=d.weekday())
            later = first + datetime.timedelta(days=7)
        else:
            months = {'month': 1, 'quarter': 3, 'year': 12}[unit]
            m = d.year * 12 + (d.month - 1) // months * months
            first = datetime.date(m // 12, m % 12 + 1, 1)
            m += months
            later = datetime.date(m // 12, m % 12 + 1, 1)
        return self.date_begin(first), self.date_begin(later)


def ask(lines):
    p = subprocess.run([os.environ['ZONE_BORDERS']], input=''.join('%s %s %d\n' % l for l in lines), text=True, capture_output=True, check=True)
    return [tuple(int(v) for v in line.split()) for line in p.stdout.splitlines()]


@unittest.skipUnless(HAVE, 'no tzdata here')
class Zones(unittest.TestCase):
    maxDiff = None

    def compare(self, name, zone, times):
        lines = [(name, unit, t) for t in times for unit in ('minute', 'hour', 'day', 'week', 'month', 'quarter', 'year')]
        for (_, unit, t), (offset, begin, later) in zip(lines, ask(lines), strict=True):
            text = 'seed %d: %s in %s at %d' % (SEED, unit, name, t)
            self.assertEqual(offset, zone.offset(t), text)
            self.assertEqual((begin, later), zone.window(unit, t), text)
            self.assertTrue(begin <= t < later, text)

    def test_windows_are_those_of_zoneinfo(self):
        rnd = random.Random(SEED)
        names = ZONES if os.environ.get('AIGW_LONG') == '1' else sorted({z for z in ODD if z in ZONES} | set(rnd.sample(ZONES, 10)))
        for name in names:
            zone = Zone(name)
            times = [rnd.randrange(0, UNTIL - 800 * DAY) for _ in range(150)]
            for s, _ in rnd.sample(zone.spans[1:], min(len(zone.spans) - 1, 40)):
                if 0 < s < UNTIL - 800 * DAY:
                    times += [max(s + d, 0) for d in (-DAY, -3601, -1800, -61, -1, 0, 1, 59, 1799, 3599, 3600, 7200, DAY, rnd.randrange(-DAY, DAY))]
            self.compare(name, zone, times)

    def test_windows_tile_the_time(self):
        """The window before begins one second before this one, and the next one where this one ends."""
        rnd = random.Random(SEED)
        names = [z for z in ODD if z in ZONES] + rnd.sample(ZONES, 60)
        for unit in ('minute', 'hour', 'day', 'week', 'month', 'quarter', 'year'):
            lines = [(name, unit, rnd.randrange(10**9, 4 * 10**9)) for name in names for _ in range(20)]
            answers = ask(lines)
            after = ask([(n, u, a[2]) for (n, u, _), a in zip(lines, answers)])
            before = ask([(n, u, a[1] - 1) for (n, u, _), a in zip(lines, answers)])
            at = ask([(n, u, a[1]) for (n, u, _), a in zip(lines, answers)])
            for line, a, b, c, d in zip(lines, before, answers, after, at):
                self.assertEqual((a[2], b[2], b[1:]), (b[1], c[1], d[1:]), 'seed %d: %s %s %d' % (SEED, *line))

    def test_days_of_odd_length(self):
        for name, unit, t, begin, later in (
                ('Europe/Berlin', 'day', utc(2026, 3, 29, 12), utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),
                ('Europe/Berlin', 'day', utc(2026, 10, 25, 12), utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
                # The hour from two to three comes twice: two windows of an hour.
                ('Europe/Berlin', 'hour', utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 0), utc(2026, 10, 25, 1)),
                ('Europe/Berlin', 'hour', utc(2026, 10, 25, 1, 30), utc(2026, 10, 25, 1), utc(2026, 10, 25, 2)),
                # Midnight is skipped: the day begins at one.
                ('America/Sao_Paulo', 'day', utc(2018, 11, 4, 12), utc(2018, 11, 4, 3), utc(2018, 11, 5, 2)),
                ('Africa/Cairo', 'day', utc(2024, 4, 26, 12), utc(2024, 4, 25, 22), utc(2024, 4, 26, 21)),
                # The clock falls back over midnight: the hour that comes again is yesterday's still, and its 25th.
                ('America/Sao_Paulo', 'day', utc(2018, 2, 18, 2, 30), utc(2018, 2, 17, 2), utc(2018, 2, 18, 3)),
                # It falls back a minute after midnight: today has begun, and stays.
                ('America/St_Johns', 'day', utc(2010, 11, 7, 2, 45), utc(2010, 11, 7, 2, 30), utc(2010, 11, 8, 3, 30)),
                # 2011-12-30 was left out.
                ('Pacific/Apia', 'day', utc(2011, 12, 30, 9, 59), utc(2011, 12, 29, 10), utc(2011, 12, 30, 10)),
                ('Pacific/Apia', 'day', utc(2011, 12, 30, 10), utc(2011, 12, 30, 10), utc(2011, 12, 31, 10)),
                # Half an hour of DST cuts an hour.
                ('Australia/Lord_Howe', 'hour', utc(2026, 4, 4, 15, 10), utc(2026, 4, 4, 15), utc(2026, 4, 4, 15, 30)),
                ('Europe/Berlin', 'month', utc(2028, 2, 29, 22, 59), utc(2028, 1, 31, 23), utc(2028, 2, 29, 23)),
                ('Europe/Berlin', 'year', utc(2100, 2, 28, 12), utc(2099, 12, 31, 23), utc(2100, 12, 31, 23)),
                ('Asia/Kolkata', 'week', utc(2026, 11, 29, 18, 29), utc(2026, 11, 22, 18, 30), utc(2026, 11, 29, 18, 30))):
            with self.subTest(zone=name, unit=unit, t=t):
                self.assertEqual(ask([(name, unit, t)])[0][1:], (begin, later))


if __name__ == '__main__':
    tap.main()
