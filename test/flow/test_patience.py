"""Whose fault a wait is: a client that reads slowly or gives little time is not the provider's."""
import functools
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, at_once
from node import BACKS, NodeCase, chat_body, model, nusd, on_both
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


if __name__ == '__main__':
    tap.main()
