#!/usr/bin/env python3
"""`./dev run` with nothing configured: a key with 5 dollars, a curl line that works when pasted, the same key the second time, and
nothing left when it ends."""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, '..', '..'))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]
from conservation import Conservation  # noqa: E402
from gateway import free_port  # noqa: E402
import tap  # noqa: E402

BUILD = os.environ.get('AIGW_BUILD', os.path.join(ROOT, 'build'))


class Demo:
    """One run of the script, up to the line that says that it is ready."""

    def __init__(self, folder, env):
        self.listen = '127.0.0.1:%d' % free_port()
        self.process = subprocess.Popen([os.path.join(ROOT, 'tools', 'run.sh'), BUILD, self.listen, folder], env=env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)
        self.said = ''
        for line in self.process.stdout:
            self.said += line
            if 'Ctrl-C' in line:
                break
        self.key = (re.search(r'sk-aigw-[\w-]+', self.said) or [''])[0]
        self.books = Conservation(os.path.join(folder, 'control.sock'), None, lambda: self.process.poll() is None)
        self.curl = (re.search(r'^\s*(curl .*)$', self.said, re.MULTILINE) or ['', ''])[1]

    def get(self, path):
        request = urllib.request.Request('http://%s%s' % (self.listen, path), headers={'authorization': 'Bearer ' + self.key})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def interrupt(self):
        """As a terminal does on Ctrl-C: every process of the group gets it. Returns the exit status, or what was wrong with the books."""
        wrong = self.books.end()
        os.killpg(self.process.pid, signal.SIGINT)
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        return wrong or status


class DevRun(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='aigw-run-')
        self.addCleanup(shutil.rmtree, self.folder)
        self.env = {name: value for name, value in os.environ.items() if not name.endswith('_API_KEY')}

    def start(self, **env):
        demo = Demo(self.folder, dict(self.env, **env))
        self.addCleanup(lambda: demo.process.poll() is None and os.killpg(demo.process.pid, signal.SIGKILL))
        self.assertTrue(demo.key, demo.said)
        return demo

    def test_first_and_second_run(self):
        demo = self.start()
        key_file = os.path.join(self.folder, 'demo.key')
        self.assertEqual(stat.S_IMODE(os.stat(key_file).st_mode), 0o600)
        before = demo.get('/v1/credits')
        if shutil.which('curl'):
            answer = subprocess.run(['sh', '-c', demo.curl + ' -sS'], capture_output=True, text=True, timeout=30)
            self.assertIn('data: [DONE]', answer.stdout, answer.stdout + answer.stderr)
        self.assertEqual([model['id'] for model in demo.get('/v1/models')['data']], ['demo'])
        self.assertEqual(demo.interrupt(), 0)
        with self.assertRaises(OSError):
            socket.create_connection(demo.listen.split(':'), timeout=2).close()

        again = self.start()
        self.assertEqual(again.key, demo.key)
        after = again.get('/v1/credits')
        self.assertEqual(before['data']['total_credits'], 5)
        self.assertEqual(after['data']['total_credits'], 5)
        if shutil.which('curl'):
            self.assertGreater(after['data']['total_usage'], 0)
        self.assertEqual(again.interrupt(), 0)

    def test_catalog_of_a_provider_whose_key_is_set(self):
        demo = self.start(OPENAI_API_KEY='sk-none')
        models = {model['id']: model for model in demo.get('/v1/models')['data']}
        self.assertIn('demo', models)
        self.assertEqual(models['gpt-4o']['pricing']['prompt'], '0.0000025')
        self.assertNotIn('claude-sonnet-4-6', models)
        self.assertEqual(demo.interrupt(), 0)

    def test_it_says_why_it_did_not_start(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            run = subprocess.run([os.path.join(ROOT, 'tools', 'run.sh'), BUILD, '127.0.0.1:%d' % taken.getsockname()[1],
                                  self.folder], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn('it did not start', run.stderr)
        self.assertIn('ddress already in use', run.stderr)


if __name__ == '__main__':
    tap.main()
