"""A node whose keeper's writes to the ledger are recorded and made to fail; see disk.c."""
import mmap
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import NodePerTest

CALLS, FAILED, FAIL_FROM, FAIL_TO, ERROR = range(5)  # struct disk_page


class Page:
    """Numbers that processes share, 64 bits each, in a file that is open to everybody."""

    def __init__(self, path):
        make_file(path, 4096)
        with open(path, 'r+b') as f:
            self.m = mmap.mmap(f.fileno(), 0)

    def __getitem__(self, i):
        return struct.unpack_from('<Q', self.m, 8 * i)[0]

    def __setitem__(self, i, value):
        struct.pack_into('<Q', self.m, 8 * i, value)


def make_file(path, size=0):
    with open(path, 'wb') as f:
        f.truncate(size)
        os.fchmod(f.fileno(), 0o666)


class Recorded(NodePerTest):
    RECORD = False

    def make_recorded(self, **config):
        self.make(log={'access': 'off'}, **config)
        if self.node.is_sanitized():
            self.skipTest('a sanitizer wants to be the first library that is loaded')
        self.folder = os.path.join(self.node.dir, 'disk')
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        if self.RECORD:
            make_file(os.path.join(self.folder, 'log'))
        self.page = Page(os.path.join(self.folder, 'page'))
        self.node.env.update(LD_PRELOAD=os.environ['DISK'], AIGW_TEST_DISK=self.folder)

    def fail_from(self, n, times, error):
        """The n-th call that writes or syncs from now on and so many after it."""
        self.page[FAIL_TO] = 0
        self.page[ERROR] = error
        self.page[FAIL_FROM] = self.page[CALLS] + n
        self.page[FAIL_TO] = self.page[FAIL_FROM] + times

    def fail_no_more(self):
        self.page[FAIL_TO] = 0
