/** Other roads of an append into a stream than one HTTP request for each: what those take who need more of them. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Effect } from "effect"
import type { connection } from "../../../adapters/nats/connection.ts"
import { keyOfPath, partitionIds, partitionKind, partitionOf } from "../../../messages/stream.ts"
import { subjectOf } from "../../../messages/subjects.ts"
import { appends, type Target } from "../streams.ts"
import { Lane } from "./lane.ts"
import { cpuOf } from "./measure.ts"
import { rate } from "./rate.ts"

type Connection = Effect.Success<ReturnType<typeof connection>>

const text = "x".repeat(256)
const framesEach = 64
const round = (value: number): number => Number(value.toPrecision(4))

const made = async ({ url }: Target, name: string): Promise<string> => {
  const path = `/ds/bench/${name}-${process.pid}`
  const { status } = await fetch(`${url}${path}`, { method: "PUT", headers: { "content-type": "text/plain" } })
  if (status !== 201) throw new Error(`a stream was not made: ${status}`)
  return path
}

const told = (bench: string, lanes: number, target: Target, cpu: number, row: Awaited<ReturnType<typeof rate>>) => {
  const { all, ...figures } = row
  console.log(
    JSON.stringify({ bench, lanes, server: target.name, ...figures, cpuUs: round((cpuOf(target.pid) - cpu) / all) })
  )
  return row
}

/** As a request over NATS. */
export const overNats = async (nats: Connection, target: Target, shards: number, lanes: number, ms: number) => {
  const stream = keyOfPath((await made(target, "nats")).slice("/ds/".length))
  const shard = partitionOf(stream, shards)
  const id = partitionIds(shards)[shard] as string
  const subject = subjectOf({ verb: "do", kind: partitionKind, shard, id, caller: "bench", name: "Append" })
  const body = JSON.stringify({ stream, contentType: "text/plain", body: { text } })
  const cpu = cpuOf(target.pid)
  const row = await rate({ lanes, ms }, async () => {
    const answer = (await nats.request(subject, body, { timeout: 10_000 })).string()
    if (!answer.startsWith('{"ok"')) throw new Error(answer)
  })
  return told("append 256 B over NATS", lanes, target, cpu, row)
}

/** Many in one request, each with its own answer. */
export const inBatches = async (target: Target, lanes: number, ms: number) => {
  const path = await made(target, "batch")
  const open = Array.from({ length: lanes }, () => new Lane(target.url))
  const frame = Buffer.alloc(4 + text.length, text)
  frame.writeUInt32BE(text.length)
  const body = Buffer.concat(Array(framesEach).fill(frame))
  const cpu = cpuOf(target.pid)
  const row = await rate({ lanes, ms, each: framesEach }, async (index) => {
    const lane = open[index] as Lane
    const { status } = await lane.send(lane.post(`${path}/append-batch`, "text/plain", body))
    if (status !== 200) throw new Error(`append-batch was answered with ${status}`)
  })
  for (const lane of open) lane.close()
  return told(`append 256 B by append-batch, ${framesEach} each`, lanes, target, cpu, row)
}

/** One for each request, to our HTTP with nothing behind it. */
export const toNothing = async (lanes: number, ms: number) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "nothing.ts")], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string]
  const target = { name: "our HTTP with nothing behind it", url: line.slice("at ".length), pid: child.pid ?? 0 }
  try {
    return await appends({ ...target, stop: async () => {} }, lanes, 1, ms)
  } finally {
    child.kill("SIGTERM")
    await once(child, "exit")
  }
}
