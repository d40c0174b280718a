"""The node under an operator's hands and under pressure: reload, drain, descriptors, memory. Rows 9, 31, 32, 36; more of pressure is in
test_pressure.py, of reloads in test_processes.py."""
import os
import random
import resource
import signal
import subprocess
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, ask, message
from figures import anonymous_kib, cpu_seconds
from gateway import free_port, is_alive, wait_for
from load import StreamLoad
from node import LONG, NodePerTest, chat_body, model, on_both
import tap

MODELS = {
    **on_both('quick', 'tokens=5&input=11'),
    **on_both('run', 'tokens=60&rate=20&input=11'),
    **on_both('long', 'tokens=%d&rate=20&input=11' % (600 if LONG else 40)),
}


class Operations(NodePerTest):
    MODELS = MODELS

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    # --- reload ---

    def assert_memory(self, holds, figures):
        """A sanitizer keeps what was freed and puts walls around the rest: its memory is not the program's."""
        if not self.node.is_sanitized():
            self.assertTrue(holds, figures)

    def is_good(self, text):
        path = self.node.config + '.maybe'
        with open(path, 'w') as f:
            f.write(text)
        return subprocess.run([self.node.program, '-t', '-c', path], env=dict(os.environ, **self.node.env), capture_output=True).returncode == 0

    def test_broken_files_change_nothing(self):
        """Row 31: mutations of a good file; the old table stays, the place is named, no request fails."""
        self.begin()
        rng = random.Random(31)
        with open(self.node.config) as f:
            good = f.read()
        load = StreamLoad(self.node.port, self.key, ['quick-oai', 'quick-ant'], 4)
        self.addCleanup(setattr, load, 'going', False)
        refused, wanted = 0, 200 if LONG else 30
        while refused < wanted:
            i = rng.randrange(len(good))
            bad = rng.choice([good[:i], good[:i] + rng.choice('{}[]:,"\t\x00\x85') + good[i:], good[:i] + good[i + rng.randrange(1, 9):],
                              good.replace('"providers"', '"provders"'), good.replace('"price"', '"prize"', 1)])
            if self.is_good(bad):
                continue  # it would come in force, and may well refuse the load's requests
            self.node.configure(bad)
            generation = self.node.metrics()['aigw_config_generation']
            p = self.node.ctl_raw('reload')
            refused += 1
            self.assertEqual(p.returncode, 1, p.stderr)
            self.assertRegex(p.stderr + p.stdout, r'aigw\.yaml(:\d+:\d+)?', bad[max(i - 20, 0):i + 20])
            self.assertEqual(self.node.metrics()['aigw_config_generation'], generation)
            self.assertEqual(self.node.metrics()['aigw_config_last_reload_success'], 0)
        self.node.configure(good)
        self.node.ctl('reload')
        load.stop()
        self.assertEqual(set(load.kinds()), {'done'})
        self.assertEqual(self.node.metrics()['aigw_config_last_reload_success'], 1)

    def test_admin_address_waits_for_a_restart(self):
        """A reload neither closes it nor opens another one."""
        self.begin()
        for address in ('127.0.0.1:%d' % free_port(), 'off'):
            self.node.configure(admin={'http': address})
            self.assertIn({'path': 'admin.http', 'change': 'changed', 'waits_for_restart': True}, self.node.ctl('reload')['changes'])
            self.assertEqual(self.node.metrics()['aigw_config_last_reload_success'], 1)

    def test_running_request_keeps_its_price(self):
        """Design 3.1: a reload never reprices a request."""
        self.begin()
        with Conn(self.node.port) as c:
            c.request('POST', '/v1/chat/completions', chat_body('run-oai', True), key=self.key)
            head = c.head()
            self.node.configure(models={'run-oai': {'price': {'input': 1000, 'output': 1000}}})
            self.node.ctl('reload')
            b''.join(c.parts(head))
        record = self.node.record(head.get('x-request-id'))
        self.assertEqual(record['charge_usd'] * 10**9, 11 * 1000 + 60 * 2000)
        self.check_books()

    def test_listeners_that_came_and_went_take_no_room(self):
        """A worker has room for 256 sockets; those that it has closed do not count."""
        self.begin()
        main = {'address': '127.0.0.1:%d' % self.node.port}
        ports = [free_port() for _ in range(30)]
        for _ in range(10):
            self.node.configure(listen=[main] + [{'address': '127.0.0.1:%d' % p} for p in set(ports)])
            self.node.ctl('reload')
            for port in ports[:3]:
                self.assertEqual(ask(port, 'GET', '/healthz').status, 200)
            self.node.configure(listen=[main])
            self.node.ctl('reload')
        self.assertEqual(self.node.ask('GET', '/healthz').status, 200)

    # --- drain ---

    def accepts(self):
        try:
            Conn(self.node.port).close()
        except OSError:
            return False
        return True

    def drain(self, sig):
        """All streams run until the signal; the kinds of their ends, and how long it took."""
        load = StreamLoad(self.node.port, self.key, ['long-oai', 'long-ant'], 200 if LONG else 60, once=True)
        wait_for(lambda: self.node.metrics().get('aigw_inflight_requests') == load.n, 10, 0.1)
        begun = time.monotonic()
        self.node.signal(sig)
        wait_for(lambda: not self.accepts(), 5)
        self.assertEqual(self.node.master.wait(60), 0)
        took = time.monotonic() - begun
        self.assertTrue(load.wait(5))
        for pid in self.node.pids():
            self.assertFalse(is_alive(pid))
        self.node.start()
        self.check_books()
        return load.kinds(), took

    @unittest.skipUnless(os.geteuid() == 0, 'needs root to give files away')
    def test_state_folder_given_to_root(self):
        """A service manager does that when it runs a command of the service. Charges are written all the same, and a reload and the start of a
        keeper give the folder back."""
        self.begin()
        owned = [os.path.join(self.node.state, *p) for p in ((), ('ledger',), ('ledger', 'data.mdb'), ('ledger', 'lock.mdb'), ('pepper',))]

        def owners():
            return {os.stat(p).st_uid for p in owned}
        before = owners()
        for give_back in (lambda: self.node.ctl('reload'), lambda: self.node.kill('keeper')):
            mark = self.node.mark()
            for p in owned:
                os.chown(p, 0, 0)
            os.chmod(self.node.state, 0o750)
            self.assertEqual(self.chat('quick-oai').status, 200)
            self.node.ctl('account', 'create', 'other%d' % len(self.node.ctl('account', 'list')['accounts']))
            self.assertEqual(self.node.events('ledger_failed', mark), [])
            give_back()
            self.assertEqual(owners(), before)
            self.node.ctl('pepper', 'rotate')

    def test_drain_waits_for_streams(self):
        """Row 32: TERM and QUIT with live streams; all finish, none is cut."""
        self.begin(timeouts={'drain_timeout': '50s'})
        length = 30 if LONG else 2
        for sig in (signal.SIGTERM, signal.SIGQUIT):
            kinds, took = self.drain(sig)
            self.assertEqual(set(kinds), {'done'})
            self.assertTrue(length - 1.5 < took < length + 3, took)

    def test_drain_ends_streams_at_its_time_out(self):
        """Row 32: QUIT; those that still run get the error item, none is cut without notice."""
        self.begin(timeouts={'drain_timeout': '1s'})
        kinds, took = self.drain(signal.SIGQUIT)
        self.assertLessEqual(set(kinds), {'done', 'error_item'}, kinds)
        self.assertGreater(kinds.get('error_item', 0), 0)
        self.assertTrue(0.8 < took < 4, took)

    def test_drain_serves_what_is_queued(self):
        """A worker that hears of the drain before it looks at its queue still empties the queue."""
        self.begin(workers=1)
        worker = self.node.children('worker')[0]
        os.kill(worker, signal.SIGSTOP)
        try:
            self.node.signal(signal.SIGTERM)
            wait_for(lambda: self.node.events('drain_started'), 5)
            conns = [Conn(self.node.port, timeout=10) for _ in range(5)]
            for c in conns:
                c.request('GET', '/healthz')
        finally:
            os.kill(worker, signal.SIGCONT)
        for c in conns:
            self.assertEqual(c.answer('GET').status, 200)
            c.close()
        self.assertEqual(self.node.master.wait(20), 0)

    # --- pressure ---

    @tap.alone
    @unittest.skipUnless(os.geteuid() == 0, 'only root may look into processes that are not dumpable')
    def test_descriptors_run_out(self):
        """Row 36: no spin, living streams go on, served again at once."""
        self.begin(limits={'open_files': 256})
        workers = self.node.children('worker')
        stream = StreamLoad(self.node.port, self.key, ['run-oai'], 2, once=True)
        wait_for(lambda: self.node.metrics()['aigw_inflight_requests'] == 2, 5)
        conns = []
        try:
            for _ in range(1000):
                c = Conn(self.node.port, timeout=5)
                conns.append(c)
            wait_for(lambda: all(len(os.listdir('/proc/%d/fd' % p)) > 240 for p in workers))
            before, begun = [cpu_seconds(p) for p in workers], time.monotonic()
            time.sleep(2)
            took = time.monotonic() - begun
            for pid, then in zip(workers, before):
                self.assertLess((cpu_seconds(pid) - then) / took, 0.2)
        finally:
            for c in conns:
                c.close()
        self.assertTrue(stream.wait(10))
        self.assertEqual(stream.kinds(), {'done': 2})
        begun = time.monotonic()
        self.assertEqual(self.chat('quick-oai').status, 200)
        self.assertLess(time.monotonic() - begun, 1.5)
        self.assertEqual(sorted(workers), sorted(self.node.children('worker')))
        self.check_books()

    @tap.alone
    @unittest.skipUnless(os.geteuid() == 0, 'only root may look into processes that are not dumpable')
    def test_descriptors_of_the_master_run_out(self):
        """Those who only connect to the control socket cost no time, and everyone is served once they are gone."""
        self.begin(limits={'open_files': 64})
        master, conns = self.node.master.pid, []
        for _ in range(64):
            conns.append(socket.socket(socket.AF_UNIX))
            conns[-1].connect(self.node.socket)
        wait_for(lambda: len(os.listdir('/proc/%d/fd' % master)) > 60, 5)
        before, begun = cpu_seconds(master), time.monotonic()
        time.sleep(2)
        self.assertLess((cpu_seconds(master) - before) / (time.monotonic() - begun), 0.05)
        for c in conns:
            c.close()
        wait_for(lambda: self.node.ctl_raw('status').returncode == 0, 3, 0.05)
        self.check_books()

    @tap.alone
    def test_memory_of_an_idle_connection(self):
        """Row 9: at most 2 KiB each after one answered request."""
        n = 4000 if LONG else 2000
        self.begin()
        workers = self.node.children('worker')
        warm = [Conn(self.node.port) for _ in range(200)]
        data = message('POST', '/v1/chat/completions', chat_body('quick-oai'), key=self.key)

        def answered(conns):
            for i in range(0, len(conns), 50):
                for c in conns[i:i + 50]:
                    c.send(data)
                for c in conns[i:i + 50]:
                    self.assertEqual(c.answer().status, 200)
        answered(warm)
        before = anonymous_kib(workers)
        conns = [Conn(self.node.port) for _ in range(n)]
        answered(conns)
        time.sleep(0.5)
        each = (anonymous_kib(workers) - before) / n
        for c in conns + warm:
            c.close()
        self.assert_memory(each <= 2.0, each)


if __name__ == '__main__':
    tap.main()
