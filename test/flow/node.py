"""A whole node for flow tests: aigwd with its keeper and workers, aigwsim as its providers, aigwctl to run it. Programs come from the
environment: AIGWD, AIGWCTL, AIGWSIM. NodeCase is the base of the tests that use one node for a class of tests."""
import functools
import json
import os
import subprocess
import sys
import unittest
from decimal import Decimal
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import ask, at_once
from conservation import Conservation
from gateway import LONG, PATIENCE, Gateway, children_of, is_alive, wait_for

VERIFY_EXPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'verify_export_books.py')
RECOMPUTE_MAX = 20000  # records: some seconds
BACKS = {'oai': 'openai', 'ant': 'anthropic'}


def model(*offers, input=1, output=2, context=128000, max_output=4096, **more):
    """A model's mapping; the offers (`provider/upstream model`) in the order in which they are tried."""
    m = dict(context=context, max_output=max_output, price={'input': input, 'output': output},
             offers={o: {'priority': i + 1} for i, o in enumerate(offers)})
    m.update(more)
    return m


def on_both(name, script, **more):
    """The same scripted model on both backs: {NAME-oai: …, NAME-ant: …}."""
    return {'%s-%s' % (name, back): model('%s/sim?%s' % (back, script), **more) for back in BACKS}


PIECES = ('image', 'web_search')
FAR_BUDGETS = 3


def far_limits(budget=10**6):
    """Rules of every kind, also for some models, that nothing comes near."""
    return ('requests=1000000000/day,tokens=1000000000000/day,concurrency=10000,budget=%d/total,budget=%d/year,'
            'requests=1000000000/minute models=*|!nothing,concurrency=10000 models=*|!nothing,credit=%d models=*|!nothing' % (budget, budget, budget))


