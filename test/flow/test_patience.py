"""Whose fault a wait is: a client that reads slowly or gives little time is not the provider's."""
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from node import BACKS, NodeCase, chat_body, nusd, on_both
import tap


class Patience(NodeCase):
    MODELS = {**on_both('long', 'tokens=60000', max_output=100000), **on_both('slow', 'tokens=2&delay=1500ms')}
    CONFIG = {'timeouts': {'between': '1s', 'send': '10s'}, 'breaker': {'failures': 2, 'requests': 4}}

    def test_slow_reader_is_charged_and_gets_all(self):
        for back in BACKS:
            with self.subTest(back), Conn(self.node.port, rcvbuf=65536) as c:
                c.request('POST', '/v1/chat/completions', json.dumps(chat_body('long-' + back, True)), key=self.key)
                time.sleep(3)
                a = c.answer()
                self.assertTrue(a.is_whole and a.is_done, repr(a))
                record = self.node.record(a.get('x-request-id'))
                self.assertEqual((record['output'], record['end']), (60000, 'done'), record)
                self.assertGreater(nusd(record['charge_usd']), 60000 * 2000)

    def test_hasty_client_opens_no_breaker(self):
        for back in BACKS:
            with self.subTest(back):
                for _ in range(4):
                    a = self.chat('slow-' + back, headers=[('x-stainless-timeout', '2')])
                    self.assertEqual((a.status, a.get('x-should-retry')), (504, 'false'), a)
                self.assertEqual(self.chat('slow-' + back).status, 200)


if __name__ == '__main__':
    tap.main()
