"""Design 3.5, looked at once a second in every node that a test runs, whatever the test does to it: aigw_ledger_imbalance_nanousd is 0, and each
account's row, read on a connection of its own, says granted = balance + held + settled and is not below its floor, where it has one. Nothing but a missing
answer is put up with, and that not for long; and who has hardly looked has found nothing to be right."""
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
MANY, SHARE = 200, 20  # looking at so many accounts takes this part of the time at most
PART = 0.5         # of the looks that there should be: of a busy machine no more can be asked
NEVER_S = 2.0      # up for so long without any answer
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


def rows_of(path, verb):
    end, rows, _ = Control(path, PATIENCE_S, waits=False).call(verb)
    if end['status']:
        raise EOFError(end)
    return rows


def status(path):
    """What the gauge says, where there is no /metrics."""
    return next(fields['imbalance_nusd'] for kind, fields in rows_of(path, 'status') if kind == 'ledger')


def accounts(path):
    """The rows of all accounts as they are now."""
    return [fields for _, fields in rows_of(path, 'account list')]


def wrong_account(a):
    """What is wrong with the row of an account, or None."""
    off = a['granted_nusd'] - a['balance_nusd'] - a['held_nusd'] - a['settled_nusd']
    low = a['mode'] == 'prepaid' and not a['shadow'] and a['balance_nusd'] < -a['overdraft_nusd']
    if not off and not low and a['held_nusd'] >= 0:
        return None
    return 'account %s: granted %d, balance %d, held %d, settled %d, overdraft %d: off by %d' % (
        a['name'], a['granted_nusd'], a['balance_nusd'], a['held_nusd'], a['settled_nusd'], a['overdraft_nusd'], off)


class Watch(threading.Thread):
    """Looks once a second. `look()` gives how many rows there were; `tell(what)` takes what it finds wrong."""

    def __init__(self, name, look, tell, is_up, patience):
        super().__init__(name=name, daemon=True)
        self.look, self.tell, self.is_up, self.patience, self.ended = look, tell, is_up, patience, threading.Event()
        self.looks = 0
        self.up_s = self.answered_s = 0.0  # how long somebody was there, and how long he answered: from one answered look to the next
        self.each_s = EACH_S
        self.tried = self.heard = time.monotonic()
        self.has_answered = False
        self.start()

    def once(self):
        begun, before, self.has_answered = time.monotonic(), self.has_answered, True
        try:
            rows = self.look()
        except (OSError, EOFError):
            self.has_answered = False
        except Exception as e:  # an answer that is none
            rows = 0
            self.tell('%s: %r' % (self.name, e))
        now = time.monotonic()
        self.up_s += now - self.tried
        if self.has_answered:
            self.looks += 1
            self.answered_s += now - self.tried if before else 0
            self.heard = now
            if rows > MANY:
                self.each_s = max(self.each_s, SHARE * (now - begun))
        self.tried = now

    def run(self):
        while not self.ended.is_set():
            begun = time.monotonic()
            if self.is_up():
                self.once()
            else:
                self.tried = self.heard = begun
                self.has_answered = False
            silence_s = time.monotonic() - self.heard
            if silence_s > SILENCE_S * self.patience:
                self.tell('%s: nobody has answered for %.0f s, %d looks before' % (self.name, silence_s, self.looks))
                return
            self.ended.wait(max(0, begun + self.each_s - time.monotonic()) if self.has_answered else AGAIN_S)

    def end(self):
        """A last look, so that the shortest test has one. Too few of them are wrong too: they have seen nothing."""
        self.ended.set()
        self.join()
        if self.is_up():
            self.once()
        if self.looks + 2 < PART * self.answered_s / self.each_s / self.patience or self.looks == 0 and self.up_s > NEVER_S * self.patience:
            self.tell('%s: too few looks, %d while it was up for %.1f s and answered for %.1f s' % (self.name, self.looks, self.up_s, self.answered_s))


class Conservation:
    """`path`: of the control socket; `admin_port`: of /metrics, None where that is off; `is_up()`: whether there is anybody to answer. `wrong`: lines
    about what was found."""

    def __init__(self, path, admin_port, is_up, patience=1):
        self.path, self.admin_port, self.wrong = path, admin_port, []
        self.watches = [Watch(name, look, self.tell, is_up, patience) for name, look in (('gauge', self.look_at_gauge), ('accounts', self.look_at_accounts))]

    def tell(self, what):
        if len(self.wrong) < TOLD:
            self.wrong.append('%s %s' % (datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='milliseconds'), what))

    def look_at_gauge(self):
        off = gauge(self.admin_port) if self.admin_port else status(self.path)
        if off:
            self.tell('the imbalance is %d nano-dollars' % off)
        return 1

    def look_at_accounts(self):
        rows = accounts(self.path)
        for account in rows:
            said = wrong_account(account)
            if said:
                self.tell(said)
        return len(rows)

    def end(self):
        """What was wrong, also with how often it was looked at."""
        for watch in self.watches:
            watch.end()
        return self.wrong
