"""A real model server behind the gateway: llama.cpp's, as ../shared/tools/llm-upstream provides it (a tiny model of random weights, whose
text is noise, often broken inside characters). What it answers directly and through the gateway is compared."""
import os
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kit
import sdk
import client
import gateway
import node
import tap

SCRIPT = os.path.join(os.path.dirname(kit.ROOT), 'shared', 'tools', 'llm-upstream', 'llm-upstream.sh')
READY_SECONDS = 150
PRICE = {'input': '0.3', 'cache_read': '0.03', 'output': '0.7'}
UNAVAILABLE = 77


class Llama:
    """The server on a free port; kit.Missing where it cannot be had."""

    def __init__(self):
        if not os.path.exists(SCRIPT):
            raise kit.Missing('../shared/tools/llm-upstream is not there')
        folder = os.path.join(kit.CACHE, 'llama')
        os.makedirs(folder, exist_ok=True)
        self.port = gateway.free_port()
        self.log = open(os.path.join(folder, 'log'), 'wb')
        self.p = subprocess.Popen([SCRIPT, folder, str(self.port)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if self.p.poll() == UNAVAILABLE:
                raise kit.Missing('llama.cpp cannot be had from this machine\'s package sources')
            if self.p.poll() is not None or time.monotonic() > end:
                self.close()
                raise kit.Missing('llama.cpp did not start within %d s, see %s' % (READY_SECONDS, self.log.name))
            time.sleep(0.1)

    def is_ready(self):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open('http://127.0.0.1:%d/health' % self.port, timeout=2) as a:
                return a.status == 200
        except OSError:
            return False

    def close(self):
        self.p.kill()
        self.p.wait()
        self.log.close()


class LlamaBehind(node.NodeCase):
    @classmethod
    def setUpClass(cls):
        model = node.model('llama/tiny', price=PRICE, context=2048, max_output=2000)
        cls.node = node.Node({'tiny': model}, providers={'llama': {
            'dialect': 'openai', 'base_url': 'http://127.0.0.1:%d/v1' % server.port, 'keys': ['env:MOCK_KEY']}})
        cls.addClassCleanup(cls.node.close)
        cls.node.start()
        cls.sim = cls.node.sim
        cls.key = cls.node.customer('main', '100')

    def body(self, stream, tokens, **fields):
        made = node.chat_body('tiny', stream, 'Tell me about the sea.', max_tokens=tokens, temperature=0, seed=1, cache_prompt=False)
        made.update(fields)
        return made

    def direct(self, body):
        return client.ask(server.port, 'POST', '/v1/chat/completions', body)

    def through(self, body):
        return self.node.ask('POST', '/v1/chat/completions', body, self.key)

    def compare(self, ours, theirs):
        """Same text, same usage but for the cost, which is what that usage costs."""
        self.assertEqual((ours.status, theirs.status), (200, 200), ours)
        self.assertEqual(ours.text, theirs.text)
        usage = dict(ours.usage)
        cost = node.nusd(usage.pop('cost'))
        self.assertEqual(usage, theirs.usage)
        cached = usage['prompt_tokens_details']['cached_tokens']
        self.assertEqual(cost, node.charge_nusd({'input': usage['prompt_tokens'] - cached, 'cache_read': cached,
                                                 'output': usage['completion_tokens']}, PRICE))
        record = self.node.record(ours.get('x-request-id'))
        self.assertEqual((node.nusd(record['charge_usd']), record['end'], record['estimated']), (cost, 'done', False))

    def test_whole(self):
        for tokens in (1, 50, 1500):
            body = self.body(False, tokens)
            self.compare(self.through(body), self.direct(body))

    def test_streamed(self):
        for tokens in (1, 50, 1500):
            body = self.body(True, tokens, stream_options={'include_usage': True})
            ours = self.through(body)
            self.compare(ours, self.direct(body))
            self.assertEqual((ours.is_done, ours.data()[-1]['choices']), (True, []))

    def test_streamed_with_usage_not_asked(self):
        ours = self.through(self.body(True, 30))
        self.compare(ours, self.direct(self.body(True, 30, stream_options={'include_usage': True})))
        self.assertTrue(all(len(d['choices']) == 1 for d in ours.data()))

    def test_cached_tokens_are_cheaper(self):
        body = self.body(False, 5, cache_prompt=True)
        self.direct(body)
        ours = self.through(body)
        self.assertGreater(ours.usage['prompt_tokens_details']['cached_tokens'], 0)
        self.compare(ours, self.direct(body))

    def test_many_at_once(self):
        want = self.direct(self.body(True, 200, stream_options={'include_usage': True}))
        got = []
        threads = [threading.Thread(target=lambda: got.append(self.through(self.body(True, 200)))) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual({(a.status, a.is_done, a.usage['completion_tokens']) for a in got}, {(200, True, want.usage['completion_tokens'])})

    def test_too_long_a_prompt(self):
        a = self.through(node.chat_body('tiny', False, 'a b ' * 1200, max_tokens=5))
        self.assertEqual((a.status, a.error['code']), (400, 'context_length_exceeded'), a)

    def test_client_that_leaves(self):
        """Leaves after the first event; the server is as good as before."""
        with client.Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', self.body(True, 1900), key=self.key)
            head = c.head()
            c.until(b'data: ')
        record = self.node.record(head.get('x-request-id'))
        self.assertIn(record['end'], ('client_gone', 'done'))
        self.assertEqual(self.through(self.body(False, 1)).status, 200)


if __name__ == '__main__':
    try:
        server = Llama()
    except kit.Missing as e:
        sdk.skip(e)
    try:
        tap.main()
    finally:
        server.close()
