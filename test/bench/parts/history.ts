/** Catch-up reads in figures: the whole of a stream, by many readers at once, whatever its history is made of. */
import { performance } from "node:perf_hooks"
import type { Target } from "../streams.ts"
import { Lane } from "./lane.ts"

/** A history of 10 MB, and how it comes to be. */
interface History {
  readonly name: string
  readonly type: string
  readonly body: string | Buffer
  readonly count: number
}

const record = JSON.stringify({ text: "x".repeat(244) })
const histories: ReadonlyArray<History> = [
  { name: "256 B", type: "text/plain", body: "x".repeat(256), count: 40_000 },
  { name: "JSON of 256 B", type: "application/json", body: `[${Array(256).fill(record).join(",")}]`, count: 156 },
  { name: "64 KiB", type: "application/octet-stream", body: Buffer.alloc(64 * 1024, 7), count: 160 }
]

/** The whole of a history, by so many readers at once, so often. */
const catchUp = async (
  { name, url, under = "/v1/stream/" }: Target,
  history: History,
  readers: number,
  rounds: number
) => {
  const path = `${under}history-${process.pid}-${history.count}`
  const made = await fetch(`${url}${path}`, { method: "PUT", headers: { "content-type": history.type } })
  await made.text()
  const lanes = Array.from({ length: readers }, () => new Lane(url))
  let left = history.count
  const write = async (lane: Lane): Promise<void> => {
    const request = lane.post(path, history.type, history.body)
    while (left-- > 0) await lane.send(request)
  }
  await Promise.all(lanes.map(write))
  let bytes = 0
  const read = async (lane: Lane): Promise<void> => {
    for (let offset = "-1"; ; ) {
      const { status, head, bodyBytes } = await lane.send(lane.get(`${path}?offset=${offset}`))
      if (status !== 200) throw new Error(`a read was answered with ${status}`)
      bytes += bodyBytes
      offset = /\r\nstream-next-offset: *(\S+)/i.exec(head)?.[1] ?? ""
      if (/\r\nstream-up-to-date: *true/i.test(head)) return
    }
  }
  await Promise.all(lanes.map(read))
  const whole = bytes / readers
  bytes = 0
  const from = performance.now()
  for (let index = 0; index < rounds; index++) await Promise.all(lanes.map(read))
  const seconds = (performance.now() - from) / 1000
  for (const lane of lanes) lane.close()
  if (bytes !== readers * rounds * whole || whole < 9e6) throw new Error(`${bytes} bytes were read`)
  const perSecond = Number((bytes / 1e6 / seconds).toPrecision(4))
  const row = { bench: "catch-up of 10 MB", of: history.name, readers, server: name }
  console.log(JSON.stringify({ ...row, megabytesPerSecond: perSecond }))
  return { of: history.name, perSecond }
}

/** All of them, or those that take few appends to make. */
export const catchUps = async (target: Target, isQuick: boolean, readers: number, rounds: number) => {
  const rows: Array<Awaited<ReturnType<typeof catchUp>>> = []
  for (const history of histories)
    if (isQuick || history.count < 1000) rows.push(await catchUp(target, history, readers, rounds))
  return rows
}
