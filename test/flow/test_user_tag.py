"""The end user's tag of a request: header `x-aigw-user`, else the body's `user`; in the access log and the record, never a header for a
provider."""
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import wait_for
from node import BACKS, NodeCase, model, on_both
import tap
from test_clock import DAY, ClockNode


class UserTag(NodeCase):
    MODELS = {**on_both('m', 'tokens=2'), 'emb': model('oai/sim?input=9')}

    def tag(self, a):
        """The tag as log and record have it; None: none."""
        rid = a.get('x-request-id')
        self.assertEqual(a.status, 200, a)
        logged = self.node.access(rid)[rid].get('user')
        line = next(json.loads(x) for x in self.exported() if rid in x)
        self.assertEqual(line['user'] or None, logged)
        return logged

    def exported(self):
        return self.node.ctl_raw('ledger', 'export').stdout.split('\n')

    def ask(self, name='m-oai', header=None, **fields):
        a = self.chat(name, headers=[('x-aigw-user', header)] if header is not None else (), **fields)
        if a.status == 200:
            self.node.record(a.get('x-request-id'))
        return a

    def test_where_it_comes_from(self):
        for back in BACKS:
            for header, body, tag in ((None, None, None), ('alice', None, 'alice'), (None, 'bob', 'bob'), ('alice', 'bob', 'alice'), ('', 'bob', 'bob'),
                                      (None, '', None), (None, 'John Smith', 'John Smith'), (None, '\u6f22\u5b57', '\u6f22\u5b57'), (None, 'x' * 128, 'x' * 128)):
                with self.subTest(back=back, header=header, body=body):
                    self.assertEqual(self.tag(self.ask('m-' + back, header, **({} if body is None else {'user': body}))), tag)

    def test_every_route_that_asks_a_model(self):
        for path, body in (('/v1/completions', {'model': 'm-oai', 'prompt': 'x'}), ('/v1/embeddings', {'model': 'emb', 'input': 'x'})):
            with self.subTest(path):
                a = self.node.ask('POST', path, dict(body, user='carol'), self.key)
                self.node.record(a.get('x-request-id'))
                self.assertEqual(self.tag(a), 'carol')

    def test_what_the_provider_gets(self):
        """The body's member as the client sent it; Anthropic's form of it; nothing of the header."""
        for back, found in (('oai', lambda b: b.get('user')), ('ant', lambda b: (b.get('metadata') or {}).get('user_id'))):
            for header, body in (('alice', 'bob'), ('alice', None), (None, 'bob')):
                with self.subTest(back=back, header=header, body=body):
                    self.ask('m-' + back, header, **({'user': body} if body else {}))
                    _, headers, sent = self.sim.last()
                    self.assertEqual(found(json.loads(sent)), body)
                    self.assertNotIn('alice', sent + repr(headers))
                    self.assertFalse([n for n, _ in headers if 'user' in n.lower() and n.lower() != 'user-agent'])

    def test_what_is_no_tag(self):
        for header, body, param in (('x' * 129, None, 'x-aigw-user'), ('a\tb', None, 'x-aigw-user'), (None, 'x' * 129, 'user'), (None, 'a\nb', 'user'),
                                    (None, ' a', 'user'), (None, 7, 'user'), (None, {}, 'user'), (None, '\u0085', 'user')):
            with self.subTest(header=header, body=body):
                a = self.ask(header=header, **({} if body is None else {'user': body}))
                self.assertEqual((a.status, a.error['code'], a.error['param']), (400, 'invalid_value', param), a)
                self.assertIn(param, a.error['message'])
        self.assertEqual(self.ask(header=None, **{'seed': 1}).status, 200)


class Passers(NodeCase):
    """Users who come once: each has a state while it counts in the budgets of `*`, and none when those days are over."""
    NODE = ClockNode
    MODELS = {'m': dict(model('oai/sim?tokens=1'), price={'request': '0.0001'})}
    CONFIG = {'live_size': '16MiB'}
    USERS = 2000

    def come(self, day, left):
        while left:
            a = self.chat('m', user='user-%d-%d' % (day, left.pop()))
            self.assertEqual(a.status, 200, a)

    def size(self):
        return self.node.metrics()['aigw_live_bytes']

    def test_they_are_forgotten(self):
        self.node.ctl('user', 'update', '*', '--account', 'main', '--limit', 'budget=1/day')
        self.chat('m', user='ann')
        self.node.settled('main')
        before, most = self.size(), []
        for day in range(2):
            left = list(range(self.USERS))
            threads = [threading.Thread(target=self.come, args=(day, left)) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(left, [])
            self.node.settled('main')
            wait_for(lambda: self.node.metrics()['aigw_outbox_records'] == 0, 20, 0.1)
            most.append(wait_for(lambda: (n := self.size()) > before + 100 * 1024 and n, 20, 0.1))
            self.node.step(3 * DAY)
            wait_for(lambda: self.size() <= before + 32 * 1024, 60, 0.2)
        # The second time no more than the first, but for how full its pages are: ten runs had 278,528 to 311,296 bytes.
        self.assertLess(most[1], most[0] * 1.2)
        row = self.node.budgets_used(self.key, 'user-1-7')
        self.assertEqual(row['user'], [0])


if __name__ == '__main__':
    tap.main()
