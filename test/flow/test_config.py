"""The configuration where it runs (contract B1): secrets that change, limits of a provider, the defaults of an ordinary user's node."""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap
from client import Conn
from gateway import free_port, wait_for
from node import CtlError, NodeCase, chat_body, model

NOBODY = 65534


class Secrets(NodeCase):
    MODELS = {'m1': model('oai/sim?tokens=4')}
    test_zz_books_are_right_and_no_secret_shows = None # a refused reload is an error in the log

    def write(self, text, mode=0o600):
        path = os.path.join(self.node.dir, 'up.key')
        with open(path + '.new', 'w') as f:
            f.write(text)
        os.chmod(path + '.new', mode)
        os.rename(path + '.new', path)

    def used(self):
        self.assertEqual(self.chat('m1').status, 200)
        return dict(self.sim.last()[1])['authorization']

    def test_files_are_read_again_at_each_reload(self):
        self.write('sk-first\n')
        self.node.configure(providers={'oai': {'keys': ['file:up.key']}})
        self.node.ctl('reload')
        generation = self.node.metrics()['aigw_config_generation']
        self.assertEqual(self.used(), 'Bearer sk-first')
        self.write('sk-second\n')
        self.assertEqual(self.used(), 'Bearer sk-first')
        self.assertEqual([c['path'] for c in self.node.ctl('reload')['changes']], ['providers.oai'])
        self.assertEqual(self.used(), 'Bearer sk-second')
        self.assertEqual(self.node.metrics()['aigw_config_generation'], generation + 1)
        # One that others may read is refused, and everything stays as it is.
        self.write('sk-third\n', 0o644)
        with self.assertRaises(CtlError) as refused:
            self.node.ctl('reload')
        self.assertEqual(refused.exception.error['code'], 'reload_refused')
        self.assertIn('can be read or written by others', refused.exception.error['message'])
        self.assertEqual(self.used(), 'Bearer sk-second')
        for word in ('sk-first', 'sk-second', 'sk-third'):
            self.assertNotIn(word, self.node.log_text() + str(self.node.ctl('config', 'show', '--origin')))


class ProviderLimits(NodeCase):
    """What a provider may have of the whole node, however many workers there are."""
    MODELS = {'one': model('oai/sim?tokens=40&rate=20'), 'two': model('oai/sim?tokens=4', 'ant/sim?tokens=4')}
    CONFIG = {'workers': 3, 'providers': {'oai': {'max_inflight': 4}}}

    def test_max_inflight(self):
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                c = stack.enter_context(Conn(self.node.port))
                c.request('POST', '/v1/chat/completions', chat_body('one', True), key=self.key)
                self.assertEqual(c.head().status, 200)
            for _ in range(6):
                a = self.chat('one')
                self.assertEqual((a.status, a.error['code']), (503, 'overloaded'), a)
                self.assertEqual(self.chat('two').get('x-aigw-provider'), 'ant')
        self.node.settled('main')
        self.assertEqual(self.chat('two').get('x-aigw-provider'), 'oai')


class LongAddress(NodeCase):
    MODELS = {'m1': model('oai/sim?tokens=4')}

    def test_as_long_as_the_configuration_lets_it_be(self):
        url = 'http://127.0.0.1:%d/' % self.sim.port
        self.node.configure(providers={'oai': {'base_url': url + 'x' * (2000 - len(url)), 'api_version': 'v' * 64}})
        self.node.ctl('reload')
        self.assertEqual(self.chat('m1').status, 200)
        self.assertEqual([(t['ok'], t['status'], t['error']) for t in self.node.ctl('provider', 'test', 'oai')['tests']], [(True, 200, '')])


