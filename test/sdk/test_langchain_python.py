"""LangChain's ChatOpenAI for Python against both backs."""
import os
import sys
import time
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sdk
import gateway
import tap

sdk.use_python_kit()
import openai
import pydantic
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


@tool
def tool0(n: int) -> str:
    """a tool"""
    return 'r%d' % n


@tool
def tool1(n: int) -> str:
    """a tool"""
    return 'r%d' % n


class Answer(pydantic.BaseModel):
    """an answer"""
    n: int
    word: str


class LangChainPython(sdk.SdkCase):
    def make(self, model, key='main', **options):
        return ChatOpenAI(model=model, base_url=self.node.url, api_key=self.node.keys[key], **options)

    def joined(self, model, **options):
        whole = None
        for chunk in model.stream('hi', **options):
            whole = chunk if whole is None else whole + chunk
        return whole

    def both_whole(self, back):
        a = self.make('plain-' + back).invoke('hi')
        self.assertEqual(len(a.text.split()), 7)
        self.assertEqual((a.usage_metadata['input_tokens'], a.usage_metadata['output_tokens']), (131, 7))
        self.assertEqual(a.response_metadata['finish_reason'], 'stop')

    def both_stream(self, back):
        for asked in (True, False):
            a = self.joined(self.make('plain-' + back, stream_usage=asked))
            self.assertEqual(len(a.text.split()), 7)
            self.assertEqual(a.response_metadata['finish_reason'], 'stop')
            self.assertEqual((a.usage_metadata['input_tokens'], a.usage_metadata['output_tokens']), (131, 7))

    def both_cost_is_never_an_integer(self, back):
        """LangChain adds up the usage of several answers and takes integers for counts of tokens: a cost of 0 would end the program."""
        models = [self.make(name + back) for name in ('free-', 'plain-', 'free-')]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore') # of members that it does not add up
            many = models[1].generate([[HumanMessage('hi')], [HumanMessage('hi')]])
            mixed = models[0]._combine_llm_outputs([m.generate([[HumanMessage('hi')]]).llm_output for m in models])
        self.assertEqual(many.llm_output['token_usage']['total_tokens'], 276)
        self.assertEqual(mixed['token_usage']['total_tokens'], 414)
        for output in (many.llm_output, mixed):
            self.assertIsInstance(output['token_usage']['cost'], float)

    def both_usage_adds_up(self, back):
        usage = UsageMetadataCallbackHandler()
        for _ in range(2):
            self.make('plain-' + back).invoke('hi', config={'callbacks': [usage]})
        self.assertEqual([u['total_tokens'] for u in usage.usage_metadata.values()], [276])

    def both_tools_and_their_results(self, back):
        model = self.make('tools-' + back).bind_tools([tool0, tool1])
        a = model.invoke('hi')
        self.assertEqual([(c['name'], c['args']) for c in a.tool_calls], [('tool0', {'n': 0}), ('tool1', {'n': 1})])
        results = [t.invoke(c) for t, c in zip((tool0, tool1), a.tool_calls)]
        self.make('plain-' + back).bind_tools([tool0, tool1]).invoke([HumanMessage('hi'), a, *results])
        for word in ['r0', 'r1'] + [c['id'] for c in a.tool_calls]:
            self.assertIn(word, self.sim.last()[2])

    def both_tools_streamed(self, back):
        a = self.joined(self.make('tools-' + back).bind_tools([tool0, tool1]))
        self.assertEqual([(c['name'], c['args']) for c in a.tool_calls], [('tool0', {'n': 0}), ('tool1', {'n': 1})])

    def both_structured_output(self, back):
        model = self.make('json-' + back).with_structured_output(Answer, method='json_schema')
        self.assertEqual(model.invoke('hi'), Answer(n=7, word='seven'))

    def test_embeddings(self):
        model = OpenAIEmbeddings(model='embed', base_url=self.node.url, api_key=self.key, check_embedding_ctx_length=False)
        self.assertEqual(model.embed_documents(['a', 'b']), [[0.25, -0.5, 0.125, 1.0]] * 2)

    def test_permanent_errors(self):
        for model, key, status in (('plain-oai', 'unknown', 401), ('plain-oai', 'poor', 402), ('plain-ant', 'poor', 402),
                                   ('no-such-model', 'main', 404), ('refused-oai', 'main', 400), ('refused-ant', 'main', 400)):
            with self.subTest(model=model, key=key):
                begun = time.monotonic()
                with self.assertRaises(openai.APIStatusError) as raised:
                    self.make(model, key).invoke('hi')
                self.assertEqual(raised.exception.status_code, status)
                self.assertLess(time.monotonic() - begun, 2)

    def both_429_and_503_are_retried_after_the_wait(self, back):
        for name, status in (('limited-', 429), ('busy-', 529)):
            self.sim.reset()
            begun = time.monotonic()
            self.assertEqual(self.make(name + back).invoke('hi').usage_metadata['output_tokens'], 7)
            self.assertGreaterEqual(time.monotonic() - begun, 0.9)
            self.assertEqual([r['status'] for r in self.sim.requests()], [status, 200])

    def both_cut_stream_raises(self, back):
        with self.assertRaises(openai.APIError) as raised:
            self.joined(self.make('cut-' + back))
        self.assertEqual(raised.exception.body['code'], 'upstream_error')

    def both_time_out(self, back):
        """A short one that the library announces: half of it is the provider's."""
        begun = time.monotonic()
        with self.assertRaises(openai.InternalServerError) as raised:
            self.make('late-' + back, timeout=2, max_retries=0).invoke('hi')
        self.assertEqual(raised.exception.status_code, 504)
        self.assertTrue(0.9 < time.monotonic() - begun < 2.1, time.monotonic() - begun)
        gateway.wait_for(lambda: self.sim.requests()[-1]['aborted'])

    def both_cancelled_stream(self, back):
        stream = self.make('slow-' + back).stream('hi')
        for _ in range(10):
            next(stream)
        stream.close()
        gateway.wait_for(lambda: self.sim.requests()[-1]['aborted'])
        self.assertLess(self.sim.requests()[-1]['output'], 60)


if __name__ == '__main__':
    tap.main()
