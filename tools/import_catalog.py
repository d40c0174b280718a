#!/usr/bin/env python3
"""Writes etc/catalog/*.yaml from a folder of public provider and model facts.

    tools/import_catalog.py FOLDER --date 2026-08 [--out etc/catalog]

FOLDER holds providers.json (id, name, base_url, env, doc) and models.jsonl (one model a line). Numbers are carried as decimals,
never as floats. A row that could serve a model at a wrong price, or that says too little to bound a request, is left out and
counted by reason in the file's head. What the source lacks but the provider documents stands in the tables below.
"""
import argparse
import collections
import decimal
import fnmatch
import json
import os
import re
import sys

# What the format needs beyond the source: dialect, base URL where the source has none or another, provider settings.
PROVIDERS = {
    'openai': {'dialect': 'openai', 'settings': {'cap_field': 'max_completion_tokens'}},
    'anthropic': {'dialect': 'anthropic', 'base_url': 'https://api.anthropic.com/v1'},
    'deepseek': {'dialect': 'openai', 'base_url': 'https://api.deepseek.com/v1', 'settings': {'cap_field': 'max_tokens'}},
    'mistral': {'dialect': 'openai', 'base_url': 'https://api.mistral.ai/v1', 'settings': {'cap_field': 'max_tokens'}},
    'groq': {'dialect': 'openai'},
    'xai': {'dialect': 'openai', 'settings': {'reasoning_outside': 'true'}},
}

# Capabilities that the providers document and the source leaves out: provider, pattern of ids, words. Every row applies.
CAPABILITIES = [
    ('openai', 'gpt-3.5-turbo', 'tools'),
    ('openai', 'gpt-4.1*', 'json_schema'),
    ('openai', 'gpt-4o', 'json_schema'),
    ('openai', 'gpt-5', 'reasoning tools'),
    ('openai', 'gpt-5-20*', 'reasoning tools'),
    ('openai', 'gpt-5-[mnp]*', 'reasoning tools'),
    ('openai', 'gpt-5.[1-9]*', 'tools json_schema'),
    ('openai', 'gpt-5.[1-9]', 'reasoning'),
    ('openai', 'gpt-5.[1-9]-[!c]*', 'reasoning'),
    ('openai', 'o[134]*', 'json_schema'),
    ('anthropic', 'claude-*-4-[56]*', 'json_schema'),
    ('anthropic', 'claude-opus-4-1*', 'json_schema'),
    ('mistral', '*', 'json_schema'),
    ('groq', 'openai/gpt-oss-*', 'json_schema'),
    ('groq', 'moonshotai/kimi-k2-*', 'json_schema'),
    ('groq', 'meta-llama/llama-4-*', 'json_schema'),
    ('xai', 'grok-*', 'tools json_schema'),
    ('xai', 'grok-3-mini*', 'reasoning'),
    ('xai', 'grok-4', 'reasoning'),
    ('xai', 'grok-4-fast', 'reasoning'),
    ('xai', 'grok-4-fast-reasoning', 'reasoning'),
    ('xai', 'grok-code-fast-1', 'reasoning'),
]

# Prices of long prompts, which the source leaves out: provider, pattern of ids, tokens that a prompt must exceed, factor of all that is
# read, factor of all that is written, whose word it is. The first row counts; the files say that these are second-hand. What is read from
# a cache is multiplied too where that word is silent, so that nobody is served below the price.
OPENAI = 'developers.openai.com/api/docs/models/gpt-5.4 as others quote it, read 2026-11'
LITELLM = 'BerriAI/litellm, model_prices_and_context_window.json, read 2026-11'
OPENROUTER = 'the list of openrouter.ai, recorded 2026'
LONG_CONTEXT = [
    ('openai', 'gpt-5.4', 272000, '2', '1.5', OPENAI),
    ('openai', 'gpt-5.4-20*', 272000, '2', '1.5', OPENAI),
    ('openai', 'gpt-5.4-pro*', 272000, '2', '1.5', OPENAI),
    ('xai', 'grok-4', 128000, '2', '2', LITELLM),
    ('xai', 'grok-4-0709', 128000, '2', '2', LITELLM),
    ('xai', 'grok-4-fast*', 128000, '2', '2', LITELLM),
    ('xai', 'grok-4-1-fast*', 128000, '2', '2', LITELLM),
    # Of those that are sold with a context of a million tokens; without it there are no longer prompts.
    ('anthropic', 'claude-sonnet-4-*', 200000, '2', '1.5', OPENROUTER),
]

