"""The stream contract (A4) and what provider faults become, before and after commit, on both backs."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, at_once
from gateway import wait_for
from node import BACKS, LONG, BusyNode, NodeCase, chat_body, charge_nusd, model, nusd, on_both
import tap

# Fault: what a stream with it becomes. before: nothing was sent, so the next candidate is tried; after: content was sent, so the error item;
# fine: a proper answer.
STREAM_FAULTS = {
    'before_head': 'before', 'half_head': 'before', 'after_head': 'before', 'lifecycle': 'before', 'noise': 'before', 'big_head': 'before',
    'html': 'before', 'empty': 'before', 'redirect': 'before', 'bad_chunk': 'before', 'two_lengths': 'before', 'silent': 'slow',
    'cut@3': 'after', 'utf8@2': 'after', 'json@2': 'after', 'rst@3&rate=50': 'after', 'stall@3': 'after', 'garbage@2': 'after',
    'big_frame@2': 'after', 'half_chunk@2': 'after', 'error_item@2': 'after', 'endless@3': 'after',
    'cut': 'before', 'garbage': 'before', 'utf8@1': 'before', 'rst': 'before', 'error_item': 'before', 'stall': 'slow',
    'dup_finish': 'fine', 'trailing': 'fine'}
WHOLE_FAULTS = {
    'before_head': 'before', 'half_head': 'before', 'after_head': 'before', 'cut': 'before', 'rst': 'before', 'noise': 'before',
    'big_head': 'before', 'html': 'before', 'empty': 'before', 'redirect': 'before', 'two_lengths': 'before', 'garbage': 'before',
    'error_item': 'before', 'short_length': 'before', 'long_length': 'before', 'silent': 'slow', 'stall': 'slow',
    'cut&chunked=1': 'before', 'half_chunk&chunked=1': 'before', 'bad_chunk&chunked=1': 'before', 'trailing': 'fine'}
TIMEOUTS = {'first_byte': '2s', 'first_byte_whole': '2s', 'between': '2s', 'total': '5s', 'total_whole': '5s'}


def named(prefix, fault):
    return prefix + '-' + fault.replace('@', '').replace('&', '-').replace('=', '')


def fault_models():
    made = {}
    for fault in sorted(set(STREAM_FAULTS) | set(WHOLE_FAULTS)):
        script = 'tokens=6&input=20&fault=' + fault
        for back in BACKS:
            first, good = '%s/sim?%s' % (back, script), '%s/sim?tokens=6&input=20' % back
            if fault == 'error_item' and back == 'ant':
                first = 'busy-' + first
            made[named('one-' + back, fault)] = model(first)
            made[named('two-' + back, fault)] = model(first, good)
    return made


class Faults(NodeCase):
    """Issue: 12 provoked faults; row 40: fallback only before commit, hold settled or voided in every case."""
    NODE = BusyNode
    MODELS = {**fault_models(), **on_both('good', 'tokens=6&input=20'),
              **on_both('unfinished', 'tokens=6&input=20&usage=none&fault=after_finish')}
    CONFIG = {'timeouts': TIMEOUTS, 'retry': {'minimum': 100000}, 'breaker': {'failures': 32, 'requests': 32, 'key_cool_down': '10ms'}}

    def check_error_item(self, a):
        self.assertEqual(a.status, 200, a)
        self.assertEqual(a.ended, 'cut', a)
        last = a.data()[-1]
        self.assertEqual(list(last), ['error'], a)
        self.assertEqual(set(last['error']), {'message', 'type', 'param', 'code', 'metadata'})
        self.assertIn(last['error']['metadata']['status'], (502, 503, 504))
        self.check_no_address(a)
        self.assertNotIn('[DONE]', a.body.decode())
        for item in a.data()[:-1]:
            self.assertNotIn('error', item)

    def check_refusal(self, a, kind):
        # Anthropic's error item says overloaded, as its status 529 does: the only candidate is out.
        expected = {'slow': (504, 'upstream_timeout'), 'overloaded': (503, 'overloaded')}.get(kind, (502, 'upstream_error'))
        self.assertTrue(a.is_whole)
        self.assertEqual((a.status, a.error['code']), expected, a)
        self.assertEqual(a.get('x-should-retry'), 'false' if kind == 'slow' else 'true')
        self.check_no_address(a)

    def check_no_address(self, a):
        """Nobody outside learns where the gateway's providers are."""
        self.assertNotRegex(str(a.headers) + a.body.decode(), r'127\.0\.0\.1|localhost|%d' % self.sim.port)

    def check_record(self, a, charged):
        record = self.node.record(a.get('x-request-id'))
        if not charged:
            self.assertEqual(nusd(record['charge_usd']), 0, record)
        self.assertGreaterEqual(nusd(record['charge_usd']), 0)
        return record

    def asked(self, prefix, faults, stream=False):
        """{model: answer}; those that are waited for are asked for at once."""
        names = {named('%s-%s' % (prefix, back), fault): fault for fault in faults for back in BACKS}
        slow = [name for name, fault in names.items() if fault.startswith(('silent', 'stall', 'endless'))]
        return {**self.chats(slow, stream), **{name: self.chat(name, stream) for name in names if name not in slow}}

    def test_one_candidate_streamed(self):
        answers = self.asked('one', STREAM_FAULTS, True)
        for fault, kind in STREAM_FAULTS.items():
            for back in BACKS:
                if fault == 'error_item':
                    kind = 'overloaded' if back == 'ant' else 'before'
                with self.subTest(fault=fault, back=back):
                    a = answers[named('one-' + back, fault)]
                    if kind == 'fine':
                        self.assertTrue(a.is_whole and a.is_done, a)
                        self.assertEqual([c['finish_reason'] for i in a.data() for c in i['choices'] if c.get('finish_reason')], ['stop'])
                        self.assertEqual(a.usage['completion_tokens'], 6)
                    elif kind == 'after':
                        self.check_error_item(a)
                        # What a provider spoilt is free, unless it had reported usage; the total time is no fault of a provider.
                        self.check_record(a, charged=back == 'ant' or fault.startswith('endless'))
                    else:
                        self.check_refusal(a, kind)
                        self.check_record(a, charged=False)

    def test_one_candidate_whole(self):
        answers = self.asked('one', WHOLE_FAULTS)
        for fault, kind in WHOLE_FAULTS.items():
            for back in BACKS:
                with self.subTest(fault=fault, back=back):
                    a = answers[named('one-' + back, fault)]
                    if kind == 'fine':
                        self.assertEqual((a.status, a.usage['completion_tokens']), (200, 6), a)
                    else:
                        self.check_refusal(a, kind)
                        self.check_record(a, charged=False)

    def test_two_candidates(self):
        for stream, faults in ((False, WHOLE_FAULTS), (True, STREAM_FAULTS)):
            answers = self.asked('two', faults, stream)
            for fault, kind in faults.items():
                for back in BACKS:
                    with self.subTest(fault=fault, back=back, stream=stream):
                        a = answers[named('two-' + back, fault)]
                        if kind == 'after':
                            self.check_error_item(a)
                            continue
                        self.assertEqual((a.status, a.is_whole), (200, True), a)
                        self.assertEqual(a.get('x-aigw-attempts'), '1' if kind == 'fine' else '2', a)
                        self.assertEqual((a.usage['prompt_tokens'], a.usage['completion_tokens']), (20, 6), a)
                        if kind != 'fine':
                            record = self.check_record(a, charged=True)
                            self.assertEqual(nusd(record['charge_usd']), charge_nusd({'input': 20, 'output': 6}, {'input': 1, 'output': 2}))
                            self.assertEqual(len(record['attempts']), 2)

    def test_finish_without_usage_or_end(self):
        """The stream ended behind the finish reason: one of the two ends, usage estimated."""
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('unfinished-' + back, True)
                self.assertEqual(a.status, 200)
                if a.is_done:
                    self.assertEqual(a.ended, 'chunked')
                    self.assertIsNotNone(a.usage)
                else:
                    self.check_error_item(a)
                self.assertTrue(self.node.record(a.get('x-request-id'))['estimated'])

    def test_good_answers_after_bad_connections(self):
        """A connection with a framing error or trailing bytes is not used again."""
        for back in BACKS:
            for fault in ('trailing', 'short_length', 'noise', 'two_lengths', 'dup_finish'):
                for stream in (False, True):
                    with self.subTest(fault=fault, back=back, stream=stream):
                        self.chat(named('one-' + back, fault), stream)
                        for _ in range(2):
                            a = self.chat('good-' + back, stream)
                            self.assertEqual((a.status, a.usage['completion_tokens']), (200, 6), a)


