"""`ledger export`, and that whoever has only that and tools/verify_export*.py finds whatever was changed in it."""
import base64
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from gateway import wait_for
from money import Spender
from node import LONG, NodeCase, model, nusd, on_both
from test_clock import DAY, ClockNode
import tap

TOOLS = os.path.join(HERE, '..', '..', 'tools')
CHARGES, SCRIPT = (os.path.join(TOOLS, name) for name in ('verify_export.py', 'verify_export_books.py'))
PRICE = {'input': '1.75', 'cache_read': '0.175', 'output': '14'}


def verify(text, *words, script=SCRIPT):
    """(exit status, what it printed, its findings)."""
    p = subprocess.run([sys.executable, script, *words], input=text, capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


class Lines:
    """An export that can be changed."""

    def __init__(self, text):
        self.all = [json.loads(line) for line in text.splitlines()]

    def text(self):
        return ''.join(json.dumps(line) + '\n' for line in self.all)

    def of(self, kind):
        return [v for v in self.all if v.get('type') == kind]

    def rechain(self):
        """Makes the chain right again behind a change, as a forger would."""
        head, n, count = bytes.fromhex(self.all[0]['before']), self.all[0]['first_seq'], 0
        for v in self.all:
            if 'seq' in v:
                head = hashlib.sha256(head + base64.b64decode(v['bytes'])).digest()
                v['hash'], v['seq'], n, count = head.hex(), n, n + 1, count + 1
        self.all[0]['last_seq'] = n - 1
        self.all[-1].update(records=count, head=head.hex())

    def patch(self, v, name, change):
        """Another number in the record's bytes, and as it is shown."""
        raw, old = base64.b64decode(v['bytes']), v[name]
        new = change(old)
        assert raw.count(pack(old)) >= 1 and len(pack(old)) == len(pack(new)), (name, old)
        at = raw.rindex(pack(old)) if name == 'amount_nusd' else raw.index(pack(old))
        v['bytes'] = base64.b64encode(raw[:at] + pack(new) + raw[at + len(pack(old)):]).decode()
        v[name] = new


class Changes:
    """The same for the tests of both kinds of ledgers."""

    def found(self, lines, *parts, script=SCRIPT):
        """Every one of the parts stands among the findings."""
        status, out, err = verify(lines if isinstance(lines, str) else lines.text(), script=script)
        self.assertEqual((status, out), (6, ''), err)
        for part in parts:
            self.assertIn(part, err)

    def found_by_both(self, lines, *parts):
        """Also by the short script, which looks at chain and charges alone."""
        self.found(lines, *parts, script=CHARGES)
        self.found(lines, *parts)

    def export(self, *words):
        p = self.node.ctl_raw('ledger', 'export', *words)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout


def pack(n):
    """msgpack of a number that needs 16 to 64 bits."""
    for code, size in ((0xcd, 2), (0xce, 4), (0xcf, 8)):
        if n < 1 << 8 * size:
            return bytes([code]) + n.to_bytes(size, 'big')


class Export(Changes, NodeCase):
    MODELS = {**on_both('m', 'tokens=4&input=20&cached=8', price=PRICE), 'free': model('oai/sim?tokens=2&input=5', price='free'),
              'by-request': model('oai/sim?tokens=1&input=3', price={'request': '0.01'}), 'fails': model('oai/sim?status=500', price=PRICE)}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        n = cls.node
        other = n.customer('other', '2')
        n.ctl('account', 'credit', 'other', '--take', '0.5', '--note', 'too much')
        for name in ('m-oai', 'm-ant', 'free', 'by-request', 'fails'):
            for stream in (False, True):
                n.chat(cls.key, name, stream)
        for _ in range(5):
            n.chat(other, 'm-oai')
        n.ctl('team', 'create', 'red', '--account', 'other', '--budget', '50')
        n.chat(n.key('other', team='red', budget='5'), 'm-oai', headers=[('x-aigw-user', 'ann')])
        n.settled('main')
        n.settled('other')
        cls.text = n.ctl_raw('ledger', 'export').stdout

    def lines(self):
        return Lines(self.text)

    def test_good_one_passes(self):
        status, out, err = verify(self.text)
        self.assertEqual((status, err), (0, ''))
        self.assertIn('16 charges, 2 accounts, 0 seals: all right; head ', out)
        status, out, err = verify(self.text, script=CHARGES)
        self.assertEqual((status, err), (0, ''))
        self.assertIn('16 charges: all right; head ', out)

    def test_everything_is_in_it_once_and_in_order(self):
        lines = self.lines()
        seqs = [v['seq'] for v in lines.all if 'seq' in v]
        self.assertEqual(seqs, list(range(1, lines.all[0]['last_seq'] + 1)))
        self.assertEqual(len(lines.of('charge')), 16)
        self.assertEqual(len({v['id'] for v in lines.of('charge')}), 16)
        settled = sum(v['charge_nusd'] for v in lines.of('charge') if v['account_name'] == 'other')
        self.assertEqual(settled, nusd(self.node.show('other')['settled_usd']))
        self.assertEqual(len([v for v in lines.all if 'price' in v and 'seq' not in v]), 3)
        self.assertTrue(lines.all[-1]['end'])

    def test_receipt_and_head_can_be_held_against_it(self):
        rid = self.node.chat(self.key, 'm-oai').get('x-generation-id')
        self.export()  # takes in what has ended
        chain = self.node.ask('GET', '/v1/receipts/' + rid, key=self.key).json()['chain']
        text = self.export()
        head = json.loads(text.splitlines()[-1])['head']
        at = '%d:%s' % (chain['seq'], chain['hash'])
        self.assertEqual([verify(text, '--at', at, '--head', head, script=script)[0] for script in (CHARGES, SCRIPT)], [0, 0])
        for words in (('--at', '%d:%s' % (chain['seq'], '0' * 64)), ('--at', '9999:' + chain['hash']), ('--head', '1' * 64)):
            self.assertEqual([verify(text, *words, script=script)[0] for script in (CHARGES, SCRIPT)], [6, 6], words)

    def test_part_of_it(self):
        for words in (('--since', '1h'), ('--until', '2100-01-01'), ('--since', '1h', '--until', 'now')):
            status, _, err = verify(self.export(*words))
            self.assertEqual((status, err), (0, ''), words)
        text = self.export('--since', '2099-01-01')
        self.assertEqual(len(text.splitlines()), 2)
        self.assertEqual(verify(text)[0], 0)

    def test_what_cannot_be(self):
        for words, part in ((('--changes', '--seals'), 'exclude each other'), (('--since', '1h', '--until', '2h'), 'nothing is between')):
            p = self.node.ctl_raw('ledger', 'export', *words)
            self.assertEqual((p.returncode, p.stdout), (2, ''), words)
            self.assertIn(part, p.stderr)

    def test_changes_in_words(self):
        lines = [json.loads(line) for line in self.export('--changes').splitlines()]
        words = [v['words'] for v in lines if 'seq' in v]
        who = subprocess.run(['id', '-un'], capture_output=True, text=True).stdout.strip()
        self.assertTrue(all(v['who'] == who for v in lines if 'seq' in v))
        self.assertIn('%s: took 0.50 dollars from account other (too much)' % who, words)
        self.assertIn('%s: gave 2.00 dollars to account other' % who, words)
        self.assertTrue(any('create account other' in w for w in words))
        self.assertTrue(any('create key ' in w for w in words))
        self.assertFalse(any(v.get('type') == 'charge' for v in lines))

    def test_progress_stays_on_the_terminal(self):
        master, slave = os.openpty()
        try:
            p = subprocess.run([os.environ['AIGWCTL'], '--socket', self.node.socket, 'ledger', 'export'], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=slave, text=True, timeout=30)
            told = os.read(master, 65536).decode()
        finally:
            os.close(master)
            os.close(slave)
        self.assertIn('100.0 % of the records', told)
        self.assertEqual(verify(p.stdout)[0], 0)

    def test_reader_that_leaves(self):
        """The keeper minds nothing and serves the next one."""
        for _ in range(3):
            p = subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'ledger', 'export'], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            p.stdout.read(10)
            p.stdout.close()
            p.wait(20)
        self.assertEqual(verify(self.export())[0], 0)

    # --- what was changed is found ---

    def test_01_shown_charge(self):
        lines = self.lines()
        v = lines.of('charge')[0]
        v['charge_nusd'] += 1
        self.found(lines, 'record %d: shows charge_nusd' % v['seq'])
        self.found(lines, 'record %d: shows another charge' % v['seq'], script=CHARGES)

    def test_02_charge_in_the_bytes(self):
        lines = self.lines()
        v = lines.of('charge')[0]
        lines.patch(v, 'charge_nusd', lambda n: n + 1)
        self.found_by_both(lines, 'record %d: its hash does not follow' % v['seq'])

    def test_03_charge_and_its_hash(self):
        lines = self.lines()
        v = lines.of('charge')[0]
        before = next(u['hash'] for u in lines.all if u.get('seq') == v['seq'] - 1)
        lines.patch(v, 'charge_nusd', lambda n: n + 1)
        v['hash'] = hashlib.sha256(bytes.fromhex(before) + base64.b64decode(v['bytes'])).hexdigest()
        self.found_by_both(lines, 'record %d: its hash does not follow' % (v['seq'] + 1))

    def test_04_charge_and_the_whole_chain(self):
        lines = self.lines()
        v = lines.of('charge')[0]
        lines.patch(v, 'charge_nusd', lambda n: n + 1)
        lines.rechain()
        self.found_by_both(lines, 'record %d: is charged' % v['seq'])
        self.found(lines, 'account 1: the ledger keeps other sums')

    def test_05_record_left_out(self):
        lines = self.lines()
        v = lines.of('charge')[3]
        lines.all.remove(v)
        self.found_by_both(lines, 'record %d was due' % v['seq'], 'its hash does not follow')

    def test_06_record_left_out_and_the_chain_made_anew(self):
        lines = self.lines()
        lines.all.remove(lines.of('charge')[3])
        lines.rechain()
        self.found(lines, 'the ledger keeps other sums')

    def test_07_charge_twice(self):
        lines = self.lines()
        v = lines.of('charge')[2]
        lines.all.insert(lines.all.index(v) + 1, dict(v))
        lines.rechain()
        self.found_by_both(lines, 'charges request %s a second time' % v['id'])

    def test_08_order(self):
        lines = self.lines()
        a, b = (lines.all.index(v) for v in lines.of('charge')[3:5])
        lines.all[a], lines.all[b] = lines.all[b], lines.all[a]
        self.found_by_both(lines, 'was due', 'its hash does not follow')

    def test_09_price_row(self):
        lines = self.lines()
        v = next(v for v in lines.all if 'price' in v and 'seq' not in v)
        raw = bytearray(base64.b64decode(v['bytes']))
        raw[11] ^= 1
        v['bytes'] = base64.b64encode(raw).decode()
        self.found_by_both(lines, 'price %s: is not the hash of its bytes' % v['price'], 'its usage and price make')

    def test_10_price_row_left_out(self):
        lines = self.lines()
        lines.all.remove(next(v for v in lines.all if 'price' in v and 'seq' not in v))
        self.found_by_both(lines, 'names price row')

    def test_11_end_cut(self):
        rows = self.text.splitlines(True)
        for n in (1, 5, len(rows) - 1):
            self.found_by_both(''.join(rows[:n]), 'is cut')
        self.found_by_both(''.join(rows[:-1]) + rows[-1][:20], 'cannot be read', 'is cut')

    def test_12_last_records_left_out(self):
        lines = self.lines()
        last = [v for v in lines.all if 'seq' in v][-3:]
        lines.all = [v for v in lines.all if v not in last]
        self.found_by_both(lines, 'end: tells of other records')
        lines.rechain()
        self.found(lines, 'the ledger keeps other sums')

    def test_13_grant(self):
        lines = self.lines()
        v = lines.of('take')[0]
        lines.patch(v, 'amount_nusd', lambda n: n - 1)
        lines.rechain()
        self.found(lines, 'account %d: the ledger keeps other sums' % v['account'])

    def test_14_usage_behind_a_charge(self):
        lines = self.lines()
        v = lines.of('charge')[0]
        lines.patch(v, 'hold_nusd', lambda n: n - 1)
        v['usage']['input'] += 1
        lines.rechain()
        self.found(lines, 'record %d: shows usage' % v['seq'])

    def test_15_sums(self):
        lines = self.lines()
        next(v for v in lines.all if 'sums' in v and 'name' in v)['settled_nusd'] += 1
        self.found(lines, 'account 1: the ledger keeps other sums')
        lines = self.lines()
        lines.all.remove(next(v for v in lines.all if 'sums' in v and 'name' in v))
        self.found(lines, 'account 1: the ledger keeps other sums')

    def flips(self, v):
        """Ways to change one value of a line, nested ones too."""
        for k, old in v.items():
            if isinstance(old, dict):
                yield from ((lambda copy, f=f, k=k: f(copy[k])) for f in self.flips(old))
            elif isinstance(old, list):
                yield lambda copy, k=k: copy[k].append(1)
                for i, one in enumerate(old):
                    if isinstance(one, dict):
                        yield from ((lambda copy, f=f, k=k, i=i: f(copy[k][i])) for f in self.flips(one))
            elif k not in ('words', 'ledger_id'):
                new = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else 'x' if old is None else \
                    ('f' if old[:1] != 'f' else '0') + old[1:]
                yield lambda copy, k=k, new=new: copy.__setitem__(k, new)
            yield lambda copy, k=k: copy.pop(k)

    def test_15_any_field_of_any_kind_of_line(self):
        """One line of each kind, each of its values changed or left out in turn."""
        kinds, module = {}, {'__name__': 'verify_export_books'}
        sys.path.insert(0, TOOLS)
        with open(SCRIPT, encoding='utf-8') as f:
            exec(compile(f.read(), SCRIPT, 'exec'), module)
        for i, v in enumerate(self.lines().all):
            kinds[v.get('type') or next(iter(v))] = i
        self.assertLessEqual({'export', 'price', 'sums', 'end', 'charge', 'account', 'grant', 'take', 'key', 'team'}, set(kinds))
        for kind, i in kinds.items():
            base = self.lines().all
            for n, flip in enumerate(self.flips(base[i])):
                lines = Lines(self.text)
                flip(lines.all[i])
                changed = next((k for k in {*lines.all[i], *base[i]} if lines.all[i].get(k) != base[i].get(k)), None)
                if changed in ('words', None) or (changed == 'ledger_id' and changed in lines.all[i]):
                    continue
                books = module['Books'](None, {})
                with self.subTest('%s %s' % (kind, changed)), contextlib.redirect_stderr(io.StringIO()) as err:
                    for at, line in enumerate(lines.all, 1):
                        books.line(at, json.dumps(line))
                    self.assertGreater(books.found, 0, '%s: %s' % (kind, changed))
                    if 'seq' in base[i] and changed not in ('seq', 'bytes', 'account_name'):
                        self.assertRegex(err.getvalue(), r'(?m)^(record %d|line %d):' % (base[i]['seq'], i + 1))

    def test_15_lines_in_their_places(self):
        for kind, swapped, twice in (('sums', 'stands there twice, or behind', 'stands there twice, or behind'), ('price', 'does not name the price row before it', 'stands there twice')):
            at = next(i for i, v in enumerate(self.lines().all) if kind in v and not {'export', 'seq'} & set(v))
            lines = self.lines()
            first = at - (kind == 'price')  # too early, before another record
            lines.all[first:first + 2] = lines.all[first + 1], lines.all[first]
            self.found(lines, swapped)
            lines = self.lines()
            lines.all.insert(at, lines.all[at])
            self.found(lines, twice)
            lines = self.lines()
            lines.all[at]['more'] = 1
            self.found(lines, 'than its bytes' if kind == 'price' else 'has other fields')

    def test_15_another_name_on_every_line(self):
        """It is in the account's record."""
        self.found(self.text.replace('name":"other"', 'name":"otter"'), 'account', 'names its account otherwise')

    def test_16_garbage(self):
        self.found_by_both('', 'is cut')
        self.found_by_both('{}\n', 'cannot be read')
        self.found_by_both(self.text.replace('"bytes":"', '"bytes":"!', 1), 'cannot be read')
        self.found_by_both(self.text + self.text.splitlines(True)[0], 'stands behind the end')


