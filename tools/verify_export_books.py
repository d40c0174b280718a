#!/usr/bin/env python3
"""aigwctl ledger export | verify_export_books.py [--head HASH] [--at SEQ:HASH]...

Recomputes a ledger as verify_export.py, which stands beside it, does, and all else that is in an export: that every field of every line is
what the bytes of records and price rows say, and each line in its place, once; what was given back, every account's sums and name, the seals
of days, what stands before the first record. Not the `ledger_id`, nor the `words` that say a change again, for people.
Exit status 6: findings, on standard error."""
import base64, datetime, hashlib, struct, sys  # noqa: E401

from verify_export import CHARGE, KINDS, Ledger, main

TYPES = 'charge reverse account grant take key gap rules team user pepper reload retain restore'.split()
ENDS = 'done client_gone upstream_error rejected timeout drain worker_died revoked internal ledger_unavailable client_slow'.split()
CHANGE = 'who what note amount_nusd row key id team user budgets epoch idem number uncollected_nusd'.split()
ATTEMPT, SCOPES = 'provider upstream status ms cost_nusd error start_ms'.split(), {2: 'account', 4: 'team', 5: 'key', 6: 'user'}
SUMS, DAY_MS, LAYOUT, HEAD = 'granted_nusd settled_nusd uncollected_nusd'.split(), 86400000, 14, 80  # bytes before the name in an account's row
FIELDS = {'export': 'what ledger_id layout record_version first_seq last_seq before sums', 'end': 'records seals head',
          'seal': 'sealed_on first_seq last_seq head accounts', **dict.fromkeys(('opening', 'sealed', 'sums'), ' '.join(['name at_seq', *SUMS]))}


def sums_of(v):
    return [v[k] for k in SUMS]


def days(text):
    return datetime.date.fromisoformat(text).toordinal() - 719163


def shown(r, kind):
    """A record's fields as its line must show them."""
    gen = 'gen_' + ''.join('0123456789abcdefghjkmnpqrstvwxyz'[int.from_bytes(r['id'], 'big') >> 5 * i & 31] for i in range(25, -1, -1))
    budgets = [dict(scope=SCOPES[s], rule=rule, window=window) for s, rule, window in zip(*[iter(r['budgets'])] * 3)]
    r = dict(r, id=gen, key=r['key'].rstrip('\0'), budgets=budgets, idem=r['idem'].hex())
    if kind:
        return dict(r, row=base64.b64encode(r['row']).decode())
    attempts = [{k: v for k, v in zip(ATTEMPT, a) if k != 'error' or v} for a in r['attempts']]
    return dict(r, end=ENDS[r['end']], price=r['price'].hex(), attempts=attempts)