def charge_nusd(usage, price):
    """Nano-dollars of {class: number} at dollars a million tokens, or each piece (as decimal text or int), rounded up once."""
    total = sum(Fraction(str(price[c])) * n * (10**6 if c in PIECES else 1) for c, n in usage.items() if n) * 1000
    return -(-total.numerator // total.denominator)


def nusd(dollars):
    """Nano-dollars of an amount in dollars, exactly."""
    n = Decimal(str(dollars)) * 10**9
    assert n == int(n), dollars
    return int(n)


class Sim:
    """aigwsim on a free port."""

    def __init__(self, *args):
        self.p = subprocess.Popen([os.environ['AIGWSIM'], '--listen', '127.0.0.1:0', *args], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().rpartition(':')[2])

    def counts(self):
        return ask(self.port, 'GET', '/sim/counts').json()

    def requests(self):
        """What was asked and sent, one dictionary a request, oldest first."""
        return ask(self.port, 'GET', '/sim/requests').json()['log']

    def last(self):
        """(request line, [(name, value)], body) of the last request as it came."""
        head, _, body = ask(self.port, 'GET', '/sim/last').json().partition('\n\n')
        lines = head.split('\n')
        return lines[0], [tuple(line.split(': ', 1)) if ': ' in line else (line.rstrip(':'), '') for line in lines[1:]], body

    def reset(self):
        ask(self.port, 'POST', '/sim/reset', b'')

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


class CtlError(Exception):
    def __init__(self, status, error):
        super().__init__('exit %d: %s' % (status, error))
        self.status = status
        self.error = error


class Node(Gateway):
    """`config` is merged into the default configuration, mapping by mapping."""

    def __init__(self, models, sim=None, program=None, sim_args=(), **config):
        self.own_sim = None if sim else Sim(*sim_args)
        self.sim = sim or self.own_sim
        self.models, self.more, self.conservation = models, config, None
        super().__init__(program or os.environ['AIGWD'])

    def make(self):
        base = {
            'region': 'test', 'workers': 2, 'listen': [{'address': '127.0.0.1:%d' % self.port}],
            'admin': {'socket': 'run/control.sock', 'http': '127.0.0.1:%d' % self.admin_port},
            'state': 'state', 'shared_memory': self.live, 'live_size': '16MiB', 'log': {'to': 'stderr', 'format': 'json'},
            'timeouts': {'drain_timeout': '5s'},
            'providers': {
                'oai': {'dialect': 'openai', 'base_url': 'http://127.0.0.1:%d/v1' % self.sim.port, 'keys': ['env:MOCK_KEY']},
                'ant': {'dialect': 'anthropic', 'base_url': 'http://127.0.0.1:%d/v1' % self.sim.port, 'keys': ['env:MOCK_KEY']}},
            'models': self.models}
        return merge(base, self.more)

    def configure(self, text=None, **config):
        self.more = merge(self.more, config)
        super().configure(text or json.dumps(self.make(), indent=1))

    # --- aigwctl ---

    def ctl_raw(self, *words, timeout=60):
        p = subprocess.run([os.environ['AIGWCTL'], '--socket', self.socket, *words], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=timeout)
        if words[:2] != ('key', 'create'):
            self.canary.look(p.stdout + p.stderr, ' '.join(words))
        return p

    def ctl(self, *words, timeout=60):
        """What `aigwctl … --json` prints; CtlError when it fails."""
        p = self.ctl_raw(*words, '--json', timeout=timeout)
        if p.returncode:
            try:
                error = json.loads(p.stderr)['error']
            except (ValueError, KeyError):
                error = {'message': p.stderr or p.stdout}
            raise CtlError(p.returncode, error)
        return json.loads(p.stdout, parse_float=Decimal)

    def account(self, name, credit='100', *options):
        return self.ctl('account', 'create', name, *(('--credit', str(credit)) if credit is not None else ()), *options)

    def key(self, account, **options):
        """A new key's text; options as aigwctl's, with _ for -."""
        words = []
        for name, value in options.items():
            words += ['--' + name.replace('_', '-'), str(value)]
        key = self.ctl('key', 'create', '--account', account, *words)['key']
        self.canary.plant(key)
        return key

    def customer(self, name, credit='100', **options):
        """An account and its key."""
        self.account(name, credit)
        return self.key(name, **options)

    def family(self, name, credit='100', tag='ann', **tight):
        """An account, a team, a key in it and the end user, each with limits of every kind, for all models and for some, that are far away; `tight`
        gives a scope one more. The key's text. With the credit these are five scopes."""
        def limits(scope):
            return ('--limit', far_limits() + (',' + tight[scope] if scope in tight else ''))
        self.account(name, credit)
        self.ctl('account', 'update', name, *limits('account'))
        self.ctl('team', 'create', 'team', '--account', name, *limits('team'))
        key = self.key(name, team='team', limit=limits('key')[1])
        self.ctl('user', 'update', tag, '--account', name, *limits('user'))
        return key

    def budgets_used(self, key, user=None):
        """{scope: the nano-dollars used of each budget, its own credit included}."""
        used = {}
        for row in self.ctl('limit', 'explain', key, *(('--user', user) if user else ()))['limits']:
            if row['limit'] == 'budget' or (row['limit'] == 'credit' and row['id']):
                used.setdefault(row['scope'], []).append(nusd(row['used']))
        return used

    def verify(self, *words):
        return self.ctl('ledger', 'verify', *words)

    def show(self, name):
        return self.ctl('account', 'show', name)

    def record(self, request_id):
        """The ledger's record of a request, once it is there."""
        def found():
            try:
                return self.ctl('request', 'show', request_id)
            except CtlError as e:
                if e.status != 4:
                    raise
        return wait_for(found, 10, 0.05)

    def settled(self, name, seconds=15):
        """The account once none of its requests is running. A keeper that was just killed cannot say, the next one can."""
        def quiet():
            try:
                a = self.show(name)
            except CtlError as e:
                if e.error.get('code') not in ('connection_lost', 'unavailable'):
                    raise
                return None
            return a if a['holds'] == 0 else None
        return wait_for(quiet, seconds, 0.05)

    def metrics(self):
        """{'name{labels}': value}."""
        found = {}
        for line in ask(self.admin_port, 'GET', '/metrics').body.decode().split('\n'):
            if line and not line.startswith('#'):
                name, _, value = line.rpartition(' ')
                found[name] = float(value)
        return found

    def access(self, *ids, seconds=5):
        """The access lines of these requests, once all are there, by id."""
        def found():
            lines = {e['request_id']: e for e in self.events('request') if e['request_id'] in set(ids)}
            return lines if len(lines) == len(set(ids)) else None
        return wait_for(found, seconds, 0.05)

    def recompute(self):
        """What somebody who shares no code with us finds wrong in the exported ledger; a list of lines."""
        p = subprocess.run([sys.executable, VERIFY_EXPORT], input=self.ctl_raw('ledger', 'export').stdout, capture_output=True,
                           text=True, timeout=120)
        return [] if p.returncode == 0 else ['verify_export_books.py: exit %d' % p.returncode] + p.stderr.splitlines()

    def check_books(self):
        """AssertionError when the ledger does not add up, a secret shows in log or metrics, or an error was logged."""
        for account in self.ctl('account', 'list')['accounts']:
            self.settled(account['name'])
        verdict = self.verify('--charges')
        self.metrics()
        self.canary.look(self.log_text(), 'the log')
        wrong = [] if verdict['good'] else ['ledger: %s' % verdict]
        wrong += self.recompute() if verdict['records'] <= RECOMPUTE_MAX else []
        wrong += ['a secret shows: %s' % s for s in self.canary.found]
        wrong += ['logged: %s' % e for e in self.events() if e.get('level') == 'error']
        if wrong:
            raise AssertionError('\n'.join(wrong))

    # --- requests ---

    def ask(self, method, path, body=None, key=None, headers=(), **more):
        return ask(self.port, method, path, body, headers, key, **more)

    def chat(self, key, model, stream=False, headers=(), text='hi', **fields):
        return self.ask('POST', '/v1/chat/completions', chat_body(model, stream, text, **fields), key, headers)

    # --- processes ---

    def spawn(self, **env):
        p = super().spawn(**dict(self.env, **env))
        if not self.conservation:
            self.conservation = Conservation(self.socket, self.admin_port, lambda: is_alive(self.master.pid), PATIENCE)
        return p

    def children(self, role=None):
        """{pid: role} of the living children of the last master: worker, keeper."""
        found = {}
        for pid in dict.fromkeys(self.pids() + children_of(self.master.pid)):
            if not is_alive(pid):
                continue
            try:
                with open('/proc/%d/cmdline' % pid, 'rb') as f:
                    line = f.read().decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[pid] = 'keeper' if 'keeper' in line else 'worker'
        return found if role is None else [p for p, r in found.items() if r == role]

    def own_pids(self):
        return super().own_pids() + [self.sim.p.pid]

    def end_conservation(self):
        """Looks at the books for the last time; AssertionError when they have ever been out of balance."""
        watch, self.conservation = self.conservation, None
        wrong = watch.end() if watch else []
        if wrong:
            raise AssertionError('the books were out of balance:\n' + '\n'.join(wrong))

    def close(self):
        try:
            self.end_conservation()
        finally:
            try:
                super().close()
            finally:
                if self.own_sim:
                    self.own_sim.close()


class BusyNode(Node):
    """With a provider `busy-ant` for items that say overloaded: its key rests behind one, that of `ant` must not."""
    def make(self):
        made = super().make()
        made['providers']['busy-ant'] = made['providers']['ant']
        return made


def chat_body(model, stream=False, text='hi', **fields):
    body = {'model': model, 'messages': [{'role': 'user', 'content': text}]}
    if stream:
        body['stream'] = True
    body.update(fields)
    return body


def merge(base, over):
    """`over` laid over `base`: mappings key by key, None removes, the rest replaces."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    made = dict(base)
    for k, v in over.items():
        if v is None:
            made.pop(k, None)
        else:
            made[k] = merge(made.get(k), v)
    return made


class NodePerTest(unittest.TestCase):
    """A node of its own for each test, which begin() makes and starts: with an account `main` and a key of it."""
    MODELS = {}
    CONFIG = {}
    PROGRAM = 'AIGWD'
    CREDIT = 1000

    def make(self, models=None, sim=None, **config):
        self.node = Node(models or self.MODELS, sim, os.environ[self.PROGRAM], **merge(self.CONFIG, config))
        self.addCleanup(self.node.close)

    def start(self, **env):
        self.node.start(**env)
        self.key = self.node.customer('main', self.CREDIT)

    def begin(self, models=None, sim=None, **config):
        self.make(models, sim, **config)
        self.start()

    def explain(self):
        return self.node.tail(40)

    def chat(self, model, stream=False, **more):
        return self.node.chat(self.key, model, stream, **more)

    def check_books(self):
        """All is settled and every charge is right; the account."""
        account = self.node.settled('main')
        verdict = self.node.verify('--charges')
        self.assertTrue(verdict['good'], verdict)
        return account


class FiveScopes:
    """Put before NodePerTest: the account `main` has rules of its own, a team and the end user `ann`, so that credit, account, team, key and
    user count each request. USER None: the requests name others, for whom her limits hold as well, each for itself."""
    USER = 'ann'

    def start(self, **env):
        self.node.start(**env)
        self.key = self.node.family('main', self.CREDIT, self.USER or '*')

    def chat(self, model, stream=False, **more):
        return super().chat(model, stream, **{'user': self.USER, **more} if self.USER else more)

    def check_scopes(self):
        """All have used what was settled, nothing twice and nothing less."""
        settled = nusd(self.node.show('main')['settled_usd'])
        scopes = ('account', 'team', 'key', 'user') if self.USER else ('account', 'team', 'key')
        self.assertEqual(self.node.budgets_used(self.key, self.USER), {s: [settled] * FAR_BUDGETS for s in scopes})


class NodeCase(unittest.TestCase):
    """One node for the class. MODELS and CONFIG are its own; the last test of every class looks at the books and for secrets."""
    NODE = Node
    MODELS = {}
    CONFIG = {}
    SIM_ARGS = ()

    @classmethod
    def setUpClass(cls):
        cls.node = cls.NODE(cls.MODELS, sim_args=cls.SIM_ARGS, **cls.CONFIG)
        # Not in tearDownClass(), which is not called when a subclass cannot begin.
        cls.addClassCleanup(cls.node.close)
        try:
            cls.node.start()
            cls.key = cls.node.customer('main', '1000')
        except BaseException:
            sys.stdout.write(''.join('# %s\n' % line for line in cls.node.tail()))
            raise
        cls.sim = cls.node.sim

    def explain(self):
        """Lines for the report of a failure."""
        return self.node.tail()

    def chat(self, model, stream=False, key=None, **more):
        return self.node.chat(key or self.key, model, stream, **more)

    def chats(self, models, stream=False, **more):
        """{model: answer}, asked at once: for answers that take their time."""
        return dict(zip(models, at_once(*(functools.partial(self.chat, model, stream, **more) for model in models))))

    def test_zz_books_are_right_and_no_secret_shows(self):
        """Rows 17, 18: granted = balance + held + settled; row 37: no credential in logs and metrics."""
        self.node.check_books()