@unittest.skipUnless(os.geteuid() == 0, 'needs root to become somebody else')
class OrdinaryUser(unittest.TestCase):
    """State in the user's state folder, the live store in /dev/shm, a socket that the user's aigwctl finds."""

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix='aigw-flow-')
        self.addCleanup(shutil.rmtree, self.home)
        os.chown(self.home, NOBODY, NOBODY)
        self.as_user = dict(user=NOBODY, group=NOBODY, extra_groups=[], cwd='/',
                            env={'HOME': self.home, 'PATH': os.environ['PATH'], 'ANTHROPIC_API_KEY': 'x'})
        for program in os.environ['AIGWD'], os.environ['AIGWCTL']:
            try:
                subprocess.run([program, '--version'], check=True, capture_output=True, **self.as_user)
            except (PermissionError, subprocess.CalledProcessError):
                self.skipTest('another user cannot run %s' % program)

    def config(self):
        path = os.path.join(self.home, 'aigw.yaml')
        with open(path, 'w') as f:
            f.write('listen: ["127.0.0.1:%d"]\nadmin: {http: off}\nlive_size: 4MiB\n'
                    'providers: {anthropic: {catalog: anthropic, models: ["claude-*"]}}\n' % free_port())
        os.chmod(path, 0o644)
        return path

    def test_defaults(self):
        config = self.config()
        p = subprocess.Popen([os.environ['AIGWD'], '-c', config], stderr=subprocess.PIPE, **self.as_user)
        try:
            state = os.path.join(self.home, '.local', 'state', 'aigw')
            self.assertTrue(wait_for(lambda: os.path.exists(os.path.join(state, 'control.sock'))))
            with open(os.path.join(state, 'ledger_id')) as f:
                ledger_id = f.read().strip()
            live = '/dev/shm/aigw-%d-%s' % (NOBODY, ledger_id[:8])
            self.addCleanup(shutil.rmtree, live)
            self.assertEqual(os.listdir(live), [ledger_id])
            done = wait_for(lambda: subprocess.run([os.environ['AIGWCTL'], 'model', 'list'], capture_output=True, text=True, **self.as_user))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('claude-sonnet-4-5 ', done.stdout)
        finally:
            p.send_signal(signal.SIGTERM)
            _, log = p.communicate(timeout=15)
        self.assertEqual(p.returncode, 0, log)
        self.assertEqual(glob.glob(os.path.join(self.home, '*')), [config])

    def test_start_after_a_reboot(self):
        """A live store that is gone is made anew, and the keeper, which may signal its master here, leaves that alone."""
        config = self.config()
        state = os.path.join(self.home, '.local', 'state', 'aigw')
        for _ in range(3):
            p = subprocess.Popen([os.environ['AIGWD'], '-c', config], stderr=subprocess.PIPE, **self.as_user)
            wait_for(lambda: p.poll() is not None or
                     subprocess.run([os.environ['AIGWCTL'], 'status'], capture_output=True, **self.as_user).returncode == 0, 20)
            p.send_signal(signal.SIGTERM)
            _, log = p.communicate(timeout=15)
            with open(os.path.join(state, 'ledger_id')) as f:
                shutil.rmtree('/dev/shm/aigw-%d-%s' % (NOBODY, f.read().strip()[:8]))
            self.assertEqual(p.returncode, 0, log)
            self.assertNotIn(b'orphan_killed', log)

    def test_no_configuration_at_all(self):
        """What would be served: every provider of the catalog whose customary variable is set."""
        p = subprocess.run([os.environ['AIGWD'], '-T'], capture_output=True, text=True, **self.as_user)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn('address: "127.0.0.1:8080"', p.stdout)
        self.assertIn('state: %s/.local/state/aigw\n' % self.home, p.stdout)
        self.assertIn('keys: ["env:ANTHROPIC_API_KEY', p.stdout)
        self.assertNotIn('OPENAI_API_KEY', p.stdout)


class Catalog(unittest.TestCase):
    def test_tokens_of_a_picture(self):
        """A model whose pictures are more tokens than the default has them from its catalog."""
        with tempfile.TemporaryDirectory() as home:
            config = os.path.join(home, 'aigw.yaml')
            with open(config, 'w') as f:
                f.write('providers: {openai: {catalog: openai, keys: [], models: ["gpt-4o-mini", "gpt-4o"]}}\n')
            p = subprocess.run([os.environ['AIGWD'], '-T', '-c', config], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stdout.count('image_tokens: 48169\n'), 1, p.stdout)


if __name__ == '__main__':
    tap.main()