# The most tokens of one image, where the providers' own way of counting leads above the gateway's default of 2,000 (which covers tiles of
# OpenAI and xAI, and Anthropic's 1,600): provider, pattern of ids, tokens, how they come about. The first row counts.
TILES = '2833 and 5667 for each of 8 tiles: OpenAI, guide to images, as others quote it, read 2026-11'
PATCHES = '1536 patches, each %s: OpenAI, guide to images, as others quote it, read 2026-11'
CODEX_MINI = '1536 patches, each 1.72 as those of codex-mini-latest: community.openai.com, read 2026-11'
ORIGINAL = '10000 patches at full detail, each 1.2: openai/codex and community.openai.com, read 2026-11'
MERGED = '55 rows of 55 squares and a mark: mistralai/mistral-common, 1540 pixels in squares of 28, read 2026-11'
SQUARES = '64 rows of 64 squares and a mark: Pixtral, 1024 pixels in squares of 16, read 2026-11'
LLAMA_4 = '17 tiles of 144 and their marks: Llama 4, 16 tiles and the whole, read 2026-11'
IMAGE_TOKENS = [
    ('openai', 'gpt-4o-mini*', 48169, TILES),
    ('openai', 'gpt-4.1-mini*', 2489, PATCHES % '1.62'),
    ('openai', 'gpt-4.1-nano*', 3779, PATCHES % '2.46'),
    ('openai', 'gpt-5-mini*', 2489, PATCHES % '1.62'),
    ('openai', 'gpt-5-nano*', 3779, PATCHES % '2.46'),
    ('openai', 'gpt-5.1-codex-mini*', 2642, CODEX_MINI),
    ('openai', 'o4-mini*', 2642, PATCHES % '1.72'),
    ('openai', 'gpt-5.4*', 12000, ORIGINAL),
    ('mistral', 'mistral-small-*', 3080, MERGED),
    ('mistral', 'mistral-large-*', 3080, MERGED),
    ('mistral', '*', 4160, SQUARES),  # what is not public may be cut like Pixtral's
    ('groq', 'meta-llama/llama-*4-*', 2500, LLAMA_4),
]

EACH = ['request', 'image']  # dollars each
PRICE_KEYS = ['input', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'input_audio', 'output', 'output_audio', 'reasoning'] + EACH
LEAST_INPUT = decimal.Decimal('0.005')  # below: prices by the minute or hour that stand in token fields
DATED = re.compile(r'^(.*)-(\d{4}-\d{2}-\d{2})$')


class LeftOut(Exception):
    """The row is not shipped; the text is the reason."""


