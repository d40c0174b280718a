"""One gateway for a suite of client libraries: the simulator as providers of both dialects, scripted models, keys of several kinds.
The suites in Python derive from SdkCase; those in JavaScript are run by run_js.py, which starts the same gateway."""
import functools
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'flow'))
import node
import kit

# Every model is there on both backs, as NAME-oai and NAME-ant.
SCRIPTS = {
    'plain': 'tokens=7&input=131',
    'slow': 'tokens=400&size=1600&rate=50&input=10',
    'late': 'delay=30s',
    'tools': 'tokens=3&tools=2&input=50',
    'think': 'tokens=3&reasoning=4&input=50',
    'json': 'tokens=5&text={"n":7,"word":"seven"}&input=60',
    'refused': 'status=400',
    'over': 'tokens=400&rate=400&over=1&input=10',
    'brief': 'tokens=40&rate=40&input=10',
    'cut': 'tokens=9&fault=cut@4',
}
# Refused once, then answered. Each has a provider of its own, because a 429 or 529 makes the provider's key rest; the tests that
# do not wait for its end use the second of a kind. Resetting the simulator makes the next request the first one again.
RESTING = {
    'limited': 'status=429&retry_after=1&fail_first=1&tokens=7',
    'limited2': 'status=429&retry_after=1&fail_first=1&tokens=8',
    'busy': 'status=529&retry_after=1&fail_first=1&tokens=7',
    'busy2': 'status=529&retry_after=1&fail_first=1&tokens=8',
}


# Uploads of 12 MiB fit in, those of 14 do not; both are below the 32 MiB that the gateway reads behind an early answer.
BODY_LIMIT = '13MiB'


def models():
    made = {'embed': node.model('oai/sim?input=40', max_output=0)}
    for name, script in SCRIPTS.items():
        made.update(node.on_both(name, script))
    for back in node.BACKS:
        made['free-' + back] = node.model('%s/sim?tokens=7&input=131' % back, price='free')
        made['think-' + back]['capabilities'] = ['chat', 'tools', 'reasoning']
        made['twice-' + back] = node.model('%s/sim?status=500&tokens=1' % back, '%s/sim?status=500&tokens=2' % back)
        for name, script in RESTING.items():
            made['%s-%s' % (name, back)] = node.model('%s-%s/sim?%s' % (name, back, script))
    return made


def providers(port):
    return {'%s-%s' % (name, back): {'dialect': dialect, 'base_url': 'http://127.0.0.1:%d/v1' % port, 'keys': ['env:MOCK_KEY']}
            for name in RESTING for back, dialect in node.BACKS.items()}


class SdkNode(node.Node):
    """The gateway with its simulator; `keys` by name: main, poor (no credit to speak of), minute (one request a minute), day (one a
    day), unknown."""

    def __init__(self, more_models=(), sim_args=()):
        sim = node.Sim(*sim_args)
        try:
            super().__init__({**models(), **dict(more_models)}, sim=sim, providers=providers(sim.port), limits={'body': BODY_LIMIT})
            self.own_sim = sim
            self.start()
        except BaseException:
            sim.close()
            raise
        self.keys = {'main': self.customer('main', '1000'), 'poor': self.customer('poor', '0.000001'),
                     'minute': self.customer('minute', '10', rpm=1), 'day': self.customer('day', '10', rpd=1)}
        self.keys['unknown'] = self.keys['main'][:-4] + 'AAAA'
        self.url = 'http://127.0.0.1:%d/v1' % self.port


class SdkCase(node.NodeCase):
    """One SdkNode for the class. A method both_NAME(self, back) is two tests, one for each back."""

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        for name in [name for name in vars(cls) if name.startswith('both_')]:
            for back in node.BACKS:
                setattr(cls, 'test_%s_%s' % (name[5:], back), functools.partialmethod(vars(cls)[name], back))

    @classmethod
    def setUpClass(cls):
        cls.node = SdkNode()
        cls.addClassCleanup(cls.node.close)
        cls.sim, cls.key = cls.node.sim, cls.node.keys['main']


def use_python_kit():
    """Makes the client libraries importable; ends the program as skipped where they cannot be had."""
    try:
        sys.path.insert(0, kit.python())
    except kit.Missing as e:
        skip(e)
    for name in list(os.environ):
        if name.startswith(('OPENAI_', 'LANGCHAIN_', 'LANGSMITH_')) or name.lower().endswith('_proxy'):
            del os.environ[name]


def skip(reason):
    print('1..0 # SKIP %s' % reason)
    sys.exit(0)
