#!/usr/bin/env python3
"""aigwctl ledger export | verify_export.py [--head HASH] [--at SEQ:HASH]...

Recomputes a ledger from what `ledger export` printed alone: hash chain, every field of every record and price row from its bytes, every
charge from its usage and price, every account's sums, seals, gaps. Shares no code with aigw. Exit status 6: findings, on standard error.
--head: the chain must end with this hash; --at, as a receipt says it: record SEQ must have this one."""
import argparse, base64, hashlib, json, struct, sys  # noqa: E401

TYPES = 'charge reverse account grant take key gap rules team user pepper reload retain restore'.split()
ENDS = 'done client_gone upstream_error rejected timeout drain worker_died revoked internal ledger_unavailable'.split()
CLASSES = 'input cache_read cache_write_5m cache_write_1h input_audio input_image output output_audio output_image reasoning image web_search'.split()
PRICE = CLASSES + 'request_nusd mult_ppm prompt_above prompt_upto from_s until_s minute_from minute_until tier'.split()
TIERS = ['', 'standard', 'flex', 'priority']
CHARGE = ('key id front flags status end admitted_ms first_byte_ms total_ms model_asked model provider upstream upstream_id price usage '
          'hold_nusd charge_nusd uncollected_nusd cost_nusd attempts team user budgets group raw_usage idem finish native_finish').split()
CHANGE = 'who what note amount_nusd row key id team user budgets epoch idem number uncollected_nusd'.split()
ATTEMPT, SCOPES = 'provider upstream status ms cost_nusd error start_ms'.split(), {2: 'account', 4: 'team', 5: 'key', 6: 'user'}
SUMS, LENGTHS = 'granted_nusd settled_nusd uncollected_nusd'.split(), {0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4}


def unpack(b, at=0):
    """(value, where it ends) of one msgpack value: a number, truth value, text, bytes or list."""
    t, at = b[at], at + 1
    if t < 0x80 or t >= 0xe0 or t in (0xc2, 0xc3):
        return (t == 0xc3 if 0x80 <= t < 0xe0 else t - (t >> 7 << 8)), at
    if 0xcc <= t <= 0xd3:
        return struct.unpack_from('>' + 'BHIQbhiq'[t - 0xcc], b, at)[0], at + (1, 2, 4, 8)[t & 3]
    wide = LENGTHS.get(t, 0)
    n, at, items = int.from_bytes(b[at:at + wide], 'big') if wide else t & (15 if t < 0xa0 else 31), at + wide, []
    if not (0x90 <= t < 0xa0 or t in (0xdc, 0xdd)):
        return (b[at:at + n] if t in (0xc4, 0xc5, 0xc6) else b[at:at + n].decode('utf-8', 'replace')), at + n
    while len(items) < n:
        v, at = unpack(b, at)
        items.append(v)
    return items, at


def read_record(raw):
    """(its fields, the same as its line must show them)"""
    (version, kind, account, wall_ms, *values), end = unpack(raw)
    if (end, version) != (len(raw), 4) or len(values) < len(CHANGE if kind else CHARGE):
        raise ValueError('no record of version 4')
    r = dict(zip(CHANGE if kind else CHARGE, values), type=TYPES[kind], account=account, wall_ms=wall_ms)
    gen = 'gen_' + ''.join('0123456789abcdefghjkmnpqrstvwxyz'[int.from_bytes(r['id'], 'big') >> 5 * i & 31] for i in range(25, -1, -1))
    budgets = [dict(scope=SCOPES[s], rule=rule, window=window) for s, rule, window in zip(*[iter(r['budgets'])] * 3)]
    shown = dict(r, id=gen, key=r['key'].rstrip('\0'), budgets=budgets, idem=r['idem'].hex())
    if kind:
        return r, dict(shown, row=base64.b64encode(r['row']).decode())
    have, estimated, tier, *counts = r['usage']
    r['usage'] = dict(zip([c for i, c in enumerate(CLASSES) if have >> i & 1], counts), estimated=estimated, tier=TIERS[tier])
    attempts = [{k: v for k, v in zip(ATTEMPT, a) if k != 'error' or v} for a in r['attempts']]
    return r, dict(shown, end=ENDS[r['end']], price=r['price'].hex(), usage=r['usage'], attempts=attempts)


