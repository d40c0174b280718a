#!/usr/bin/env python3
"""aigwctl ledger export | verify_export.py [--head HASH] [--at SEQ:HASH]...

Recomputes the hash chain, and every charge from its usage and price row, from what `ledger export` printed alone; verify_export_books.py does
all else too. Shares no code with aigw. Exit status 6: findings, on standard error. --head: the chain must end with this hash; --at, as a
receipt says it: record SEQ must have this one."""
import argparse, base64, hashlib, io, json, struct, sys  # noqa: E401

CLASSES = 'input cache_read cache_write_5m cache_write_1h input_audio input_image output output_audio output_image reasoning image web_search'.split()
PRICE = CLASSES + 'request_nusd mult_ppm prompt_above prompt_upto from_s until_s minute_from minute_until tier'.split()
KINDS = 'export opening seal sealed seq price sums end'.split()
CHARGE = ('key id front flags status end admitted_ms first_byte_ms total_ms model_asked model provider upstream upstream_id price usage '
          'hold_nusd charge_nusd uncollected_nusd cost_nusd attempts team user budgets group raw_usage idem finish native_finish').split()
TIERS, LENGTHS = ['', 'standard', 'flex', 'priority'], {0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4}


def unpack(f):
    """The next msgpack value: a number, truth value, text, bytes or list."""
    t = f.read(1)[0]
    if t < 0x80 or t >= 0xe0 or t in (0xc2, 0xc3):
        return t == 0xc3 if 0x80 <= t < 0xe0 else t - (t >> 7 << 8)
    if 0xcc <= t <= 0xd3:
        return struct.unpack('>' + 'BHIQbhiq'[t - 0xcc], f.read((1, 2, 4, 8)[t & 3]))[0]
    n = int.from_bytes(f.read(LENGTHS[t]), 'big') if t in LENGTHS else t & (15 if t < 0xa0 else 31)
    if 0x90 <= t < 0xa0 or t in (0xdc, 0xdd):
        return [unpack(f) for _ in range(n)]
    return f.read(n) if t in (0xc4, 0xc5, 0xc6) else f.read(n).decode('utf-8', 'replace')