class Paused(NodeCase):
    MODELS = {'cent': model('oai/sim?tokens=2&input=5', price={'request': '0.01'})}

    @unittest.skipUnless(LONG, 'takes 15 s')
    def test_reader_that_pauses(self):
        """As a pager does: more than what pipes and sockets hold is not read for a while, and comes then."""
        load = Spender(self.node, self.key, 'cent')
        wait_for(lambda: len(load.answered) > 1500, 60, 0.1)
        load.stop()
        self.node.settled('main')
        with subprocess.Popen([os.environ['AIGWCTL'], '--socket', self.node.socket, 'ledger', 'export'], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True) as p:
            text = p.stdout.readline()
            time.sleep(12)
            text += p.stdout.read()
        self.assertEqual(p.returncode, 0)
        self.assertGreater(len(text), 2000000)
        self.assertEqual(verify(text)[0], 0)


class Sealed(Changes, NodeCase):
    """Days pass: the export has their seals, and what it begins with once the first days are no longer kept."""
    NODE = ClockNode
    MODELS = {'cent': model('oai/sim?tokens=2&input=5', price={'request': '0.01'})}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node.customer('idle', '3')
        for _ in range(3):
            for _ in range(2):
                assert cls.node.chat(cls.key, 'cent').status == 200
            cls.node.settled('main')
            cls.node.verify()
            cls.node.age(DAY)
        assert cls.node.chat(cls.key, 'cent').status == 200
        wait_for(lambda: cls.node.verify()['seals'] == 3, 20, 0.2)

    def one(self, lines, kind):
        return next(v for v in lines.all if kind in v and 'export' not in v)

    def test_1_seals(self):
        text = self.export()
        self.assertIn('7 charges, 2 accounts, 3 seals: all right', verify(text)[1])
        for change, part in (
                (lambda v: v.all.remove(self.one(v, 'seal')), 'tells of other seals than there are'),
                (lambda v: v.all.remove(self.one(v, 'sealed')), 'is not whole'),
                (lambda v: self.one(v, 'seal').update(head='0' * 64), 'has another hash'),
                (lambda v: self.one(v, 'seal').update(seal='2020-01-01'), 'is not of the day of its last record'),
                (lambda v: self.one(v, 'seal').update(last_seq=self.one(v, 'seal')['last_seq'] - 1), 'has another hash'),
                (lambda v: self.one(v, 'sealed').update(settled_nusd=1), 'other sums than its records make'),
                (lambda v: self.one(v, 'seal').update(first_seq=2) or self.one(v, 'seal').update(accounts=3), 'there are 2')):
            lines = Lines(text)
            change(lines)
            self.found(lines, part)

    def test_1_older_form(self):
        """One clear line; chain and charges can still be recomputed."""
        lines = Lines(self.export())
        self.assertEqual(lines.all[0]['export'], 2)
        lines.all[0]['export'] = 1
        for v in lines.all:
            v.pop('sealed_on', None)
        status, out, err = verify(lines.text())
        self.assertEqual((status, out, err.count('\n')), (6, '', 1), err)
        self.assertIn('export 1: was made by an older version', err)
        status, out, err = verify(lines.text(), script=CHARGES)
        self.assertEqual((status, err), (0, ''))
        lines.all[0]['export'] = 3
        self.found_by_both(lines, 'is no whole ledger of form 1 or 2')

    def test_2_seals_alone(self):
        lines = Lines(self.export('--seals'))
        self.assertEqual(len([v for v in lines.all if 'seal' in v]), 3)
        self.assertFalse([v for v in lines.all if 'seq' in v])
        self.assertEqual(self.one(lines, 'seal')['head'], self.one(Lines(self.export()), 'seal')['head'])
        self.found_by_both(lines, 'is no whole ledger')

    def test_3_behind_removed_days(self):
        self.node.configure(ledger={'retain_days': 1})
        self.node.ctl('reload')
        wait_for(lambda: self.node.verify()['first_seq'] > 5, 30, 0.2)
        text = self.export()
        lines = Lines(text)
        self.assertGreater(lines.all[0]['first_seq'], 5)
        self.assertEqual(len([v for v in lines.all if 'opening' in v]), 2)
        status, out, err = verify(text)
        self.assertEqual((status, err), (0, ''))
        self.assertIn('2 accounts, 3 seals: all right', out)
        for change, part in (
                (lambda v: self.one(v, 'opening').update(settled_nusd=1), 'other sums than its records make'),
                (lambda v: v.all.remove(self.one(v, 'opening')), 'there are 1'),
                (lambda v: v.all.insert(2, v.all[1]), 'twice, or behind a later account'),
                (lambda v: v.all.insert(1, v.all.pop(2)), 'twice, or behind a later account'),
                *((lambda v, kind=kind: self.one(v, kind).update(name='x'), 'names its account otherwise') for kind in ('opening', 'sealed', 'sums')),
                (lambda v: v.all[0].update(before='0' * 64), 'its hash does not follow'),
                (lambda v: self.one(v, 'seal').update(seal='2020-01-01'), 'knows other seals of the days up to'),
                (lambda v: self.one(v, 'seal').update(sealed_on='2020-01-01'), 'knows other seals of the days up to'),
                (lambda v: self.one(v, 'seal').update(head='0' * 64), 'knows other seals of the days up to'),
                (lambda v: self.one(v, 'sealed').update(settled_nusd=1), 'knows other seals of the days up to'),
                (lambda v: v.all.remove([s for s in v.all if 'seal' in s][1]), 'tells of other seals than there are')):
            lines = Lines(text)
            change(lines)
            self.found(lines, part)


if __name__ == '__main__':
    tap.main()
