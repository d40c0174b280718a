"""Design 3.3: what is charged of usage that a provider reports in pieces, as nonsense, or not at all. No token costs twice, and none is free for
whoever leaves before it is counted."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import NodeCase, charge_nusd, model, nusd
from provider import DONE, Provider, chunk, stream
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

    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(**cls.ANSWERS)
        cls.addClassCleanup(cls.provider.close)
        cls.CONFIG = {'providers': {'p': cls.provider.config()}}
        cls.MODELS = {name: model('p/' + name, price=PRICE) for name in cls.ANSWERS}
        super().setUpClass()

    def charged(self, r, **tokens):
        """The record has these tokens and no others, and they are what it charges."""
        self.assertEqual({t['class']: t['tokens'] for t in r['tokens'] if t['tokens']}, tokens, r)
        plain = dict(tokens, output=tokens.get('output', 0) - tokens.get('reasoning', 0))
        self.assertEqual(nusd(r['charge_usd']), charge_nusd(plain, PRICE), r)


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


if __name__ == '__main__':
    tap.main()