def load(folder):
    with open(os.path.join(folder, 'providers.json'), encoding='utf-8') as f:
        providers = {p['id']: p for p in json.load(f)}
    models = collections.defaultdict(list)
    with open(os.path.join(folder, 'models.jsonl'), encoding='utf-8') as f:
        for line in f:
            row = json.loads(line, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
            models[row['provider']].append(row)
    return providers, models


def number(value):
    """A decimal as it is written: no exponent, no trailing zeros."""
    text = format(decimal.Decimal(value), 'f')
    return (text.rstrip('0').rstrip('.') if '.' in text else text) or '0'


def price(row):
    given = dict(row.get('usd_per_mtok') or {})
    if 'input' not in given or 'output' not in given:
        raise LeftOut('no token price')
    if not given['input']:
        raise LeftOut('no price, or free at the time')
    if given['input'] < LEAST_INPUT:
        raise LeftOut('a price too low to be one of tokens')
    if given.get('reasoning') == given['output']:
        del given['reasoning']
    for key in EACH:
        # The source has some prices of a million image tokens in the field for dollars an image: those of text. None is 0.
        if given.get(key) in (0, given['input']):
            del given[key]
    if 'cache_write' in given:
        given['cache_write_5m'] = given.pop('cache_write')
        if row['provider'] == 'anthropic':
            given['cache_write_1h'] = 2 * given['input']  # documented; the source has one write price
    if set(given) - set(PRICE_KEYS):
        raise LeftOut('a price class that this format lacks')
    if given.get('cache_read', 0) > given['input']:
        raise LeftOut('a cache read dearer than input')
    return {key: given[key] for key in PRICE_KEYS if key in given}


def long_price(row, given):
    """(tokens, price, source) of prompts that are longer than so many, or None."""
    for provider, pattern, tokens, read, written, source in LONG_CONTEXT:
        if provider == row['provider'] and fnmatch.fnmatchcase(row['model'], pattern):
            factor = {key: decimal.Decimal(1 if key in EACH else written if key.startswith('output') or key == 'reasoning' else read)
                      for key in given}
            return tokens, {key: given[key] * factor[key] for key in given}, source
    return None


def image_tokens(row):
    """(tokens, source) of one image, or None where the default covers them."""
    if 'image' in (row.get('in') or []):
        for provider, pattern, tokens, source in IMAGE_TOKENS:
            if provider == row['provider'] and fnmatch.fnmatchcase(row['model'], pattern):
                return tokens, source
    return None


def is_embedding(row):
    return 'embeddings' in row.get('capabilities', []) or '-embed' in row['model']


def capabilities(row):
    if is_embedding(row):
        return ['embeddings']
    words = set(row.get('capabilities', [])) | {'chat'}
    for provider, pattern, more in CAPABILITIES:
        if provider == row['provider'] and fnmatch.fnmatchcase(row['model'], pattern):
            words.update(more.split())
    return [word for word in ('chat', 'reasoning', 'tools', 'json_schema') if word in words]


def fill(row, by_id):
    """A dated id says no more than its price: the rest is that of the undated one, if the prices agree."""
    match = DATED.match(row['model'])
    base = by_id.get(match.group(1)) if match else None
    if 'context' not in row and base and base.get('usd_per_mtok') == row.get('usd_per_mtok'):
        row = {**base, **row, 'name': '%s (%s)' % (base.get('name', base['model']), match.group(2)),
               'release_date': match.group(2)}
        row.pop('aliases', None)
    return row


def model(row, by_id):
    row = fill(row, by_id)
    if row.get('retired'):
        raise LeftOut('retired')
    out = {'price': price(row)}
    if 'context' not in row or 'max_output' not in row:
        raise LeftOut('no context or output limit')
    out['long'] = long_price(row, out['price'])
    if out['long'] and out['long'][0] >= row['context']:
        out['long'] = None
    out['name'] = row.get('name', row['model'])
    out['created'] = row.get('release_date')
    out['context'] = row['context']
    out['max_output'] = None if is_embedding(row) else row['max_output']  # there the source gives dimensions
    out['input'] = row.get('in') or ['text']
    out['image_tokens'] = image_tokens(row)
    out['output'] = ['embedding'] if is_embedding(row) else row.get('out') or ['text']
    out['capabilities'] = capabilities(row)
    out['deprecated'] = bool(row.get('deprecated'))
    return out


def entries(rows):
    """(id, model) of all rows that are shipped, aliases included, sorted; and the reasons of the others, counted."""
    by_id = {row['model']: row for row in rows}
    out, reasons = {}, collections.Counter()
    for row in rows:
        try:
            entry = model(row, by_id)
        except LeftOut as reason:
            reasons[str(reason)] += 1
            continue
        out[row['model']] = entry
        for alias in row.get('aliases', []):
            # Spellings such as claude-haiku-4.5 are other collections' names; the provider itself refuses them.
            if alias not in by_id and '.' not in alias:
                out[alias] = entry
    return sorted(out.items()), reasons


def text(value):
    """A YAML scalar: quoted only where a plain one would be read as something else."""
    if re.fullmatch(r'[A-Za-z][A-Za-z0-9 ._/()+-]*', value) and value.lower() not in ('yes', 'no', 'on', 'off', 'true',
                                                                                     'false', 'null', 'y', 'n'):
        return value
    return json.dumps(value)


def classes(price):
    return ', '.join('%s: %s' % (key, number(price[key])) for key in price)


def write_model(out, name, entry):
    out.append('  %s:' % text(name) + ('  # deprecated by the provider' if entry['deprecated'] else ''))
    out.append('    name: ' + text(entry['name']))
    if entry['created']:
        out.append('    created: ' + entry['created'])
    out.append('    context: ' + number(entry['context']))
    if entry['max_output'] is not None:
        out.append('    max_output: ' + number(entry['max_output']))
    out.append('    modalities: {input: [%s], output: [%s]}' % (', '.join(entry['input']), ', '.join(entry['output'])))
    if entry['image_tokens']:
        out.append('    image_tokens: %d  # %s' % entry['image_tokens'])
    out.append('    capabilities: [%s]' % ', '.join(entry['capabilities']))
    if not entry['long']:
        out.append('    price: {%s}' % classes(entry['price']))
        return
    out.append('    price:  # of long prompts at second hand: ' + entry['long'][2])
    out.append('      - {when: {min_prompt_tokens: %d}, %s}' % (entry['long'][0], classes(entry['long'][1])))
    out.append('      - {%s}' % classes(entry['price']))


def write(provider, rows, date):
    """The file of one provider, as text."""
    extra = PROVIDERS[provider['id']]
    models, reasons = entries(rows)
    out = ['# %s: models and list prices as published, %s. Prices go stale: check them against' % (provider['name'], date),
           '# %s' % provider['doc'],
           '# before charging anyone; a model written out in the configuration wins over this file. README.md has the format.',
           '# Written by tools/import_catalog.py from agentjido/llm_db (data under Apache-2.0).']
    if reasons:
        out.append('# Left out: ' + '; '.join('%d with %s' % (n, why) for why, n in sorted(reasons.items())) + '.')
    out += ['catalog: ' + provider['id'],
            'name: ' + text(provider['name']),
            'facts: "%s"' % date,
            'dialect: ' + extra['dialect'],
            'base_url: ' + (extra.get('base_url') or provider['base_url']),
            'env: ' + provider['env'][0]]
    if 'settings' in extra:
        out.append('settings: {%s}' % ', '.join('%s: %s' % kv for kv in extra['settings'].items()))
    out.append('models:')
    for name, entry in models:
        write_model(out, name, entry)
    return '\n'.join(out) + '\n', len(models), sum(reasons.values())


def main():
    parser = argparse.ArgumentParser(description='Writes the price catalog from a folder of public facts.')
    parser.add_argument('folder')
    parser.add_argument('--date', required=True, help='date of the facts, as 2026-08')
    parser.add_argument('--out', default=os.path.join(os.path.dirname(__file__), '..', 'etc', 'catalog'))
    args = parser.parse_args()
    providers, models = load(args.folder)
    for name in PROVIDERS:
        if name not in providers:
            sys.exit('import_catalog: %s/providers.json has no %s' % (args.folder, name))
        content, shipped, left = write(providers[name], models[name], args.date)
        with open(os.path.join(args.out, name + '.yaml'), 'w', encoding='utf-8') as f:
            f.write(content)
        print('%-10s %3d models, %d rows left out' % (name, shipped, left))


if __name__ == '__main__':
    main()
