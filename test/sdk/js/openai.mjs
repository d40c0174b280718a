// The official OpenAI library for JavaScript.
import assert from 'node:assert/strict'
import OpenAI, { AzureOpenAI } from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { asked, backs, both, failure, hi, keys, logged, record, reset, runAll, sent, test, tools, until, url } from './harness.mjs'

const CLOSED_AT_DONE = 1000
const UPLOADS = 10
const AT_ONCE = 16

const make = (key = 'main', options = {}) => new OpenAI({ baseURL: url, apiKey: keys[key], ...options })
const client = make()
const create = (model, fields = {}, by = client) => by.chat.completions.create({ model, messages: hi, ...fields })

async function all(stream) {
  const got = []
  for await (const chunk of stream) got.push(chunk)
  return got
}

both('whole', async back => {
  const { data, response, request_id: id } = await create(`plain-${back}`).withResponse()
  assert.equal(data.choices[0].message.content.trim().split(' ').length, 7)
  assert.equal(data.choices[0].finish_reason, 'stop')
  assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens, data.usage.total_tokens], [131, 7, 138])
  const kept = await record(id)
  assert.equal(kept.charge_usd, Number(response.headers.get('x-aigw-cost-usd')))
  assert.equal(kept.charge_usd, data.usage.cost)
  assert.equal(kept.end, 'done')
})

both('stream, usage asked', async back => {
  const chunks = await all(await create(`plain-${back}`, { stream: true, stream_options: { include_usage: true } }))
  const last = chunks.pop()
  assert.deepEqual([last.choices, last.usage.completion_tokens], [[], 7])
  assert.ok(chunks.every(c => !c.usage && c.choices.length === 1))
  assert.deepEqual(chunks.map(c => c.choices[0].finish_reason).filter(Boolean), ['stop'])
})

both('stream, usage not asked', async back => {
  const chunks = await all(await create(`plain-${back}`, { stream: true }))
  assert.ok(chunks.every(c => c.choices.length === 1 && c.choices[0].delta))
  assert.deepEqual(chunks.filter(c => c.usage).map(c => c.usage.total_tokens), [138])
})

both('stream helper accumulates tools', async back => {
  const runner = client.chat.completions.stream({ model: `tools-${back}`, messages: hi, tools })
  const final = await runner.finalChatCompletion()
  assert.deepEqual(final.choices[0].message.tool_calls.map(c => [c.function.name, c.function.arguments]),
    [['tool0', '{"n":0}'], ['tool1', '{"n":1}']])
  assert.equal(final.choices[0].finish_reason, 'tool_calls')
  assert.equal((await runner.totalUsage()).prompt_tokens, 50)
})

both('tools and their results', async back => {
  const { message, finish_reason: reason } = (await create(`tools-${back}`, { tools })).choices[0]
  assert.equal(reason, 'tool_calls')
  assert.deepEqual(message.tool_calls.map(c => JSON.parse(c.function.arguments)), [{ n: 0 }, { n: 1 }])
  const results = message.tool_calls.map((c, i) => ({ role: 'tool', tool_call_id: c.id, content: `r${i}` }))
  await client.chat.completions.create({ model: `plain-${back}`, tools, messages: [...hi, message, ...results] })
  const body = await asked()
  for (const word of ['r0', 'r1', ...message.tool_calls.map(c => c.id)]) assert.ok(body.includes(word), word)
})

both('structured output', async back => {
  const answer = z.object({ n: z.number().int(), word: z.string() })
  const a = await client.chat.completions.parse({ model: `json-${back}`, messages: hi, response_format: zodResponseFormat(answer, 'answer') })
  assert.deepEqual(a.choices[0].message.parsed, { n: 7, word: 'seven' })
})

