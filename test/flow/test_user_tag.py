"""The end user's tag of a request: header `x-aigw-user`, else the body's `user`; in the access log and the record, never a header for a
provider."""
import json
import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import wait_for
from node import BACKS, NodeCase, NodePerTest, chat_body, model, on_both
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


class Many:
    """Users who come once."""
    NODE = ClockNode
    MODELS = {'m': dict(model('oai/sim?tokens=1'), price={'request': '0.0001'})}
    CONFIG = {'live_size': '16MiB'}

    def come(self, key, day, left):
        while left:
            a = self.node.chat(key, 'm', user='user-%d-%d' % (day, left.pop()))
            self.assertEqual(a.status, 200, a)

    def all_come(self, account, key, day, users):
        left = list(range(users))
        threads = [threading.Thread(target=self.come, args=(key, day, left)) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(left, [])
        self.node.settled(account)
        wait_for(lambda: self.node.metrics()['aigw_outbox_records'] == 0, 20, 0.1)

    def size(self):
        return self.node.metrics()['aigw_live_bytes']


class Passers(Many, NodeCase):
    """Each has a state while it counts in the budgets of `*`, and none when those days are over."""
    USERS = 2000

    def test_they_are_forgotten(self):
        self.node.ctl('user', 'update', '*', '--account', 'main', '--limit', 'budget=1/day')
        self.chat('m', user='ann')
        self.node.settled('main')
        before, most = self.size(), []
        for day in range(2):
            self.all_come('main', self.key, day, self.USERS)
            most.append(wait_for(lambda: (n := self.size()) > before + 100 * 1024 and n, 20, 0.1))
            self.node.age(3 * DAY)
            wait_for(lambda: self.size() <= before + 32 * 1024, 60, 0.2)
        # The second time no more than the first, but for how full its pages are: ten runs had 278,528 to 311,296 bytes.
        self.assertLess(most[1], most[0] * 1.2)
        row = self.node.budgets_used(self.key, 'user-1-7')
        self.assertEqual(row['user'], [0])


class Ahead(Many, NodePerTest):
    """A clock that is ahead for a while makes nobody idle. Each of the many has a day, until midnight; ann has a month, that begins with her."""

    def make(self, models=None, sim=None, **config):
        self.node = ClockNode(self.MODELS, sim, **self.CONFIG, **config)
        self.addCleanup(self.node.close)
        self.node.until(self.node.now().replace(hour=12))

    def start(self):
        super().start()
        self.others = self.node.customer('other', 10)
        self.node.ctl('user', 'update', '*', '--account', 'main', '--limit', 'budget=1/month rolling')
        self.node.ctl('user', 'update', '*', '--account', 'other', '--limit', 'budget=1/day')
        for _ in range(4):
            self.assertEqual(self.chat('m', user='ann').status, 200)
        self.node.settled('main')
        self.check_ann()

    def check_ann(self):
        self.assertEqual(self.node.budgets_used(self.key, 'ann')['user'], [4 * 10**5])

    def test_rows(self):
        """The many go when their day has been over for one; ann, whose account is looked at before theirs, stays, though her month is over by the
        clock."""
        self.begin()
        before = self.size()
        self.all_come('other', self.others, 0, 1000)
        self.node.age(35 * 3600)
        self.node.step(400 * DAY)
        self.node.wait_event('clock_jumped', 10)
        self.node.age(2 * 3600)
        wait_for(lambda: self.size() <= before + 16 * 1024, 20, 0.1)
        self.node.step(-400 * DAY)
        self.check_ann()

    def test_book(self):
        """The ledger's book forgets by the same time, whatever that of its last record."""
        self.begin()
        self.node.step(400 * DAY)
        self.assertEqual(self.chat('m').status, 200)
        self.node.settled('main')
        self.node.stop()
        shutil.rmtree(self.node.live)
        self.node.step(-400 * DAY)
        self.node.start()
        self.check_ann()


class Flood(NodePerTest):
    """Row 26: a client makes up end users, each with the limits of `*`, until there is no room for another."""
    MODELS = {'m': dict(model('oai/sim?tokens=1'), price={'request': '0.0001'})}
    CONFIG = {'live_size': '4MiB', 'log': {'access': False}}
    SENDERS = 4

    def send(self, k, answers):
        """Tags of this sender's own, until one of them is refused."""
        with Conn(self.node.port) as c:
            for n in range(10000):
                c.request('POST', '/v1/chat/completions', chat_body('m', user='u%d' % (k + n * self.SENDERS)), key=self.key)
                a = c.answer()
                if a.status != 200:
                    answers.append((n, a))
                    return

    def flood(self):
        """The tags that came, and the last refusal."""
        answers = []
        threads = [threading.Thread(target=self.send, args=(k, answers)) for k in range(self.SENDERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(answers), self.SENDERS)
        self.assertEqual({a.status for _, a in answers}, {429}, answers)
        return sum(n for n, _ in answers), answers[-1][1]

    def check_refusal(self, a):
        self.assertEqual((a.status, a.error['code']), (429, 'rate_limit_exceeded'), a)
        self.assertRegex(a.error['metadata']['scope'], '^user .*: end users at once$')
        self.assertIn('end users without a definition', a.error['message'])
        self.assertGreater(int(a.get('retry-after')), 0)
        self.assertGreater(a.error['metadata']['limit'], 3000)

    def check_others(self, key):
        """Whoever needs no room for another end user of this account."""
        for key, user in ((key, None), (key, 'somebody'), (self.key, None), (self.key, 'u0'), (self.key, 'known')):
            with self.subTest(user=user, main=key == self.key):
                a = self.node.chat(key, 'm', **({'user': user} if user else {}))
                self.assertEqual(a.status, 200, a)

    def test_it_refuses_new_ones_only(self):
        self.begin()
        node = self.node
        other = node.customer('other', '100')
        for name in ('main', 'other'):
            node.ctl('user', 'update', '*', '--account', name, '--limit', 'budget=1/month')
        node.ctl('user', 'update', 'known', '--account', 'main', '--limit', 'budget=1/month')
        came, refusal = self.flood()
        self.assertGreater(came, 3000)
        self.check_refusal(refusal)
        self.check_others(other)
        node.key('other')
        self.check_books()

        # The live store is lost: what was used in the month is there, the rest serves, and a new one is refused as before.
        node.kill_all()
        shutil.rmtree(node.live)
        os.mkdir(node.live, 0o755)
        node.start()
        self.assertFalse(node.events('live_size_small'))
        used = node.budgets_used(self.key, 'u0')['user'][0]
        self.assertEqual(used, 200000)
        self.check_others(other)
        self.check_refusal(self.chat('m', user='yet another'))
        self.check_books()


if __name__ == '__main__':
    tap.main()
