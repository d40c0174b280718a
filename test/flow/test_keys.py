"""The life of API keys under load: rotation with a time of grace, suspension, revocation, import of many, rotation of the pepper; each
takes effect at the next request of every worker, and none loses a key to a crash. Reloads do the same."""
import fcntl
import json
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib')]
import tap
from client import Conn
from gateway import heed_signals, is_alive, wait_for
from node import CtlError, NodeCase, NodePerTest, chat_body, model, nusd
from test_clock import DAY, ClockNode

WORKERS = 3
SECRET = 'AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE'


class Load:
    """Requests with one key, one after the other on some threads, until stop(): every status, or what else `tells`, with its times."""

    def __init__(self, node, key, n=4, tells=lambda a: a.status, **fields):
        self.seen, self.over, self.tells, self.fields = [], False, tells, fields
        self.threads = [threading.Thread(target=self.run, args=(node, key)) for _ in range(n)]
        for t in self.threads:
            t.start()
        wait_for(lambda: len(self.seen) > 4 * n)

    def run(self, node, key):
        while not self.over:
            begun = time.monotonic()
            told = self.tells(node.chat(key, 'm', **self.fields))
            self.seen.append((begun, time.monotonic(), told))

    def stop(self):
        self.over = True
        for t in self.threads:
            t.join()

    def after(self, moment):
        """Of the requests that began then or later."""
        return {s for begun, _, s in self.seen if begun > moment}

    def before(self, moment):
        """Of those that ended before."""
        return {s for _, ended, s in self.seen if ended < moment}


