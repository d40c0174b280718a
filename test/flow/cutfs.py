"""What a power cut may leave of a folder, made from what filelog.c noted. A file's data is certain once the file was synced, names are once
their folder was; what was done to the names of one folder stays in its order, as on every file system with a journal, and a rename is
done or not; all else is there, is not, or is torn at 512 bytes, as chance has it."""
import os

SECTOR = 512


class Op:
    """Done to an inode's data (`write`, `durable`, `size`, `sync`), or to names: [(folder, name, inode or None)], all at once."""

    def __init__(self, what, inode=None, at=0, data=b'', names=()):
        self.what, self.inode, self.at, self.data, self.names = what, inode, at, data, names
        self.folders = {folder for folder, _, _ in names}


class CutFs:
    def __init__(self, root):
        """As it is on disk now, all of it synced."""
        self.root, self.names, self.data, self.ops, self.made = root, {}, {}, [], 0
        self.read = 0  # of the log
        self.early = []  # what was renamed before it was synced
        self.top = self.take(root)
        self.now = {inode: dict(names) for inode, names in self.names.items()}

    def inode(self, names=None):
        self.made += 1
        if names is None:
            self.data[self.made] = b''
        else:
            self.names[self.made] = names
        return self.made

    def take(self, path):
        if os.path.isdir(path):
            return self.inode({name: self.take(os.path.join(path, name)) for name in os.listdir(path)})
        inode = self.inode()
        with open(path, 'rb') as f:
            self.data[inode] = f.read()
        return inode

    # --- what was noted ---

    def find(self, path):
        """(inode of the folder, name, inode), the last None where there is none; the root has no folder."""
        folder, name, inode = None, '', self.top
        for part in os.path.relpath(path, self.root).split('/'):
            if part != '.':
                folder, name, inode = inode, part, self.now[inode].get(part)
        return folder, name, inode

    def note(self, log):
        """Adds what the log has more than the last time."""
        with open(log) as f:
            f.seek(self.read)
            whole, _, _ = f.read().rpartition('\n')
        self.read += len(whole) + 1 if whole else 0
        for line in whole.split('\n') if whole else ():
            self.note_one(*line.split('\t'))

    def note_one(self, what, path, other, number, data):
        folder, name, inode = self.find(path)
        if what in ('create', 'mkdir'):
            inode = self.inode(None if what == 'create' else {})
            self.now.update({inode: {}} if what == 'mkdir' else {})
            self.name((folder, name, inode))
        elif what == 'unlink':
            self.name((folder, name, None))
        elif what in ('rename', 'exchange'):
            to, as_name, was = self.find(other)
            self.look_for_early(os.path.relpath(path, self.root))
            self.name((folder, name, was if what == 'exchange' else None), (to, as_name, inode))
        else:
            self.ops.append(Op(what, inode, int(number), bytes.fromhex(data)))

    def name(self, *names):
        self.ops.append(Op('names', names=names))
        put_names(self.now, names)

    # --- the cut ---

    def cut(self, n, rng, to):
        """Makes at `to` what may be left of the first n and, in part, of the one after it."""
        names, data, names_pending, data_pending = self.certain(n)
        data_pending += [op for op in self.ops[n:n + 1] if op.what in ('write', 'durable')]
        put_some_names(names, names_pending, rng)
        rng.shuffle(data_pending)
        for op in data_pending:
            put_some_data(data, op, rng)
        self.write(self.top, to, names, data)

    def certain(self, n):
        """Names and data as they are on disk for certain after the first n, and what waits to be."""
        names = {inode: dict(v) for inode, v in self.names.items()}
        data = {inode: bytearray(v) for inode, v in self.data.items()}
        names_pending, data_pending = [], []
        for op in self.ops[:n]:
            if op.what == 'names':
                names_pending.append(op)
            elif op.what == 'durable':
                put_data(data, op)
            elif op.what != 'sync':
                data_pending.append(op)
            elif op.inode in names:
                names_pending = sync_names(names, names_pending, op.inode)
            else:
                for done in [o for o in data_pending if o.inode == op.inode]:
                    put_data(data, done)
                data_pending = [o for o in data_pending if o.inode != op.inode]
        return names, data, names_pending, data_pending

    def paths(self):
        """{inode: where it is now}"""
        found, todo = {}, [(self.top, '')]
        while todo:
            inode, path = todo.pop()
            found[inode] = path
            todo += [(of, os.path.join(path, name)) for name, of in self.now.get(inode, {}).items()]
        return found

    def look_for_early(self, path):
        """A file or a folder gets its name: what is in it must be certain."""
        self.early += [p for p in self.unsynced_data() if p == path or p.startswith(path + '/')]
        self.early += [p for p in self.unsynced() if p.startswith(path + '/')]

    def unsynced_data(self):
        paths = self.paths()
        return {paths[op.inode] for op in self.certain(len(self.ops))[3] if op.inode in paths}

    def unsynced(self):
        """What is there now and is not for certain: names, and files of whose data some waits."""
        paths = self.paths()
        return self.unsynced_data() | {os.path.join(paths[folder], name) for op in self.certain(len(self.ops))[2]
                                       for folder, name, _ in op.names if folder in paths}

    def write(self, inode, path, names, data):
        if inode not in names:
            with open(path, 'wb') as f:
                os.fchmod(f.fileno(), 0o600)
                f.write(data[inode])
            return
        os.mkdir(path, 0o700)
        for name, of in names[inode].items():
            self.write(of, os.path.join(path, name), names, data)


def put_names(names, edits):
    for folder, name, inode in edits:
        if inode is None:
            names[folder].pop(name, None)
        else:
            names[folder][name] = inode


def sync_names(names, pending, folder):
    """What was done to this folder is done, and what was done before to folders that have a part in it. What is left."""
    with_it, done = {folder}, []
    for op in reversed(pending):
        if op.folders & with_it:
            with_it |= op.folders
            done.append(op)
    for op in reversed(done):
        put_names(names, op.names)
    return [op for op in pending if op not in done]


def put_some_names(names, pending, rng):
    stopped, share = set(), rng.random()
    for op in pending:
        if op.folders & stopped or rng.random() > share:
            stopped |= op.folders
        else:
            put_names(names, op.names)


def put_data(data, op):
    to = data[op.inode]
    if op.what == 'size':
        del to[op.at:]
        to += bytes(op.at - len(to))
        return
    if len(to) < op.at:
        to += bytes(op.at - len(to))
    to[op.at:op.at + len(op.data)] = op.data


def put_some_data(data, op, rng):
    how = rng.randrange(4)
    if how < 2:
        put_data(data, op)
    elif how == 2:
        for at in range(0, len(op.data), SECTOR):
            if rng.random() < 0.5:
                put_data(data, Op('write', op.inode, op.at + at, op.data[at:at + SECTOR]))