def due(p, r):
    """Nano-dollars that the charge comes to, and whether this price row was the one for that moment, prompt and account."""
    u, (above, upto, since, until, m_from, m_until, tier), at = r['usage'], (p[k] for k in PRICE[-7:]), r['admitted_ms'] // 1000
    read, minute, thought = sum(u.get(c, 0) for c in CLASSES[:6]), at // 60 % 1440, min(u.get('reasoning', 0), u.get('output', 0))
    inside = m_from <= minute < m_until if m_from < m_until else m_from == m_until or not m_until <= minute < m_from
    counts = inside and tier in (0, TIERS.index(u['tier'] or 'standard')) and at >= since and (not until or at < until) and read > (above or -1) and (not upto or read <= upto)
    used = dict(u, output=u.get('output', 0) - thought, reasoning=thought)
    pusd = 0 if p['free'] else sum(used.get(c, 0) * p[c] for c in CLASSES) + 1000 * p['request_nusd']
    return min(-(-pusd * p['mult_ppm'] // 10**9), r['hold_nusd'] if r['flags'] & 32 else 4 * 10**18), counts and (r['group'] or p['mult_ppm'] == 10**6)


class Ledger:
    def __init__(self, head=None, at=()):
        self.head, self.at, self.prices, self.charged, self.what, self.found = head, dict(at), {}, {}, 'export', 0
        self.first, self.end, self.chain, self.seq, self.records, self.charge = None, None, b'', 1, 0, None

    def check(self, right, text):
        self.found += not right
        if not right and self.found <= 50:
            print('%s: %s' % (self.what, text), file=sys.stderr)

    def line(self, n, text):
        self.what = 'line %d' % n
        try:
            self.take(json.loads(text))
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError, struct.error) as e:
            self.check(False, 'cannot be read (%s: %s)' % (type(e).__name__, e))

    def take(self, v):
        kind = next(k for k in KINDS if k in v)
        self.check(self.end is None, 'stands behind the end')
        if kind == 'export':
            self.check(v['export'] in (1, 2) and (v['record_version'], v['what'], self.first) == (4, 'ledger', None), 'is no whole ledger of form 1 or 2')
            self.first, self.chain, self.seq = v, bytes.fromhex(v['before']), v['first_seq']
        elif kind == 'seq':
            self.what, raw = 'record %d' % v['seq'], base64.b64decode(v['bytes'], validate=True)
            self.check(v['seq'] == self.seq, 'record %d was due' % self.seq)
            self.check(hashlib.sha256(self.chain + raw).hexdigest() == v['hash'], 'its hash does not follow from the one before and its bytes')
            self.check(self.at.pop(v['seq'], v['hash']) == v['hash'], 'has another hash than --at says')
            self.seq, self.chain, self.records = v['seq'] + 1, bytes.fromhex(v['hash']), self.records + 1
            self.record(v, *unpack(io.BytesIO(raw)))
        elif kind == 'price':
            self.what, raw = 'price %s' % v['price'], base64.b64decode(v['bytes'], validate=True)
            self.check(hashlib.sha256(raw).hexdigest() == v['price'] and (raw[0], raw[3]) == (4, len(CLASSES)), 'is not the hash of its bytes')
            self.prices[bytes.fromhex(v['price'])] = dict(zip(PRICE, struct.unpack_from('>%dq' % ((len(raw) - 4) // 8), raw, 4) + (0,) * 7), free=raw[1] & 1 == 1)
        elif kind == 'end':
            self.what, self.end, known = 'end', v, (self.records, self.chain.hex(), self.seq - 1)
            self.check((v['records'], v['head'], self.first['last_seq']) == known, 'tells of other records than there are')
            self.check(self.head in (None, v['head']), 'the head is %s, not what --head says' % v['head'])

    def record(self, v, version, kind, account, wall_ms, *values):
        if kind == 0:
            self.charge = r = dict(zip(CHARGE, values))
            have, estimated, tier, *counts = r['usage']
            r['usage'] = dict(zip([c for i, c in enumerate(CLASSES) if have >> i & 1], counts), estimated=estimated, tier=TIERS[tier])
            taken, lost, p, want, counts = r['charge_nusd'], r['uncollected_nusd'], self.prices.get(r['price']), 0, True
            if r['flags'] & 16 and any(r['price']):
                self.check(p, 'names price row %s, which is not there' % r['price'].hex())
                want, counts = due(p, r) if p else (taken + lost, True)
            self.check(counts, 'is charged at a price row for other times, prompts or accounts')
            self.check(taken + lost == want and taken >= min(want, r['hold_nusd']), 'is charged %d + %d nano-dollars, its usage and price make %d' % (taken, lost, want))
            self.check(r['id'] not in self.charged, 'charges request %s a second time' % v['id'])
            self.check((v['charge_nusd'], v['usage']) == (taken, r['usage']), 'shows another charge or usage than its bytes')
            self.charged[r['id']] = taken


def main(kind, doc, told=lambda ledger: ''):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--head', type=str.lower)
    p.add_argument('--at', action='append', default=[], type=lambda s: (int(s.partition(':')[0]), s.partition(':')[2].lower()))
    args = p.parse_args()
    ledger = kind(args.head, args.at)
    for n, text in enumerate(open(0, encoding='utf-8'), 1):
        ledger.line(n, text)
    ledger.check(ledger.end and not ledger.at, 'is cut: the end is not there, or record %s of --at' % list(ledger.at))
    good = '%d records, %d charges%s: all right; head %s' % (ledger.records, len(ledger.charged), told(ledger), ledger.chain.hex())
    return 6 if ledger.found else print(good)


if __name__ == '__main__':
    sys.exit(main(Ledger, __doc__))
