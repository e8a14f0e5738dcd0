/** JSON messages in figures that are sent many to a request: what a producer does that gathers before it sends. */
import { performance } from "node:perf_hooks"
import type { Target } from "../streams.ts"
import { Lane } from "./lane.ts"

const messagesEach = 100
const body = `[${Array(messagesEach)
  .fill(JSON.stringify({ text: "x".repeat(244) }))
  .join(",")}]`

/** So many lanes, each with one request of a hundred messages under way at a time, for so long. */
export const batches = async (target: Target, lanes: number, ms: number) => {
  const { name, url, under = "/v1/stream/" } = target
  const path = `${under}batches-${process.pid}`
  const made = await fetch(`${url}${path}`, { method: "PUT", headers: { "content-type": "application/json" } })
  await made.text()
  const open = Array.from({ length: lanes }, () => new Lane(url))
  let messages = 0
  let wrong = 0
  const run = async (lane: Lane, until: number): Promise<void> => {
    const request = lane.post(path, "application/json", body)
    while (performance.now() < until) {
      const { status } = await lane.send(request)
      if (status === 200 || status === 204) messages += messagesEach
      else wrong += 1
    }
  }
  const all = (until: number) => Promise.all(open.map((lane) => run(lane, until)))
  await all(performance.now() + ms / 2)
  messages = 0
  const from = performance.now()
  await all(from + ms)
  const perSecond = Number(((messages / (performance.now() - from)) * 1000).toPrecision(4))
  for (const lane of open) lane.close()
  console.log(JSON.stringify({ bench: "JSON messages of 256 B by hundreds", lanes, server: name, perSecond, wrong }))
  return { perSecond }
}
