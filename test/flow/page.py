"""The shared page of a node, read from its file as the processes write it: for moments that no answer shows exactly enough."""
import glob
import mmap
import os
import signal
import struct
import time

from gateway import is_alive

ROWS_AT = 4096
ROW = struct.Struct('<4I14Q') # struct page_proc
KEEPER, WORKER = 1, 2
READY = 2


class Row:
    def __init__(self, index, fields):
        self.index = index
        self.pid, self.role, self.slot, self.state = fields[:4]
        self.wants, self.has, self.done = fields[7:10]

    @property
    def is_inside(self):
        """In a write transaction of the live store."""
        return self.has != self.done


class Page:
    def __init__(self, node):
        path, = glob.glob(os.path.join(node.live, '*', 'page'))
        with open(path, 'rb') as f:
            self.m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        # What is read here is where it is thought to be: the processes of this node, in their roles.
        found = {(r.pid, r.role) for r in self.rows()}
        wanted = {(pid, KEEPER if role == 'keeper' else WORKER) for pid, role in node.children().items()}
        assert wanted <= found, (wanted, found)

    def rows(self, role=None):
        """Rows of processes that run or did."""
        rows = (Row(i, ROW.unpack_from(self.m, ROWS_AT + i * ROW.size)) for i in range(64))
        return [r for r in rows if r.pid and role in (None, r.role)]


class Killer:
    """A process beside the test, which is busy with its own threads. `times` times, `pause` seconds after all workers were ready: waits
    until a worker is inside a write transaction, kills or stops it, and measures how long it takes until another one has committed.
    Begins with go(); results() gives [(time of the signal, when it was seen to have worked, seconds)]."""

    def __init__(self, page, workers, times, pause, dice, sig=signal.SIGKILL):
        self.page, self.workers, self.dice, self.sig = page, workers, dice, sig
        self.begin_r, self.begin_w = os.pipe()
        self.result_r, self.result_w = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.read(self.begin_r, 1)
                for _ in range(times):
                    os.write(self.result_w, struct.pack('<3d', *self.one(pause)))
            finally:
                os._exit(0)
        os.close(self.result_w)

    def go(self):
        os.write(self.begin_w, b'x')

    def all_ready(self):
        rows = [r for r in self.page.rows(WORKER) if r.state == READY]
        return rows if len(rows) == self.workers else None

    def until(self, what, step):
        end = time.monotonic() + 40
        while time.monotonic() < end:
            found = what()
            if found:
                return found
            time.sleep(step)
        raise TimeoutError(what)

    def one(self, pause):
        self.until(self.all_ready, 0.002)
        time.sleep(pause * self.dice.uniform(0.5, 1.5))
        rows = self.until(self.all_ready, 0.002)
        victim = self.until(lambda: next((r for r in self.page.rows(WORKER) if r.is_inside), None), 0.0002)
        begun = time.monotonic()
        os.kill(victim.pid, self.sig)
        # What another one has committed up to now was before.
        done = {r.index: r.done for r in self.page.rows(WORKER) if r.pid in {o.pid for o in rows} - {victim.pid}}
        self.until(lambda: any(r.done > done.get(r.index, r.done) for r in self.page.rows(WORKER)), 0.0005)
        seconds = time.monotonic() - begun
        if self.sig == signal.SIGKILL:
            self.until(lambda: not is_alive(victim.pid), 0.001)
        return begun, time.monotonic(), seconds

    def results(self):
        """Waits for the end."""
        data = b''
        while True:
            part = os.read(self.result_r, 65536)
            if not part:
                break
            data += part
        os.waitpid(self.pid, 0)
        for fd in (self.begin_r, self.begin_w, self.result_r):
            os.close(fd)
        return list(struct.iter_unpack('<3d', data))
