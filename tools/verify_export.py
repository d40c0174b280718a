#!/usr/bin/env python3
"""aigwctl ledger export | verify_export.py [--head HASH] [--at SEQ:HASH]...

Recomputes a ledger from what `ledger export` printed, and from nothing else: the hash chain, every charge from its usage and price row,
every account's sums, seals. Shares no code with aigw. Exit status 0: all of it is right; 6: findings, on standard error. --head: the
chain must end with this hash; --at, as a receipt says it: record SEQ must have this one."""
import argparse
import base64
import hashlib
import json
import struct
import sys

TYPES = 'charge reverse account grant take key gap rules team user pepper reload retain restore'.split()
ENDS = 'done client_gone upstream_error rejected timeout drain worker_died revoked internal ledger_unavailable'.split()
CLASSES = 'input cache_read cache_write_5m cache_write_1h input_audio input_image output output_audio output_image reasoning image web_search'.split()
CHARGE = ('key id front flags status end admitted_ms first_byte_ms total_ms model_asked model provider upstream upstream_id price usage '
          'hold_nusd charge_nusd uncollected_nusd cost_nusd attempts team user budgets group raw_usage idem finish native_finish').split()
CHANGE = 'who what note amount_nusd row key id team user budgets epoch idem number uncollected_nusd'.split()
ATTEMPT = 'provider upstream status ms cost_nusd error start_ms'.split()
SUMS = 'granted_nusd settled_nusd uncollected_nusd'.split()
CHARGED, CAPPED, NUSD_MAX = 16, 32, 4 * 10**18  # flags of a charge; no amount is larger
LENGTHS = {0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4}


def unpack(b, at=0):
    """(value, where it ends) of one msgpack value: a number, truth value, text, bytes or list."""
    t, at = b[at], at + 1
    if t < 0x80 or t >= 0xe0:
        return (t if t < 0x80 else t - 256), at
    if t in (0xc2, 0xc3):
        return t == 0xc3, at
    if 0xcc <= t <= 0xd3:
        return struct.unpack_from('>' + 'BHIQbhiq'[t - 0xcc], b, at)[0], at + (1, 2, 4, 8)[t & 3]
    n, wide = t & (15 if t < 0xa0 else 31), LENGTHS.get(t, 0)
    if wide:
        n, at = int.from_bytes(b[at:at + wide], 'big'), at + wide
    if 0x90 <= t < 0xa0 or t in (0xdc, 0xdd):
        items = []
        for _ in range(n):
            v, at = unpack(b, at)
            items.append(v)
        return items, at
    if at + n > len(b) or not (wide or 0xa0 <= t < 0xc0):
        raise ValueError('no msgpack')
    return (b[at:at + n] if 0xc4 <= t <= 0xc6 else b[at:at + n].decode('utf-8', 'replace')), at + n


def genid(b):
    return 'gen_' + ''.join('0123456789abcdefghjkmnpqrstvwxyz'[int.from_bytes(b, 'big') >> 5 * i & 31] for i in range(25, -1, -1))


def read_record(raw):
    """(its fields, the same as its line must show them)"""
    (version, kind, account, wall_ms, *values), end = unpack(raw)
    names = CHANGE if kind else CHARGE
    if end != len(raw) or version != 3 or len(values) < len(names):
        raise ValueError('no record of version 3')
    r = dict(zip(names, values), type=TYPES[kind], account=account, wall_ms=wall_ms)
    shown = dict(r, id=genid(r['id']), key=r['key'].rstrip('\0'), budgets=None, idem=r['idem'].hex())
    if kind:
        return r, dict(shown, row=base64.b64encode(r['row']).decode())
    have, estimated, *counts = r['usage']
    r['usage'] = dict(zip([c for i, c in enumerate(CLASSES) if have >> i & 1], counts))
    attempts = [{k: v for k, v in zip(ATTEMPT, a) if k != 'error' or v} for a in r['attempts']]
    return r, dict(shown, end=ENDS[r['end']], price=r['price'].hex(), usage=dict(r['usage'], estimated=estimated), attempts=attempts)