test('embeddings', async () => {
  const want = [0.25, -0.5, 0.125, 1]
  const unsaid = await client.embeddings.create({ model: 'embed', input: ['a', 'b'] }) // asks for base64 and decodes
  assert.deepEqual(unsaid.data.map(d => Array.from(d.embedding)), [want, want])
  const numbers = await client.embeddings.create({ model: 'embed', input: 'a', encoding_format: 'float' })
  assert.deepEqual(numbers.data[0].embedding, want)
  const text = await client.embeddings.create({ model: 'embed', input: 'a', encoding_format: 'base64' })
  assert.deepEqual(Array.from(new Float32Array(Uint8Array.from(Buffer.from(text.data[0].embedding, 'base64')).buffer)), want)
})

test('models', async () => {
  const names = (await all(client.models.list())).map(m => m.id)
  assert.deepEqual(names, [...names].sort())
  assert.equal((await client.models.retrieve('plain-ant')).object, 'model')
})

async function refusal(kind, status, code, model, key = 'main') {
  const begun = Date.now()
  const e = await failure(create(model, {}, make(key)))
  assert.ok(e instanceof kind, e)
  assert.deepEqual([e.status, e.code, e.headers.get('x-should-retry')], [status, code, 'false'])
  assert.match(e.requestID, /^gen_/)
  assert.ok(Date.now() - begun < 5000)
  return e
}

test('permanent errors', async () => {
  await refusal(OpenAI.AuthenticationError, 401, 'invalid_api_key', 'plain-oai', 'unknown')
  await refusal(OpenAI.NotFoundError, 404, 'model_not_found', 'no-such-model')
})

both('permanent errors', async back => {
  await refusal(OpenAI.APIError, 402, 'insufficient_credit', `plain-${back}`, 'poor')
  const e = await refusal(OpenAI.BadRequestError, 400, 'bad_request', `refused-${back}`)
  assert.ok(e.error.message.startsWith('simulated error 400'))
  await reset()
  await refusal(OpenAI.InternalServerError, 502, 'upstream_error', `twice-${back}`)
  assert.deepEqual((await sent()).map(r => r.status), [500, 500])
})

for (const [key, megabytes, status] of [['unknown', 12, 401], ['poor', 12, 402], ['main', 14, 413]]) {
  test(`a refused upload of ${megabytes} MB, ${status}`, async () => {
    const messages = [{ role: 'user', content: 'word '.repeat(megabytes * 1024 * 1024 / 5) }]
    for (let i = 0; i < UPLOADS; i++) {
      const e = await failure(make(key, { maxRetries: 0 }).chat.completions.create({ model: 'plain-oai', messages }))
      assert.equal(e.status, status, e)
    }
  })
}

test('azure\'s client', async () => {
  const azure = new AzureOpenAI({ endpoint: url.slice(0, -3), apiKey: keys.main, apiVersion: '2024-10-21' })
  assert.equal((await create('plain-ant', {}, azure)).usage.total_tokens, 138)
})

both('a stream beyond its hold ends by length', async back => {
  const chunks = await all(await create(`over-${back}`, { stream: true, max_tokens: 20 }))
  assert.deepEqual(chunks.map(c => c.choices[0].finish_reason).filter(Boolean), ['length'])
  assert.equal(chunks.filter(c => c.usage).length, 1)
  assert.ok(chunks.length < 200)
})

both('idempotency', async back => {
  const keyed = (idem, fields = {}) => client.chat.completions.create({ model: `plain-${back}`, messages: hi, ...fields }, { headers: { 'Idempotency-Key': idem } })
  assert.equal((await keyed(`js-${back}`)).usage.completion_tokens, 7)
  for (const [fields, code] of [[{}, 'idempotency_completed'], [{ seed: 1 }, 'idempotency_mismatch']]) {
    const e = await failure(keyed(`js-${back}`, fields))
    assert.ok(e instanceof OpenAI.UnprocessableEntityError, e)
    assert.equal(e.code, code)
  }
})

test('a day\'s limit is not retried', async () => {
  await create('plain-oai', {}, make('day'))
  const e = await refusal(OpenAI.RateLimitError, 429, 'rate_limit_exceeded', 'plain-oai', 'day')
  assert.ok(Number(e.headers.get('retry-after')) > 60)
})