class Books(Ledger):
    def __init__(self, head=None, at=()):
        super().__init__(head, at)
        self.accounts, self.kept, self.names, self.seals, self.sealed_to, self.sealed_left = {}, {}, {}, 0, 0, 0
        self.wall_ms, self.seal, self.sealed, self.price, self.rows, self.place = None, hashlib.sha256(), {}, None, 0, ('', 0)

    def take(self, v):
        kind = next(k for k in KINDS if k in v)
        self.check(kind == 'sealed' or self.sealed_left == 0, 'the seal before it is not whole')
        price, self.price = self.price, None
        super().take(v)
        self.check(price is None or (kind == 'seq' and v.get('price') == price), 'does not name the price row before it')
        if kind != 'seq':
            self.what = kind if v[kind] is True else '%s %s' % (kind, v[kind])
            self.check(kind == 'price' or v.keys() == {kind, *FIELDS[kind].split()}, 'has other fields than such a line')
            getattr(self, 'on_' + kind)(v)

    def on_export(self, v):
        if v['export'] == 1:
            self.check(False, 'was made by an older version, without the days on which seals were made; verify_export.py can read it')
            sys.exit(6)
        self.check(self.seq > 1 or not any(self.chain), 'the first record has none before it')
        self.check(v['layout'] == LAYOUT, 'is of a layout that is not known here')

    def account(self, kind, v):
        """One of a run of lines, in the order of accounts."""
        self.check(self.place[0] != kind or self.place[1] < v[kind], 'stands there twice, or behind a later account')
        self.check(self.names.setdefault(v[kind], v['name']) == v['name'], 'names its account otherwise')
        self.place = kind, v[kind]

    def on_opening(self, v):
        self.account('opening', v)
        self.check(v['at_seq'] == self.first['first_seq'] - 1 and not self.records and not self.seals, 'opens in the middle')
        self.accounts[v['opening']] = sums_of(v)

    def on_sums(self, v):
        self.account('sums', v)
        self.check(self.first['sums'] and v['at_seq'] == self.seq - 1, 'stands where no sums are due')
        self.kept[v['sums']] = sums_of(v)

    def on_seal(self, v):
        here, n, self.place = v['last_seq'] == self.seq - 1, len(self.accounts), ('', 0)
        self.check(not self.kept, 'stands behind the sums')
        self.check(self.sealed_to in (0, v['first_seq'] - 1), 'does not go on where the one before ends')
        self.check(v['head'] == self.chain.hex() if here else v['last_seq'] < self.seq and not self.records, 'has another hash than the record before it')
        self.check(not here or not self.first['sums'] or v['accounts'] == n, 'tells of %d accounts, there are %d' % (v['accounts'], n))
        self.check(not here or not self.records or days(v['seal']) in (self.wall_ms // DAY_MS, (self.wall_ms + 30000) // DAY_MS), 'is not of the day of its last record')
        self.seal = hashlib.sha256(self.seal.digest() if self.seals else bytes(32))
        self.seal.update(struct.pack('<2I2Q32sQ', days(v['seal']), days(v['sealed_on']), v['first_seq'], v['last_seq'], bytes.fromhex(v['head']), v['accounts']))
        self.seals, self.sealed_to, self.sealed_left, self.sealed[v['last_seq']] = self.seals + 1, v['last_seq'], v['accounts'], self.seal

    def on_sealed(self, v):
        self.account('sealed', v)
        self.sealed_left -= 1
        self.seal.update(struct.pack('<Q3q', v['sealed'], *sums_of(v)))
        known = self.accounts.get(v['sealed']) if v['at_seq'] == self.seq - 1 and self.first['sums'] else sums_of(v)
        self.check(v['at_seq'] == self.sealed_to and known == sums_of(v), 'the seal of record %d has other sums than its records make' % v['at_seq'])

    def on_price(self, v):
        p = self.prices[bytes.fromhex(v['price'])]
        self.check(dict(p, price=v['price'], bytes=v['bytes']) == v, 'shows other numbers than its bytes')
        self.price, self.rows = v['price'], self.rows + 1
        self.check(len(self.prices) == self.rows, 'stands there twice')

    def record(self, v, version, kind, account, wall_ms, *values):
        before = self.charged.get(values[1 if kind == 0 else CHANGE.index('id')])
        super().record(v, version, kind, account, wall_ms, *values)
        self.check(version == 4 and len(values) >= len(CHANGE if kind else CHARGE), 'is no record of version 4')
        r = dict(zip(CHANGE, values)) if kind else self.charge
        known = dict(shown(r, kind), type=TYPES[kind], account=account, wall_ms=wall_ms)
        for k in sorted({*known, *v} - {'seq', 'hash', 'bytes', 'words', 'account_name'}):
            self.check(k in v and k in known and v[k] == known[k], 'shows %s %r, its bytes say %r' % (k, v.get(k), known.get(k)))
        self.wall_ms = wall_ms
        if TYPES[kind] == 'retain' and r['row'] and self.first['sums']:
            gone = self.sealed.get(r['number'])
            self.check(gone and gone.digest() == r['row'], 'knows other seals of the days up to record %d' % r['number'])
        self.check(account or 'account_name' not in v, 'names an account that it is not of')
        if account:
            name = r['row'][HEAD:HEAD + r['row'][3]].decode() if TYPES[kind] == 'account' else self.names.get(account, v.get('account_name'))
            self.check(v.get('account_name') == name == self.names.setdefault(account, name), 'names its account otherwise')
            self.check(account in self.accounts or TYPES[kind] == 'account' or not self.first['sums'], 'account %d does not exist' % account)
            self.book(r, TYPES[kind], before, self.accounts.setdefault(account, [0, 0, 0]))

    def book(self, r, kind, before, sums):
        if kind == 'charge':
            sums[1:] = sums[1] + r['charge_nusd'], sums[2] + r['uncollected_nusd']
        elif kind == 'reverse':
            sums[1:] = sums[1] - r['amount_nusd'], sums[2] - r['uncollected_nusd']
            self.check(self.first['first_seq'] > 1 or before == r['amount_nusd'], 'gives back what no charge before it took')
            if before is not None:
                self.charged[r['id']] = None
        else:
            sums[0] += {'grant': 1, 'take': -1}.get(kind, 0) * r['amount_nusd']

    def on_end(self, v):
        self.check((v['end'], v['seals']) == (True, self.seals), 'tells of other seals than there are')
        for n in sorted({*self.accounts, *self.kept}) if self.first['sums'] or self.kept else ():
            self.what = 'account %d' % n
            self.check(self.kept.get(n) == self.accounts.get(n), 'the ledger keeps other sums than its records make: %s' % self.accounts.get(n))


if __name__ == '__main__':
    sys.exit(main(Books, __doc__, lambda b: ', %d accounts, %d seals' % (len(b.accounts), b.seals)))
