"""The official OpenAI library for Python against both backs."""
import asyncio
import sys
import time
import os

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sdk
import gateway
import node
import tap

sdk.use_python_kit()
import openai
import pydantic

HI = [{'role': 'user', 'content': 'hi'}]
TOOLS = [{'type': 'function', 'function': {'name': 'tool%d' % i, 'parameters': {'type': 'object', 'properties': {
    'n': {'type': 'integer'}}}}} for i in range(2)]
CLOSED_AT_DONE = 1000
UPLOADS = 10
AT_ONCE = 16


class Answer(pydantic.BaseModel):
    n: int
    word: str


class OpenAiPython(sdk.SdkCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = cls.make()

    @classmethod
    def make(cls, key='main', **options):
        return openai.OpenAI(base_url=cls.node.url, api_key=cls.node.keys[key], **options)

    def create(self, model, client=None, **fields):
        return (client or self.client).chat.completions.create(model=model, messages=HI, **fields)

    def record_of(self, stream):
        return self.node.record(stream.response.headers['x-request-id'])

    def both_whole(self, back):
        got = self.client.chat.completions.with_raw_response.create(model='plain-' + back, messages=HI)
        a = got.parse()
        self.assertEqual(a.choices[0].finish_reason, 'stop')
        self.assertEqual(len(a.choices[0].message.content.split()), 7)
        self.assertEqual((a.usage.prompt_tokens, a.usage.completion_tokens, a.usage.total_tokens), (131, 7, 138))
        self.assertIsInstance(a.usage.cost, float)
        record = self.node.record(got.request_id)
        self.assertEqual(node.nusd(record['charge_usd']), node.nusd(got.headers['x-aigw-cost-usd']))
        self.assertEqual(record['end'], 'done')

    def both_stream_with_usage_asked(self, back):
        chunks = list(self.create('plain-' + back, stream=True, stream_options={'include_usage': True}))
        self.assertEqual([c for c in chunks if c.usage], chunks[-1:])
        self.assertEqual((chunks[-1].choices, chunks[-1].usage.completion_tokens), ([], 7))
        self.assertEqual([c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason], ['stop'])
        text = ''.join(c.choices[0].delta.content or '' for c in chunks[:-1])
        self.assertEqual(text, self.create('plain-' + back).choices[0].message.content)

    def both_stream_with_usage_not_asked(self, back):
        """Never an empty choices list, which many programs index blindly; usage is there all the same."""
        chunks = list(self.create('plain-' + back, stream=True))
        self.assertTrue(all(len(c.choices) == 1 and c.choices[0].delta is not None for c in chunks))
        self.assertEqual([c.usage.total_tokens for c in chunks if c.usage], [138])

    def both_stream_helper_accumulates(self, back):
        with self.client.chat.completions.stream(model='tools-' + back, messages=HI, tools=TOOLS) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        self.assertIn('tool_calls.function.arguments.done', kinds)
        self.assertEqual([c.function.arguments for c in final.choices[0].message.tool_calls], ['{"n":0}', '{"n":1}'])

    def both_tools(self, back):
        a = self.create('tools-' + back, tools=TOOLS).choices[0]
        self.assertEqual(a.finish_reason, 'tool_calls')
        self.assertEqual([(c.function.name, c.function.arguments.replace(' ', '')) for c in a.message.tool_calls],
                         [('tool0', '{"n":0}'), ('tool1', '{"n":1}')])
        results = [{'role': 'tool', 'tool_call_id': c.id, 'content': 'r%d' % i} for i, c in enumerate(a.message.tool_calls)]
        self.client.chat.completions.create(model='plain-' + back, tools=TOOLS, messages=HI + [a.message] + results)
        for word in ['r0', 'r1'] + [c.id for c in a.message.tool_calls]:
            self.assertIn(word, self.sim.last()[2])

    def both_tools_streamed(self, back):
        calls = {}
        for chunk in self.create('tools-' + back, tools=TOOLS, stream=True):
            for call in chunk.choices[0].delta.tool_calls or ():
                made = calls.setdefault(call.index, {'id': '', 'name': '', 'arguments': ''})
                made['id'] += call.id or ''
                made['name'] += call.function.name or ''
                made['arguments'] += call.function.arguments or ''
        self.assertEqual(sorted(calls), [0, 1])
        self.assertEqual([(c['name'], c['arguments']) for c in calls.values()], [('tool0', '{"n":0}'), ('tool1', '{"n":1}')])
        self.assertEqual(len({c['id'] for c in calls.values()}), 2)

    def both_structured_output(self, back):
        a = self.client.chat.completions.parse(model='json-' + back, messages=HI, response_format=Answer)
        self.assertEqual(a.choices[0].message.parsed, Answer(n=7, word='seven'))
        self.assertIn('"additionalProperties":false', self.sim.last()[2].replace(' ', ''))

    def test_embeddings(self):
        """The library asks for base64 unless told otherwise and decodes whatever comes."""
        self.assertEqual([list(d.embedding) for d in self.client.embeddings.create(model='embed', input=['a', 'b']).data],
                         [[0.25, -0.5, 0.125, 1.0]] * 2)
        a = self.client.embeddings.create(model='embed', input='a', encoding_format='float')
        self.assertEqual((a.data[0].embedding, a.usage.prompt_tokens), ([0.25, -0.5, 0.125, 1.0], 40))

    def test_models(self):
        names = [m.id for m in self.client.models.list()]
        self.assertEqual(names, sorted(names))
        self.assertIn('plain-ant', names)
        self.assertEqual(self.client.models.retrieve('plain-ant').object, 'model')

    def test_completions(self):
        a = self.client.completions.create(model='plain-oai', prompt='once')
        self.assertEqual((len(a.choices[0].text.split()), a.usage.completion_tokens), (7, 7))
        chunks = list(self.client.completions.create(model='plain-oai', prompt='once', stream=True))
        self.assertEqual(''.join(c.choices[0].text for c in chunks), a.choices[0].text)

    def test_several_choices(self):
        a = self.create('plain-oai', n=3)
        self.assertEqual(([c.index for c in a.choices], a.usage.completion_tokens), ([0, 1, 2], 21))
        chunks = list(self.create('plain-oai', n=3, stream=True))
        self.assertTrue(all(len(c.choices) == 1 for c in chunks))
        self.assertEqual(sorted(c.choices[0].index for c in chunks if c.choices[0].finish_reason), [0, 1, 2])
        self.assertEqual([c.usage.completion_tokens for c in chunks if c.usage], [21])

    def both_azure_client(self, back):
        """Model in the path, key in `api-key`."""
        client = openai.AzureOpenAI(azure_endpoint=self.node.url[:-3], api_key=self.key, api_version='2024-10-21')
        self.assertEqual(self.create('plain-' + back, client).usage.total_tokens, 138)
        self.assertEqual([c.usage.total_tokens for c in self.create('plain-' + back, client, stream=True) if c.usage], [138])

    def test_base_urls_that_people_write(self):
        for path in ('', '/', '/v1', '/v1/', '/api/v1', '/openai/v1', '/v1/v1', '/v1/chat/completions'):
            with self.subTest(path):
                client = openai.OpenAI(base_url=self.node.url[:-3] + path, api_key=self.key)
                self.assertEqual(self.create('plain-oai', client).usage.total_tokens, 138)

    def test_front_still_to_come(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.client.responses.create(model='plain-oai', input='hi')
        self.assertEqual(raised.exception.code, 'unknown_url')
        self.assertIn('/v1/chat/completions', raised.exception.message)

    def test_big_upload_that_is_refused(self):
        """12 MB with a wrong key or without credit, or more than the limit: the status is seen every time."""
        for key, megabytes, status in (('unknown', 12, 401), ('poor', 12, 402), ('main', 14, 413)):
            big = [{'role': 'user', 'content': 'word ' * (megabytes * 1024 * 1024 // 5)}]
            for i in range(UPLOADS):
                with self.subTest(key=key, i=i), self.assertRaises(openai.APIStatusError) as raised:
                    self.make(key).chat.completions.create(model='plain-oai', messages=big)
                self.assertEqual(raised.exception.status_code, status)
                self.assertEqual(raised.exception.response.request.headers['x-stainless-retry-count'], '0')

    def refusal(self, kind, status, code, client, model, **fields):
        """The error of one request, which is not sent again."""
        begun = time.monotonic()
        with self.assertRaises(kind) as raised:
            self.create(model, client, **fields)
        e = raised.exception
        self.assertEqual((e.status_code, e.code, e.response.headers['x-should-retry']), (status, code, 'false'))
        self.assertTrue(e.request_id.startswith('gen_'))
        self.assertEqual(e.response.request.headers['x-stainless-retry-count'], '0')
        self.assertLess(time.monotonic() - begun, 5)
        return e

    def test_permanent_errors(self):
        self.refusal(openai.AuthenticationError, 401, 'invalid_api_key', self.make('unknown'), 'plain-oai')
        self.refusal(openai.NotFoundError, 404, 'model_not_found', self.client, 'no-such-model')

    def both_permanent_errors(self, back):
        self.refusal(openai.APIStatusError, 402, 'insufficient_credit', self.make('poor'), 'plain-' + back)
        e = self.refusal(openai.BadRequestError, 400, 'bad_request', self.client, 'refused-' + back)
        self.assertTrue(e.body['message'].startswith('simulated error 400'), e.body)

    def both_a_stream_beyond_its_hold_ends_by_length(self, back):
        """The provider minds no cap: for the library it is a stream that came to its cap."""
        with self.client.chat.completions.stream(model='over-' + back, messages=HI, max_tokens=20) as stream:
            with self.assertRaises(openai.LengthFinishReasonError) as raised:
                stream.until_done()
                stream.get_final_completion()
        self.assertEqual(raised.exception.completion.choices[0].finish_reason, 'length')
        chunks = list(self.create('over-' + back, stream=True, max_tokens=20))
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason], ['length'])
        self.assertEqual(len([c for c in chunks if c.usage]), 1)
        self.assertLess(len(chunks), 200)

    def keyed(self, model, idem, **fields):
        return self.create(model, extra_headers={'Idempotency-Key': idem}, **fields)

    def both_idempotency(self, back):
        first = self.keyed('plain-' + back, 'python-' + back)
        self.assertEqual(first.usage.completion_tokens, 7)
        for fields, code in (({}, 'idempotency_completed'), ({'seed': 1}, 'idempotency_mismatch')):
            with self.assertRaises(openai.UnprocessableEntityError) as raised:
                self.keyed('plain-' + back, 'python-' + back, **fields)
            self.assertEqual((raised.exception.code, raised.exception.status_code), (code, 422))
        with self.assertRaises(openai.BadRequestError) as raised:
            self.keyed('plain-' + back, 'x' * 256)
        self.assertEqual(raised.exception.param, 'idempotency-key')

    def both_idempotency_while_it_runs(self, back):
        """409 is retried by the library until the first one has come to its end."""
        stream = self.keyed('brief-' + back, 'runs-' + back, stream=True)
        next(iter(stream))
        with self.assertRaises(openai.ConflictError) as raised:
            self.make(max_retries=0).chat.completions.create(model='brief-' + back, messages=HI, stream=True,
                                                             extra_headers={'Idempotency-Key': 'runs-' + back})
        self.assertEqual(raised.exception.code, 'idempotency_in_progress')
        with self.assertRaises(openai.UnprocessableEntityError) as raised:
            self.make(max_retries=5).chat.completions.create(model='brief-' + back, messages=HI, stream=True,
                                                             extra_headers={'Idempotency-Key': 'runs-' + back})
        self.assertEqual(raised.exception.code, 'idempotency_completed')
        list(stream)

    def test_day_limit_is_not_retried(self):
        self.create('plain-oai', self.make('day'))
        e = self.refusal(openai.RateLimitError, 429, 'rate_limit_exceeded', self.make('day'), 'plain-oai')
        self.assertGreater(int(e.response.headers['retry-after']), 60)

    def both_two_providers_failed_is_not_retried(self, back):
        self.sim.reset()
        self.refusal(openai.InternalServerError, 502, 'upstream_error', self.client, 'twice-' + back)
        self.assertEqual([r['status'] for r in self.sim.requests()], [500, 500])

    def test_limits_name_the_wait(self):
        """One request a minute: the second is told when to come again, and the library would wait just so long."""
        client = self.make('minute', max_retries=0)
        self.create('plain-oai', client)
        with self.assertRaises(openai.RateLimitError) as raised:
            self.create('plain-oai', client)
        headers = raised.exception.response.headers
        self.assertEqual(headers['x-should-retry'], 'true')
        self.assertTrue(1 <= int(headers['retry-after']) <= 60)
        self.assertLessEqual(abs(int(headers['retry-after']) * 1000 - int(headers['retry-after-ms'])), 1000)

    def retried(self, model, status):
        self.sim.reset()
        begun = time.monotonic()
        a = self.create(model, self.make(max_retries=2))
        self.assertEqual(a.usage.completion_tokens, 7)
        self.assertTrue(0.9 <= time.monotonic() - begun < 4, time.monotonic() - begun)
        self.assertEqual([r['status'] for r in self.sim.requests()], [status, 200])

    def both_429_is_retried_after_the_wait(self, back):
        self.retried('limited-' + back, 429)

    def both_503_is_retried_after_the_wait(self, back):
        self.retried('busy-' + back, 529)

    def both_429_and_503_have_their_classes(self, back):
        self.sim.reset()
        for name, kind, status, code in (('limited2-', openai.RateLimitError, 429, 'upstream_rate_limited'),
                                         ('busy2-', openai.InternalServerError, 503, 'overloaded')):
            with self.assertRaises(kind) as raised:
                self.create(name + back, self.make(max_retries=0))
            e = raised.exception
            self.assertEqual((e.status_code, e.code), (status, code))
            self.assertEqual((e.response.headers['x-should-retry'], e.response.headers['retry-after']), ('true', '1'))

    def both_cut_stream_raises(self, back):
        got = []
        with self.assertRaises(openai.APIError) as raised:
            for chunk in self.create('cut-' + back, stream=True):
                got.append(chunk)
        self.assertEqual(len([c for c in got if c.choices[0].delta.content]), 4)
        self.assertEqual(raised.exception.body['code'], 'upstream_error')

    def both_time_out_announced_is_ended_by_the_gateway(self, back):
        begun = time.monotonic()
        with self.assertRaises(openai.InternalServerError) as raised:
            self.create('late-' + back, self.make(timeout=4))
        took = time.monotonic() - begun
        self.assertTrue(1.5 < took < 3.5, took)
        self.assertEqual((raised.exception.status_code, raised.exception.code), (504, 'upstream_timeout'))

    def both_client_that_stops_waiting(self, back):
        """A total time-out that the gateway does not know of: the client leaves, the provider's request is aborted."""
        async def leave():
            client = openai.AsyncOpenAI(base_url=self.node.url, api_key=self.key, max_retries=0)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(client.chat.completions.create(model='late-' + back, messages=HI), 0.5)
            await client.close()

        asyncio.run(leave())
        gateway.wait_for(lambda: self.sim.requests()[-1]['aborted'])

    def both_cancelled_stream(self, back):
        """The provider's stream is aborted at once; what was received is charged, estimated."""
        stream = self.create('slow-' + back, stream=True)
        got = 0
        for chunk in stream:
            got += bool(chunk.choices[0].delta.content)
            if got == 10:
                break
        stream.close()
        gateway.wait_for(lambda: self.sim.requests()[-1]['aborted'])
        record = self.record_of(stream)
        self.assertEqual((record['end'], record['estimated']), ('client_gone', True))
        self.assertTrue(10 <= record['output'] <= self.sim.requests()[-1]['output'] < 60, record)
        self.assertGreater(record['charge_usd'], 0)

    def test_closed_at_done_is_complete(self):
        """The library closes its connection on reading [DONE]: charged and logged as complete, 1,000 of 1,000."""
        ids = []

        async def one(client, room, back):
            async with room:
                stream = await client.chat.completions.create(model='plain-' + back, messages=HI, stream=True)
                text = ''
                async for chunk in stream:
                    text += chunk.choices[0].delta.content or ''
                ids.append(stream.response.headers['x-request-id'])
                self.assertEqual(len(text.split()), 7)

        async def all_of_them():
            client = openai.AsyncOpenAI(base_url=self.node.url, api_key=self.key, max_retries=0)
            room = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(one(client, room, 'ant' if i % 2 else 'oai') for i in range(CLOSED_AT_DONE)))
            await client.close()

        before = self.node.settled('main')
        asyncio.run(all_of_them())
        after = self.node.settled('main')
        self.assertEqual(len(set(ids)), CLOSED_AT_DONE)
        self.assertEqual({(e['end'], e['status'], e['tokens_in'], e['tokens_out'], e['usage_estimated'])
                          for e in self.node.access(*ids).values()}, {('done', 200, 131, 7, False)})
        charge = node.charge_nusd({'input': 131, 'output': 7}, {'input': 1, 'output': 2})
        self.assertEqual(node.nusd(before['balance_usd']) - node.nusd(after['balance_usd']), CLOSED_AT_DONE * charge)


if __name__ == '__main__':
    tap.main()
