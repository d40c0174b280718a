"""Design 3.3, contract A4: a stream that costs more than its hold, for its provider minds neither cap nor bound, ends at once like one that
came to its cap: finish reason `length`, usage, [DONE]; charged at the hold; never more than one chunk over."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import stand_still, wait_for
from node import BACKS, NodeCase, charge_nusd, model, nusd, on_both
from provider import DONE, Provider, chunk, stream, whole
import tap

CAP = 20
PRICE = {'input': 0, 'output': 2}
MULLS = {'input': 1, 'output': 2, 'reasoning': 4}


def contents(a):
    """Pieces of content in a chat or completions stream."""
    return [c for item in a.data() for c in item['choices'] if c.get('text') or c.get('delta', {}).get('content') or c.get('delta', {}).get('reasoning_content')]


class Stops:
    """What holds for every kind of stream; the classes differ in durability."""
    MODELS = {
        **on_both('over', 'tokens=600&rate=400&over=1', **{'input': 0}),
        **on_both('burst', 'tokens=600&over=1', **{'input': 0}),
        **on_both('silent', 'tokens=600&rate=400&over=1&usage=none', **{'input': 0}),
        **on_both('thinks', 'reasoning=300&tokens=300&rate=400&over=1', **{'input': 0}),
        'tells-oai': model('oai/sim?tokens=600&rate=400&over=1&usage=every&input=0', price={'input': 0, 'output': 2}),
        'reasons-oai': model('oai/sim?reasoning=300&tokens=300&rate=400&over=1&usage=every', price={'input': 0, 'output': 2, 'reasoning': 20}),
        **on_both('ponders', 'reasoning=300&tokens=300&rate=400&over=1', price={'input': 0, 'output': 2, 'reasoning': 20}, **{'input': 0}),
        **on_both('muses', 'reasoning=300&tokens=300&rate=400&over=1&usage=none', price={'input': 1, 'output': 2, 'reasoning': 4}),
        **on_both('mulls', 'reasoning=6&tokens=2', price=MULLS),
        **on_both('priced', 'tokens=600&rate=400&over=1&input=30'),
        **on_both('big', 'tokens=4&size=40000&over=1', **{'input': 0}),
        **on_both('packed', 'tokens=600&size=24000&rate=300&over=1', **{'input': 0}),
        **on_both('minds', 'tokens=600&rate=2000&input=30', **{'input': 0}),
        'long-oai': model('oai/sim?tokens=600&size=24000&usage=every&input=10'),
        **on_both('wordy', 'tokens=600&size=4000', **{'input': 0}),
        **on_both('read', 'tokens=600&rate=400&input=4000'),
        **on_both('free', 'tokens=60&over=1', price='free'),
    }

    def stopped(self, a, over=1, price=PRICE, estimated=True):
        """A stream that was ended by the gateway; its record."""
        self.assertEqual((a.status, a.ended, a.is_done), (200, 'chunked', True), a)
        finish = [c['finish_reason'] for i in a.data() for c in i['choices'] if c.get('finish_reason')]
        self.assertEqual(set(finish), {'length'}, a)
        r = self.node.record(a.get('x-request-id'))
        self.assertEqual(nusd(r['charge_usd']), nusd(r['hold_usd']), r)
        self.assertEqual((r['end'], r['uncollected_usd'] and nusd(r['uncollected_usd'])), ('done', 0), r)
        self.assertEqual([t['error'] for t in r['attempts']], ['hold_used_up'], r)
        self.assertEqual(r['estimated'], estimated)
        self.assertEqual(a.usage['completion_tokens'], r['output'], a.usage)
        self.assertEqual(nusd(a.usage['cost']), nusd(r['charge_usd']), a.usage)
        one = charge_nusd({'output': over}, price)
        seen = charge_nusd({'input': r['input'], 'output': len(contents(a))}, price)
        self.assertGreater(seen, nusd(r['hold_usd']))
        self.assertLessEqual(seen, nusd(r['hold_usd']) + one)
        return r

    def test_the_stream_ends_behind_the_chunk_that_was_too_much(self):
        for back in BACKS:
            for name in ('over', 'burst', 'silent', 'thinks'):
                with self.subTest(back=back, name=name):
                    a = self.chat('%s-%s' % (name, back), True, max_tokens=CAP)
                    self.stopped(a)
                    self.assertEqual(len(contents(a)), CAP + 1)
                    self.assertEqual(a.usage['completion_tokens'] > CAP, True)

    def test_usage_asked_apart(self):
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('over-' + back, True, max_tokens=CAP, stream_options={'include_usage': True})
                self.stopped(a)
                self.assertEqual(a.data()[-1]['choices'], [])
                self.assertTrue(all('usage' in i for i in a.data()[-2:]), a)

    def test_the_provider_is_left_at_once(self):
        for back in BACKS:
            with self.subTest(back):
                self.sim.reset()
                self.chat('over-' + back, True, max_tokens=CAP)
                sent = wait_for(lambda: next((r for r in self.sim.requests() if r['aborted']), None))
                self.assertLess(sent['output'], 400)

    def test_input_counts(self):
        """What was held for the input and not used pays for output."""
        for back in BACKS:
            with self.subTest(back):
                self.stopped(self.chat('priced-' + back, True, max_tokens=CAP), price={'input': 1, 'output': 2})

    def test_reasoning_at_a_price_of_its_own(self):
        """Reasoning that is reported while it comes uses the hold up at its own price."""
        a = self.chat('reasons-oai', True, max_tokens=CAP)
        self.stopped(a, price={'input': 0, 'output': 20}, estimated=False)
        self.assertEqual(len(contents(a)), CAP + 1)

    def test_reasoning_that_is_not_reported(self):
        """So does reasoning that only shows."""
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('ponders-' + back, True, max_tokens=CAP)
                r = self.stopped(a, price={'input': 0, 'output': 20})
                self.assertEqual((len(contents(a)), r['reasoning']), (CAP + 1, r['output']), r)
                a = self.chat('muses-' + back, True, max_tokens=CAP)
                r = self.stopped(a, price={'input': 1, 'output': 4})
                self.assertEqual(r['reasoning'], r['output'], r)
                self.assertEqual(a.usage['completion_tokens_details']['reasoning_tokens'], r['reasoning'], a.usage)

    def test_reasoning_in_the_end(self):
        """A stream that comes to its end pays for its reasoning as one that is cut does, whether its provider tells it (oai) or not (ant)."""
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('mulls-' + back, True)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual((r['end'], r['output'], r['reasoning'], r['estimated']), ('done', 8, 6, back == 'ant'), r)
                self.assertEqual(nusd(r['charge_usd']), charge_nusd({'input': r['input'], 'output': 2, 'reasoning': 6}, MULLS), r)
                self.assertEqual(nusd(a.usage['cost']), nusd(r['charge_usd']), a.usage)
                self.assertEqual(a.usage['completion_tokens_details']['reasoning_tokens'], 6, a.usage)

    def test_usage_in_mid_stream(self):
        """What the client is told in the end is what its record has, not what the provider had reported by then."""
        for options in ({}, {'stream_options': {'include_usage': True}}):
            with self.subTest(options):
                self.stopped(self.chat('tells-oai', True, max_tokens=CAP, **options))

    def test_more_input_than_was_held(self):
        """An input above its bound leaves nothing for the output where it is reported first."""
        a = self.chat('read-ant', True, max_tokens=CAP)
        r = self.node.record(a.get('x-request-id'))
        self.assertEqual((a.is_done, len(contents(a)), nusd(r['charge_usd'])), (True, 1, nusd(r['hold_usd'])), a)

    def test_large_pieces(self):
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('big-' + back, True, max_tokens=CAP)
                self.assertEqual((a.is_done, len(contents(a))), (True, 1), a)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual(nusd(r['charge_usd']), nusd(r['hold_usd']))

    def test_pieces_of_many_tokens(self):
        """How many tokens a piece has is not known before the end: one, or one for each eight bytes, and one piece over."""
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('packed-' + back, True, max_tokens=CAP)
                self.assertEqual((a.is_done, len(contents(a))), (True, CAP * 8 // 40 + 1), a)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual((nusd(r['charge_usd']), r['attempts'][0]['error']), (nusd(r['hold_usd']), 'hold_used_up'), r)

    def test_several_choices(self):
        a = self.chat('over-oai', True, max_tokens=CAP, n=3)
        self.stopped(a)
        self.assertEqual(len(contents(a)), 3 * CAP + 1)
        finish = [(c['index'], c['finish_reason']) for i in a.data() for c in i['choices'] if c.get('finish_reason')]
        self.assertEqual(sorted(finish), [(0, 'length'), (1, 'length'), (2, 'length')])
        self.assertTrue(all(len(i['choices']) == 1 for i in a.data()), a)

    def test_completions(self):
        for options in ({}, {'stream_options': {'include_usage': True}}):
            body = dict({'model': 'over-oai', 'prompt': 'hi', 'stream': True, 'max_tokens': CAP}, **options)
            a = self.node.ask('POST', '/v1/completions', body, self.key)
            self.stopped(a)
            self.assertEqual(len(contents(a)), CAP + 1)

    def test_a_prompt_that_is_asked_back_is_no_output(self):
        for echo in (False, True):
            with self.subTest(echo=echo):
                body = {'model': 'big-oai', 'prompt': 'x' * 20000, 'stream': True, 'max_tokens': CAP, 'echo': echo}
                a = self.node.ask('POST', '/v1/completions', body, self.key)
                self.assertEqual((a.is_done, len(contents(a))), (True, 4 if echo else 1), a)

    def test_an_answer_within_its_cap_is_never_cut(self):
        """Neither at the cap itself nor with pieces that are longer than a token mostly is."""
        for back in BACKS:
            for name, cap in (('minds', CAP), ('wordy', 600), ('wordy', 900)):
                with self.subTest(back=back, name=name, cap=cap):
                    a = self.chat('%s-%s' % (name, back), True, max_tokens=cap)
                    r = self.node.record(a.get('x-request-id'))
                    self.assertEqual((a.is_done, len(contents(a)), r['output'], r['estimated']),
                                     (True, min(cap, 600), min(cap, 600), False), a)
                    self.assertEqual([t['error'] for t in r['attempts']], [''])

    def test_tokens_of_many_bytes(self):
        """What a provider counts with every piece is no more for being long."""
        a = self.chat('long-oai', True, max_tokens=CAP)
        r = self.node.record(a.get('x-request-id'))
        self.assertEqual((a.is_done, len(contents(a)), r['output'], r['estimated'], r['attempts'][0]['error']), (True, CAP, CAP, False, ''), r)
        self.assertEqual(nusd(r['charge_usd']), charge_nusd({'input': 10, 'output': CAP}, {'input': 1, 'output': 2}), r)

    def test_free_has_no_hold(self):
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('free-' + back, True, max_tokens=CAP)
                self.assertEqual((a.is_done, len(contents(a))), (True, 60))

    def test_whole_answers_are_charged_as_they_come(self):
        """3.3: beyond the hold as far as the account can pay."""
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('over-' + back, max_tokens=CAP)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual((r['output'], nusd(r['charge_usd'])), (600, charge_nusd({'output': 600}, PRICE)), r)

    def test_operators_are_told(self):
        mark = self.node.mark()
        a = self.chat('over-oai', True, max_tokens=CAP)
        e = self.node.wait_event('hold_used_up', since=mark)
        self.assertIn(a.get('x-request-id'), e['message'])
        self.assertEqual(e['level'], 'warn')


class Group(Stops, NodeCase):
    pass


class Settle(Stops, NodeCase):
    """With durability settle nothing of the end goes out before the charge is on disk."""
    CONFIG = {'durability': 'settle', 'ledger_lag_max': '30s'}

    def test_the_charge_is_on_disk_before_the_end(self):
        for back in BACKS:
            with self.subTest(back):
                a = self.chat('over-' + back, True, max_tokens=CAP)
                record = self.node.ctl('request', 'show', a.get('x-request-id'))  # is there, nobody waits for it
                self.assertEqual(nusd(record['charge_usd']), nusd(record['hold_usd']))

    def test_no_end_without_the_disk(self):
        """The keeper stands still: no finish, no usage, the error item after two seconds, and nothing is charged."""
        for back in BACKS:
            with self.subTest(back):
                before = self.node.settled('main')
                keeper = wait_for(lambda: self.node.children('keeper'))[0]
                stand_still(keeper)
                try:
                    a = self.chat('over-' + back, True, max_tokens=CAP)
                finally:
                    os.kill(keeper, signal.SIGCONT)
                self.assertEqual((a.status, a.ended, a.error['code']), (200, 'cut', 'ledger_unavailable'), a)
                items = a.data()[:-1]
                self.assertGreaterEqual(len(items), CAP)
                self.assertFalse([i for i in items if i.get('usage') or any(c.get('finish_reason') for c in i['choices'])], a)
                self.assertNotIn(b'[DONE]', a.body)
                self.assertGreaterEqual(a.end_at - a.begun, 2)
                self.assertEqual(self.node.settled('main')['balance_usd'], before['balance_usd'])


def said(*deltas):
    """A stream of these, CAP tokens by its usage."""
    items = [chunk(choices=[{'index': 0, 'delta': d, 'finish_reason': None}]) for d in deltas]
    usage = {'prompt_tokens': 5, 'completion_tokens': CAP, 'total_tokens': 5 + CAP}
    return [stream(*items, chunk(finish='stop'), chunk(choices=[], usage=usage), DONE)]


class Spelt(NodeCase):
    """Bytes count as they read: how a provider writes its text, and what it sends beside it, makes no answer longer."""
    ANSWERS = {
        'escaped': said(*[{'content': 'мир '}] * CAP),
        'parts': said(*[{'content': [{'type': 'thinking', 'thinking': [{'type': 'text', 'text': 'abcde'}]}]}] * (CAP - 1),
                      {'content': [{'type': 'text', 'text': 'abcde'}]}),
        'details': said(*[{'content': '', 'reasoning_details': [{'type': 'reasoning.text', 'text': 'abcde', 'format': 'v1', 'index': 0}]}] * CAP),
        'encrypted': said({'content': '', 'reasoning_details': [{'type': 'reasoning.encrypted', 'data': 'A' * 4000, 'index': 0}]},
                          *[{'content': 'abcde'}] * (CAP - 1)),
        'signed': said({'content': '', 'reasoning': None, 'reasoning_details': [{'type': 'reasoning.text', 'signature': 'A' * 4000, 'index': 0}]},
                       *[{'content': 'abcde'}] * (CAP - 1)),
    }
    MODELS = {name: model('p/' + name, price=PRICE) for name in ANSWERS}

    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(**cls.ANSWERS)
        cls.addClassCleanup(cls.provider.close)
        cls.CONFIG = {'providers': {'p': cls.provider.config()}}
        super().setUpClass()

    def test_an_answer_within_its_cap_is_never_cut(self):
        for name in self.ANSWERS:
            with self.subTest(name):
                a = self.chat(name, True, max_tokens=CAP)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual((a.is_done, [t['error'] for t in r['attempts']], r['output'], r['estimated']), (True, [''], CAP, False), a)


def thought(pieces):
    """A whole answer and a stream of so many tokens of reasoning and CAP of text."""
    usage = {'prompt_tokens': 5, 'completion_tokens': pieces + CAP, 'completion_tokens_details': {'reasoning_tokens': pieces}}
    deltas = [{'reasoning_content': 'hm '}] * pieces + [{'content': 'word '}] * CAP
    items = [chunk(choices=[{'index': 0, 'delta': d, 'finish_reason': None}]) for d in deltas]
    message = {'role': 'assistant', 'content': 'word ' * CAP, 'reasoning_content': 'hm ' * pieces}
    return {'whole': [whole({'id': 'c1', 'object': 'chat.completion', 'created': 1, 'model': 'up', 'usage': usage,
                             'choices': [{'index': 0, 'message': message, 'finish_reason': 'stop'}]})],
            'stream': [stream(*items, chunk(finish='stop'), chunk(choices=[], usage=usage), DONE)]}


class ReasoningBesideTheCap(NodeCase):
    """A provider whose cap does not bound the reasoning: what it may be beside it is held, and no more of it comes."""
    BUDGET = 3 * CAP
    ANSWERS = {'%s-%s' % (size, form): a for size, n in (('within', BUDGET), ('over', 20 * CAP)) for form, a in thought(n).items()}
    MODELS = {name: model('p/' + name, price=MULLS) for name in ANSWERS}

    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(**cls.ANSWERS)
        cls.addClassCleanup(cls.provider.close)
        cls.CONFIG = {'providers': {'p': cls.provider.config(reasoning_beside=1000)}}
        super().setUpClass()

    def record(self, name, **fields):
        a = self.chat(name, name.endswith('stream'), max_tokens=CAP, **fields)
        return self.node.record(a.get('x-request-id'))

    def test_a_budget_is_held_and_collected(self):
        for form in ('whole', 'stream'):
            with self.subTest(form):
                r = self.record('within-' + form, enable_thinking=True, thinking_budget=self.BUDGET)
                cost = charge_nusd({'input': 5, 'output': CAP, 'reasoning': self.BUDGET}, MULLS)
                self.assertEqual((r['end'], r['output'], r['reasoning'], nusd(r['charge_usd'])), ('done', self.BUDGET + CAP, self.BUDGET, cost), r)
                self.assertEqual([t['error'] for t in r['attempts']], [''], r)
                self.assertGreaterEqual(nusd(r['hold_usd']), charge_nusd({'reasoning': self.BUDGET + CAP}, MULLS), r)

    def test_without_a_budget_the_most_is_held(self):
        least = charge_nusd({'reasoning': 1000}, MULLS)
        self.assertGreater(nusd(self.record('within-whole', enable_thinking=True)['hold_usd']), least)
        self.assertLess(nusd(self.record('within-whole')['hold_usd']), least)  # it need not think
        poor = self.node.customer('poor', '0.003')
        a = self.node.chat(poor, 'within-whole', max_tokens=CAP, enable_thinking=True)
        self.assertEqual(a.status, 402, a)

    def test_beyond_its_budget_a_stream_is_ended(self):
        r = self.record('over-stream', enable_thinking=True, thinking_budget=self.BUDGET)
        self.assertEqual(([t['error'] for t in r['attempts']], nusd(r['charge_usd'])), (['hold_used_up'], nusd(r['hold_usd'])), r)


if __name__ == '__main__':
    tap.main()
