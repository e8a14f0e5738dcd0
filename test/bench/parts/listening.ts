/** Event streams in figures: an append every now and then, and when each of those who listen has it. */
import { performance } from "node:perf_hooks"
import type { Target } from "../streams.ts"
import { heard, Lane } from "./lane.ts"
import { cpuOf, quantile, round } from "./measure.ts"

/** Events that come before those that count. */
const warmEvents = 10
/** How long an event is waited for, and how long nothing happens between two. */
const patienceMs = 2_000
const pauseMs = 20
const lanesOfHistory = 100

const type = "text/plain"
const body = "x".repeat(256)

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A stream of its own, with as many records as are wanted. */
const streamOf = async ({ url, under = "/v1/stream/" }: Target, history: number, name: string): Promise<string> => {
  const path = `${under}${name}-${process.pid}`
  await (await fetch(`${url}${path}`, { method: "PUT", headers: { "content-type": type } })).text()
  let left = history
  const lanes = Array.from({ length: Math.min(lanesOfHistory, history) }, () => new Lane(url))
  const write = async (lane: Lane): Promise<void> => {
    const request = lane.post(path, type, body)
    while (left-- > 0) await lane.send(request)
  }
  await Promise.all(lanes.map(write))
  for (const lane of lanes) lane.close()
  return path
}

/**
 * What server and client work for one append is told beside it: a subscriber waits for both, and the client's part is
 * the same for every server.
 */
export const eventStreams = async (target: Target, subscribers: number, history: number, count: number) => {
  const { name, url, pid } = target
  const path = await streamOf(target, history, `listening-${subscribers}-${history}`)
  const times: Array<number> = []
  let sentAt = 0
  let got = 0
  const closers: Array<() => void> = []
  for (let index = 0; index < subscribers; index++) {
    const close = await heard(url, `${path}?offset=now&live=sse`, (part) => {
      if (!part.includes("event: data")) return
      times.push(performance.now() - sentAt)
      got += 1
    })
    closers.push(close)
  }
  await sleep(300)
  const lane = new Lane(url)
  const request = lane.post(path, type, body)
  let cpu = 0
  let own = process.cpuUsage()
  for (let index = 0; index < warmEvents + count; index++) {
    if (index === warmEvents) {
      times.length = 0
      cpu = cpuOf(pid)
      own = process.cpuUsage()
    }
    got = 0
    sentAt = performance.now()
    await lane.send(request)
    for (let waited = 0; got < subscribers && waited < patienceMs; waited += 5) await sleep(5)
    await sleep(pauseMs)
  }
  const serverMs = round((cpuOf(pid) - cpu) / 1000 / count)
  const { user, system } = process.cpuUsage(own)
  for (const close of closers) close()
  lane.close()
  times.sort((a, b) => a - b)
  const row = {
    p50: round(quantile(times, 0.5)),
    p99: round(quantile(times, 0.99)),
    serverMs,
    clientMs: round((user + system) / 1000 / count),
    missed: subscribers * count - times.length
  }
  console.log(JSON.stringify({ bench: "event streams", subscribers, history, server: name, ...row }))
  return row
}
