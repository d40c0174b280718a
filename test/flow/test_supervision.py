"""What an operator and a client see of the processes' life: drains, a master that is gone, certificates, listeners and logs that change,
signals, a keeper that stands still. The real programs."""
import fcntl
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn
from gateway import free_port, is_alive, stand_still, wait_for
from node import NodePerTest, chat_body, model
import tap

MODELS = {'fast': model('oai/sim?tokens=4'), 'slow': model('oai/sim?tokens=80&rate=40'), 'endless': model('oai/sim?tokens=4000&rate=20'),
          'late': model('oai/sim?tokens=4&delay=1500')}
CHAT = '/v1/chat/completions'


class Base(NodePerTest):
    MODELS = MODELS

    def setUp(self):
        self.begin()

    def stream(self, name, port=None):
        """(thread, results) of one stream that has begun."""
        results, begun = [], threading.Event()

        def run():
            with Conn(port or self.node.port, timeout=60) as c:
                c.request('POST', CHAT, chat_body(name, True), key=self.key)
                a = c.head()
                parts = []
                for part in c.parts(a):
                    parts.append(part)
                    begun.set()
                a.body = b''.join(parts)
                results.append(a)
        t = threading.Thread(target=run)
        t.start()
        self.assertTrue(begun.wait(10))
        return t, results

    def books(self, charges):
        """So many charges are in the ledger once all is quiet, and all are right."""
        self.node.settled('main')
        verdict = wait_for(lambda: (lambda v: v if v['charges'] >= charges else None)(self.node.verify('--charges')), 5, 0.05)
        self.assertEqual((verdict['good'], verdict['charges']), (True, charges))


class Drains(Base):
    """Contract A7 and B3."""

    def test_idle_connections_are_served_for_5_s_more(self):
        first, second = Conn(self.node.port), Conn(self.node.port)
        for c in (first, second):
            self.assertEqual(c.request('POST', CHAT, chat_body('fast'), key=self.key).answer().get('keep-alive'), 'timeout=75')
        begun = time.monotonic()
        self.node.signal(signal.SIGTERM)
        self.node.wait_event('worker_drain')
        time.sleep(3)
        a = first.request('POST', CHAT, chat_body('fast'), key=self.key).answer()
        self.assertEqual((a.status, a.get('connection'), a.get('keep-alive')), (200, 'close', None))
        self.assertTrue(first.is_closed())
        self.assertTrue(second.is_closed(5))
        self.assertTrue(4.5 < time.monotonic() - begun < 6.5, time.monotonic() - begun)
        self.assertEqual(self.node.master.wait(5), 0)

    def test_running_answers_say_close(self):
        """Those whose head is not out yet."""
        results = []
        t = threading.Thread(target=lambda: results.append(self.chat('late')))
        t.start()
        wait_for(lambda: self.node.metrics().get('aigw_inflight_requests') == 1)
        self.node.signal(signal.SIGTERM)
        t.join()
        self.assertEqual((results[0].status, results[0].get('connection')), (200, 'close'))
        self.assertEqual(self.node.master.wait(5), 0)

    def test_stop_now_cuts_what_runs(self):
        """The verb of the second INT: error items, all settled, status 0."""
        t, results = self.stream('endless')
        begun = time.monotonic()
        self.assertEqual(self.node.ctl_raw('stop', '--now').returncode, 0)
        self.assertLess(time.monotonic() - begun, 3)
        t.join()
        self.assertEqual((results[0].ended, results[0].is_done), ('cut', False))
        self.assertIn('error', results[0].data()[-1])
        self.assertEqual(self.node.master.wait(5), 0)
        self.node.start()
        self.books(1)

    def test_progress_is_told_every_10_s(self):
        self.node.stop()
        path = os.path.join(self.node.dir, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            self.node.configure(timeouts={'drain_timeout': '12s'})
            self.node.start(NOTIFY_SOCKET=path)
            t, results = self.stream('endless')
            stop = subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'stop'], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
            seen = ['']
            begun = time.monotonic()
            while not seen[-1].startswith('STATUS=Draining: '):
                seen.append(s.recv(4096).decode())
            self.assertAlmostEqual(time.monotonic() - begun, 10, delta=1)
        self.assertRegex(seen[-1], r'1 requests running, [12] s left')
        self.node.wait_event('draining', 2, contains='1 requests running')
        t.join()
        self.assertIn('error', results[0].data()[-1])
        text = stop.communicate(timeout=10)[0]
        self.assertEqual(stop.returncode, 0)
        self.assertEqual(text, 'stopped\n')
        self.assertEqual(self.node.master.wait(5), 0)


