"""Design 3.3: what is charged of usage that a provider reports in pieces, as nonsense, or not at all. No token costs twice, and none is free for
whoever leaves before it is counted."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import NodeCase, charge_nusd, model, nusd
from provider import DONE, Provider, chunk, stream, whole
import tap

PRICE = {'input': 1, 'cache_read': 0.1, 'output': 2, 'output_audio': 80, 'output_image': 30, 'reasoning': 4}


def usage(prompt, completion, **more):
    return dict({'prompt_tokens': prompt, 'completion_tokens': completion, 'total_tokens': prompt + completion}, **more)


def told(*usages):
    """Three pieces, then each of these."""
    return [stream(*[chunk('word ')] * 3, chunk(finish='stop'), *[chunk(choices=[], usage=u) for u in usages], DONE)]


class Scripted(NodeCase):
    """Models that answer as ANSWERS says."""
    ANSWERS = {}
    PRICE = PRICE

    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(**cls.ANSWERS)
        cls.addClassCleanup(cls.provider.close)
        cls.CONFIG = {'providers': {'p': cls.provider.config()}}
        cls.MODELS = {name: model('p/' + name, price=cls.PRICE) for name in cls.ANSWERS}
        super().setUpClass()

    def charged(self, r, **tokens):
        """The record has these tokens and no others, and they are what it charges."""
        self.assertEqual({t['class']: t['tokens'] for t in r['tokens'] if t['tokens']}, tokens, r)
        self.assertEqual(nusd(r['charge_usd']), charge_nusd(tokens, self.PRICE), r)


class Twice(Scripted):
    """Usage that comes more than once."""
    ANSWERS = {
        'sound': told(usage(60, 100, completion_tokens_details={'audio_tokens': 80}), usage(60, 100)),
        'cache': told(usage(50, 5, prompt_tokens_details={'cached_tokens': 20}), usage(60, 5)),
        'fewer': told(usage(60, 100, completion_tokens_details={'audio_tokens': 80}), usage(60, 50)),
        'anew': told(usage(60, 100, completion_tokens_details={'audio_tokens': 80}), usage(60, 100, completion_tokens_details={'audio_tokens': 90})),
    }

    def test_no_token_costs_twice(self):
        for name, tokens in (('sound', {'input': 60, 'output': 20, 'output_audio': 80}), ('cache', {'input': 40, 'cache_read': 20, 'output': 5}),
                             ('fewer', {'input': 60, 'output_audio': 50}), ('anew', {'input': 60, 'output': 10, 'output_audio': 90})):
            with self.subTest(name):
                self.charged(self.node.record(self.chat(name, True, max_tokens=500).get('x-request-id')), **tokens)


class Nonsense(Scripted):
    ANSWERS = {'below': told({'prompt_tokens': -5, 'completion_tokens': -7, 'total_tokens': -12}), 'side': told({'prompt_tokens': 30, 'completion_tokens': -7})}

    def test_a_number_below_zero_is_no_number(self):
        for name in self.ANSWERS:
            with self.subTest(name):
                a = self.chat(name, True, max_tokens=50)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual((r['estimated'], r['output'], r['input'] > 0), (True, 3, True), r)
                self.charged(r, input=r['input'], output=3)


class Forms(Scripted):
    """Output that comes under another name than `content`: as many tokens as its bytes make, and no more than the hold."""
    PRICE = {'input': 1, 'output': 2, 'reasoning': 2}
    FORMS = {'call': {'function_call': {'name': '', 'arguments': 'word ' * 400}}, 'thought': {'thinking': 'word ' * 400}, 'plan': {'tool_plan': 'word ' * 400}}
    ANSWERS = {
        **{name: [stream(*[chunk(choices=[{'index': 0, 'delta': d, 'finish_reason': None}])] * 5, chunk(finish='stop'), DONE)] for name, d in FORMS.items()},
        **{name + '-whole': [whole({'id': 'x', 'object': 'chat.completion', 'created': 1, 'model': 'u', 'choices': [
            {'index': 0, 'message': dict(d, role='assistant'), 'finish_reason': 'stop'}]})] for name, d in FORMS.items()},
    }

    def test_bytes_count(self):
        for name in self.FORMS:
            for end, n in (('', 5), ('-whole', 1)):
                with self.subTest(name + end):
                    r = self.node.record(self.chat(name + end, not end, max_tokens=4000).get('x-request-id'))
                    self.charged(r, input=r['input'], **{'reasoning' if name == 'thought' else 'output': n * 500})

    def test_the_hold_is_the_end(self):
        for name in self.FORMS:
            with self.subTest(name):
                r = self.node.record(self.chat(name, True, max_tokens=300).get('x-request-id'))
                self.assertEqual(([t['error'] for t in r['attempts']], r['charge_usd']), (['hold_used_up'], r['hold_usd']), r)


if __name__ == '__main__':
    tap.main()