for (const [name, status] of [['limited', 429], ['busy', 529]]) {
  both(`${status} is retried after the wait`, async back => {
    await reset()
    const begun = Date.now()
    assert.equal((await create(`${name}-${back}`)).usage.completion_tokens, 7)
    const took = Date.now() - begun
    assert.ok(took >= 900 && took < 4000, took)
    assert.deepEqual((await sent()).map(r => r.status), [status, 200])
  })
}

both('a cut stream throws', async back => {
  const got = []
  const e = await failure((async () => {
    for await (const chunk of await create(`cut-${back}`, { stream: true })) got.push(chunk)
  })())
  assert.equal(got.filter(c => c.choices[0].delta.content).length, 4)
  assert.ok(e instanceof OpenAI.APIError, e)
  assert.equal(e.code, 'upstream_error')
})

both('a time-out that is announced is ended by the gateway', async back => {
  const begun = Date.now()
  // The library tells the time-out of a request, not that of a client.
  const e = await failure(client.chat.completions.create({ model: `late-${back}`, messages: hi }, { timeout: 4000 }))
  const took = Date.now() - begun
  assert.ok(took > 1500 && took < 3500, took)
  assert.deepEqual([e.status, e.code], [504, 'upstream_timeout'])
})

both('a time-out that is not announced', async back => {
  await reset()
  const e = await failure(create(`late-${back}`, {}, make('main', { timeout: 500, maxRetries: 1 })))
  assert.ok(e instanceof OpenAI.APIConnectionTimeoutError, e)
  await until(async () => (await sent()).filter(r => r.aborted).length === 2)
})

both('a client that stops waiting', async back => {
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 500)
  const e = await failure(client.chat.completions.create({ model: `late-${back}`, messages: hi }, { signal: stop.signal }))
  assert.ok(e instanceof OpenAI.APIUserAbortError, e)
  await until(async () => (await sent()).at(-1).aborted)
})

both('a cancelled stream', async back => {
  const { data: stream, request_id: id } = await create(`slow-${back}`, { stream: true }).withResponse()
  let got = 0
  for await (const chunk of stream) {
    got += chunk.choices[0].delta.content ? 1 : 0
    if (got === 10) break // the library aborts the request
  }
  await until(async () => (await sent()).at(-1).aborted)
  const kept = await record(id)
  assert.deepEqual([kept.end, kept.estimated], ['client_gone', true])
  assert.ok(kept.output >= 10 && kept.output <= (await sent()).at(-1).output && kept.output < 60, kept.output)
  assert.ok(kept.charge_usd > 0)
})

test(`closed at [DONE], ${CLOSED_AT_DONE} of ${CLOSED_AT_DONE}`, async () => {
  const before = (await credits()).total_usage
  const ids = []
  let next = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < CLOSED_AT_DONE) ids.push(await closeAtDone(backs[next++ % backs.length]))
  }))
  assert.deepEqual([...new Set((await logged(ids)).map(e => `${e.end} ${e.tokens_in} ${e.tokens_out} ${e.usage_estimated}`))],
    ['done 131 7 false'])
  const charge = 131 * 1000 + 7 * 2000
  await until(async () => Math.round(((await credits()).total_usage - before) * 1e9) === CLOSED_AT_DONE * charge)
})

async function credits() {
  const a = await fetch(`${url}/credits`, { headers: { authorization: `Bearer ${keys.main}` } })
  return (await a.json()).data
}

// Reads the stream as a library does that is content with [DONE], then drops the connection.
async function closeAtDone(back) {
  const stop = new AbortController()
  const a = await client.chat.completions.create({ model: `plain-${back}`, messages: hi, stream: true }, { signal: stop.signal }).asResponse()
  let text = ''
  for await (const part of a.body) {
    text += Buffer.from(part).toString()
    if (text.includes('data: [DONE]')) break
  }
  stop.abort()
  assert.ok(text.includes('"completion_tokens":7'))
  return a.headers.get('x-request-id')
}

await runAll()