class Links(Base):
    """Between keeper and workers: made anew whichever of them is."""

    def found(self):
        """Every worker finds what was just answered, which may be in the outbox still."""
        for _ in range(12):
            a = self.chat('fast')
            record = self.node.ask('GET', '/v1/generation?id=' + a.get('x-request-id'), key=self.key)
            self.assertEqual((record.status, record.json()['data']['id']), (200, a.get('x-request-id')))

    def test_lookups_go_on(self):
        self.found()
        for kind, index in (('keeper', 0), ('worker', 0), ('worker', 1), ('keeper', 0)):
            self.node.kill(kind, index)
            self.found()
        self.node.lose_master()
        old = self.node.children()
        self.found()
        self.node.start()
        wait_for(lambda: not any(is_alive(p) for p in old), 15)
        self.found()


class Away(Base):
    def test_keeper_that_is_away_for_long(self):
        """Workers go on while the outbox is not older than ledger_lag_max, 10 s; then they refuse, and nothing is lost."""
        self.assertEqual(self.chat('fast').status, 200)
        self.books(1)
        with open(os.path.join(self.node.state, 'keeper.lock'), 'r+') as f:
            # Waits in line: the next keeper comes too late.
            t = threading.Thread(target=lambda: fcntl.lockf(f, fcntl.LOCK_EX))
            t.start()
            old = self.node.children('keeper')
            os.kill(old[0], signal.SIGKILL)
            t.join()
            begun, served = time.monotonic(), 1
            while True:
                a = self.chat('fast')
                if a.status != 200:
                    break
                served += 1
                time.sleep(0.1)
            self.assertEqual((a.status, a.error['code']), (503, 'ledger_unavailable'))
            self.assertTrue(9.5 < time.monotonic() - begun < 12, time.monotonic() - begun)
            self.assertEqual(self.node.children('worker'), [w['pid'] for w in self.node.status()['worker']])
        wait_for(lambda: self.chat('fast').status == 200, 5, 0.05)
        self.books(served + 1)

    def test_sockets_of_a_worker_that_does_not_come_back(self):
        """An empty slot for over a second: another one accepts for it, until it is there again."""
        mark, going = self.node.mark(), [True]

        def kill():
            while going[0]:
                pid = self.node.status()['worker'][1]['pid']
                try:
                    if pid:
                        os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass # it has ended, and the master will know in a moment
                time.sleep(0.001)
        t = threading.Thread(target=kill)
        t.start()
        try:
            self.node.wait_event('socket_lent', 10, mark, contains='worker 1 is away: worker 0')
            for _ in range(30):
                begun = time.monotonic()
                self.assertEqual(self.chat('fast').status, 200)
                self.assertLess(time.monotonic() - begun, 2)
        finally:
            going[0] = False
            t.join()
        self.node.wait_event('socket_returned', 35, mark, contains='worker 1')
        before = [w['requests'] for w in self.node.status()['worker']]

        def both(): # the counters are published now and then
            for _ in range(10):
                self.assertEqual(self.chat('fast').status, 200)
            return all(w['requests'] > n for w, n in zip(self.node.status()['worker'], before))
        wait_for(both, 5)


class Program(Base):
    def setUp(self):
        self.make()
        # Beside the original: its libraries are found from where it lies.
        copy = '%s-%d' % (self.node.program, os.getpid())
        self.node.program = shutil.copy(self.node.program, copy)
        self.addCleanup(lambda: os.path.exists(copy) and os.unlink(copy))
        self.start()

    def test_a_new_file_in_its_place_starts_no_process(self):
        """A package upgrade must not mix versions: all children are of the program that the master is."""
        with open(self.node.program + '.new', 'w') as f:
            f.write('#!/bin/sh\nexit 1\n')
        os.chmod(self.node.program + '.new', 0o755)
        os.rename(self.node.program + '.new', self.node.program)
        for kind, index in (('worker', 0), ('worker', 1), ('keeper', 0)):
            self.node.kill(kind, index)
        self.assertEqual(self.chat('fast').status, 200)
        self.assertEqual(self.node.status()['worker'][0]['early_deaths'], 0)
        os.unlink(self.node.program)
        self.node.kill('worker', 0)
        self.assertEqual(self.chat('fast').status, 200)


