"""Design 3.3: what is charged of usage that a provider reports in pieces, as nonsense, or not at all. No token costs twice, and none is free for
whoever leaves before it is counted."""
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from node import NodeCase, charge_nusd, chat_body, model, nusd
from provider import DONE, Provider, chunk, chunked, head, stream, whole
import tap

PRICE = {'input': 1, 'cache_read': 0.1, 'output': 2, 'output_audio': 80, 'output_image': 30, 'reasoning': 4}


def usage(prompt, completion, **more):
    return dict({'prompt_tokens': prompt, 'completion_tokens': completion, 'total_tokens': prompt + completion}, **more)


def told(*usages):
    """Three pieces, then each of these."""
    return [stream(*[chunk('word ')] * 3, chunk(finish='stop'), *[chunk(choices=[], usage=u) for u in usages], DONE)]


class Scripted:
    """Models that answer as ANSWERS says."""
    ANSWERS = {}
    SETTINGS = {}  # of some
    PRICE = PRICE

    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(**cls.ANSWERS)
        cls.addClassCleanup(cls.provider.close)
        cls.CONFIG = dict(cls.CONFIG, providers={'p': cls.provider.config()})
        cls.MODELS = {name: model('p/' + name, price=cls.PRICE, max_output=20000, **cls.SETTINGS.get(name, {})) for name in cls.ANSWERS}
        super().setUpClass()

    def charged(self, r, **tokens):
        """The record has these tokens and no others, and they are what it charges."""
        self.assertEqual({t['class']: t['tokens'] for t in r['tokens'] if t['tokens']}, tokens, r)
        self.assertEqual(nusd(r['charge_usd']), charge_nusd(tokens, self.PRICE), r)


class Twice(Scripted, NodeCase):
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


class Nonsense(Scripted, NodeCase):
    ANSWERS = {'below': told({'prompt_tokens': -5, 'completion_tokens': -7, 'total_tokens': -12}), 'side': told({'prompt_tokens': 30, 'completion_tokens': -7})}

    def test_a_number_below_zero_is_no_number(self):
        for name in self.ANSWERS:
            with self.subTest(name):
                a = self.chat(name, True, max_tokens=50)
                r = self.node.record(a.get('x-request-id'))
                self.assertEqual((r['estimated'], r['output'], r['input'] > 0), (True, 3, True), r)
                self.charged(r, input=r['input'], output=3)


class Forms(Scripted, NodeCase):
    """Output that comes under another name than `content`: as many tokens as its bytes make, and no more than the hold."""
    PRICE = {'input': 1, 'output': 2, 'reasoning': 2}
    FORMS = {'call': {'function_call': {'name': '', 'arguments': 'word ' * 400}}, 'thought': {'thinking': 'word ' * 400}, 'plan': {'tool_plan': 'word ' * 400},
             'flat': {'tool_calls': [{'index': 0, 'name': '', 'arguments': 'word ' * 400}]},
             'mcp': {'tool_calls': [{'index': 0, 'type': 'mcp', 'mcp': {'name': '', 'arguments': 'word ' * 400}}]}}
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


class Copies(Scripted, NodeCase):
    """The same text once more under another name, or all of it so far, makes an answer no longer."""
    PRICE = {'input': 1, 'output': 2}
    COPIES = {'copy': lambda i: {'token': 'word '}, 'sum': lambda i: {'full_content': 'wordy ' * (i + 1)}}
    PIECES = {name: [chunk(choices=[{'index': 0, 'delta': dict({'content': 'wordy '}, **more(i)), 'finish_reason': None}]) for i in range(100)]
              for name, more in COPIES.items()}
    ANSWERS = {
        **{name: [stream(*pieces, chunk(finish='length', usage=usage(9, 100)), DONE)] for name, pieces in PIECES.items()},
        **{name + '-untold': [stream(*pieces, chunk(finish='length'), DONE)] for name, pieces in PIECES.items()},
    }

    def test_a_copy_is_no_output(self):
        for name in self.COPIES:
            for end, output in (('', 100), ('-untold', 150)):
                with self.subTest(name + end):
                    a = self.chat(name + end, True, max_tokens=100 if not end else 150)
                    r = self.node.record(a.get('x-request-id'))
                    self.assertEqual((a.body.count(b'"content"'), [t['error'] for t in r['attempts']]), (100, ['']), r)
                    self.charged(r, input=r['input'], output=output)


