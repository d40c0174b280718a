#!/usr/bin/env python3
"""verify_export.py [FILE] [--head HASH] [--at SEQ:HASH]...

Recomputes a ledger from what `aigwctl ledger export` printed, and from nothing else: the hash chain, every charge from its usage and
price row, every account's sums. Shares no code with aigw. Exit status 0: all of it is right; 6: findings, on standard error.
--head: the chain must end with this hash; --at (from a receipt): record SEQ must have this one."""
import argparse
import base64
import hashlib
import json
import struct
import sys

TYPES = 'charge reverse account grant take key gap rules team user'.split()
ENDS = 'done client_gone upstream_error rejected timeout drain worker_died revoked internal ledger_unavailable'.split()
CLASSES = 'input cache_read cache_write_5m cache_write_1h input_audio input_image output output_audio output_image reasoning'.split()
CHARGE = ('key id front flags status end admitted_ms first_byte_ms total_ms model_asked model provider upstream upstream_id price usage hold_nusd '
          'charge_nusd uncollected_nusd cost_nusd attempts team user budgets group raw_usage').split()
CHANGE = 'who what note amount_nusd row key id team user budgets epoch'.split()
ATTEMPT = 'provider upstream status ms cost_nusd error start_ms'.split()
SUMS = 'granted_nusd settled_nusd uncollected_nusd'.split()
CHARGED, CAPPED = 16, 32
NUSD_MAX = 4 * 10**18


def unpack(b, at=0):
    """(value, where it ends) of one msgpack value."""
    def take(fmt, skip=1):
        return struct.unpack_from('>' + fmt, b, at + skip)[0], at + skip + struct.calcsize(fmt)
    t = b[at]
    if t < 0x80 or t >= 0xe0:
        return struct.unpack_from('b', b, at)[0], at + 1
    if t in (0xc2, 0xc3):
        return t == 0xc3, at + 1
    if 0xcc <= t <= 0xd3:
        return take('BHIQbhiq'[t - 0xcc])
    if 0xa0 <= t < 0xc0 or 0xd9 <= t <= 0xdb or 0xc4 <= t <= 0xc6:
        n, at = (t & 31, at + 1) if t < 0xc0 else take('BHI'[t - (0xd9 if t > 0xc6 else 0xc4)])
        if at + n > len(b):
            raise ValueError('cut text')
        return (b[at:at + n] if 0xc4 <= t <= 0xc6 else b[at:at + n].decode('utf-8', 'replace')), at + n
    if 0x90 <= t < 0xa0 or t in (0xdc, 0xdd):
        n, at = (t & 15, at + 1) if t < 0xa0 else take('HI'[t - 0xdc])
        items = []
        for _ in range(n):
            v, at = unpack(b, at)
            items.append(v)
        return items, at
    raise ValueError('type %#x' % t)


def read_record(raw):
    values, end = unpack(raw)
    names = CHARGE if values[1] == 0 else CHANGE
    if end != len(raw) or values[0] != 2 or len(values) < 4 + len(names):
        raise ValueError('not a record of version 2')
    r = dict(zip(names, values[4:]), type=TYPES[values[1]], account=values[2], wall_ms=values[3])
    if values[1] == 0:
        have, estimated, *counts = r['usage']
        r['usage'] = dict(zip([c for i, c in enumerate(CLASSES) if have >> i & 1], counts))
        r['shown_usage'] = dict(r['usage'], estimated=estimated)
        r['attempts'] = [dict(zip(ATTEMPT, a)) for a in r['attempts']]
    return r


def genid(b):
    n = int.from_bytes(b, 'big')
    return 'gen_' + ''.join('0123456789abcdefghjkmnpqrstvwxyz'[n >> 5 * i & 31] for i in range(25, -1, -1))


def shown(r):
    """The record's fields as the line must show them."""
    s = dict(r, id=genid(r['id']), key=r['key'].rstrip('\0'), budgets=None)
    if r['type'] == 'charge':
        s.update(end=ENDS[r['end']], price=r['price'].hex(), usage=r['shown_usage'],
                 attempts=[{k: v for k, v in a.items() if k != 'error' or v} for a in r['attempts']])
        del s['shown_usage']
    else:
        s['row'] = base64.b64encode(r['row']).decode()
    return s


