// Vercel's `ai` with its OpenAI and its OpenAI-compatible provider.
import assert from 'node:assert/strict'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, embed, generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'
import { asked, both, failure, keys, reset, runAll, sent, test, until, url } from './harness.mjs'

const PROVIDERS = {
  openai: key => {
    const provider = createOpenAI({ baseURL: url, apiKey: keys[key] })
    return { chat: provider.chat, embedding: name => provider.embedding(name) }
  },
  compatible: key => {
    const provider = createOpenAICompatible({ name: 'aigw', baseURL: url, apiKey: keys[key], includeUsage: true, supportsStructuredOutputs: true })
    return { chat: name => provider.chatModel(name), embedding: name => provider.embeddingModel(name) }
  },
}
const tools = Object.fromEntries([0, 1].map(i => [`tool${i}`, tool({
  description: 'a tool', inputSchema: z.object({ n: z.number() }), execute: ({ n }) => `r${n}`,
})]))
const names = Object.keys(PROVIDERS)
const chat = (name, model, key = 'main') => PROVIDERS[name](key).chat(model)
const each = (what, run) => names.forEach(name => both(`${name}: ${what}`, back => run(name, back)))
const quiet = { onError: () => {} }

each('whole', async (name, back) => {
  const a = await generateText({ model: chat(name, `plain-${back}`), prompt: 'hi' })
  assert.equal(a.text.trim().split(' ').length, 7)
  assert.deepEqual([a.usage.inputTokens, a.usage.outputTokens, a.finishReason], [131, 7, 'stop'])
})

each('stream', async (name, back) => {
  const a = streamText({ model: chat(name, `plain-${back}`), prompt: 'hi' })
  let text = ''
  for await (const part of a.textStream) text += part
  const usage = await a.usage
  assert.equal(text.trim().split(' ').length, 7)
  assert.deepEqual([usage.inputTokens, usage.outputTokens, await a.finishReason], [131, 7, 'stop'])
})

both('compatible: stream, usage not asked', async back => {
  const provider = createOpenAICompatible({ name: 'aigw', baseURL: url, apiKey: keys.main })
  const a = streamText({ model: provider.chatModel(`plain-${back}`), prompt: 'hi' })
  assert.equal((await a.text).trim().split(' ').length, 7)
  assert.deepEqual([(await a.usage).outputTokens, await a.finishReason], [7, 'stop'])
})

each('tools', async (name, back) => {
  const a = await generateText({ model: chat(name, `tools-${back}`), prompt: 'hi', tools })
  assert.equal(a.finishReason, 'tool-calls')
  assert.deepEqual(a.toolCalls.map(c => [c.toolName, c.input]), [['tool0', { n: 0 }], ['tool1', { n: 1 }]])
  assert.deepEqual(a.toolResults.map(r => r.output), ['r0', 'r1'])
})

each('tools streamed, results sent back', async (name, back) => {
  const a = streamText({ model: chat(name, `tools-${back}`), prompt: 'hi', tools, stopWhen: stepCountIs(2) })
  await a.consumeStream()
  const [first] = await a.steps
  assert.deepEqual(first.toolCalls.map(c => [c.toolName, c.input]), [['tool0', { n: 0 }], ['tool1', { n: 1 }]])
  const body = await asked()
  for (const word of ['r0', 'r1', ...first.toolCalls.map(c => c.toolCallId)]) assert.ok(body.includes(word), word)
})

each('structured output', async (name, back) => {
  const schema = z.object({ n: z.number().int(), word: z.string() })
  const a = await generateText({ model: chat(name, `json-${back}`), prompt: 'hi', output: Output.object({ schema }) })
  assert.deepEqual(a.output, { n: 7, word: 'seven' })
})

each('reasoning', async (name, back) => {
  const a = streamText({ model: chat(name, `think-${back}`), prompt: 'hi' })
  assert.equal((await a.text).trim().split(' ').length, 3)
  if (name === 'compatible') assert.ok(await a.reasoningText)
})

for (const name of names) {
  test(`${name}: embeddings`, async () => {
    const a = await embed({ model: PROVIDERS[name]('main').embedding('embed'), value: 'a' })
    assert.deepEqual(a.embedding, [0.25, -0.5, 0.125, 1])
    assert.equal(a.usage.tokens, 40)
  })

  test(`${name}: permanent errors`, async () => {
    for (const [model, key, status] of [['plain-oai', 'unknown', 401], ['plain-oai', 'poor', 402], ['plain-ant', 'poor', 402],
      ['no-such-model', 'main', 404], ['refused-oai', 'main', 400], ['refused-ant', 'main', 400]]) {
      const e = await failure(generateText({ model: chat(name, model, key), prompt: 'hi' }))
      assert.deepEqual([e.statusCode, e.isRetryable], [status, false])
      assert.equal(typeof e.data.error.message, 'string')
    }
  })
}

for (const [what, status] of [['limited', 429], ['busy', 529]]) {
  each(`${status} is retried after the wait`, async (name, back) => {
    await reset()
    const begun = Date.now()
    assert.equal((await generateText({ model: chat(name, `${what}-${back}`), prompt: 'hi' })).usage.outputTokens, 7)
    assert.ok(Date.now() - begun >= 900 && Date.now() - begun < 5000)
    assert.deepEqual((await sent()).map(r => r.status), [status, 200])
  })
}

each('a cut stream is an error', async (name, back) => {
  // The library hands out the error item; the connection's end that follows is an error of its own.
  const parts = []
  const e = await failure((async () => {
    for await (const part of streamText({ model: chat(name, `cut-${back}`), prompt: 'hi', ...quiet }).fullStream) parts.push(part)
  })())
  assert.ok(APICallError.isInstance(e), e)
  assert.equal(parts.filter(p => p.type === 'text-delta').length, 4)
  assert.deepEqual(parts.filter(p => p.type === 'error').map(p => p.error.code), ['upstream_error'])
})

each('a cancelled stream', async (name, back) => {
  const stop = new AbortController()
  let got = 0
  const a = streamText({ model: chat(name, `slow-${back}`), prompt: 'hi', abortSignal: stop.signal, ...quiet })
  for await (const part of a.fullStream) {
    got += part.type === 'text-delta' ? 1 : 0
    if (got === 10) stop.abort()
  }
  await until(async () => (await sent()).at(-1).aborted)
  assert.ok((await sent()).at(-1).output < 60)
})

each('a time-out', async (name, back) => {
  const e = await failure(generateText({ model: chat(name, `late-${back}`), prompt: 'hi', abortSignal: AbortSignal.timeout(500), maxRetries: 0 }))
  assert.match(e.name, /Timeout|Abort/)
  await until(async () => (await sent()).at(-1).aborted)
})

await runAll()
