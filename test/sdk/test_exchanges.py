"""Recorded exchanges of ../shared/wire, end to end: the simulator replays the provider's answer, the gateway asks it as a client's chat
request wants. What the client reads is what was recorded: text, calls, usage; errors keep their status and words."""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kit
import sdk
import client
import node
import tap

FOLDER = os.path.join(os.path.dirname(kit.ROOT), 'shared', 'wire', 'exchanges')
BACKS = {'chat.completions': 'openai', 'messages': 'anthropic'}
SIMPLE = {'messages': [{'role': 'user', 'content': 'hi'}]}
# Statuses about the gateway's own key or account, never the client's (contract A3).
OF_THE_KEY = (401, 402, 403)


class Exchange:
    def __init__(self, path, number):
        with open(path, encoding='utf-8') as f:
            x = json.load(f)
        self.id, self.provider, self.api = x['id'], x['provider'], x['api']
        self.request, self.response = x['request'], x['response']
        self.kinds = set(x['kinds'])
        self.name = 'x%d' % number
        self.back = BACKS[self.api]
        self.status = self.response['status']
        self.is_stream = self.response['body_encoding'] == 'sse' or 'stream' in self.kinds

    def body(self):
        """The client's request: the recorded one on the same dialect, else a plain one."""
        recorded = self.request['body'] if self.request and self.back == 'openai' else None
        body = dict(recorded if isinstance(recorded, dict) else SIMPLE)
        body['model'] = self.name
        if self.is_stream:
            body['stream'] = True
        return body

    def items(self):
        """The recorded answer's JSON: events of a stream, or the one body."""
        if self.response['body_encoding'] == 'json':
            return [self.response['body']]
        if self.response['body_encoding'] != 'sse':
            return []
        a = client.Answer()
        a.body = ''.join(self.response['body']).encode()
        return [json.loads(d) for _, d in a.events() if d.strip() not in ('', '[DONE]') and d.lstrip()[0] == '{']


def load():
    found = []
    for path in sorted(glob.glob(os.path.join(FOLDER, '*', '*.json'))):
        with open(path, encoding='utf-8') as f:
            x = json.load(f)
        if x['api'] in BACKS and x['dialect'] in ('openai-chat', 'anthropic') and x['response']['body_encoding'] in ('json', 'sse', 'text'):
            found.append(Exchange(path, len(found)))
    return found


def start(exchanges):
    """A node with a model for each exchange; errors, those that a stream tells too, have a provider of their own, whose key may rest or be taken out."""
    models, providers = {}, {}
    sim = node.Sim('--exchanges', FOLDER)
    for x in exchanges:
        fails = x.status >= 400 or any(item.get('error') for item in x.items())
        provider = x.name if fails else 'oai' if x.back == 'openai' else 'ant'
        if fails:
            providers[x.name] = {'dialect': x.back, 'base_url': 'http://127.0.0.1:%d/v1' % sim.port, 'keys': ['env:MOCK_KEY']}
        models[x.name] = node.model('%s/replay:%s' % (provider, x.id), context=10000000, max_output=200000, price={'input': 1, 'output': 2},
                                    capabilities=['chat', 'tools', 'json_schema', 'reasoning'])
    n = node.Node(models, sim=sim, providers=providers)
    n.own_sim = sim
    n.start()
    return n


def value_of(arguments):
    """The arguments' value, or the text where it was cut."""
    try:
        return json.loads(arguments or '{}')
    except ValueError:
        return arguments


class Said:
    """What an answer says, whichever dialect and form it came in: text of the first choice, calls as (name, arguments), tokens."""

    def __init__(self):
        self.text, self.calls, self.tokens, self.errors, self.finished = '', [], None, [], False

    def add_call(self, calls, key, name, arguments):
        made = calls.setdefault(key, ['', ''])
        made[0] += name or ''
        made[1] += arguments if isinstance(arguments, str) else '' if arguments is None else json.dumps(arguments)

    def close(self, calls):
        self.calls = [(name, value_of(arguments)) for name, arguments in calls.values()]
        return self