class Streams(NodeCase):
    """A4, the rest of it."""
    MODELS = {
        **on_both('flow', 'tokens=20&input=11'),
        **on_both('slowstart', 'tokens=3&input=11&delay=1200ms'),
        **on_both('slow', 'tokens=2&input=11&rate=1'),
        'silent': model('oai/sim?tokens=3&input=11&first=1700ms'),
        **on_both('late', 'tokens=3&input=11&late=800ms'),
        'slow-fails': model('oai/sim?delay=1200ms&fault=after_head'),
        'slow-fails-over': model('oai/sim?delay=1200ms&fault=after_head', 'ant/sim?tokens=3&input=11'),
        **{'usage-' + u: model('oai/sim?tokens=5&input=11&usage=' + u) for u in ('finish', 'twice', 'every', 'choice', 'zero', 'none')},
        'nodone': model('oai/sim?tokens=5&input=11&done=0'),
        'flood': model('oai/sim?tokens=2000&size=8000000&input=11', max_output=2500000, context=10000000),
        'comments': model('oai/sim?tokens=5&input=11&comments=5&crlf=1'),
        'unframed': model('oai/sim?tokens=5&input=11&close=2'),
        **on_both('bytes', 'tokens=3&input=11&chunk=1'),
        **on_both('run', 'tokens=2000&rate=200&input=11'),
    }
    CONFIG = {'timeouts': {'head_after': '400ms', 'keepalive': '400ms'}, 'retry': {'minimum': 100000},
              'breaker': {'failures': 32, 'requests': 32}}

    def open(self, model, **more):
        c = Conn(self.node.port)
        headers = more.pop('headers', ())
        c.request('POST', '/v1/chat/completions', chat_body(model, True, **more), headers, self.key)
        return c

    @tap.alone
    def test_head_after_and_signs_of_life(self):
        for back in BACKS:
            with self.subTest(back):
                with self.open('slowstart-' + back) as c:
                    head = c.head()
                    waited = head.head_at - head.begun
                    body = b''.join(c.parts(head))
                self.assertTrue(0.35 < waited < 0.9, waited)
                self.assertEqual(body.count(b': aigw\n\n'), 1 if b': aigw\n\n: aigw\n\n' not in body else 2, body)
                self.assertTrue(body.startswith(b': aigw\n\n'), body)
                self.assertTrue(body.endswith(b'data: [DONE]\n\n'))

    def test_signs_of_life_in_mid_stream(self):
        a = self.chat('slow-oai', True)
        self.assertGreaterEqual(a.body.count(b': aigw\n\n'), 3, a)
        self.assertEqual(a.text and a.is_done, True)

    def test_signs_of_life_can_be_switched_off(self):
        for a in self.chats(('slow-oai', 'slowstart-ant'), True, headers=[('x-aigw-keepalive', 'off')]).values():
            self.assertNotIn(b': aigw', a.body)
            self.assertTrue(a.is_done)

    def test_signs_of_life_by_key(self):
        """The key's own interval, in place of the node's 400 ms; a change holds for the next request."""
        off, second = self.node.key('main', keepalive='0'), self.node.key('main', keepalive='1s')
        none, a = at_once(lambda: self.chat('slow-oai', True, key=off), lambda: self.chat('silent', True, key=second))
        self.assertNotIn(b': aigw', none.body)
        self.assertEqual(a.body.count(b': aigw\n\n'), 1, a) # after 1 s of 1.7 s
        self.assertTrue(a.is_done)
        self.node.ctl('key', 'update', off, '--keepalive', 'none')
        self.assertGreaterEqual(self.chat('slow-oai', True, key=off).body.count(b': aigw\n\n'), 3)

    def test_flowing_streams_have_no_comments(self):
        for name in ('flow-oai', 'flow-ant', 'comments'):
            with self.subTest(name):
                a = self.chat(name, True)
                self.assertTrue(a.is_done and a.is_whole, a)
                self.assertNotIn(b': aigw', a.body)

    def test_no_signs_of_life_behind_what_is_not_read(self):
        """Who does not read for the time of five comments finds none: there is enough to read, and buffers do not grow by them."""
        with Conn(self.node.port, rcvbuf=4096) as c:
            c.request('POST', '/v1/chat/completions', chat_body('flood', True), key=self.key)
            head = c.head()
            time.sleep(2)
            body = b''.join(c.parts(head))
        self.assertTrue(body.endswith(b'data: [DONE]\n\n'))
        self.assertLess(body.count(b': aigw\n\n'), 3)  # a machine that stands still for 400 ms has its own

    def test_failure_behind_an_early_head(self):
        a, b = self.chats(('slow-fails', 'slow-fails-over'), True).values()
        self.assertEqual((a.status, a.ended), (200, 'cut'), a)
        self.assertEqual(a.error['metadata']['status'], 502)
        self.assertTrue(b.is_whole and b.is_done, b)
        self.assertEqual(b.usage['completion_tokens'], 3)

    def test_usage_once_in_every_form(self):
        for form in ('finish', 'twice', 'every', 'choice', 'zero', 'none'):
            for asked in (False, True):
                with self.subTest(form, asked=asked):
                    a = self.chat('usage-' + form, True, **({'stream_options': {'include_usage': True}} if asked else {}))
                    self.assertTrue(a.is_done and a.is_whole, a)
                    self.assertEqual(len([i for i in a.data() if i.get('usage')]), 1, a)
                    self.assertEqual(len([i for i in a.data() if not i['choices']]), 1 if asked else 0, a)
                    self.assertEqual(len([1 for i in a.data() for c in i['choices'] if c.get('finish_reason')]), 1)
                    record = self.node.record(a.get('x-request-id'))
                    self.assertEqual(record['estimated'], form == 'none', record)
                    cost = nusd(a.usage['cost'])
                    self.assertEqual(cost, nusd(record['charge_usd']))
                    if form == 'zero':
                        self.assertIn(b'"cost":0.0', a.body)
                        self.assertEqual(cost, 0)
                    elif form == 'none':
                        self.assertGreater(cost, 0)
                    else:
                        self.assertEqual(cost, charge_nusd({'input': 11, 'output': 5}, {'input': 1, 'output': 2}))

    def test_missing_done_and_missing_length(self):
        for name in ('nodone', 'unframed'):
            with self.subTest(name):
                a = self.chat(name, True)
                self.assertTrue(a.is_done and a.is_whole, a)
                self.assertEqual(a.usage['completion_tokens'], 5)

    def test_upstream_of_single_bytes(self):
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('bytes-' + back, True)
                self.assertTrue(a.is_done and a.is_whole, a)
                self.assertEqual(len([c for i in a.data() for c in i['choices'] if c['delta'].get('content')]), 3)

    @tap.alone
    def test_finish_is_held_for_late_usage_at_most_250_ms(self):
        with self.open('late-oai') as c:
            head, at, body = c.head(), None, b''
            for part in c.parts(head):
                body += part
                if at is None and b'"finish_reason":"stop"' in body.replace(b' ', b''):
                    at = time.monotonic() - head.head_at
        self.assertTrue(0.15 < at < 0.6, at)
        a = self.chat('late-oai', True)
        last = a.data()[-1]
        self.assertEqual(last['choices'], [{'index': 0, 'delta': {}, 'finish_reason': None}])
        self.assertEqual(last['usage']['completion_tokens'], 3)
        self.assertTrue(a.is_done)

    def test_several_choices(self):
        a = self.chat('flow-oai', True, n=3)
        finished = sorted(c['index'] for i in a.data() for c in i['choices'] if c.get('finish_reason'))
        self.assertEqual(finished, [0, 1, 2])
        self.assertEqual(len([i for i in a.data() if i.get('usage')]), 1)
        self.assertTrue(all(i['choices'] for i in a.data()))

    def test_client_that_closes_at_done_is_complete(self):
        """A4: 1,000 of 1,000 are charged and logged as complete (200 here, all of them with AIGW_LONG=1)."""
        self.sim.reset()
        ids = []
        for i in range(1000 if LONG else 200):
            with self.open('flow-' + ('oai', 'ant')[i % 2]) as c:
                head = c.head()
                ids.append(head.get('x-request-id'))
                body = b''
                for part in c.parts(head):
                    body += part
                    if b'[DONE]' in body:
                        break
        self.node.settled('main')
        lines = self.node.access(*ids)
        self.assertEqual({e['end'] for e in lines.values()}, {'done'})
        self.assertFalse([r for r in self.sim.requests() if r['aborted']])

    def leave(self, name, tokens):
        """Reads so many content items, then leaves; the request's id."""
        with self.open(name) as c:
            head, body = c.head(), b''
            for part in c.parts(head):
                body += part
                if body.count(b'"content"') >= tokens:
                    break
            c.reset()
        return head.get('x-request-id')

    def test_client_gone_aborts(self):
        for back in BACKS:
            with self.subTest(back):
                rid = self.leave('run-' + back, 50)
                record = self.node.record(rid)
                sent = wait_for(lambda: next((r for r in reversed(self.sim.requests()) if 'rate=200' in r['model'] and r['aborted']), None))
                self.assertLess(sent['output'], 400)
                self.assertEqual(record['end'], 'client_gone')
                self.assertGreaterEqual(record['output'], 40)
                self.assertLessEqual(record['output'], sent['output'] * 5 // 4)  # events or, where it is more, bytes / 4
                self.assertGreater(nusd(record['charge_usd']), 0)
                self.sim.reset()


class Drain(NodeCase):
    """Client gone with policy drain: the answer is read to its end and charged as the provider reports it."""
    MODELS = on_both('run', 'tokens=100&rate=100&input=11')
    CONFIG = {'client_gone': {'policy': 'drain'}}

    def test_client_gone_drains(self):
        for back in BACKS:
            with self.subTest(back):
                rid = Streams.leave(self, 'run-' + back, 5)
                record = self.node.record(rid)
                self.assertEqual((record['input'], record['output'], record['estimated']), (11, 100, False), record)
                self.assertEqual(nusd(record['charge_usd']), charge_nusd({'input': 11, 'output': 100}, {'input': 1, 'output': 2}))

    open = Streams.open


if __name__ == '__main__':
    tap.main()
