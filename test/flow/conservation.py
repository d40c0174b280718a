"""Design 3.5, looked at once a second in every node that a test runs, whatever the test does to it: aigw_ledger_imbalance_nanousd is 0, and each
account's row, read on a connection of its own, says granted = balance + held + settled and is not below its floor. Nothing but a missing answer
is put up with, and that not for long."""
import datetime
import os
import socket
import threading
import time

from gateway import Control

GAUGE = b'\naigw_ledger_imbalance_nanousd '
EACH_S = 1.0
AGAIN_S = 0.1      # after nobody has answered: between two kills there is not always a second
PATIENCE_S = 2.0   # for one answer
SILENCE_S = 45.0   # a keeper that dies again and again is away for 30 s
SHARE = 20         # looking at many accounts takes this part of the time at most
TOLD = 10          # differences that are kept


def gauge(port):
    """What the gauge says."""
    with socket.create_connection(('127.0.0.1', port), PATIENCE_S) as s:
        s.sendall(b'GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
        parts = []
        while part := s.recv(1 << 18):
            parts.append(part)
    text = b''.join(parts)
    if not text.startswith(b'HTTP/1.1 200 ') or GAUGE not in text:
        raise EOFError('no gauge')
    return int(text.partition(GAUGE)[2].split(b'\n')[0])


def accounts(path):
    """The rows of all accounts as they are now."""
    end, rows, _ = Control(path, PATIENCE_S, waits=False).call('account list')
    if end['status']:
        raise EOFError(end)
    return [fields for _, fields in rows]


def wrong_account(a):
    """What is wrong with the row of an account, or None."""
    off = a['granted_nusd'] - a['balance_nusd'] - a['held_nusd'] - a['settled_nusd']
    low = a['mode'] == 'prepaid' and a['balance_nusd'] < -a['overdraft_nusd']
    if not off and not low and a['held_nusd'] >= 0:
        return None
    return 'account %s: granted %d, balance %d, held %d, settled %d, overdraft %d: off by %d' % (
        a['name'], a['granted_nusd'], a['balance_nusd'], a['held_nusd'], a['settled_nusd'], a['overdraft_nusd'], off)


class Conservation(threading.Thread):
    """`path`: of the control socket; `admin_port`: of /metrics, None where that is off; `is_up()`: whether there is anybody to answer. `wrong`: lines
    about what was found."""

    def __init__(self, path, admin_port, is_up, patience=1):
        super().__init__(daemon=True)
        self.path, self.admin_port, self.is_up, self.patience = path, admin_port, is_up, patience
        self.wrong, self.looks, self.ended = [], {'gauge': 0, 'accounts': 0}, threading.Event()
        self.heard = dict.fromkeys(self.looks, time.monotonic())
        self.start()

    def tell(self, what):
        if len(self.wrong) < TOLD:
            self.wrong.append('%s %s' % (datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='milliseconds'), what))

    def look_at_gauge(self):
        off = gauge(self.admin_port) if self.admin_port else 0
        if off:
            self.tell('the imbalance is %d nano-dollars' % off)

    def look_at_accounts(self):
        for account in accounts(self.path):
            said = wrong_account(account)
            if said:
                self.tell(said)

    def look(self):
        for kind, what in (('gauge', self.look_at_gauge), ('accounts', self.look_at_accounts)):
            try:
                what()
            except (OSError, EOFError):
                continue
            except Exception as e:  # an answer that is none
                self.tell('%s: %r' % (kind, e))
            self.looks[kind] += 1
            self.heard[kind] = time.monotonic()

    def run(self):
        while not self.ended.is_set():
            begun = time.monotonic()
            if self.is_up():
                self.look()
            else:
                self.heard = dict.fromkeys(self.looks, time.monotonic())
            now = time.monotonic()
            took, silence_s = now - begun, now - min(self.heard.values())
            if silence_s > SILENCE_S * self.patience:
                self.tell('nobody has answered for %.0f s: %s' % (silence_s, self.looks))
                return
            self.ended.wait(max(EACH_S - took, SHARE * took) if silence_s <= took else AGAIN_S)

    def end(self):
        """A last look, so that the shortest test has one; what was wrong."""
        self.ended.set()
        self.join()
        if self.is_up():
            self.look()
        return self.wrong
