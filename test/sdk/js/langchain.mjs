// LangChain's ChatOpenAI for JavaScript.
import assert from 'node:assert/strict'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { z } from 'zod'
import { asked, both, failure, keys, reset, runAll, sent, test, until, url } from './harness.mjs'

const make = (model, options = {}, key = 'main') =>
  new ChatOpenAI({ model, apiKey: keys[key], configuration: { baseURL: url }, maxRetries: 2, ...options })
const helpers = [0, 1].map(i => tool(({ n }) => `r${n}`, { name: `tool${i}`, description: 'a tool', schema: z.object({ n: z.number() }) }))

async function concat(stream) {
  let whole
  for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk
  return whole
}

both('whole', async back => {
  const a = await make(`plain-${back}`).invoke('hi')
  assert.equal(a.text.trim().split(' ').length, 7)
  assert.deepEqual([a.usage_metadata.input_tokens, a.usage_metadata.output_tokens, a.usage_metadata.total_tokens], [131, 7, 138])
  assert.equal(a.response_metadata.finish_reason, 'stop')
})

for (const streamUsage of [true, false]) {
  both(`stream, usage ${streamUsage ? 'asked' : 'not asked'}`, async back => {
    const a = await concat(await make(`plain-${back}`, { streamUsage }).stream('hi'))
    assert.equal(a.text.trim().split(' ').length, 7)
    assert.equal(a.response_metadata.finish_reason, 'stop')
    if (streamUsage) assert.deepEqual([a.usage_metadata.input_tokens, a.usage_metadata.output_tokens], [131, 7])
  })
}

both('cost is a number that can be added up', async back => {
  const a = await make(`plain-${back}`).invoke('hi')
  assert.equal(typeof a.response_metadata.usage.cost, 'number')
  assert.equal(a.response_metadata.usage.cost, 0.000145)
})

both('tools and their results', async back => {
  const model = make(`tools-${back}`).bindTools(helpers)
  const a = await model.invoke('hi')
  assert.deepEqual(a.tool_calls.map(c => [c.name, c.args]), [['tool0', { n: 0 }], ['tool1', { n: 1 }]])
  const results = await Promise.all(a.tool_calls.map((c, i) => helpers[i].invoke(c)))
  assert.ok(results.every(r => r instanceof ToolMessage))
  await make(`plain-${back}`).bindTools(helpers).invoke([new HumanMessage('hi'), a, ...results])
  const body = await asked()
  for (const word of ['r0', 'r1', ...a.tool_calls.map(c => c.id)]) assert.ok(body.includes(word), word)
})

both('tools streamed', async back => {
  const a = await concat(await make(`tools-${back}`).bindTools(helpers).stream('hi'))
  assert.deepEqual(a.tool_calls.map(c => [c.name, c.args]), [['tool0', { n: 0 }], ['tool1', { n: 1 }]])
})

both('structured output', async back => {
  const answer = z.object({ n: z.number().int(), word: z.string() })
  const a = await make(`json-${back}`).withStructuredOutput(answer, { method: 'jsonSchema', name: 'answer' }).invoke('hi')
  assert.deepEqual(a, { n: 7, word: 'seven' })
})

test('embeddings', async () => {
  const model = new OpenAIEmbeddings({ model: 'embed', apiKey: keys.main, configuration: { baseURL: url } })
  assert.deepEqual(Array.from(await model.embedQuery('a')), [0.25, -0.5, 0.125, 1])
  assert.deepEqual((await model.embedDocuments(['a', 'b'])).map(v => Array.from(v)), [[0.25, -0.5, 0.125, 1], [0.25, -0.5, 0.125, 1]])
})

test('permanent errors', async () => {
  for (const [model, key, status] of [['plain-oai', 'unknown', 401], ['plain-oai', 'poor', 402], ['plain-ant', 'poor', 402],
    ['no-such-model', 'main', 404], ['refused-oai', 'main', 400], ['refused-ant', 'main', 400]]) {
    const begun = Date.now()
    assert.equal((await failure(make(model, {}, key).invoke('hi'))).status, status)
    assert.ok(Date.now() - begun < 2000)
  }
})

for (const [name, status] of [['limited', 429], ['busy', 529]]) {
  both(`${status} is retried`, async back => {
    await reset()
    assert.equal((await make(`${name}-${back}`).invoke('hi')).usage_metadata.output_tokens, 7)
    assert.deepEqual((await sent()).map(r => r.status), [status, 200])
  })
}

both('a cut stream throws', async back => {
  const e = await failure(concat(await make(`cut-${back}`).stream('hi')))
  assert.equal(e.code, 'upstream_error')
})

both('a time-out', async back => {
  const begun = Date.now()
  const e = await failure(make(`late-${back}`, { timeout: 1000, maxRetries: 0 }).invoke('hi'))
  assert.ok(Date.now() - begun < 3000)
  assert.match(`${e.name} ${e.status}`, /Timeout|504/)
  await until(async () => (await sent()).at(-1).aborted)
})

both('a cancelled stream', async back => {
  const stop = new AbortController()
  let got = 0
  await failure((async () => {
    for await (const chunk of await make(`slow-${back}`).stream('hi', { signal: stop.signal })) {
      got += chunk.text ? 1 : 0
      if (got === 10) stop.abort()
    }
  })())
  await until(async () => (await sent()).at(-1).aborted)
  assert.ok((await sent()).at(-1).output < 60)
})

await runAll()