def due(p, r):
    """Nano-dollars that the charge comes to, and whether this price row was the one for that moment, prompt and account."""
    u, (above, upto, since, until, m_from, m_until, tier), at = r['usage'], (p[k] for k in PRICE[-7:]), r['admitted_ms'] // 1000
    read, minute, thought = sum(u.get(c, 0) for c in CLASSES[:6]), at // 60 % 1440, min(u.get('reasoning', 0), u.get('output', 0))
    inside = m_from <= minute < m_until if m_from < m_until else m_from == m_until or not m_until <= minute < m_from
    counts = inside and tier in (0, TIERS.index(u['tier'] or 'standard')) and at >= since and (not until or at < until) and read > (above or -1) and (not upto or read <= upto)
    used = dict(u, output=u.get('output', 0) - thought, reasoning=thought)
    pusd = sum(used.get(c, 0) * p[c] for c in CLASSES) + 1000 * p['request_nusd']
    want = 0 if p['free'] else min(-(-pusd * p['mult_ppm'] // 10**9), 4 * 10**18)
    return min(want, r['hold_nusd']) if r['flags'] & 32 else want, counts and (r['group'] or p['mult_ppm'] == 10**6)


class Books:
    first, end, chain, seq, found, records, charges, seals, sealed_to, sealed_left = None, None, b'', 1, 0, 0, 0, 0, 0, 0

    def __init__(self, head, at):
        self.head, self.at, self.prices, self.ids, self.accounts, self.kept, self.names = head, at, {}, {}, {}, {}, {}

    def check(self, right, what, text):
        self.found += not right
        if not right and self.found <= 50:
            print('%s: %s' % (what, text), file=sys.stderr)

    def line(self, n, text):
        try:
            v = json.loads(text)
            kind = next(k for k in ('export', 'opening', 'seal', 'sealed', 'seq', 'price', 'sums', 'end') if k in v)
            self.check(self.end is None, 'line %d' % n, 'stands behind the end')
            self.check(kind == 'sealed' or self.sealed_left == 0, 'line %d' % n, 'the seal before it is not whole')
            name = 'end' if kind == 'end' else '%s %s' % ('record' if kind == 'seq' else kind, v[kind])
            getattr(self, 'on_' + kind)(v, lambda right, text: self.check(right, name, text))
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError, struct.error) as e:
            self.check(False, 'line %d' % n, 'cannot be read (%s: %s)' % (type(e).__name__, e))

    def on_export(self, v, check):
        check((v['export'], v['what'], self.first) == (1, 'ledger', None), 'is no whole ledger of form 1')
        self.first, self.chain, self.seq = v, bytes.fromhex(v['before']), v['first_seq']
        check(self.seq > 1 or not any(self.chain), 'the first record has none before it')

    def on_opening(self, v, check):
        check(v['at_seq'] == self.first['first_seq'] - 1 and not self.records, 'opens in the middle')
        self.accounts[v['opening']] = [v[k] for k in SUMS]

    def on_sums(self, v, check):
        check(self.first['sums'] and v['at_seq'] == self.seq - 1, 'stands where no sums are due')
        self.kept[v['sums']] = [v[k] for k in SUMS]

    def on_seal(self, v, check):
        here, n = v['last_seq'] == self.seq - 1, len(self.accounts)
        check(self.sealed_to in (0, v['first_seq'] - 1), 'does not go on where the one before ends')
        check(v['head'] == self.chain.hex() if here else v['last_seq'] < self.seq and not self.records, 'has another hash than the record before it')
        check(not here or not self.first['sums'] or v['accounts'] == n, 'tells of %d accounts, there are %d' % (v['accounts'], n))
        self.seals, self.sealed_to, self.sealed_left = self.seals + 1, v['last_seq'], v['accounts']

    def on_sealed(self, v, check):
        self.sealed_left -= 1
        known = self.accounts.get(v['sealed']) if v['at_seq'] == self.seq - 1 and self.first['sums'] else [v[k] for k in SUMS]
        check(v['at_seq'] == self.sealed_to and known == [v[k] for k in SUMS], 'the seal of record %d has other sums than its records make' % v['at_seq'])

    def on_price(self, v, check):
        raw = base64.b64decode(v['bytes'], validate=True)
        p = dict(zip(PRICE, struct.unpack_from('>%dq' % ((len(raw) - 4) // 8), raw, 4) + (0,) * 7), free=raw[1] & 1 == 1)
        check(raw[0] == 4 and raw[3] == len(CLASSES), 'is no price row of version 4')
        check(hashlib.sha256(raw).hexdigest() == v['price'], 'is not the hash of its bytes')
        check(dict(p, price=v['price'], bytes=v['bytes']) == v, 'shows other numbers than its bytes')
        self.prices[bytes.fromhex(v['price'])] = p

    def on_seq(self, v, check):
        raw = base64.b64decode(v['bytes'], validate=True)
        check(v['seq'] == self.seq, 'record %d was due' % self.seq)
        check(hashlib.sha256(self.chain + raw).hexdigest() == v['hash'], 'its hash does not follow from the one before and its bytes')
        check(self.at.pop(v['seq'], v['hash']) == v['hash'], 'has another hash than --at says')
        self.seq, self.chain, self.records = v['seq'] + 1, bytes.fromhex(v['hash']), self.records + 1
        r, shown = read_record(raw)
        for k in sorted({*shown, *v} - {'seq', 'hash', 'bytes', 'words', 'account_name'}):
            check(k in v and k in shown and v[k] == shown[k], 'shows %s %r, its bytes say %r' % (k, v.get(k), shown.get(k)))
        if r['account']:
            check(self.names.setdefault(r['account'], v.get('account_name')) == v.get('account_name'), 'names its account otherwise')
            check(r['account'] in self.accounts or r['type'] == 'account' or not self.first['sums'], 'account %d does not exist' % r['account'])
            self.book(r, shown['id'], check, self.accounts.setdefault(r['account'], [0, 0, 0]))

    def book(self, r, gen, check, sums):
        if r['type'] == 'charge':
            sums[1:], self.charges = (sums[1] + r['charge_nusd'], sums[2] + r['uncollected_nusd']), self.charges + 1
            check(r['id'] not in self.ids, 'charges request %s a second time' % gen)
            self.ids[r['id']] = r['charge_nusd']
            self.charge(r, check, r['charge_nusd'], r['uncollected_nusd'])
        elif r['type'] == 'reverse':
            sums[1:] = sums[1] - r['amount_nusd'], sums[2] - r['uncollected_nusd']
            check(self.first['first_seq'] > 1 or self.ids.get(r['id']) == r['amount_nusd'], 'gives back what no charge before it took')
            self.ids[r['id']] = None
        else:
            sums[0] += {'grant': 1, 'take': -1}.get(r['type'], 0) * r['amount_nusd']

    def charge(self, r, check, taken, lost):
        if not r['flags'] & 16 or not any(r['price']):
            check(taken == lost == 0, 'takes %d nano-dollars for what is not charged' % taken)
        elif r['price'] not in self.prices:
            check(False, 'names price row %s, which is not there' % r['price'].hex())
        else:
            want, counts = due(self.prices[r['price']], r)
            check(counts, 'is charged at a price row for other times, prompts or accounts')
            check(taken + lost == want and taken >= min(want, r['hold_nusd']),
                  'is charged %d + %d nano-dollars, its usage and price make %d' % (taken, lost, want))

    def on_end(self, v, check):
        self.end, head = v, self.chain.hex()
        right = (v['end'], v['records'], v['seals'], v['head']) == (True, self.records, self.seals, head) and self.first['last_seq'] == self.seq - 1
        check(right, 'tells of other records or other seals than there are')
        check(self.head in (None, head), 'the head is %s, not what --head says' % head)
        for n in sorted({*self.accounts, *self.kept}) if self.first['sums'] or self.kept else ():
            self.check(self.kept.get(n) == self.accounts.get(n), 'account %d' % n,
                       'the ledger keeps other sums than its records make: %s' % self.accounts.get(n))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('file', nargs='?', type=argparse.FileType('r', encoding='utf-8'), default=sys.stdin)
    p.add_argument('--head', type=str.lower)
    p.add_argument('--at', action='append', default=[], type=lambda s: (int(s.partition(':')[0]), s.partition(':')[2].lower()))
    args = p.parse_args()
    books = Books(args.head, dict(args.at))
    for n, text in enumerate(args.file, 1):
        books.line(n, text)
    books.check(books.end is not None, 'export', 'is cut: there is no end')
    books.check(not books.at, 'record %s' % list(books.at), 'of --at is not there')
    if not books.found:
        told = books.records, books.charges, len(books.accounts), books.seals, books.chain.hex()
        print('%d records, %d charges, %d accounts, %d seals: all right; head %s' % told)
    return 6 if books.found else 0


if __name__ == '__main__':
    sys.exit(main())
