"""Requests that are counted to the nano-dollar, for tests that kill things while they run."""
import json
import os
import subprocess
import threading
import time

from client import Conn
from node import FiveScopes, chat_body, nusd


class Spender:
    """Threads that ask one after the other on kept connections until stopped. What was answered is in `answered`: {request id:
    nano-dollars}, and when in `ended_ns`: {request id: CLOCK_MONOTONIC}; what was not, in `failed`;
    who was refused asks again after `patience_s`."""

    def __init__(self, node, key, model, threads=4, stream=False, patience_s=0):
        self.node, self.key, self.model, self.stream, self.patience_s = node, key, model, stream, patience_s
        self.answered, self.ended_ns, self.failed, self.statuses = {}, {}, [], {}
        self.going, self.lock = True, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def one(self, conn):
        a = conn.request('POST', '/v1/chat/completions', chat_body(self.model, self.stream, user='ann'), key=self.key).answer('POST')
        if a is None:
            raise ConnectionResetError
        ended_ns = time.monotonic_ns()
        with self.lock:
            self.statuses[a.status] = self.statuses.get(a.status, 0) + 1
            if a.status == 200 and a.is_whole:
                self.ended_ns[a.get('x-generation-id')] = ended_ns
                self.answered[a.get('x-generation-id')] = nusd(a.get('x-aigw-cost-usd') or a.usage['cost'])
            elif a.status != 200:
                self.failed.append('%d %s' % (a.status, a.body[:200]))
            else:
                self.failed.append(a.ended)
        if a.status != 200:
            time.sleep(self.patience_s)

    def run(self):
        conn = None
        while self.going:
            try:
                conn = conn or Conn(self.node.port)
                self.one(conn)
            except OSError as e:
                with self.lock:
                    self.failed.append(repr(e))
                conn = None

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join()
        return self


def check_books(test, node, account, spender):
    """Everything that was answered is in the ledger once, at its price, and the account is the sum of its records."""
    a = node.settled(account)
    verdict = node.verify('--charges')
    test.assertTrue(verdict['good'], verdict)
    test.assertEqual(nusd(a['granted_usd']), nusd(a['balance_usd']) + nusd(a['held_usd']) + nusd(a['settled_usd']), a)
    if isinstance(test, FiveScopes):
        test.check_scopes()
    total = node.ctl('usage')['total']
    test.assertEqual(nusd(total['charge_usd']), nusd(a['settled_usd']))
    test.assertEqual(nusd(verdict['settled_usd']), nusd(a['settled_usd']))
    test.assertGreaterEqual(nusd(a['settled_usd']), sum(spender.answered.values()))
    ids = list(spender.answered)
    for request_id in ids[:20] + ids[len(ids) // 2:len(ids) // 2 + 20] + ids[-40:]:
        record = node.record(request_id)
        test.assertEqual(nusd(record['charge_usd']), spender.answered[request_id])
    return a, total


FIELDS = ('id', 'end', 'status', 'user', 'model_asked', 'usage', 'charge_nusd')


def records(node):
    """{request id: [its charge records, what tests look at of them]} of the whole ledger, of which there may be a million; the charge of one that
    was taken back is 0."""
    found = {}
    with subprocess.Popen([os.environ['AIGWCTL'], '--socket', node.socket, 'ledger', 'export'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as p:
        for line in p.stdout:
            node.canary.look(line, 'ledger export')
            record = json.loads(line)
            if record.get('type') == 'charge':
                found.setdefault(record['id'], []).append({name: record.get(name) for name in FIELDS})
            elif record.get('type') == 'reverse':
                found[record['id']][0]['charge_nusd'] = 0
    assert p.returncode == 0, p.returncode
    return found
