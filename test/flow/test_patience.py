"""Whose fault a wait is: a client that reads slowly or gives little time is not the provider's."""
import functools
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, at_once
from gateway import wait_for
from node import BACKS, NodeCase, charge_nusd, chat_body, model, nusd, on_both
from provider import Server, chunk, chunked, head, request
import tap


class Totals(NodeCase):
    """The total time counts from the request's start; a provider may have its own."""
    MODELS = {'oai': model('oai/sim?tokens=100&rate=20'), 'ant': model('ant/sim?tokens=100&rate=20')}
    CONFIG = {'timeouts': {'total': '1500ms', 'total_whole': '1500ms'}, 'providers': {'ant': {'timeouts': {'total': '600ms'}}}}

    def test_total_of_node_and_provider(self):
        for name, least, most in ('oai', 1.4, 2.4), ('ant', 0.5, 1.3):
            begun = time.monotonic()
            a = self.chat(name, True)
            seconds = time.monotonic() - begun
            self.assertEqual((a.status, a.ended, a.error['metadata']['status']), (200, 'cut', 504), a)
            self.assertTrue(least < seconds < most, (name, seconds))


class Patience(NodeCase):
    MODELS = {**on_both('long', 'tokens=60000', max_output=100000), **on_both('slow', 'tokens=2&delay=1500ms')}
    CONFIG = {'timeouts': {'between': '1s', 'send': '10s'}, 'breaker': {'failures': 2, 'requests': 4}}

    def test_slow_reader_is_charged_and_gets_all(self):
        def late(back):
            with Conn(self.node.port, rcvbuf=65536) as c:
                c.request('POST', '/v1/chat/completions', json.dumps(chat_body('long-' + back, True)), key=self.key)
                time.sleep(3)
                return c.answer()
        for back, a in zip(BACKS, at_once(*(functools.partial(late, back) for back in BACKS))):
            with self.subTest(back):
                self.assertTrue(a.is_whole and a.is_done, repr(a))
                record = self.node.record(a.get('x-request-id'))
                self.assertEqual((record['output'], record['end']), (60000, 'done'), record)
                self.assertGreater(nusd(record['charge_usd']), 60000 * 2000)

    def test_hasty_client_opens_no_breaker(self):
        for back in BACKS:
            with self.subTest(back):
                for a in at_once(*[lambda: self.chat('slow-' + back, headers=[('x-stainless-timeout', '2')])] * 4):
                    self.assertEqual((a.status, a.get('x-should-retry')), (504, 'false'), a)
                self.assertEqual(self.chat('slow-' + back).status, 200)


class Impatient(Server):
    """Streams tokens until nobody has taken any for two seconds; then it is gone, as with a send time-out of a proxy."""
    sent = None

    def serve(self, c):
        request(c)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        c.settimeout(2)
        n = 0
        try:
            c.sendall(head(transfer_encoding='chunked'))
            while True:
                c.sendall(chunked(chunk('abc ')))
                n += 1
        except TimeoutError:
            self.sent = n


class GivesUp(NodeCase):
    """A client cannot make its provider give up and have what came for nothing."""
    @classmethod
    def setUpClass(cls):
        cls.provider = Impatient()
        cls.addClassCleanup(cls.provider.close)
        cls.CONFIG = {'providers': {'impatient': cls.provider.config()}}
        cls.MODELS = {'m': model('impatient/m', context=400000, max_output=200000)}
        super().setUpClass()

    def test_a_client_that_does_not_read(self):
        with Conn(self.node.port, rcvbuf=4096) as c:
            c.request('POST', '/v1/chat/completions', json.dumps(chat_body('m', True, max_tokens=150000)), key=self.key)
            wait_for(lambda: self.provider.sent, 60)
            a = c.answer()
        self.assertEqual((a.status, a.ended, a.error['code']), (200, 'cut', 'upstream_error'), a)
        got = a.body.count(b'"content"')
        self.assertGreater(got, 100)
        r = self.node.record(a.get('x-request-id'))
        self.assertEqual((r['end'], r['estimated'], r['attempts'][0]['error']), ('client_slow', True, 'client_slow'), r)
        self.assertGreaterEqual(r['output'], got)
        self.assertEqual(nusd(r['charge_usd']), charge_nusd({'input': r['input'], 'output': r['output']}, {'input': 1, 'output': 2}), r)


if __name__ == '__main__':
    tap.main()
