// Runs tests one after the other and reports each to run_js.py. What the gateway and the simulator saw can be asked for.
import { execFile } from 'node:child_process'
import { writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const facts = JSON.parse(process.env.AIGW_TEST)
const out = Number(process.env.AIGW_TEST_FD)
const tests = []

export const { url, keys, backs } = facts
export const hi = [{ role: 'user', content: 'hi' }]
export const schema = {
  type: 'object',
  properties: { n: { type: 'integer' }, word: { type: 'string' } },
  required: ['n', 'word'],
  additionalProperties: false,
}
export const tools = [0, 1].map(i => ({
  type: 'function',
  function: { name: `tool${i}`, parameters: { type: 'object', properties: { n: { type: 'integer' } } } },
}))

export function test(name, run) {
  tests.push([name, run])
}

// One test for each back: run('oai'), run('ant').
export function both(name, run) {
  for (const back of backs) test(`${name} ${back}`, () => run(back))
}

export async function runAll() {
  for (const [name, run] of tests) {
    let error = ''
    try {
      await run()
    } catch (e) {
      error = String(e?.stack ?? e)
    }
    writeSync(out, JSON.stringify({ name, error }) + '\n')
  }
  process.exit(0)
}

export async function until(what, seconds = 10) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const value = await what()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`)
    await sleep(20)
  }
}

// The simulator's requests since its last reset, and what it was asked last.
export async function sent() {
  return (await (await fetch(`${facts.sim}/sim/requests`)).json()).log
}
export async function asked() {
  return (await (await fetch(`${facts.sim}/sim/last`)).json()).split('\n\n').slice(1).join('\n\n')
}
export async function reset() {
  await fetch(`${facts.sim}/sim/reset`, { method: 'POST' })
}

// The ledger's record of a request, once it is there.
export function record(id) {
  return until(async () => {
    try {
      const words = ['--socket', facts.socket, 'request', 'show', id, '--json']
      return JSON.parse((await promisify(execFile)(facts.ctl, words)).stdout)
    } catch (e) {
      if (e.code === 4) return null // not there yet
      throw e
    }
  })
}

// The access lines of these requests, once all are written.
export function logged(ids) {
  const wanted = new Set(ids)
  return until(async () => {
    const lines = (await readFile(facts.log, 'utf8')).split('\n').filter(line => line.startsWith('{') && line.endsWith('}'))
    const found = lines.map(line => JSON.parse(line)).filter(e => e.event === 'request' && wanted.has(e.request_id))
    return found.length === wanted.size && found
  })
}

// What the promise fails with; an error when it does not.
export async function failure(promise) {
  try {
    await promise
  } catch (e) {
    return e
  }
  throw new Error('it did not fail')
}