def media(piece, n, tokens, **details):
    """A stream of these deltas; what they are in tokens comes a while later."""
    items = [chunked(chunk(choices=[{'index': 0, 'delta': piece, 'finish_reason': None}])) for _ in range(n)]
    end = [chunked(chunk(finish='stop', usage=usage(10, tokens, completion_tokens_details=details))), chunked(DONE), b'0\r\n\r\n']
    return [head(transfer_encoding='chunked') + b''.join(items), 1.5, b''.join(end)]


class Came(Scripted):
    """A picture or sound that came is paid for at its price, whoever leaves or dies before its usage comes."""
    SOUND = {'audio': {'data': 'A' * 6400}}
    PICTURE = {'images': [{'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,' + 'A' * 40000}}]}
    ANSWERS = {
        'picture': media(PICTURE, 1, 1290, image_tokens=1290),
        'large': media(PICTURE, 1, 1290, image_tokens=1290),
        'sound': media(SOUND, 22, 44, audio_tokens=44),
        **{name: [whole({'id': 'x', 'object': 'chat.completion', 'created': 1, 'model': 'u', 'choices': [
            {'index': 0, 'message': dict(m, role='assistant'), 'finish_reason': 'stop'}]})] for name, m in (('picture-whole', PICTURE), ('sound-whole', SOUND))},
    }
    SETTINGS = {'large': {'output_image_tokens': 12000}}
    SEEN = {'picture': {'output_image': 2000}, 'sound': {'output_audio': 22 * 6400 // 128}}
    REPORTED = {'picture': {'output_image': 1290}, 'sound': {'output_audio': 44}}

    def come(self, name, then, key=None, cap=2000):
        """Reads all of the media; the access line or None, after `then` of the connection."""
        bytes_of = {'picture': 40000, 'large': 40000, 'sound': 22 * 6400}[name.partition('-')[0]]
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body(name, True, max_tokens=cap), key=key or self.key)
            while c.buffer.count(b'A') < bytes_of:
                self.assertTrue(c.fill(), c.buffer[-200:])
            then(c)
            return re.search(rb'x-request-id: (\S+)', c.buffer).group(1).decode()


class Media(Came, NodeCase):
    def test_a_client_that_leaves(self):
        for name, tokens in self.SEEN.items():
            with self.subTest(name):
                r = self.node.record(self.come(name, Conn.reset))
                self.assertEqual((r['end'], r['estimated']), ('client_gone', True), r)
                self.charged(r, input=r['input'], **tokens)

    def test_a_picture_is_no_more_than_a_large_one(self):
        r = self.node.record(self.come('picture', Conn.reset, cap=20000))
        self.charged(r, input=r['input'], output_image=6240)

    def test_a_model_may_have_larger_ones(self):
        r = self.node.record(self.come('large', Conn.reset, cap=20000))
        self.charged(r, input=r['input'], output_image=12000)

    def test_drain_charges_what_is_reported(self):
        key = self.node.key('main', client_gone='drain')
        for name, tokens in self.REPORTED.items():
            with self.subTest(name):
                r = self.node.record(self.come(name, Conn.reset, key))
                self.charged(r, input=10, **tokens)

    def test_whoever_stays_pays_what_is_reported(self):
        for name, tokens in self.REPORTED.items():
            with self.subTest(name):
                self.charged(self.node.record(self.chat(name, True, max_tokens=2000).get('x-request-id')), input=10, **tokens)

    def test_whole_answers(self):
        for name, tokens in (('picture', {'output_image': 2000}), ('sound', {'output_audio': 6400 // 128})):
            with self.subTest(name):
                r = self.node.record(self.chat(name + '-whole', max_tokens=2000).get('x-request-id'))
                self.charged(r, input=r['input'], **tokens)


def long_answer(message, padding, after={}, **top):
    choice = {'index': 0, 'logprobs': {'content': [{'token': 'x', 'logprob': -0.1}] * padding}, 'message': dict(message, role='assistant'),
              'finish_reason': 'stop'}
    return dict({'id': 'x', 'object': 'chat.completion', 'created': 1, 'model': 'u'}, **top, choices=[choice], usage=usage(10, 1500), **after)


def kept_and_long(name, message, after={}, **top):
    return {'%s-%s' % (name, kind): [whole(long_answer(message, n, after, **top))] for kind, n in (('kept', 1), ('long', 2000))}


class Long(Scripted, NodeCase):
    """A whole answer that is too long to be kept is charged as one that is kept: a client that asks for log probabilities, or gets a picture, pays
    no less for its tier, for pictures, sound and reasoning."""
    CONFIG = {'answer_buffer': '64KiB'}
    PRICE = [*[dict({c: n * PRICE[c] for c in PRICE}, when={'service_tier': tier}) for tier, n in (('priority', 2), ('flex', 0.5))], PRICE]
    PARTS = {'picture': {'images': [{'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,' + 'A' * 40000}}]},
             'sound': {'audio': {'data': 'A' * 40000, 'transcript': 'word ' * 20}}, 'thought': {'content': 'word ' * 6000, 'reasoning_content': 'word ' * 2000},
             'text': {'content': 'word ' * 9000}}
    TIERS = ('priority', 'default', 'flex')
    LEFT = json.dumps(long_answer(PARTS['text'], 2000)).partition(', "usage"')[0].encode()
    ANSWERS = {
        **{name: a for each, message in PARTS.items() for name, a in kept_and_long(each, message).items()},
        **{name: a for tier in TIERS for name, a in {**kept_and_long('before-' + tier, {'content': 'hi'}, service_tier=tier),
                                                     **kept_and_long('after-' + tier, {'content': 'hi'}, {'service_tier': tier})}.items()},
        'left': [head(content_type='application/json', content_length=len(LEFT) + 1000) + LEFT, 5],
    }

    def receipt(self, name, **fields):
        r = self.node.record(self.chat(name, max_tokens=2000, **fields).get('x-request-id'))
        return {k: r[k] for k in ('charge_usd', 'tokens', 'estimated', 'tier', 'finish', 'native_finish', 'output', 'reasoning')}

    def test_the_same_charge(self):
        for name in self.PARTS:
            with self.subTest(name):
                r = self.receipt(name + '-kept')
                self.assertEqual(self.receipt(name + '-long'), r)
                self.assertEqual(r['estimated'], name != 'text', r)

    def test_the_same_tier(self):
        for place in ('before', 'after'):
            for tier in self.TIERS:
                for asked in ({}, {'service_tier': 'priority'}, {'service_tier': 'flex'}):
                    with self.subTest('%s %s %s' % (place, tier, asked)):
                        name = '%s-%s-' % (place, tier)
                        r = self.receipt(name + 'kept', **asked)
                        self.assertEqual(self.receipt(name + 'long', **asked), r)
                        self.assertEqual(r['tier'], tier.replace('default', 'standard'), r)

    def test_a_client_that_leaves(self):
        """What came is charged, and not the log probabilities beside it."""
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('left', max_tokens=20000), key=self.key)
            while c.buffer.count(b'word ') < 9000:
                self.assertTrue(c.fill(), c.buffer[-200:])
            c.reset()
        r = self.node.record(re.search(rb'x-request-id: (\S+)', c.buffer).group(1).decode())
        self.assertEqual((r['end'], r['output'], r['estimated']), ('client_gone', 9000 * 5 // 4, True), r)


def early(piece, n, tokens, cut=False):
    """The same, told in the event of each; then nothing, or the end of the connection."""
    items = [chunked(chunk(choices=[{'index': 0, 'delta': piece, 'finish_reason': None}], usage=usage(10, (i + 1) * tokens))) for i in range(n)]
    return [head(transfer_encoding='chunked') + b''.join(items)] + ([] if cut else [30])


def read_out(c):
    while c.fill():
        pass


class Early(Came):
    """What is told of media by a cut is what they are, and is charged once."""
    ANSWERS = {name + end: early(piece, n, tokens, bool(end)) for name, piece, n, tokens in
               (('picture', Came.PICTURE, 1, 1300), ('sound', Came.SOUND, 22, 5)) for end in ('', '-cut')}
    COUNTED = {'picture': {'output_image': 1300}, 'sound': {'output_audio': 110}}

    def kill(self, _):
        for pid in self.node.children('worker'):
            os.kill(pid, signal.SIGKILL)

    def test_once(self):
        for name, tokens in self.COUNTED.items():
            for end, answer, then in (('client_gone', name, Conn.reset), ('upstream_error', name + '-cut', read_out), ('worker_died', name, self.kill)):
                with self.subTest(name, end=end):
                    r = self.node.record(self.come(answer, then, cap=20000))
                    self.assertEqual((r['end'], r['estimated']), (end, 'output' not in tokens), r)
                    self.charged(r, input=10, **tokens)
                    wait_for(lambda: all(w['state'] == 'ready' for w in self.node.status()['worker']), 20)

    def test_zz_books_are_right_and_no_secret_shows(self):
        self.assertTrue(self.node.verify('--charges')['good'])  # errors were logged: of the deaths


class EarlyApart(Early, NodeCase):
    pass


class EarlyAlike(Early, NodeCase):
    PRICE = {'input': 1, 'output': 2}
    COUNTED = {'picture': {'output': 1300}, 'sound': {'output': 110}}


class Behind(Came, NodeCase):
    """What is told on the way of the text alone is no word of the picture that came before it."""
    ITEMS = [chunk(choices=[{'index': 0, 'delta': Came.PICTURE, 'finish_reason': None}]), chunk('word ', usage=usage(10, 2))]
    ANSWERS = {'picture': [head(transfer_encoding='chunked') + b''.join(map(chunked, ITEMS)), 30],
               'picture-finish': [head(transfer_encoding='chunked') + b''.join(map(chunked, ITEMS + [chunk(finish='stop')])), 30],
               'picture-last': [stream(*ITEMS, chunk(finish='stop', usage=usage(10, 1292)), DONE)]}

    def leave(self, c):
        while b'word' not in c.buffer:
            self.assertTrue(c.fill(), c.buffer[-200:])
        c.reset()

    def test_a_client_that_leaves(self):
        for name in ('picture', 'picture-finish'):
            with self.subTest(name):
                self.charged(self.node.record(self.come(name, self.leave, cap=20000)), input=10, output=2, output_image=6240)

    def test_a_last_total_covers_it(self):
        self.charged(self.node.record(self.chat('picture-last', True, max_tokens=20000).get('x-request-id')), input=10, output=1, output_image=1291)


class Totals(Scripted, NodeCase):
    """Media that a provider counts without a word of what they are: all output that is no text, at their price."""
    AUDIO = {'audio': {'id': 'a', 'data': 'A' * 6400, 'transcript': 'word ' * 40}}
    DELTAS = {'picture': [Came.PICTURE], 'zero': [Came.PICTURE], 'beside': [{'content': 'word ' * 8}, Came.PICTURE], 'sound': [AUDIO], 'both': [AUDIO, Came.PICTURE]}
    TOLD = usage(10, 1290, completion_tokens_details={'reasoning_tokens': 0})
    NONE = usage(10, 1290, completion_tokens_details={'image_tokens': 0})
    ANSWERS = {
        **{name: [stream(*[chunk(choices=[{'index': 0, 'delta': d, 'finish_reason': None}]) for d in deltas],
                         chunk(finish='stop', usage=usage(10, 1290)), DONE)] for name, deltas in DELTAS.items() if name != 'zero'},
        'zero': [stream(chunk(choices=[{'index': 0, 'delta': Came.PICTURE, 'finish_reason': None}]), chunk(finish='stop', usage=NONE), DONE)],
        **{name + '-whole': [whole({'id': 'x', 'object': 'chat.completion', 'created': 1, 'model': 'u', 'usage': told, 'choices': [
            {'index': 0, 'message': dict({k: v for d in deltas for k, v in d.items()}, role='assistant'), 'finish_reason': 'stop'}]})]
           for (name, deltas), told in zip(DELTAS.items(), (TOLD, NONE, TOLD, TOLD, TOLD))},
    }
    COUNTED = {'picture': {'output_image': 1290}, 'zero': {'output': 1290}, 'beside': {'output': 10, 'output_image': 1280},
               'sound': {'output': 50, 'output_audio': 1240}, 'both': {'output': 50, 'output_audio': 50, 'output_image': 1190}}

    def test_what_is_no_text(self):
        for name, tokens in self.COUNTED.items():
            for end in ('', '-whole'):
                with self.subTest(name + end):
                    a = self.chat(name + end, not end, max_tokens=2000)
                    r = self.node.record(a.get('x-request-id'))
                    self.charged(r, input=10, **tokens)
                    self.assertEqual((r['estimated'], nusd(a.usage['cost'])), (name != 'zero', nusd(r['charge_usd'])), r)


class Death(Came, NodeCase):
    def test_a_worker_that_dies(self):
        for name, tokens in self.SEEN.items():
            with self.subTest(name):
                r = self.node.record(self.come(name, lambda c: [os.kill(pid, signal.SIGKILL) for pid in self.node.children('worker')]))
                self.assertEqual((r['end'], r['estimated']), ('worker_died', True), r)
                self.charged(r, input=r['input'], **tokens)
                wait_for(lambda: all(w['state'] == 'ready' for w in self.node.status()['worker']), 20)

    def test_zz_books_are_right_and_no_secret_shows(self):
        self.assertTrue(self.node.verify('--charges')['good'])  # errors were logged: of the deaths


if __name__ == '__main__':
    tap.main()
