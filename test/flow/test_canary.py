"""Row 37: provider keys and client keys are looked for in everything that comes out, also where a provider sends its key back, in whatever
aigwctl and aigwd print, and after processes that crashed. (All other flow tests look as well, see canary.py.)"""
import json
import os
import resource
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from canary import PROVIDER_KEY
from client import ask
from gateway import wait_for
from node import BACKS, Node, NodeCase, chat_body, model, on_both
from provider import DONE, USAGE, Server, chunk, head, request, stream, whole
import tap

CHAT = '/v1/chat/completions'


class Parrot(Server):
    """A provider that repeats the credential that it was sent in all it says. The model's name is the status and the form."""
    heard = 0

    def serve(self, c):
        _, headers, body = request(c)
        self.heard += any(PROVIDER_KEY in value for value in headers.values())
        c.sendall(self.answer(body.decode()))

    @staticmethod
    def answer(body):
        status = next((s for s in (400, 401, 403, 404, 422, 429, 500, 503, 529) if '"%d' % s in body), 200)
        error = '{"type":"error","error":{"message":"wrong key %s","type":"%s","param":"%s","code":"%s"}}' % ((PROVIDER_KEY,) * 4)
        if 'raw' in body:
            error = 'no JSON, but ' + PROVIDER_KEY
        text = ('data: %s\n\n' % error if status == 200 else error).encode()
        kind = 'text/event-stream' if status == 200 else 'application/json'
        return head(status, kind, reason='X-' + PROVIDER_KEY, content_length=len(text), x_request_id='req ' + PROVIDER_KEY,
                    retry_after=PROVIDER_KEY, server=PROVIDER_KEY, connection='close') + text


class Answers(NodeCase):
    MODELS = on_both('m', 'tokens=2&input=5')
    NAMES = ['%s%s' % (status, form) for status in (200, 400, 401, 403, 404, 422, 429, 500, 503, 529) for form in ('', 'raw')]

    @classmethod
    def setUpClass(cls):
        cls.parrot = Parrot()
        cls.addClassCleanup(cls.parrot.close)
        # A provider of its own for each: a refused key is taken out.
        cls.CONFIG = {'breaker': {'failures': 32, 'requests': 32}, 'providers': {
            'p%s-%s' % (name, back): cls.parrot.config(BACKS[back]) for name in cls.NAMES for back in BACKS}}
        cls.MODELS = dict(cls.MODELS, **{'%s-%s' % (name, back): model('p%s-%s/%s' % (name, back, name)) for name in cls.NAMES for back in BACKS})
        super().setUpClass()

    def test_a_client_says_its_key_in_the_wrong_place(self):
        chat = chat_body('m-oai', max_tokens=5)
        for path, body in (('/v1/' + self.key, None), ('/v1/models/' + self.key, None), ('/v1/models#key=' + self.key, None),
                           (CHAT, dict(chat, model=self.key)), (CHAT, dict(chat, user=self.key))):
            ask(self.node.port, 'POST' if body else 'GET', path, body, [('x-request-id', self.key)], self.key)
        wait_for(lambda: len([e for e in self.node.events('request') if self.key[:20] in json.dumps(e)]) >= 5)
        self.node.canary.look(self.node.log_text(), 'the log')
        self.check()

    def check(self):
        found, self.node.canary.found = self.node.canary.found, []
        self.assertEqual(found, [])

    def test_provider_that_repeats_its_key(self):
        for name in self.NAMES:
            for back in BACKS:
                for stream in (False, True):
                    with self.subTest(name, back=back, stream=stream):
                        self.assertGreaterEqual(self.chat('%s-%s' % (name, back), stream).status, 200)
                        self.check()
        self.assertGreater(self.parrot.heard, len(self.NAMES))
        for name in self.NAMES[:6]:
            self.node.ctl_raw('provider', 'test', 'p%s-oai' % name)
        self.check()

    def test_key_in_every_place_of_a_request(self):
        for headers in ([('authorization', 'Bearer ' + self.key)], [('x-api-key', self.key)], [('api-key', self.key)], [('x-goog-api-key', self.key)],
                        [('authorization', 'Basic ' + self.key)], [('authorization', self.key)]):
            for path in (CHAT, '/v1/nothing', '/v1/models/none', '/v1/generation?id=x'):
                self.node.ask('POST', path, chat_body('m-oai'), headers=headers)
                self.node.ask('GET', path, headers=headers)
        for path in (CHAT, '/v1/nothing', '/v1/models', '/v1/key'):
            self.node.ask('POST', path + '?key=' + self.key, chat_body('m-ant'))
            self.node.ask('GET', path + '?key=' + self.key)
            self.node.ask('GET', path + '?key=' + self.key + '\x01')
        wait_for(lambda: self.node.events('request'))
        self.node.canary.look(self.node.log_text(), 'the log')
        self.check()

    def test_what_the_tools_print(self):
        request = self.chat('m-oai').get('x-request-id')
        self.node.record(request)
        public = self.key.split('-')[2]
        for words in (['status'], ['config', 'show'], ['config', 'show', '--origin'], ['config', 'check'], ['account', 'list'],
                      ['account', 'show', 'main'], ['key', 'list'], ['key', 'show', public], ['key', 'show', self.key],
                      ['key', 'update', public, '--rpm', '1000'], ['usage'], ['usage', '--by', 'key'], ['request', 'show', request],
                      ['provider', 'list'], ['provider', 'show', 'oai'], ['provider', 'test', 'oai'], ['model', 'list'], ['model', 'show', 'm-oai'],
                      ['limit', 'explain', public], ['limit', 'explain', self.key], ['ledger', 'verify', '--charges'], ['worker', 'list'], ['top'],
                      ['chat', 'm-oai', 'hi', '--key', self.key], ['chat', 'none', 'hi', '--key', self.key], ['reload'], ['nonsense', self.key],
                      ['account', 'suspend', 'nobody'], ['key', 'revoke', public], ['chat', 'm-oai', 'hi', '--key', self.key]):
            for form in ([], ['--json']):
                p = self.node.ctl_raw(*words, *form)
                self.assertTrue(p.stdout or p.stderr, words)
                self.check()
        type(self).key = self.node.key('main')
        for options in (['-t'], ['-T'], ['-T', '--origin'], ['-t', '--strict']):
            p = subprocess.run([self.node.program, *options, '-c', self.node.config], capture_output=True, text=True,
                               env=dict(os.environ, **self.node.env))
            self.assertEqual(p.returncode, 0, p.stderr)
            self.node.canary.look(p.stdout + p.stderr, 'aigwd ' + ' '.join(options))
            self.check()
        for path in ('/metrics', '/healthz', '/readyz', '/nothing?key=' + self.key):
            ask(self.node.admin_port, 'GET', path, key=self.key)
        self.check()
        self.assertGreater(self.node.canary.seen, 10000)