def said_chat(items):
    """Of an OpenAI answer, recorded or ours."""
    said, calls = Said(), {}
    for item in items:
        if item.get('error'):
            said.errors.append(item['error'])
        for choice in item.get('choices') or ():
            part = choice.get('delta') or choice.get('message') or {}
            said.finished = said.finished or bool(choice.get('finish_reason'))
            if choice.get('index', 0) == 0:
                said.text += part['content'] if isinstance(part.get('content'), str) else ''
                for i, call in enumerate(part.get('tool_calls') or ()):
                    function = call.get('function') or {}
                    said.add_call(calls, call.get('index', i), function.get('name'), function.get('arguments'))
        for holder in [item, item.get('x_groq') or {}] + (item.get('choices') or []):
            usage = holder.get('usage')
            if usage and usage.get('prompt_tokens') is not None:
                said.tokens = (usage['prompt_tokens'], usage.get('completion_tokens') or 0)
    return said.close(calls)


def said_messages(items):
    """Of a recorded Anthropic answer."""
    said, calls, usage = Said(), {}, {}
    for item in items:
        kind = item.get('type')
        if kind == 'error':
            said.errors.append(item['error'])
        for n, block in enumerate(item.get('content') or ()):
            said.text += block.get('text', '') if block['type'] == 'text' else ''
            if block['type'] == 'tool_use':
                said.add_call(calls, n, block['name'], block['input'])
        block, delta = item.get('content_block') or {}, item.get('delta') or {}
        said.finished = said.finished or bool(item.get('stop_reason') or delta.get('stop_reason'))
        if block.get('type') == 'tool_use':
            said.add_call(calls, item['index'], block['name'], '')
        said.text += block.get('text', '') if block.get('type') == 'text' else ''
        said.text += delta.get('text', '') if delta.get('type') == 'text_delta' else ''
        if delta.get('type') == 'input_json_delta' and item['index'] in calls:
            said.add_call(calls, item['index'], '', delta['partial_json'])
        for given in (item.get('usage'), (item.get('message') or {}).get('usage')):
            usage.update({k: v for k, v in (given or {}).items() if v is not None})
    if usage:
        said.tokens = (sum(usage.get(k, 0) for k in ('input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens')),
                       usage.get('output_tokens', 0))
    return said.close(calls)


def check_error(x, a):
    """A3: a provider's word about the request is final; about its own key or load it is ours to put into words."""
    error = a.json()['error']
    recorded = json.dumps(x.items(), ensure_ascii=False) + str(x.response['body'])
    if x.status in (400, 404, 413, 422):
        assert a.status == x.status, a
        words = error['message'].split('\n')[0]
        assert words in recorded or json.dumps(words, ensure_ascii=False)[1:-1] in recorded, (error['message'], recorded)
        return
    assert error['metadata']['provider_status'] == x.status, a
    if x.status in OF_THE_KEY or 'account' in error['message']:
        assert a.status == 502, a
    else:
        assert a.status == {429: 429, 529: 503}.get(x.status, 502), a


def check_stream_end(a, recorded, said):
    """A4: it ends with [DONE], or with the error item and a visible cut."""
    if recorded.errors:
        assert said.errors and a.ended == 'cut' and not a.is_done, a
    else:
        assert a.ended == 'chunked' and a.is_done and a.usage, a


def check_answer(x, a):
    recorded = (said_chat if x.back == 'openai' else said_messages)(x.items())
    if a.status == 400:
        assert a.error['code'] == 'unsupported_parameter', a
        return
    if not recorded.finished and a.status != 200:
        assert not recorded.text and a.status in (502, 503), a
        return
    assert a.status == 200, a
    streamed = a.get('content-type').startswith('text/event-stream')
    said = said_chat(a.data() if streamed else [a.json()])
    if streamed:
        check_stream_end(a, recorded, said)
    assert said.text == recorded.text, (said.text, recorded.text)
    assert said.calls == recorded.calls, (said.calls, recorded.calls)
    if not recorded.errors:
        assert said.tokens == recorded.tokens or (not recorded.tokens and said.tokens), (said.tokens, recorded.tokens)


def main():
    if not os.path.isdir(FOLDER):
        sdk.skip('../shared/wire is not there')
    exchanges = load()
    report = tap.Report()
    gateway = start(exchanges)
    key = gateway.customer('main', '1000000')
    try:
        for x in exchanges:
            a = gateway.ask('POST', '/v1/chat/completions', x.body(), key)
            report.run(x.id, lambda: check_error(x, a) if x.status >= 400 else check_answer(x, a), gateway.tail)
        report.run('books are right and no secret shows', gateway.check_books, gateway.tail)
    finally:
        gateway.close()
    report.end()


if __name__ == '__main__':
    main()
