#!/usr/bin/env python3
"""The catalog importer on rows made for it: exact decimals, doubtful rows left out, dated ids filled from undated ones."""
import decimal
import json
import os
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path[:0] = [os.path.join(ROOT, 'tools'), os.path.join(ROOT, 'test', 'lib')]
import import_catalog  # noqa: E402
import tap  # noqa: E402

LIMITS = {'context': 1000, 'max_output': 100}


def row(model, price, provider='openai', **more):
    line = json.dumps({'provider': provider, 'model': model, 'usd_per_mtok': price, **LIMITS, **more})
    return json.loads(line, parse_float=decimal.Decimal, parse_int=decimal.Decimal)


def shipped(*rows):
    entries, reasons = import_catalog.entries(rows)
    return dict(entries), reasons


class Importer(unittest.TestCase):
    def test_prices_are_exact(self):
        for given, written in (('0.1', '0.1'), ('1e-3', '0.001'), ('1.50', '1.5'), ('30', '30'), ('100', '100'), ('0', '0'),
                               ('0.0028', '0.0028')):
            self.assertEqual(import_catalog.number(decimal.Decimal(given)), written)
        models, _ = shipped(row('m', {'input': 0.1, 'output': 0.3}))
        self.assertEqual(models['m']['price'], {'input': decimal.Decimal('0.1'), 'output': decimal.Decimal('0.3')})

    def test_doubtful_rows_are_left_out(self):
        doubtful = [
            row('unpriced', {}),
            row('half', {'input': 1}),
            row('free', {'input': 0, 'output': 0}),
            row('by-the-minute', {'input': 0.004, 'output': 0.1}),
            row('dear-cache', {'input': 1, 'output': 2, 'cache_read': 1.1}),
            row('unknown-class', {'input': 1, 'output': 2, 'audio': 3}),
            row('retired', {'input': 1, 'output': 2}, retired=True),
            {'provider': 'openai', 'model': 'limitless', 'usd_per_mtok': {'input': 1, 'output': 2}},
        ]
        for one in doubtful:
            models, reasons = shipped(one)
            self.assertEqual((models, sum(reasons.values())), ({}, 1), one['model'])

    def test_dated_id_takes_limits_of_the_same_price_only(self):
        base = row('m', {'input': 1, 'output': 2}, capabilities=['chat', 'tools'])
        dated = {'provider': 'openai', 'model': 'm-2026-01-02', 'usd_per_mtok': {'input': 1, 'output': 2}}
        other = {'provider': 'openai', 'model': 'm-2025-01-02', 'usd_per_mtok': {'input': 3, 'output': 4}}
        models, reasons = shipped(base, dated, other)
        self.assertEqual(sorted(models), ['m', 'm-2026-01-02'])
        self.assertEqual(models['m-2026-01-02']['context'], 1000)
        self.assertEqual(models['m-2026-01-02']['created'], '2026-01-02')
        self.assertEqual(dict(reasons), {'no context or output limit': 1})

    def test_cache_writes_of_anthropic(self):
        models, _ = shipped(row('c', {'input': 3, 'output': 15, 'cache_read': 0.3, 'cache_write': 3.75}, provider='anthropic',
                                aliases=['c-latest', 'c-4.5']))
        self.assertEqual(sorted(models), ['c', 'c-latest'])
        price = {key: import_catalog.number(value) for key, value in models['c']['price'].items()}
        self.assertEqual(price, {'input': '3', 'cache_read': '0.3', 'cache_write_5m': '3.75', 'cache_write_1h': '6',
                                 'output': '15'})

    def test_reasoning_and_audio(self):
        models, _ = shipped(row('same', {'input': 1, 'output': 2, 'reasoning': 2}),
                            row('apart', {'input': 1, 'output': 2, 'reasoning': 3, 'input_audio': 4, 'output_audio': 5}))
        self.assertEqual({k: int(v) for k, v in models['same']['price'].items()}, {'input': 1, 'output': 2})
        self.assertEqual(list(models['apart']['price']), ['input', 'input_audio', 'output', 'output_audio', 'reasoning'])

    def test_images_and_requests(self):
        models, _ = shipped(row('each', {'input': 1, 'output': 2, 'image': 0.0048, 'request': 0.001}),
                            row('none', {'input': 1, 'output': 2, 'image': 0, 'request': 0}),
                            row('of-tokens', {'input': 0.3, 'output': 2, 'image': 0.3}))
        self.assertEqual({k: import_catalog.number(v) for k, v in models['each']['price'].items()},
                         {'input': '1', 'output': '2', 'request': '0.001', 'image': '0.0048'})
        self.assertEqual([list(models[m]['price']) for m in ('none', 'of-tokens')], [['input', 'output']] * 2)

    def test_long_prompts(self):
        models, _ = shipped(row('gpt-5.4', {'input': 2.5, 'output': 15, 'cache_read': 0.25}, context=1000000),
                            row('gpt-5.4-pro', {'input': 1, 'output': 2}, context=200000), row('gpt-5', {'input': 1, 'output': 2}))
        self.assertEqual([name for name in sorted(models) if models[name]['long']], ['gpt-5.4'])
        lines = []
        import_catalog.write_model(lines, 'gpt-5.4', models['gpt-5.4'])
        self.assertEqual(lines[-3:], ['    price:  # of long prompts at second hand: ' + import_catalog.OPENAI,
                                      '      - {when: {min_prompt_tokens: 272000}, input: 5, cache_read: 0.5, output: 22.5}',
                                      '      - {input: 2.5, cache_read: 0.25, output: 15}'])

    def test_images_that_are_more_than_the_default(self):
        price, sees = {'input': 1, 'output': 2}, {'in': ['text', 'image']}
        models, _ = shipped(row('gpt-4o-mini', price, **sees), row('gpt-4o', price, **sees), row('gpt-4.1-nano-2025-04-14', price, **sees),
                            row('o4-mini', price))
        self.assertEqual({name: m['image_tokens'] and m['image_tokens'][0] for name, m in models.items()},
                         {'gpt-4o-mini': 48169, 'gpt-4o': None, 'gpt-4.1-nano-2025-04-14': 3779, 'o4-mini': None})
        lines = []
        import_catalog.write_model(lines, 'gpt-4o-mini', models['gpt-4o-mini'])
        self.assertIn('    image_tokens: 48169  # ' + import_catalog.TILES, lines)

    def test_embeddings_have_no_output_limit(self):
        models, _ = shipped(row('e', {'input': 0.1, 'output': 0}, capabilities=['chat', 'embeddings']))
        self.assertIsNone(models['e']['max_output'])
        self.assertEqual(models['e']['capabilities'], ['embeddings'])

    def test_scalars_are_quoted_where_yaml_would_mistake_them(self):
        for plain in ('gpt-5.2', 'o1', 'openai/gpt-oss-20b', 'Claude Opus 4.5 (latest)'):
            self.assertEqual(import_catalog.text(plain), plain)
        for quoted in ('no', '1.5', '4o', 'a: b', '- x', '', 'null'):
            self.assertEqual(import_catalog.text(quoted), json.dumps(quoted))


if __name__ == '__main__':
    tap.main()
