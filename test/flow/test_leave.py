"""Contract A4, design 3.3: a client that leaves before its answer is complete. Policy `abort` leaves the provider at once and charges what was
seen; `drain` reads on, up to its caps, so that what the provider reports is charged. A key may have a policy of its own."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from node import BACKS, NodeCase, charge_nusd, chat_body, model, nusd, on_both
import tap

PRICE = {'input': 1, 'output': 2}


class Leaver:
    MODELS = {
        **on_both('run', 'tokens=100&rate=100&input=11'),
        **on_both('think', 'tokens=30&hidden=70&rate=100&input=11'),
        **on_both('muse', 'tokens=30&hidden=70&rate=500&delay=1500ms&input=11'),
        **on_both('long', 'tokens=3000&rate=200&input=11'),
        **on_both('over', 'tokens=3000&rate=500&over=1&input=11'),
        'every-oai': model('oai/sim?tokens=100&size=3200&rate=100&usage=every&input=11'),
        'broad-ant': model('ant/sim?tokens=100&size=800&rate=100&input=11'),
        **on_both('none', 'tokens=100&rate=100&usage=none'),
        **on_both('cut', 'tokens=100&rate=100&usage=none&fault=cut@50'),
        **on_both('fails', 'status=500&delay=1500ms'),
        'next': dict(on_both('x', '')['x-oai'], offers={'oai/sim?status=500&delay=1500ms': {'priority': 1}, 'ant/sim?tokens=3': {'priority': 2}}),
    }

    def leave(self, name, stream=True, tokens=5, seconds=0.0, key=None, **fields):
        """Leaves behind so many content items of a stream, or after a time; the access line."""
        mark = self.node.mark()
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body(name, stream, **fields), key=key or self.key)
            body = b''
            while stream and not seconds and body.count(b'"content":"') <= tokens:
                self.assertTrue(c.fill(), c.buffer)
                body = c.buffer
            time.sleep(seconds)
            c.reset()
        return wait_for(lambda: next(iter(self.node.events('request', mark)), None), 15)

    def record(self, line, end='client_gone'):
        r = self.node.record(line['request_id'])
        self.assertEqual((r['end'], line['end']), (end, end), r)
        return r

    def charge(self, r):
        return nusd(r['charge_usd'])

    def reported(self, r, output=100):
        """Charged is what the provider reported."""
        self.assertEqual((r['input'], r['output'], r['estimated']), (11, output, False), r)
        self.assertEqual(self.charge(r), charge_nusd({'input': 11, 'output': output}, PRICE))

    def seen(self, r, most):
        """Charged is what was seen."""
        self.assertTrue(r['estimated'], r)
        self.assertLess(r['output'], most)
        self.assertGreater(r['output'], 0)
        self.assertEqual(self.charge(r), charge_nusd({'input': r['input'], 'output': r['output']}, PRICE))


class Abort(Leaver, NodeCase):
    def test_what_was_seen_is_charged(self):
        for back in BACKS:
            for name in ('run', 'none'):
                with self.subTest(back=back, name=name):
                    self.seen(self.record(self.leave('%s-%s' % (name, back))), 80)

    def test_what_was_told_is_charged(self):
        """However many bytes it has."""
        r = self.record(self.leave('every-oai', tokens=40))
        self.assertGreaterEqual(r['output'], 40)
        self.assertLess(r['output'], 100)
        self.reported(r, r['output'])

    def test_what_is_guessed_beside_what_was_told_is_no_more_than_the_cap(self):
        r = self.record(self.leave('broad-ant', tokens=60, max_tokens=100))
        self.seen(r, 101)
        self.assertEqual((r['input'], r['output']), (11, 100), r)
        self.assertLessEqual(self.charge(r), nusd(r['hold_usd']))

    def test_a_prompt_of_ids_is_charged_by_their_number(self):
        mark = self.node.mark()
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/completions', {'model': 'run-oai', 'prompt': [7] * 1000, 'max_tokens': 100, 'stream': True}, key=self.key)
            while c.buffer.count(b'"text":"') <= 5:
                self.assertTrue(c.fill(), c.buffer)
            c.reset()
        r = self.record(wait_for(lambda: next(iter(self.node.events('request', mark)), None), 15))
        self.seen(r, 80)
        self.assertEqual(r['input'], 1000 + 96 // 2)

    def test_the_provider_is_left_at_once(self):
        for back in BACKS:
            with self.subTest(back):
                self.sim.reset()
                self.leave('long-' + back)
                sent = wait_for(lambda: next((r for r in self.sim.requests() if r['aborted']), None))
                self.assertLess(sent['output'], 300)

    def test_hidden_reasoning_is_lost(self):
        """It stands in the usage that never comes: drain is the remedy."""
        for back in BACKS:
            with self.subTest(back):
                self.seen(self.record(self.leave('think-' + back)), 31)

    def test_before_the_answer_nothing_is_charged(self):
        for back in BACKS:
            for stream in (True, False):
                with self.subTest(back=back, stream=stream):
                    r = self.record(self.leave('muse-' + back, stream, seconds=0.3))
                    self.assertEqual(self.charge(r), 0)

    def test_a_key_that_drains(self):
        key = self.node.key('main', client_gone='drain')
        self.reported(self.record(self.leave('run-oai', key=key)))
        self.assertEqual(self.node.ctl('key', 'show', key.split('-')[2])['client_gone'], 'drain')
        self.node.ctl('key', 'update', key.split('-')[2], '--client-gone', 'abort')
        self.seen(self.record(self.leave('run-oai', key=key)), 80)
        self.node.ctl('key', 'update', key.split('-')[2], '--client-gone', 'node')
        self.seen(self.record(self.leave('run-oai', key=key)), 80)


class Drain(Leaver, NodeCase):
    CONFIG = {'client_gone': {'policy': 'drain'}}

    def test_what_is_reported_is_charged(self):
        for back in BACKS:
            for name in ('run', 'think'):
                with self.subTest(back=back, name=name):
                    r = self.record(self.leave('%s-%s' % (name, back)))
                    self.reported(r)
                    self.assertEqual([t['error'] for t in r['attempts']], [''])

    def test_before_the_answer_too(self):
        """What the provider thinks about for long is paid for, whole answers as well."""
        for back in BACKS:
            for stream in (True, False):
                with self.subTest(back=back, stream=stream):
                    self.reported(self.record(self.leave('muse-' + back, stream, seconds=0.3)))

    def test_whole_answers_keep_their_connection(self):
        self.sim.reset()
        before = self.sim.counts()['connections']
        for _ in range(4):
            self.reported(self.record(self.leave('muse-oai', False, seconds=0.1)))
        self.assertLessEqual(self.sim.counts()['connections'] - before, 3)  # two workers, and this question itself
        self.assertEqual([r for r in self.sim.requests() if r['aborted']], [])

    def test_no_usage_is_estimated(self):
        for back in BACKS:
            with self.subTest(back):
                r = self.record(self.leave('none-' + back))
                self.assertTrue(r['estimated'])
                self.assertGreaterEqual(r['output'], 100)

    def test_the_hold_is_the_last_cap(self):
        """The client cannot be charged more than it would have been had it stayed."""
        for back in BACKS:
            with self.subTest(back):
                r = self.record(self.leave('over-' + back, max_tokens=40))
                self.assertEqual((self.charge(r), [t['error'] for t in r['attempts']]), (nusd(r['hold_usd']), ['hold_used_up']))

    def test_a_failure_of_the_provider_is_not_the_clients(self):
        for back in BACKS:
            with self.subTest(back):
                r = self.record(self.leave('fails-' + back, seconds=0.3), 'upstream_error')
                self.assertEqual(self.charge(r), 0)

    def test_nobody_else_is_tried_for_a_client_that_is_gone(self):
        self.sim.reset()
        r = self.record(self.leave('next', seconds=0.3), 'upstream_error')
        self.assertEqual((len(r['attempts']), len(self.sim.requests())), (1, 1))

    def test_a_key_that_aborts(self):
        key = self.node.key('main', client_gone='abort')
        self.seen(self.record(self.leave('run-oai', key=key)), 80)


class Caps(Leaver, NodeCase):
    CONFIG = {'client_gone': {'policy': 'drain'}}

    def caps(self, **caps):
        self.node.configure(client_gone=dict({'time': '60s', 'tokens': 0, 'cap': '1MiB'}, **caps))
        self.node.ctl('reload')

    def test_time(self):
        self.caps(time='1s')
        for back in BACKS:
            with self.subTest(back):
                begun = time.monotonic()
                r = self.record(self.leave('long-' + back))
                self.assertLess(time.monotonic() - begun, 5)
                self.assertTrue(100 < r['output'] < 700, r)
                self.assertTrue(r['estimated'])

    def test_time_before_the_answer(self):
        self.caps(time='1s')
        r = self.record(self.leave('muse-oai', False, seconds=0.1))
        self.assertEqual(self.charge(r), 0)

    def test_tokens(self):
        self.caps(tokens=50)
        for back in BACKS:
            with self.subTest(back):
                r = self.record(self.leave('long-' + back))
                self.assertTrue(50 < r['output'] < 110, r)

    def test_size(self):
        self.caps(cap='1KiB')
        for back in BACKS:
            with self.subTest(back):
                r = self.record(self.leave('long-' + back))
                self.assertTrue(200 < r['output'] < 320, r)  # five bytes a token, four of which are estimated as one


if __name__ == '__main__':
    tap.main()