def read_price(raw):
    version, flags, n = struct.unpack_from('>BBH', raw)
    if version != 2 or n != len(CLASSES):
        raise ValueError('not a price row of version 2')
    v = struct.unpack_from('>%dq' % ((len(raw) - 4) // 8), raw, 4)
    return dict(zip(CLASSES, v), free=flags & 1, request=v[n], mult=v[n + 1], when=v[n + 2:] or (0,) * 6)


def due(p, r):
    """What the charge comes to, and whether this price row was the one for that moment and prompt."""
    u, (above, upto, since, until, m_from, m_until) = r['usage'], p['when']
    read, at = sum(u.get(c, 0) for c in CLASSES[:6]), r['admitted_ms'] // 1000
    minute, inside = at // 60 % 1440, True
    if m_from != m_until:
        inside = m_from <= minute < m_until if m_from < m_until else minute >= m_from or minute < m_until
    counts = inside and at >= since and (not until or at < until) and read > (above or -1) and (not upto or read <= upto)
    thought = min(u.get('reasoning', 0), u.get('output', 0))
    used = dict(u, output=u.get('output', 0) - thought, reasoning=thought)
    pusd = sum(n * p[c] for c, n in used.items()) + 1000 * p['request']
    return (0 if p['free'] else min(-(-pusd * p['mult'] // (1000 * 10**6)), NUSD_MAX)), counts


class Books:
    def __init__(self, args):
        self.want, self.head = {int(s): h.lower() for s, _, h in (a.partition(':') for a in args.at)}, args.head
        self.found, self.records, self.charges, self.prices, self.ids = 0, 0, 0, {}, {}
        self.accounts, self.sums, self.first, self.end = {}, {}, None, None
        self.seals, self.sealed_to, self.sealed_left = 0, 0, 0

    def finding(self, what, text):
        self.found += 1
        if self.found <= 50:
            print('%s: %s' % (what, text), file=sys.stderr)

    def line(self, n, text):
        try:
            v = json.loads(text)
            if n == 1:
                self.first, self.chain, self.seq = v, bytes.fromhex(v['before']), v['first_seq']
                if v['export'] != 1 or v['what'] != 'ledger' or (self.seq == 1 and any(self.chain)):
                    self.finding('line 1', 'no whole export of form 1')
            elif self.end is not None:
                self.finding('line %d' % n, 'stands behind the end')
            elif 'sealed' in v:
                self.sealed_left -= 1
                if v['at_seq'] == self.seq - 1 and self.first['sums'] and self.accounts.get(v['sealed']) != [v[k] for k in SUMS]:
                    self.finding('seal of record %d' % v['at_seq'], 'account %d: other sums than its records make' % v['sealed'])
            elif self.sealed_left:
                self.finding('line %d' % n, 'the seal before it is not whole')
                self.sealed_left = 0
            elif 'seal' in v:
                self.seal(v)
            elif 'opening' in v:
                if v['at_seq'] != self.first['first_seq'] - 1 or self.records:
                    self.finding('line %d' % n, 'opens in the middle')
                self.accounts[v['opening']] = [v[k] for k in SUMS]
            elif 'seq' in v:
                self.record(v)
            elif 'price' in v:
                self.price(v)
            elif 'sums' in v:
                self.sums[v['sums']] = v
            else:
                self.end = v if v['end'] is True else None
        except (ValueError, KeyError, TypeError, IndexError, struct.error) as e:
            self.finding('line %d' % n, 'cannot be read (%s: %s)' % (type(e).__name__, e))

    def seal(self, v):
        name, here = 'seal of %s' % v['seal'], v['last_seq'] == self.seq - 1
        if self.sealed_to and v['first_seq'] != self.sealed_to + 1:
            self.finding(name, 'does not go on where the one before ends')
        if v['last_seq'] >= self.seq or (self.records and not here) or (here and v['head'] != self.chain.hex()):
            self.finding(name, 'has another hash than the record before it')
        if here and self.first['sums'] and v['accounts'] != len(self.accounts):
            self.finding(name, 'tells of %d accounts, there are %d' % (v['accounts'], len(self.accounts)))
        self.seals, self.sealed_to, self.sealed_left = self.seals + 1, v['last_seq'], v['accounts']

    def price(self, v):
        raw = base64.b64decode(v['bytes'], validate=True)
        p = read_price(raw)
        if hashlib.sha256(raw).hexdigest() != v['price']:
            self.finding('price %s' % v['price'], 'is not the hash of its bytes')
        if [v[c] for c in CLASSES] != [p[c] for c in CLASSES] or (v['request_nusd'], v['mult_ppm']) != (p['request'], p['mult']):
            self.finding('price %s' % v['price'], 'shows other numbers than its bytes')
        self.prices[bytes.fromhex(v['price'])] = p

    def record(self, v):
        name, raw = 'record %d' % v['seq'], base64.b64decode(v['bytes'], validate=True)
        if v['seq'] != self.seq:
            self.finding(name, 'record %d was due' % self.seq)
        chain = hashlib.sha256(self.chain + raw).hexdigest()
        if chain != v['hash']:
            self.finding(name, 'its hash does not follow from the one before and its bytes')
        if self.want.pop(v['seq'], v['hash']) != v['hash']:
            self.finding(name, 'has another hash than --at says')
        self.seq, self.chain, self.records = v['seq'] + 1, bytes.fromhex(v['hash']), self.records + 1
        r = read_record(raw)
        for k, value in shown(r).items():
            if value is not None and v.get(k) != value:
                self.finding(name, 'shows %s %r, its bytes say %r' % (k, v.get(k), value))
        self.apply(name, r)

    def apply(self, name, r):
        a = self.accounts.get(r['account'])
        if r['type'] == 'account' and a is None:
            a = self.accounts[r['account']] = [0, 0, 0]
        if r['type'] == 'gap':
            return
        if a is None:
            if self.first['sums']:
                self.finding(name, 'account %d does not exist' % r['account'])
            a = self.accounts[r['account']] = [0, 0, 0]
        if r['type'] in ('grant', 'take'):
            a[0] += r['amount_nusd'] if r['type'] == 'grant' else -r['amount_nusd']
        elif r['type'] == 'reverse':
            a[1] -= r['amount_nusd']
            if self.first['first_seq'] == 1 and self.ids.get(r['id']) != r['amount_nusd']:
                self.finding(name, 'gives back what no charge before it took')
            self.ids[r['id']] = None
        elif r['type'] == 'charge':
            a[1] += r['charge_nusd']
            a[2] += r['uncollected_nusd']
            self.charge(name, r)

    def charge(self, name, r):
        self.charges += 1
        if r['id'] in self.ids:
            self.finding(name, 'charges request %s a second time' % genid(r['id']))
        self.ids[r['id']] = r['charge_nusd']
        got = r['charge_nusd'] + r['uncollected_nusd']
        if not r['flags'] & CHARGED or not any(r['price']):
            if got or r['charge_nusd']:
                self.finding(name, 'takes %d nano-dollars for what is not charged' % got)
        elif r['price'] not in self.prices:
            self.finding(name, 'names price row %s, which is not there' % r['price'].hex())
        else:
            want, counts = due(self.prices[r['price']], r)
            want = min(want, r['hold_nusd']) if r['flags'] & CAPPED else want
            if not counts:
                self.finding(name, 'is charged at a price row for other times or prompts')
            if got != want or r['charge_nusd'] < min(want, r['hold_nusd']):
                self.finding(name, 'is charged %d + %d nano-dollars, its usage and price make %d' % (r['charge_nusd'], r['uncollected_nusd'], want))

    def close(self):
        if self.first is None or self.end is None:
            return self.finding('export', 'is cut: there is no end')
        head = self.chain.hex()
        if (self.end['records'], self.end['head'], self.first['last_seq']) != (self.records, head, self.seq - 1):
            self.finding('end', 'tells of other records than there are')
        if self.end['seals'] != self.seals:
            self.finding('end', 'tells of other seals than there are')
        if self.head and self.head.lower() != head:
            self.finding('head', 'is %s, not what --head says' % head)
        for seq in self.want:
            self.finding('record %d' % seq, 'of --at is not there')
        if self.first['sums'] or self.sums:
            for n in sorted(set(self.accounts) | set(self.sums)):
                v = self.sums.get(n, {})
                if [v.get(k) for k in SUMS] != self.accounts.get(n):
                    self.finding('account %d' % n, 'the ledger keeps other sums than its records make: %s' % self.accounts.get(n))
        if not self.found:
            print('%d records, %d charges, %d accounts, %d seals: all right; head %s' % (self.records, self.charges, len(self.accounts), self.seals, head))


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument('file', nargs='?', type=argparse.FileType('r', encoding='utf-8'), default=sys.stdin)
    p.add_argument('--head')
    p.add_argument('--at', action='append', default=[])
    args = p.parse_args()
    books = Books(args)
    for n, text in enumerate(args.file, 1):
        books.line(n, text)
    books.close()
    return 6 if books.found else 0


if __name__ == '__main__':
    sys.exit(main())