class Settings(Base):
    def test_a_reload_takes_limits_times_cors_and_log(self):
        with Conn(self.node.port) as idle:
            a = idle.request('POST', CHAT, chat_body('fast'), key=self.key).answer()
            self.assertEqual((a.get('access-control-allow-origin'), a.get('keep-alive')), ('*', 'timeout=75'))
            self.node.configure(limits={'body': '2KiB'}, cors={'origins': []}, timeouts={'idle': '2s', 'head': '1s'},
                                log={'access': 'off', 'format': 'text'})
            changes = self.node.ctl('reload')['changes']
            self.assertEqual({c['path'] for c in changes if not c['waits_for_restart']},
                             {'limits.body', 'cors.origins', 'timeouts.idle', 'timeouts.head', 'log.access', 'log.format'})
            mark = self.node.mark()
            a = self.chat('fast')
            self.assertEqual((a.status, a.get('access-control-allow-origin'), a.get('keep-alive')), (200, None, 'timeout=2'))
            self.assertEqual(self.chat('fast', text='x' * 3000).status, 413)
            with Conn(self.node.port) as slow:
                slow.send(b'POST /v1/ch')
                begun = time.monotonic()
                self.assertEqual(slow.answer().status, 408)
                self.assertTrue(0.9 < time.monotonic() - begun < 3)
        self.node.kill('worker')
        with open(self.node.log_path) as f:
            lines = f.read().split('\n')[mark:]
        self.assertEqual([line for line in lines if 'event=request' in line], [])
        self.assertTrue([line for line in lines if line.startswith('time=') and 'event=child_died' in line])


class Masterless(Base):
    def test_orphans_end_after_30_s(self):
        """Design 2: until then they serve; then they drain by themselves, and all is in the ledger."""
        self.node.lose_master()
        begun, served = time.monotonic(), 0
        while time.monotonic() - begun < 28:
            self.assertEqual(self.chat('fast').status, 200)
            served += 1
            time.sleep(0.5)
        t, results = self.stream('slow')
        t.join()
        self.assertTrue(results[0].is_done)
        wait_for(lambda: not self.node.children(), 15)
        self.assertGreater(time.monotonic() - begun, 30)
        with self.assertRaises(ConnectionRefusedError):
            self.chat('fast')
        self.node.start()
        self.books(served + 1)


class Settle(Base):
    CONFIG = {'durability': 'settle'}

    def test_old_streams_beside_the_new_master_do_not_wait(self):
        """The next master's keeper rings bells of its own: the orphans must see without one that their charge is on disk."""
        t, results = self.stream('slow')
        self.node.lose_master()
        self.node.start()
        t.join()
        self.assertTrue(results[0].is_done)
        self.assertLess(results[0].end_at - results[0].begun, 2 + 1)
        self.books(1)

    def test_keeper_that_stands_still(self):
        """What cannot be made durable is taken back; new requests are refused; the watchdog ends it."""
        pid = self.node.children('keeper')[0]
        self.assertEqual(self.chat('fast').status, 200)
        wait_for(lambda: self.node.show('main')['settled_usd'] > 0)
        charge = self.node.settled('main')['settled_usd']
        stand_still(pid)
        begun = time.monotonic()
        a = self.chat('fast')
        self.assertEqual((a.status, a.error['code']), (503, 'ledger_unavailable'))
        self.assertTrue(1.8 < time.monotonic() - begun < 3, time.monotonic() - begun)
        self.assertGreaterEqual(int(a.get('retry-after')), 1)
        begun = time.monotonic()
        wait_for(lambda: self.chat('fast').status == 200, 20, 0.1)
        self.assertLess(time.monotonic() - begun, 13)
        self.assertFalse(is_alive(pid))
        self.assertEqual(self.node.settled('main')['settled_usd'], 2 * charge)
        self.assertTrue(self.node.verify('--charges')['good'])


class Signals(Base):
    def test_others_are_ignored(self):
        """USR2, which an upgrade will use, and all that would end or stop a process by mistake."""
        others = [signal.SIGPIPE, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR,
                  signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGURG, signal.SIGXCPU, signal.SIGXFSZ,
                  signal.SIGRTMIN, signal.SIGRTMAX]
        of_master = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1]
        children = self.node.children()
        for sig in others:
            self.node.signal(sig)
        for pid in children:
            for sig in others + of_master:
                os.kill(pid, sig)
        time.sleep(0.3)
        self.assertEqual(self.chat('fast').status, 200)
        self.assertEqual(self.node.children(), children)
        self.assertIsNone(self.node.master.poll())


class Logs(Base):
    def refused(self, to):
        self.node.configure(log={'to': to})
        p = self.node.ctl_raw('reload')
        self.assertEqual(p.returncode, 1, p.stdout)
        self.assertIn('cannot log to ' + to, p.stderr)
        self.assertEqual(self.node.status()['node'][0]['config_generation'], 1)

    def test_file_is_opened_anew_by_a_verb(self):
        path = os.path.join(self.node.dir, 'aigw.log')
        self.node.configure(log={'to': 'file:' + path})
        self.node.ctl('reload')
        self.assertEqual(self.chat('fast').status, 200)
        os.rename(path, path + '.1')
        self.assertEqual(self.node.ctl_raw('log', 'reopen').stdout, 'the log is open anew\n')
        old = os.path.getsize(path + '.1')
        a = self.chat('fast')
        with open(path) as f:
            wait_for(lambda: a.get('x-request-id') in f.read())
        self.assertEqual(os.path.getsize(path + '.1'), old)

    def test_log_that_cannot_be_opened_refuses_the_reload(self):
        """Two phases: nothing has changed by then."""
        self.refused('file:%s/none/aigw.log' % self.node.dir)
        if not os.path.exists('/dev/log'):
            self.refused('syslog')
        self.node.configure(log={'to': 'stderr'})
        self.assertEqual(self.node.ctl('reload')['changes'], [])

    def test_verb_tells_when_it_fails(self):
        folder = os.path.join(self.node.dir, 'logs')
        os.mkdir(folder)
        self.node.configure(log={'to': 'file:%s/aigw.log' % folder})
        self.node.ctl('reload')
        os.rename(folder, folder + '.old')
        p = self.node.ctl_raw('log', 'reopen')
        self.assertEqual(p.returncode, 1)
        self.assertIn('cannot be opened anew', p.stderr)
        self.assertEqual(self.chat('fast').status, 200)