class Keys(NodeCase):
    MODELS = {'m': model('oai/sim?tokens=1', price={'request': '0.001'}), 'slow': model('oai/sim?tokens=400&rate=40')}
    CONFIG = {'workers': WORKERS}

    def create(self, *words, account='main'):
        k = self.node.ctl('key', 'create', '--account', account, *words)
        self.node.canary.plant(k['key'])
        return k

    def rotate(self, k, *words):
        r = self.node.ctl('key', 'rotate', k['id'], *words)
        self.node.canary.plant(r['key'])
        self.assertEqual((r['id'], r['durable']), (k['id'], True))
        self.assertNotEqual(r['key'], k['key'])
        return r

    def workers_of(self, answers):
        return {e['process'] for e in self.node.access(*(a.get('x-request-id') for a in answers)).values()}

    def says(self, status, *keys, **fields):
        """What every worker answers to these keys, now: each is asked until all have been."""
        for key in keys:
            answers = []
            while not answers or len(self.workers_of(answers)) < WORKERS:
                answers += [self.chat('m', key=key, **fields) for _ in range(12)]
                self.assertLess(len(answers), 200)
            self.assertEqual({a.status for a in answers}, {status}, answers[-1])

    def under_load(self, key, **fields):
        load = Load(self.node, key, **fields)
        self.addCleanup(load.stop)
        return load

    def refused(self, status, *words):
        with self.assertRaises(CtlError) as caught:
            self.node.ctl(*words)
        self.assertEqual(caught.exception.status, status, caught.exception)
        return caught.exception.error

    def ends_at_once(self, key, status, *words, **fields):
        """After the command every request with this key gets this status, on all workers; before it, none."""
        load = self.under_load(key, **fields)
        asked = time.monotonic()
        self.node.ctl(*words)
        done = time.monotonic()
        self.says(status, key, **fields)
        wait_for(lambda: len([1 for begun, _, _ in load.seen if begun > done]) > 20)
        load.stop()
        self.assertEqual(load.before(asked), {200})
        self.assertEqual(load.after(done), {status})

    # --- rotation ---

    def test_rotated_with_grace(self):
        k = self.create('--rpm', '100000', '--budget', '500')
        load = self.under_load(k['key'])
        r = self.rotate(k, '--grace', '3s')
        self.says(200, k['key'], r['key'])
        ids = [self.chat('m', key=key).get('x-request-id') for key in (k['key'], r['key'])]
        self.assertEqual({e['key'] for e in self.node.access(*ids).values()}, {k['id']})
        shown = self.node.ctl('key', 'show', k['id'])
        self.assertGreater(shown['old_secret_until'], '2')
        self.assertEqual(shown['rpm'], 100000)
        # The grace ends, for every worker at one second.
        wait_for(lambda: self.chat('m', key=k['key']).status == 401, 6)
        ended = time.monotonic()
        self.says(401, k['key'])
        self.says(200, r['key'])
        load.stop()
        self.assertLessEqual(load.after(ended), {401})
        self.assertEqual(load.before(ended - 1), {200})
        self.assertIsNone(self.node.ctl('key', 'show', k['id'])['old_secret_until'])
        # One usage for both.
        used = self.node.ctl('key', 'show', k['id'])
        good = len([1 for _, _, s in load.seen if s == 200])
        self.assertGreater(used['requests'], good)

    def test_rotated_at_once(self):
        k = self.create()
        self.ends_at_once(k['key'], 401, 'key', 'rotate', k['id'], '--grace', '0')
        r = self.rotate(k, '--grace', '1h')
        s = self.rotate(r, '--grace', '1h')
        self.says(401, k['key'])
        self.says(200, r['key'], s['key'])
        t = self.rotate(s)  # a day; the one before the last has ended
        self.says(401, r['key'])
        self.says(200, s['key'], t['key'])

    def test_rotation_refused(self):
        self.assertEqual(self.refused(4, 'key', 'rotate', 'aaaaaaaaaaaa')['code'], 'not_found')
        self.refused(2, 'key', 'rotate', 'nonsense')
        self.refused(2, 'key', 'rotate', self.key, '--grace', '5')
        self.refused(2, 'key', 'rotate', self.key, '--grace', '400d')
        k = self.create()
        self.node.ctl('key', 'revoke', k['id'])
        self.assertEqual(self.refused(1, 'key', 'rotate', k['id'])['code'], 'refused')

    # --- suspension, revocation ---

    def test_suspended_and_resumed(self):
        k = self.create()
        self.ends_at_once(k['key'], 403, 'key', 'suspend', k['id'], '--note', 'late')
        self.assertEqual(self.node.ctl('key', 'show', k['id'])['status'], 'suspended')
        self.assertEqual(self.node.ctl('key', 'resume', k['id'])['status'], 'active')
        self.says(200, k['key'])
        self.assertEqual(self.refused(4, 'key', 'suspend', 'aaaaaaaaaaaa')['code'], 'not_found')

    def test_owners_suspended(self):
        """Account, team and end user, under load as well."""
        self.node.account('owner', 50)
        self.node.ctl('team', 'create', 'crew', '--account', 'owner')
        k = self.create('--team', 'crew', account='owner')
        for off, on in ((('account', 'suspend', 'owner'), ('account', 'resume', 'owner')),
                        (('team', 'suspend', 'crew', '--account', 'owner'), ('team', 'resume', 'crew', '--account', 'owner')),
                        (('user', 'update', 'eve', '--account', 'owner', '--suspended', 'on'),
                         ('user', 'update', 'eve', '--account', 'owner', '--suspended', 'off'))):
            with self.subTest(off[0]):
                self.ends_at_once(k['key'], 403, *off, user='eve')
                self.node.ctl(*on)
                self.says(200, k['key'], user='eve')

    def test_revoked(self):
        k = self.create()
        self.ends_at_once(k['key'], 401, 'key', 'revoke', k['id'])
        for verb in ('suspend', 'resume'):
            self.assertEqual(self.refused(1, 'key', verb, k['id'])['code'], 'refused')

    def test_revoked_now(self):
        """Streams on every worker are cut with an error item and charged for what was sent; those of another key go on."""
        k, other = self.create(), self.create()
        others, mine = self.streams(3, other['key']), self.streams(16, k['key'])
        self.node.ctl('key', 'revoke', k['id'], '--now')
        begun = time.monotonic()
        answers = [c.answer() for c in mine]
        self.assertLess(time.monotonic() - begun, 3)
        self.assertEqual(len(self.workers_of(answers)), WORKERS)
        for a in answers:
            self.assertIn('error', a.data()[-1])
            self.assertEqual((a.is_done, a.ended), (False, 'cut'))
            self.assertGreater(nusd(self.node.record(a.get('x-request-id'))['charge_usd']), 0)
        for c in others:
            self.assertTrue(c.answer().is_done)

    def streams(self, n, key):
        """Running ones, that have sent something."""
        conns = [Conn(self.node.port).request('POST', '/v1/chat/completions', chat_body('slow', True), (), key) for _ in range(n)]
        for c in conns:
            self.addCleanup(c.close)
            while b'"content"' not in c.buffer:
                self.assertTrue(c.fill())
        return conns

    # --- many ---

    def import_file(self, lines, *words, status=0):
        path = os.path.join(self.node.dir, 'keys.ndjson')
        with open(path, 'w') as f:
            f.writelines((line if isinstance(line, str) else json.dumps(line)) + '\n' for line in lines)
        p = self.node.ctl_raw('key', 'import', path, *words)
        os.unlink(path)
        self.assertEqual(p.returncode, status, p.stderr)
        made = [json.loads(line) for line in p.stdout.splitlines()]
        for k in made:
            if 'key' in k:
                self.node.canary.plant(k['key'])
        return made, p.stderr.replace(path, 'FILE')

    def keys_of(self, account):
        return {k['id']: k for k in self.node.ctl('key', 'list', '--account', account)['keys']}

    def test_import(self):
        self.node.account('lines', 50)
        self.node.ctl('team', 'create', 'crew', '--account', 'lines', '--rpm', '1000')
        mine = 'sk-aigw-otherhouse22-' + SECRET
        self.node.canary.plant(mine)
        made, told = self.import_file([
            {'account': 'lines', 'name': 'a', 'rpm': 7, 'budget': '1.5', 'period': 'day', 'models': ['m', '!x*'], 'clamp': True,
             'ip': '127.0.0.0/8', 'expires': '30d', 'client-gone': 'drain', 'team': None},
            '', {'account': 'lines', 'team': 'crew', 'client_gone': 'abort', 'name': None}, {'key': mine, 'account': 'lines', 'name': 'moved'}],
            '--note', 'from elsewhere')
        self.assertEqual([(k['line'], k['account'], k['name'], 'key' in k) for k in made],
                         [(1, 'lines', 'a', True), (3, 'lines', '', True), (4, 'lines', 'moved', False)])
        keys = self.keys_of('lines')
        self.assertEqual(set(keys), {k['id'] for k in made})
        a = self.node.ctl('key', 'show', made[0]['id'])
        self.assertEqual((a['rpm'], a['budget_usd'], a['budget_period'], a['models'], a['ip'], a['clamp'], a['client_gone']),
                         (7, 1.5, 'day', 'm, !x*', '127.0.0.0/8', True, 'drain'))
        self.assertEqual(self.node.ctl('key', 'show', made[1]['id'])['team'], 'crew')
        for key in (made[0]['key'], made[1]['key'], mine):
            self.assertEqual(self.chat('m', key=key).status, 200)
        self.assertEqual(self.chat('slow', key=made[0]['key']).status, 403)
        changes = [json.loads(line) for line in self.node.ctl_raw('ledger', 'export', '--changes').stdout.splitlines()]
        self.assertEqual(len([c for c in changes if c.get('what') == 'import' and c['note'] == 'from elsewhere']), 3)

    def test_import_refused(self):
        """Everything that is wrong is told by its line, and nothing is made."""
        self.node.account('wrong', 50)
        good = {'account': 'wrong'}
        mine = 'sk-aigw-otherhouse33-' + SECRET
        cases = [
            ('{"account": "wrong"', 'byte'), ('[]', 'a JSON object is expected'), (dict(good, rpm='fast'), 'whole number'),
            (dict(good, rmp=5), "unknown member 'rmp' (did you mean 'rpm'?)"), (dict(good, json=True), "unknown member 'json'"),
            (dict(good, name={'a': 1}), 'a text, a number'), (dict(good, rpm=[1, 2]), 'given twice'), (dict(good, key=5), 'key: one text'),
            (dict(good, key=mine), None), (dict(good, key=mine), 'the one of line 9 again'),
            (dict(good, note='of one line'), 'note: it is given for the whole file'), (dict(good, models=','), "models: ',' is not PATTERNS"),
            (dict(good, secret=mine), "unknown member 'secret': one that clients have already is `key`"),
            (dict(good, rpm=True), "rpm: 'true' is not a whole number, or none"), (dict(good, name=False, clamp=True), None)]
        made, told = self.import_file([line for line, _ in cases], status=1)
        self.assertEqual(made, [])
        for i, (_, words) in enumerate(cases):
            (self.assertIn if words else self.assertNotIn)('FILE:%d: ' % (i + 1), told)
            self.assertIn(words or '', told)
        cases = [
            ({'account': 'nobody'}, "there is no 'nobody'"), ({'name': 'x'}, "'account' is missing"), (good, None),
            (dict(good, team='none such'), "team: the account has no"), (dict(good, zone='Mars/Here'), 'zone'),
            (dict(good, key='sk-proj-abc'), 'can be taken over'), (dict(good, key=self.key), 'there is a key with the id'),
            (dict(good, models='m' * 5000), 'models: at most')]
        # Across parts: those that are whole are not made either.
        made, told = self.import_file([good] * 300 + [line for line, _ in cases] + ['{'], status=1)
        self.assertEqual(made, [])
        lines = [int(line.split(':')[1]) for line in told.splitlines() if line.startswith('FILE:')]
        self.assertEqual(lines, sorted(lines))
        self.assertIn('FILE:309: ', told)  # what the file alone shows, with what only the daemon knows
        for i, (_, words) in enumerate(cases):
            (self.assertIn if words else self.assertNotIn)('FILE:%d: ' % (i + 301), told)
            self.assertIn(words or '', told)
        self.assertIn('8 of the keys cannot be made; none was', told)
        self.assertEqual(self.keys_of('wrong'), {})
        path = os.path.join(self.node.dir, 'wrong.ndjson')
        with open(path, 'w') as f:
            f.write('\n{"account": "nobody"}\n{}\n')
        e = self.refused(1, 'key', 'import', path)
        self.assertEqual((e['code'], e['file'], e['line']), ('invalid_file', path, 2))
        self.assertIn("2 of the keys cannot be made; none was; the first: account: there is no 'nobody'", e['message'])
        self.assertEqual(self.refused(1, 'key', 'import', path + '.none')['code'], 'failed')
        self.assertEqual(self.refused(1, 'key', 'import', '/dev/null')['code'], 'empty')
        self.assertIn('a folder, not a file', self.refused(1, 'key', 'import', self.node.dir)['message'])

    def cut_off(self, account, out, stop, lines=3000):
        """An import whose output goes to `out` and which `stop(process)` ends. How it ended: the lines that were printed, the names of the keys
        that are made, the line to go on from, the lines that are told to be made and not printed, all that was told."""
        self.node.account(account, 50)
        path = os.path.join(self.node.dir, account + '.ndjson')
        with open(path, 'w') as f:
            f.writelines('{"account": "%s", "name": "n%d"}\n' % (account, i + 1) for i in range(lines))
        with subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'key', 'import', path], stdin=subprocess.DEVNULL,
                              stdout=out, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals) as p:
            seen = stop(p)
            told = p.stderr.read()
            if seen is not None:
                seen += p.stdout.read()
        os.unlink(path)
        printed = []
        for line in (seen or '').splitlines(True):
            if line.endswith('\n'):
                printed.append(json.loads(line)['line'])
                self.node.canary.plant(json.loads(line)['key'])
        for secret in set(re.findall('sk-aigw-[a-z0-9]{12}-[A-Za-z0-9_-]+', told)):
            self.fail('a secret is told: ' + secret[:20])
        made = sorted(int(k['name'][1:]) for k in self.keys_of(account).values())
        at = re.search(r'go on with --from (\d+)', told)
        lost = re.search(r'the keys of lines (\d+) to (\d+) are made and were not printed', told)
        self.assertTrue(at, told)
        self.assertEqual(made, list(range(1, int(at.group(1)))), told)
        self.assertLess(len(made), lines)
        unseen = range(int(lost.group(1)), int(lost.group(2)) + 1) if lost else range(0)
        if lost:
            self.assertIn('key rotate', told)
        return p.returncode, printed, made, list(unseen), told

    def test_import_interrupted(self):
        """What is being made is waited for and printed; nothing behind it is made."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            def stop(p):
                first = p.stdout.readline()
                p.send_signal(number)
                return first
            status, printed, made, unseen, told = self.cut_off('cut%d' % number, subprocess.PIPE, stop, 9000)
            self.assertEqual((status, printed, unseen), (-number, made, []), told)
            self.assertIn('interrupted', told)

    def test_import_interrupted_unread(self):
        """The reader takes nothing: what is made and did not go into the pipe is told by its lines."""
        def stop(p):
            until = time.monotonic() + 30
            before, n = -1, 0
            while time.monotonic() < until and (n == 0 or n != before):
                time.sleep(0.5)
                before, n = n, struct.unpack('i', fcntl.ioctl(p.stdout.fileno(), termios.FIONREAD, bytes(4)))[0]
            p.terminate()
            p.wait(timeout=20)
            return ''
        status, printed, made, unseen, told = self.cut_off('stalled', subprocess.PIPE, stop)
        self.assertEqual((status, printed + unseen), (-signal.SIGTERM, made), told)
        self.assertTrue(unseen)

    def test_import_of_a_closed_pipe(self):
        def stop(p):
            self.node.canary.plant(json.loads(p.stdout.readline())['key'])
            p.stdout.close()
            return None
        status, _, made, unseen, told = self.cut_off('closed', subprocess.PIPE, stop, 9000)
        self.assertEqual((status, unseen), (-signal.SIGPIPE, made[len(made) - len(unseen):]), told)
        self.assertIn('may be unread', told)

    def test_import_to_a_full_disk(self):
        with open('/dev/full', 'w') as full:
            status, _, made, unseen, told = self.cut_off('full', full, lambda p: None)
        self.assertEqual((status, made, unseen), (1, list(range(1, 257)), made), told)
        self.assertIn('no space left', told)

    def test_import_of_a_thousand(self):
        self.node.account('thousand', 50)
        load = self.under_load(self.key)
        lines = [{'account': 'thousand', 'name': 'key %d' % i, 'rpm': 10 + i} for i in range(1000)]
        begun = time.monotonic()
        made, _ = self.import_file(lines)
        took = time.monotonic() - begun
        load.stop()
        sys.stdout.write('# 1,000 keys in %.2f s\n' % took)
        self.assertLess(took, 10)
        self.assertEqual(load.after(0), {200})
        self.assertEqual([k['line'] for k in made], list(range(1, 1001)))
        keys = self.keys_of('thousand')
        self.assertEqual({k['id']: k['name'] for k in made}, {i: k['name'] for i, k in keys.items()})
        for k in made[::100] + made[-1:]:
            self.assertEqual(self.chat('m', key=k['key']).status, 200)
        # Some more lines, of which the first thousand are made.
        made, _ = self.import_file(lines + [{'account': 'thousand', 'name': 'last'}], '--from', '1001')
        self.assertEqual([(k['line'], k['name']) for k in made], [(1001, 'last')])


class RevokedOfOlderWorkers(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=1'), 'slow': model('oai/sim?tokens=600&rate=40')}
    CONFIG = {'workers': WORKERS, 'timeouts': {'drain_timeout': '60s'}}

    def test_revoked_now(self):
        """Workers that outlive their master have no channel to the keeper of the next one: what runs there ends as well, within a second."""
        self.begin()
        conns = [Conn(self.node.port).request('POST', '/v1/chat/completions', chat_body('slow', True), (), self.key) for _ in range(9)]
        for c in conns:
            self.addCleanup(c.close)
            while b'"content"' not in c.buffer:
                self.assertTrue(c.fill())
        mark = self.node.mark()
        self.node.lose_master()
        self.node.spawn()
        self.node.wait_event('ready', pid=self.node.master.pid, process='master', since=mark)
        self.node.ctl('key', 'revoke', self.node.ctl('key', 'list', '--account', 'main')['keys'][0]['id'], '--now')
        begun = time.monotonic()
        answers = [c.answer() for c in conns]
        self.assertLess(time.monotonic() - begun, 3)
        for a in answers:
            self.assertEqual((a.is_done, a.ended), (False, 'cut'))
            self.assertEqual(a.data()[-1]['error']['code'], 'invalid_api_key')
            self.assertEqual(self.node.record(a.get('x-request-id'))['end'], 'revoked')
        self.check_books()


class Reloads(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=1', price={'request': '0.001'})}
    CONFIG = {'workers': WORKERS}

    def test_next_request(self):
        """Under load, of every worker: what begins after the command has ended is of the new configuration, what ended before it, of the old."""
        self.begin()
        load = Load(self.node, self.key, tells=lambda a: (a.get('x-aigw-config'), a.get('x-aigw-cost-usd')))
        self.addCleanup(load.stop)
        for n in range(2, 10):
            self.node.configure(models={'m': {'price': {'request': '0.00%d' % n}}})
            before, asked = len(load.seen), time.monotonic()
            self.node.ctl('reload')
            done = time.monotonic()
            wait_for(lambda: len([1 for begun, _, _ in load.seen if begun > done]) > 20)
            seen = load.seen[before:]
            self.assertLessEqual({t for _, ended, t in seen if ended < asked}, {(str(n - 1), '0.00%d' % (n - 1))})
            self.assertEqual({t for begun, _, t in seen if begun > done}, {(str(n), '0.00%d' % n)})
        load.stop()
        workers = {e['process'] for e in self.node.events('request')}
        self.assertEqual(len(workers), WORKERS)
        self.check_books()


class PepperCase(NodePerTest):
    MODELS = {'m': model('oai/sim?tokens=1', price={'request': '0.001'})}

    def setUp(self):
        super().setUp()
        self.begin()
        self.path = os.path.join(self.node.state, 'pepper')

    def create(self, *words):
        k = self.node.ctl('key', 'create', '--account', 'main', *words)
        self.node.canary.plant(k['key'])
        return k

    def peppers(self):
        return [(p['pepper'], p['newest'], p['keys']) for p in self.node.ctl('pepper', 'list')['peppers']]

    def rotate(self):
        return self.node.ctl('pepper', 'rotate')['peppers'][0]['pepper']

    def good(self, *keys):
        """Every key is known, on fresh connections."""
        for key in keys:
            for _ in range(3):
                a = self.node.chat(key, 'm')
                self.assertEqual(a.status, 200, a)


class PeppersOfTheExpired(PepperCase):
    def make(self, *args, **config):
        self.node = ClockNode(self.MODELS, **config)
        self.addCleanup(self.node.close)

    def test_expired_for_long(self):
        """A key whose pepper went is not given more time, for its secret would open nothing all the same."""
        k = self.create()
        self.node.ctl('key', 'update', k['id'], '--expires', '1h')
        self.node.age(2 * DAY)
        self.assertEqual(self.peppers(), [(1, True, 1)])
        self.assertEqual(self.rotate(), 2)
        mine = self.node.ctl('key', 'rotate', self.key, '--grace', '0')['key']
        self.assertEqual(self.rotate(), 3)
        self.assertEqual([p for p, _, _ in self.peppers()], [3, 2])
        for time_ in ('never', '30d'):
            with self.assertRaises(CtlError) as e:
                self.node.ctl('key', 'update', k['id'], '--expires', time_)
            self.assertEqual((e.exception.status, e.exception.error['code']), (1, 'refused'))
            self.assertIn("'key rotate'", e.exception.error['message'])
        self.node.ctl('key', 'update', k['id'], '--name', 'old')  # anything else may change
        new = self.node.ctl('key', 'rotate', k['id'], '--grace', '0')['key']
        self.node.ctl('key', 'update', k['id'], '--expires', 'never')
        self.good(new, mine)

    def looked(self):
        """The ledger thread has had its look at the peppers, which it has with a start, before the second of two changes."""
        for amount in ('1', '2'):
            self.node.ctl('account', 'credit', 'main', '--add', amount)

    def test_clock_ahead(self):
        """By a clock that is ahead a key has expired for long, by the time that has passed it has not: its pepper stays."""
        k = self.create('--expires', '90d')
        self.assertEqual(self.rotate(), 2)
        mine = self.node.ctl('key', 'rotate', self.key, '--grace', '0')['key']
        before = self.peppers()
        self.assertEqual([p for p, _, _ in before], [2, 1])
        for how in ('stopped', 'killed'):
            with self.subTest(how):
                if how == 'stopped':
                    self.node.stop()
                else:
                    self.node.kill_all()
                self.node.step(400 * DAY)
                self.node.start()
                self.looked()
                self.assertEqual(self.node.chat(k['key'], 'm').status, 401)
                self.assertEqual(self.peppers(), before)
                self.node.wait_event('clock_jumped', 10)
                self.node.step(-400 * DAY)
                self.assertEqual(self.peppers(), before)
                self.good(k['key'], mine)
        # After a day it is no jump.
        self.node.step(400 * DAY)
        self.assertEqual(self.peppers(), before)
        self.node.age(DAY)
        self.node.wait_event('clock_believed', 10)
        self.assertEqual([n for _, _, n in self.peppers()], [1, 0])
        self.assertEqual(self.rotate(), 3)
        self.assertEqual([p for p, _, _ in self.peppers()], [3, 2])


class Peppers(PepperCase):
    def pepper_of(self, key_id):
        return self.node.ctl('key', 'show', key_id)['pepper']

    def test_rotated(self):
        """Keys of before stay good until they are rotated or revoked; then their pepper goes."""
        first, second = self.create(), self.create()
        self.assertEqual(self.peppers(), [(1, True, 3)])
        load = Load(self.node, first['key'])
        self.assertEqual(self.rotate(), 2)
        # At once: what is made now is hashed with the new one, and every worker knows it.
        made = [self.create() for _ in range(5)]
        for k in made:
            self.assertEqual(self.node.chat(k['key'], 'm').status, 200)
            self.assertEqual(self.pepper_of(k['id']), 2)
        self.assertEqual(self.peppers(), [(2, True, 5), (1, False, 3)])
        load.stop()
        self.assertEqual(load.after(0), {200})
        mode = os.stat(self.path)
        self.assertEqual(stat.S_IMODE(mode.st_mode), 0o600)
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        self.good(self.key, first['key'], second['key'], made[0]['key'])
        self.assertEqual(self.pepper_of(first['id']), 1)
        # In its grace the old secret needs its pepper.
        new = self.node.ctl('key', 'rotate', first['id'], '--grace', '1h')['key']
        self.assertEqual(self.pepper_of(first['id']), 2)
        self.node.ctl('key', 'revoke', second['id'])
        self.good(new, first['key'], self.key)
        self.assertEqual(self.peppers(), [(2, True, 6), (1, False, 2)])
        last = self.node.ctl('key', 'rotate', first['id'], '--grace', '0')['key']
        mine = self.node.ctl('key', 'rotate', self.key, '--grace', '0')['key']
        self.assertEqual(self.peppers(), [(2, True, 7), (1, False, 0)])
        # With the next start of the keeper, or the next rotation, the first one goes.
        os.kill(wait_for(lambda: self.node.children('keeper'))[0], signal.SIGKILL)
        wait_for(lambda: self.known() == [2], 20)
        self.good(last, mine, made[1]['key'])
        self.assertEqual(self.rotate(), 3)
        self.good(last, mine, made[1]['key'])
        self.check_books()

    def known(self):
        p = self.node.ctl_raw('pepper', 'list', '--json')
        return [x['pepper'] for x in json.loads(p.stdout)['peppers']] if p.returncode == 0 else None

    def test_rotation_survives_the_keeper(self):
        """kill -9 at any moment: a secret that was shown is good, and the one of before too."""
        dice = tap.dice('rotation')
        for n in range(5):
            k = self.create()
            keeper = wait_for(lambda: self.node.children('keeper'))[0]
            threading.Timer(dice.uniform(0, 0.03), os.kill, (keeper, signal.SIGKILL)).start()
            try:
                keys = [k['key'], self.node.ctl('key', 'rotate', k['id'], '--grace', '1h')['key']]
            except CtlError:
                keys = [k['key']]
            wait_for(lambda: not is_alive(keeper))
            wait_for(lambda: self.known(), 20)
            self.good(*keys)

    def test_limits(self):
        for n in range(2, 9):
            self.create()
            self.assertEqual(self.rotate(), n)
        self.create()
        with self.assertRaises(CtlError) as caught:
            self.rotate()
        self.assertEqual((caught.exception.status, caught.exception.error['code']), (1, 'full'))
        self.assertEqual([p for p, _, _ in self.peppers()], [8, 7, 6, 5, 4, 3, 2, 1])
        self.good(self.key)

    def test_killed_at_any_moment(self):
        """kill -9 of all processes, or of the keeper, around a rotation: every key that was printed is good afterwards."""
        keys, dice = [self.key], tap.dice('pepper')
        for n in range(8):
            rotation = subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'pepper', 'rotate'],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0, 0.03))  # anywhere in it
            if n % 2:
                self.node.kill_all()
            else:
                os.kill(wait_for(lambda: self.node.children('keeper'))[0], signal.SIGKILL)
            rotation.wait()
            if n % 2:
                self.node.start()
            wait_for(lambda: self.known(), 20)
            self.good(*keys)
            keys.append(self.create()['key'])
            self.good(keys[-1])
            self.assertEqual(sorted(set(os.listdir(self.node.state)) & {'pepper', 'pepper.new'})[:1], ['pepper'])
        self.assertLess(len(self.known()), 9)

    def test_backup_has_all(self):
        """Restored where there is nothing: keys of both peppers are known."""
        self.rotate()
        new = self.create()['key']
        folder = os.path.join(self.node.dir, 'backup')
        self.node.ctl('ledger', 'backup', folder)
        self.assertEqual(self.node.stop(), 0)
        os.unlink(self.path)
        p = subprocess.run([os.environ['AIGWCTL'], 'ledger', 'restore', folder, '--state', self.node.state], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.node.start()
        self.assertEqual([p for p, _, _ in self.peppers()], [2, 1])
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.good(self.key, new)


class PepperLost(NodePerTest):
    MODELS = Peppers.MODELS

    def lose(self):
        self.begin()
        self.path = os.path.join(self.node.state, 'pepper')
        self.node.stop()
        os.rename(self.path, self.path + '.kept')

    def refused(self):
        mark = self.node.mark()
        with self.assertRaisesRegex(RuntimeError, 'ended with 1'):
            self.node.start()
        said = self.node.events('keeper_failed', mark)[0]['message']
        self.assertRegex(said, r'^the file /.*/state/pepper is not there, and 1 keys need it: put it back .*, or make an empty file pepper\.lost beside it')
        self.assertFalse(os.path.exists(self.path))

    def test_put_back(self):
        """A node does not begin without the file that its keys need, says what to do, and has its keys again with it."""
        self.lose()
        self.refused()
        self.refused()
        os.rename(self.path + '.kept', self.path)
        self.node.start()
        self.assertEqual(self.chat('m').status, 200)
        self.assertTrue(self.node.verify()['good'])

    def test_given_up(self):
        """One word of the operator's, once: then keys need new secrets, and the chain says why."""
        self.lose()
        self.refused()
        mark = self.node.mark()
        open(self.path + '.lost', 'w').close()
        self.node.start()
        self.assertEqual(self.node.events('pepper_replaced', mark)[0]['message'].rpartition(', and ')[2], '1 keys of before need a new secret')
        self.assertFalse(os.path.exists(self.path + '.lost'))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(self.chat('m').status, 401)
        old = self.key.split('-')[2]
        self.assertEqual(self.node.chat(self.node.ctl('key', 'rotate', old)['key'], 'm').status, 200)
        self.assertEqual(self.node.chat(self.node.key('main'), 'm').status, 200)
        self.assertEqual([(p['pepper'], p['keys']) for p in self.node.ctl('pepper', 'list')['peppers']], [(2, 2)])
        changes = self.node.ctl_raw('ledger', 'export', '--changes').stdout
        self.assertIn('the file was lost', changes)
        self.node.stop()
        os.rename(self.path, self.path + '.second')
        with self.assertRaisesRegex(RuntimeError, 'ended with 1'):
            self.node.start()  # the word was for one time

    def test_nobody_needs_it(self):
        """Where no key is left that could be good, a new one is made without a word."""
        self.lose()
        os.rename(self.path + '.kept', self.path)
        self.node.start()
        self.node.ctl('key', 'revoke', self.key.split('-')[2])
        self.node.stop()
        os.unlink(self.path)
        self.node.start()
        self.assertFalse(self.node.events('pepper_replaced'))
        self.assertEqual(self.node.chat(self.node.key('main'), 'm').status, 200)


class PeppersGo(NodePerTest):
    MODELS = Peppers.MODELS
    CONFIG = {'durability': 'async'}

    def test_beside_the_rounds(self):
        """The keeper says in the ledger that a pepper goes, and takes what waits in the outbox with that: it leaves the outbox all the
        same. A row that stayed would grow old, and a node whose oldest row is old serves nobody."""
        self.begin()
        path = os.path.join(self.node.state, 'pepper')
        for key in self.node.ctl('key', 'list')['keys']:
            self.node.ctl('key', 'revoke', key['id'])
        one = os.stat(path).st_size
        self.node.ctl('pepper', 'rotate')
        key = self.node.key('main')
        end, pause = time.monotonic() + 30, 0
        while os.stat(path).st_size > one:
            self.assertLess(time.monotonic(), end, 'the pepper stays')
            if time.monotonic() > pause:
                self.assertEqual(self.node.chat(key, 'm').status, 200)
                pause = time.monotonic() + 0.15
        wait_for(lambda: self.is_empty_for(2.5), 20, 0)
        self.check_books()

    def is_empty_for(self, seconds):
        """The outbox, as it is measured each second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.node.status()['ledger'][0]['outbox_records']:
                return False
        return True


if __name__ == '__main__':
    tap.main()