def due(p, r):
    """Nano-dollars that the charge comes to, and whether this price row was the one for that moment and prompt, multiplied only for a group."""
    u, (above, upto, since, until, m_from, m_until) = r['usage'], p['when']
    read, at = sum(u.get(c, 0) for c in CLASSES[:6]), r['admitted_ms'] // 1000
    minute, inside = at // 60 % 1440, True
    if m_from != m_until:
        inside = m_from <= minute < m_until if m_from < m_until else minute >= m_from or minute < m_until
    counts = inside and at >= since and (not until or at < until) and read > (above or -1) and (not upto or read <= upto)
    counts = counts and (r['group'] or p['mult'] == 10**6)
    thought = min(u.get('reasoning', 0), u.get('output', 0))
    used = dict(u, output=u.get('output', 0) - thought, reasoning=thought)
    pusd = sum(n * p[c] for c, n in used.items()) + 1000 * p['request']
    return (0 if p['free'] else min(-(-pusd * p['mult'] // (1000 * 10**6)), NUSD_MAX)), counts


class Books:
    def __init__(self):
        self.found, self.first, self.end, self.records, self.charges, self.seals = 0, None, None, 0, 0, 0
        self.prices, self.ids, self.accounts, self.sums, self.sealed_to, self.sealed_left = {}, {}, {}, {}, 0, 0

    def check(self, right, what, text):
        if not right:
            self.found += 1
            if self.found <= 50:
                print('%s: %s' % (what, text), file=sys.stderr)

    def line(self, n, text):
        try:
            v = json.loads(text)
            kind = next(k for k in ('export', 'opening', 'seal', 'sealed', 'seq', 'price', 'sums', 'end') if k in v)
            self.check(self.end is None, 'line %d' % n, 'stands behind the end')
            self.check(kind == 'sealed' or self.sealed_left == 0, 'line %d' % n, 'the seal before it is not whole')
            self.sealed_left = self.sealed_left if kind == 'sealed' else 0
            getattr(self, 'on_' + kind)(v, 'end' if kind == 'end' else '%s %s' % ({'seq': 'record'}.get(kind, kind), v[kind]))
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError, struct.error) as e:
            self.check(False, 'line %d' % n, 'cannot be read (%s: %s)' % (type(e).__name__, e))

    def on_export(self, v, name):
        self.check(v['export'] == 1 and v['what'] == 'ledger' and self.first is None, name, 'is no whole ledger of form 1')
        self.first, self.chain, self.seq = v, bytes.fromhex(v['before']), v['first_seq']
        self.check(self.seq > 1 or not any(self.chain), name, 'the first record has none before it')

    def on_opening(self, v, name):
        self.check(v['at_seq'] == self.first['first_seq'] - 1 and not self.records, name, 'opens in the middle')
        self.accounts[v['opening']] = [v[k] for k in SUMS]

    def on_seal(self, v, name):
        here = v['last_seq'] == self.seq - 1
        self.check(self.sealed_to in (0, v['first_seq'] - 1), name, 'does not go on where the one before ends')
        self.check(v['last_seq'] < self.seq and (here or not self.records) and (not here or v['head'] == self.chain.hex()), name,
                   'has another hash than the record before it')
        self.check(not here or not self.first['sums'] or v['accounts'] == len(self.accounts), name,
                   'tells of %d accounts, there are %d' % (v['accounts'], len(self.accounts)))
        self.seals, self.sealed_to, self.sealed_left = self.seals + 1, v['last_seq'], v['accounts']

    def on_sealed(self, v, name):
        self.sealed_left -= 1
        self.check(v['at_seq'] != self.seq - 1 or not self.first['sums'] or self.accounts.get(v['sealed']) == [v[k] for k in SUMS], name,
                   'the seal of record %d has other sums than its records make' % v['at_seq'])

    def on_price(self, v, name):
        raw = base64.b64decode(v['bytes'], validate=True)
        version, flags, n = struct.unpack_from('>BBH', raw)
        if version != 3 or n != len(CLASSES):
            raise ValueError('no price row of version 3')
        numbers = struct.unpack_from('>%dq' % ((len(raw) - 4) // 8), raw, 4)
        p = dict(zip(CLASSES, numbers), free=flags & 1, request=numbers[n], mult=numbers[n + 1], when=numbers[n + 2:] or (0,) * 6)
        self.check(hashlib.sha256(raw).hexdigest() == v['price'], name, 'is not the hash of its bytes')
        self.check([v[c] for c in CLASSES] + [v['request_nusd'], v['mult_ppm']] == list(numbers[:n + 2]), name, 'shows other numbers than its bytes')
        self.prices[bytes.fromhex(v['price'])] = p

    def on_seq(self, v, name):
        raw = base64.b64decode(v['bytes'], validate=True)
        self.check(v['seq'] == self.seq, name, 'record %d was due' % self.seq)
        self.check(hashlib.sha256(self.chain + raw).hexdigest() == v['hash'], name, 'its hash does not follow from the one before and its bytes')
        self.check(self.at.pop(v['seq'], v['hash']) == v['hash'], name, 'has another hash than --at says')
        self.seq, self.chain, self.records = v['seq'] + 1, bytes.fromhex(v['hash']), self.records + 1
        r, shown = read_record(raw)
        for k, value in shown.items():
            self.check(value is None or v.get(k) == value, name, 'shows %s %r, its bytes say %r' % (k, v.get(k), value))
        if r['account']:
            known = r['account'] in self.accounts or r['type'] == 'account' or not self.first['sums']
            self.check(known, name, 'account %d does not exist' % r['account'])
            self.book(r, name, self.accounts.setdefault(r['account'], [0, 0, 0]))

    def book(self, r, name, sums):
        if r['type'] in ('grant', 'take'):
            sums[0] += r['amount_nusd'] if r['type'] == 'grant' else -r['amount_nusd']
        elif r['type'] == 'reverse':
            sums[1] -= r['amount_nusd']
            sums[2] -= r['uncollected_nusd']
            self.check(self.first['first_seq'] > 1 or self.ids.get(r['id']) == r['amount_nusd'], name, 'gives back what no charge before it took')
            self.ids[r['id']] = None
        elif r['type'] == 'charge':
            sums[1] += r['charge_nusd']
            sums[2] += r['uncollected_nusd']
            self.charges += 1
            self.check(r['id'] not in self.ids, name, 'charges request %s a second time' % genid(r['id']))
            self.ids[r['id']] = r['charge_nusd']
            self.charge(r, name, r['charge_nusd'], r['uncollected_nusd'])

    def charge(self, r, name, taken, lost):
        if not r['flags'] & CHARGED or not any(r['price']):
            self.check(taken == lost == 0, name, 'takes %d nano-dollars for what is not charged' % taken)
        elif r['price'] not in self.prices:
            self.check(False, name, 'names price row %s, which is not there' % r['price'].hex())
        else:
            want, counts = due(self.prices[r['price']], r)
            want = min(want, r['hold_nusd']) if r['flags'] & CAPPED else want
            self.check(counts, name, 'is charged at a price row for other times, prompts or accounts')
            self.check(taken + lost == want and taken >= min(want, r['hold_nusd']), name,
                       'is charged %d + %d nano-dollars, its usage and price make %d' % (taken, lost, want))

    def on_sums(self, v, name):
        self.sums[v['sums']] = [v[k] for k in SUMS]

    def on_end(self, v, name):
        self.end, head = v, self.chain.hex()
        right = (v['records'], v['seals'], v['head']) == (self.records, self.seals, head) and self.first['last_seq'] == self.seq - 1
        self.check(right, name, 'tells of other records or other seals than there are')
        self.check(self.head in (None, head), name, 'the head is %s, not what --head says' % head)
        for n in sorted(set(self.accounts) | set(self.sums)) if self.first['sums'] or self.sums else ():
            self.check(self.sums.get(n) == self.accounts.get(n), 'account %d' % n, 'the ledger keeps other sums than its records make: %s' % self.accounts.get(n))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('file', nargs='?', type=argparse.FileType('r', encoding='utf-8'), default=sys.stdin)
    p.add_argument('--head', type=str.lower)
    p.add_argument('--at', action='append', default=[], type=lambda s: (int(s.partition(':')[0]), s.partition(':')[2].lower()))
    args, books = p.parse_args(), Books()
    books.head, books.at = args.head, dict(args.at)
    for n, text in enumerate(args.file, 1):
        books.line(n, text)
    books.check(books.end is not None, 'export', 'is cut: there is no end')
    books.check(not books.at, 'record %s' % list(books.at), 'of --at is not there')
    if not books.found:
        print('%d records, %d charges, %d accounts, %d seals: all right; head %s'
              % (books.records, books.charges, len(books.accounts), books.seals, books.chain.hex()))
    return 6 if books.found else 0


if __name__ == '__main__':
    sys.exit(main())