class Listeners(Base):
    """HUP takes listeners and certificates; what runs goes on."""

    def make_certificate(self):
        """Another one, of the same name; its DER form."""
        subprocess.run([os.environ['MAKE_CERT'], self.folder], check=True)
        for name in os.listdir(self.folder):
            os.chmod(os.path.join(self.folder, name), 0o600)
        with open(os.path.join(self.folder, 'crt.pem')) as f:
            return ssl.PEM_cert_to_DER_cert(f.read())

    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.node.dir, 'tls')
        os.mkdir(self.folder)
        self.tls_port = free_port()
        self.plain = {'address': '127.0.0.1:%d' % self.node.port}
        self.tls = {'address': '127.0.0.1:%d' % self.tls_port,
                    'tls': {'certificate': self.folder + '/crt.pem', 'key': self.folder + '/key.pem'}}

    def context(self):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
        return c

    def served(self):
        """The certificates that new connections see."""
        found = set()
        for _ in range(20):
            with Conn(self.tls_port, tls=self.context()) as c:
                found.add(c.s.getpeercert(True))
        return found

    def test_certificates_are_read_anew(self):
        first = self.make_certificate()
        self.node.configure(listen=[self.plain, self.tls])
        self.assertIn('listen', str(self.node.ctl('reload')['changes']))
        self.assertEqual(self.served(), {first})
        with Conn(self.tls_port, tls=self.context()) as old:
            self.assertEqual(old.request('POST', CHAT, chat_body('fast'), key=self.key).answer().status, 200)
            second = self.make_certificate()
            self.assertNotEqual(first, second)
            changes = self.node.ctl('reload')['changes']
            self.assertEqual([(c['change'], c['waits_for_restart']) for c in changes], [('changed', False)])
            self.assertEqual(self.served(), {second})
            self.assertEqual(old.request('POST', CHAT, chat_body('fast'), key=self.key).answer().status, 200)
        # A worker that starts later has it as well.
        self.node.kill('worker', 0)
        self.node.kill('worker', 1)
        self.assertEqual(self.served(), {second})

    def test_plain_becomes_tls_in_place(self):
        certificate = self.make_certificate()
        here = dict(self.tls, address='127.0.0.1:%d' % self.node.port)
        self.node.configure(listen=[here])
        self.node.ctl('reload')
        self.tls_port = self.node.port
        self.assertEqual(self.served(), {certificate})
        self.node.configure(listen=[self.plain])
        self.node.ctl('reload')
        self.assertEqual(self.chat('fast').status, 200)

    def test_certificate_that_is_none_refuses_the_reload(self):
        first = self.make_certificate()
        self.node.configure(listen=[self.plain, self.tls])
        self.node.ctl('reload')
        with open(self.folder + '/crt.pem', 'w') as f:
            f.write('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
        p = self.node.ctl_raw('reload')
        self.assertEqual(p.returncode, 1)
        self.assertIn(self.tls['address'], p.stderr)
        self.assertEqual(self.served(), {first})

    def test_listeners_come_and_go(self):
        """A stream on a listener that is taken away comes to its end; idle connections are served once more."""
        port = free_port()
        self.node.configure(listen=[self.plain, {'address': '127.0.0.1:%d' % port}])
        self.node.ctl('reload')
        t, results = self.stream('slow', port)
        idle = Conn(port)
        self.assertEqual(idle.request('POST', CHAT, chat_body('fast'), key=self.key).answer().status, 200)
        self.node.configure(listen=[self.plain])
        self.node.ctl('reload')

        def is_refused():
            try:
                Conn(port).close()
            except ConnectionRefusedError:
                return True
        wait_for(is_refused, 2)
        self.assertEqual(idle.request('POST', CHAT, chat_body('fast'), key=self.key).answer().status, 200)
        self.assertEqual(self.chat('fast').status, 200)
        t.join()
        self.assertTrue(results[0].is_done)


if __name__ == '__main__':
    tap.main()
