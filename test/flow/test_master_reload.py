"""Reload: two phases, all or nothing, one at a time, named culprits, listeners and logs included."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import GatewayCase, free_port, wait_for
import tap


class Reload(GatewayCase):
    def reload(self):
        return self.g.control('reload')

    def generations(self):
        s = self.g.status()
        return [s['node'][0]['config_generation']] + [r['config_generation'] for r in s['keeper'] + s['worker']]

    def test_changed_configuration_reaches_all(self):
        self.g.configure(region='other', drain_timeout='7s')
        end, rows, _ = self.reload()
        self.assertEqual((end['status'], end['message']), (0, 'generation 2 is in force'))
        self.assertEqual(sorted(f['path'] for k, f in rows if k == 'change'), ['region', 'timeouts.drain_timeout'])
        self.assertEqual(self.generations(), [2, 2, 2, 2])
        self.assertEqual({self.g.get()[1][2] for _ in range(20)}, {2})

    def test_unchanged_makes_no_generation(self):
        for _ in range(3):
            end, rows, _ = self.reload()
            self.assertEqual((end['status'], rows), (0, []))
        self.assertEqual(self.generations(), [1, 1, 1, 1])

    def test_what_waits_for_a_restart_is_named_and_kept(self):
        self.g.configure(workers=3, region='other')
        end, rows, _ = self.reload()
        self.assertEqual(end['status'], 0)
        waits = {f['path']: f['waits_for_restart'] for k, f in rows}
        self.assertEqual(waits, {'workers': True, 'region': False})
        self.assertEqual(len(self.g.status()['worker']), 2)
        end, rows, _ = self.reload()
        self.assertIn('nothing has changed', end['message'])

    def test_broken_file_changes_nothing_and_its_place_is_named(self):
        self.g.configure(text='region: x\nnonsense: 1\nworkers: many\n')
        end, rows, _ = self.reload()
        self.assertEqual((end['status'], end['code'], end['line']), (1, 'reload_refused', 2))
        self.assertTrue(end['file'].endswith('aigw.yaml'))
        self.assertEqual([f['line'] for k, f in rows if k == 'message'], [2, 3])
        self.assertEqual(self.generations(), [1, 1, 1, 1])
        self.assertFalse(self.g.status()['node'][0]['last_reload_ok'])
        self.assertEqual(self.g.get()[0], 200)

    def test_rejected_by_one_is_rejected_by_all(self):
        self.g.configure(region='rejected')
        end, _, _ = self.reload()
        self.assertEqual(end['status'], 1)
        self.assertIn('worker 1 rejects it: not this one', end['message'])
        self.assertEqual(self.generations(), [1, 1, 1, 1])
        self.g.configure(region='good')
        self.assertEqual(self.reload()[0]['status'], 0)
        self.assertEqual(self.generations(), [3, 3, 3, 3])

    def test_silence_is_a_refusal_after_two_seconds(self):
        self.g.configure(region='silent')
        begun = time.monotonic()
        end, _, _ = self.reload()
        self.assertAlmostEqual(time.monotonic() - begun, 2.0, delta=0.4)
        self.assertEqual(end['status'], 1)
        self.assertIn('worker 1', end['message'])
        self.assertEqual(self.generations(), [1, 1, 1, 1])

    def test_death_counts_as_prepared(self):
        """It then fails to take the table in force, of which it dies: that is a crash loop, not a reload."""
        self.g.configure(region='fatal')
        end, _, _ = self.reload()
        self.assertEqual(end['status'], 0, end)
        self.g.configure(region='good')
        self.assertEqual(self.reload()[0]['status'], 0)
        wait_for(lambda: self.generations() == [3, 3, 3, 3], 20)

    def test_hup_while_one_runs_is_one_more_run(self):
        self.g.configure(region='silent')
        mark = self.g.mark()
        self.g.signal(signal.SIGHUP)
        time.sleep(0.5)
        self.g.configure(region='good')
        for _ in range(20):
            self.g.signal(signal.SIGHUP)
            time.sleep(0.01)
        self.g.wait_event('reload_refused', since=mark)
        self.g.wait_event('reloaded', since=mark)
        time.sleep(0.5)
        self.assertEqual(len(self.g.events('reloaded', mark)) + len(self.g.events('reload_unchanged', mark)), 1)

    def test_starting_worker_gets_the_committed_table(self):
        self.g.configure(region='other')
        self.assertEqual(self.reload()[0]['status'], 0)
        self.g.kill('worker')
        self.assertEqual(self.generations(), [2, 2, 2, 2])

    def test_listeners_come_and_go(self):
        old, new = self.g.port, free_port()
        self.g.configure(listen='127.0.0.1:%d' % new)
        load = self.load()
        time.sleep(0.2)
        self.assertEqual(self.reload()[0]['status'], 0)
        self.assertEqual(self.g.get(port=new)[0], 200)
        wait_for(lambda: load.results['refused'] > 0)
        load.stop()
        self.assertEqual(load.others('refused'), {})
        self.g.kill('worker')
        self.assertEqual({self.g.get(port=new)[1][1] for _ in range(30)}, {0, 1})
        with self.assertRaises(ConnectionRefusedError):
            self.g.get(port=old)

    def test_listener_that_cannot_be_bound_refuses_the_reload(self):
        self.g.configure(listen='192.0.2.1:9')
        end, _, _ = self.reload()
        self.assertEqual(end['status'], 1)
        self.assertIn('cannot listen on 192.0.2.1:9', end['message'])
        self.assertEqual(self.g.get()[0], 200)

    def test_log_moves_and_is_reopened(self):
        path = os.path.join(self.g.dir, 'aigw.log')
        self.g.configure(log='"file:%s"' % path)
        self.assertEqual(self.reload()[0]['status'], 0)

        def names():
            with open(path) as f:
                text = f.read()
            return [n for n in ('"master"', '"keeper"', '"worker-0"', '"worker-1"') if n in text]
        wait_for(lambda: os.path.exists(path) and len(names()) == 4)
        os.rename(path, path + '.1')
        self.g.signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(path) and len(names()) == 4)

    def test_hup_every_100_ms_under_load(self):
        """Part of row 30: no request fails, the master does not grow."""
        load = self.load()
        memory = []
        for i in range(60):
            self.g.configure(region='r%d' % i)
            self.g.signal(signal.SIGHUP)
            time.sleep(0.1)
            with open('/proc/%d/statm' % self.g.master.pid) as f:
                memory.append(int(f.read().split()[1]) * 4)
        load.stop()
        self.assertEqual(load.others(), {})
        self.assertGreater(self.generations()[0], 40)
        if not self.g.is_sanitized():
            self.assertLess(memory[-1] - memory[20], 1024)


if __name__ == '__main__':
    tap.main()