class Echo(Server):
    """A provider that repeats the prompt: in the answer, in its reasoning, in the arguments of a call, or in the text of an error; and where no
    text is due: as its id, its model, why it ended, in its usage, as code, type and field of an error."""

    def serve(self, c):
        _, _, body = request(c)
        body = json.loads(body)
        word = next(w for w in json.dumps(body['messages']).replace('"', ' ').split() if w.startswith('prompt'))
        said = {'content': word, 'reasoning_content': word, 'tool_calls': [
            {'index': 0, 'id': 'call_1', 'type': 'function', 'function': {'name': 'look', 'arguments': '{"at":"%s"}' % word}}]}
        odd, ends = 'you said ' + word, 'stop'
        usage = dict(USAGE, note=odd, service_tier='standard', more={'notes': [odd, {odd: 1}], 'n': 3})
        usage[odd] = 1
        if body['model'].isdigit():
            return c.sendall(whole({'error': {'message': 'not this: ' + odd, 'type': odd, 'code': odd, 'param': odd}}, int(body['model'])))
        if body['model'] == 'item':  # under status 200
            error = {'error': {'message': odd, 'type': odd, 'code': odd, 'param': odd}}
            return c.sendall(stream(self.item(error), DONE) if body.get('stream') else whole(error))
        if body['model'] == 'odd':
            ends = odd
        if body['model'] == 'long':
            usage['rows'] = [{'n': 1, 'note': odd} for _ in range(200)]
        top = {'id': odd, 'model': odd, 'created': 1, 'system_fingerprint': odd, 'service_tier': odd}
        choice = {'index': 0, 'native_finish_reason': odd}
        if body.get('stream'):
            top['object'] = 'chat.completion.chunk'
            return c.sendall(stream(self.item({**top, 'choices': [dict(choice, delta=said, finish_reason=None)]}),
                                    self.item({**top, 'choices': [dict(choice, delta={}, finish_reason=ends)], 'usage': usage}), DONE))
        c.sendall(whole({**top, 'object': 'chat.completion', 'usage': usage,
                         'choices': [dict(choice, message=dict(said, role='assistant'), finish_reason=ends)]}))

    @staticmethod
    def item(value):
        return b'data: %s\n\n' % json.dumps(value).encode()


class Contents(NodeCase):
    """No record, no log and no report has a word of what was asked and answered, whatever became of the request."""
    ANSWERS = ('says', 'odd', 'long', 'item', '400', '404', '422', '429', '500')

    @classmethod
    def setUpClass(cls):
        cls.echo = Echo()
        cls.addClassCleanup(cls.echo.close)
        cls.CONFIG = {'log': {'level': 'debug'}, 'providers': {'e' + name: cls.echo.config() for name in cls.ANSWERS}}
        cls.MODELS = {'m-' + name: model('e%s/%s' % (name, name)) for name in cls.ANSWERS}
        super().setUpClass()

    def test_no_word_of_a_request(self):
        ids, words = [], []
        for name in self.ANSWERS:
            for streamed in (False, True):
                words.append('prompt%d%s' % (len(words), os.urandom(8).hex()))
                a = self.chat('m-' + name, streamed, text=words[-1], tools=[
                    {'type': 'function', 'function': {'name': 'look', 'description': words[-1], 'parameters': {'type': 'object'}}}])
                self.assertEqual(words[-1].encode() in a.body, name not in ('item', '429', '500'), a)
                ids.append(a.get('x-request-id'))
        self.node.access(*ids)
        self.node.settled('main')
        self.node.verify()  # the ledger has them
        told = [self.node.log_text(), self.node.ctl_raw('ledger', 'export').stdout, self.node.ctl_raw('usage', '--by', 'model', '--json').stdout]
        recorded = [i for i in ids if i in told[1]]
        self.assertGreater(len(recorded), len(self.ANSWERS))  # a key that rests is not asked
        shown = [json.dumps(self.node.record(i), default=str) for i in recorded]
        told += shown
        told += [self.node.ask('GET', '/v1/receipts/' + i, key=self.key).body.decode() for i in recorded]
        told += [ask(self.node.admin_port, 'GET', '/metrics').body.decode()]
        for folder in (self.node.state, self.node.live):
            for path, _, names in os.walk(folder):
                for name in names:
                    with open(os.path.join(path, name), 'rb') as f:
                        told.append(f.read().decode('latin-1'))
        self.assertTrue(all(i in told[0] for i in ids))
        # What was left out for it is told, in all three places; the numbers stay, the code of an error is another.
        for rid, text in zip(recorded, shown):
            name = self.ANSWERS[ids.index(rid) // 2]
            receipt = self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).json()
            line = json.loads(next(line for line in told[1].splitlines() if rid in line))
            if name in ('says', 'odd', 'long'):
                raw = receipt['raw_usage']
                self.assertEqual(json.loads(line['raw_usage']), raw)
                self.assertIn(json.dumps(line['raw_usage']), text)
                self.assertGreater(raw.pop('aigw_left_out_bytes'), 9000 if name == 'long' else 50)
                self.assertEqual(raw, dict(USAGE, note='', service_tier='standard', more={'notes': ['', {}], 'n': 3}))
                self.assertEqual((line['upstream_id'], line['native_finish']), ('', '' if name == 'odd' else 'stop'))
            else:
                self.assertEqual({a['error'] for a in line['attempts']}, {'other'})
        for word in words:
            for text in told:
                at = text.find(word)
                self.assertLess(at, 0, text[max(at - 100, 0):at + 100])


class Crashes(unittest.TestCase):
    def test_no_core_file(self):
        """Each process dies of a signal that makes the kernel write one, with no limit set on its size."""
        node = Node(on_both('m', 'tokens=2&input=5'))
        self.addCleanup(node.close)
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))
        node.start()
        key = node.customer('main', '10')
        self.assertEqual(node.chat(key, 'm-oai').status, 200)
        for pid in (*node.children('worker'), *node.children('keeper'), node.master.pid):
            with open('/proc/%d/limits' % pid) as f:
                self.assertRegex(f.read(), r'Max core file size +0 +0 ')
            os.kill(pid, signal.SIGSEGV)
        node.master.wait()
        time.sleep(0.5)


if __name__ == '__main__':
    tap.main()
