/** Producers and readers of streams over HTTP, who keep on asking, and a record of all that they were told. */
import { Effect } from "effect"
import { parseOffset } from "../../messages/stream.ts"
import { type Content, type Op, tailFaults } from "../sim/tails.ts"
import { Listener } from "./streams-listener.ts"

export interface LoadOptions {
  /** Where to ask: each request goes to the next one. */
  readonly urls: ReadonlyArray<string>
  readonly streams: number
  /** Of each stream. */
  readonly producers: number
  readonly readers: number
}

export interface StreamVerdict {
  readonly acknowledged: number
  readonly found: number
  readonly duplicates: number
  readonly tailReads: number
  /** How long a stream took no append around a harm. */
  readonly gapMsP50: number
  readonly gapMsP99: number
  readonly gapMsMax: number
  readonly faults: ReadonlyArray<string>
}

export interface StreamLoad {
  /** Whether in every stream an append was acknowledged that began after this moment. */
  readonly allSince: (at: number) => boolean
  /** Lets everybody finish, reads everything back, and judges; the gaps are those around these moments. */
  readonly finish: (harms: ReadonlyArray<number>) => Effect.Effect<StreamVerdict>
}

const timeoutMs = 4_000
const pauseMs = 20
const healMs = 30_000

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

class Recorder {
  isOver = false
  readonly ops: Array<Array<Op>>
  private turn = 0
  private readonly options: LoadOptions

  constructor(options: LoadOptions) {
    this.options = options
    this.ops = Array.from({ length: options.streams }, () => [])
  }

  path(stream: number): string {
    return `/ds/load/s${stream}`
  }

  async ask(stream: number, init: RequestInit, query = ""): Promise<Response | undefined> {
    const url = this.options.urls[this.turn++ % this.options.urls.length]
    try {
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await fetch(`${url}${this.path(stream)}${query}`, { ...init, signal })
      // The body has to be taken for the connection to be free again; the whole answer counts, or nothing of it.
      const body = await response.bytes()
      return new Response(response.status === 204 || response.status === 304 ? null : body, response)
    } catch {
      // Killed, frozen or too slow: whoever asked asks again.
      return undefined
    }
  }

  /** Until it is answered as it should be. */
  async insist(stream: number, init: RequestInit, isGood: (response: Response) => boolean): Promise<Response> {
    for (const end = performance.now() + healMs; performance.now() < end; await sleep(pauseMs)) {
      const response = await this.ask(stream, init)
      if (response !== undefined && isGood(response)) return response
    }
    throw new Error(`no answer for ${healMs} ms`)
  }

  async produce(stream: number, id: string): Promise<void> {
    for (let seq = 0; !this.isOver; seq++) {
      const mark = `${id}:${seq}`
      const headers = {
        "content-type": "text/plain",
        "producer-id": id,
        "producer-epoch": "0",
        "producer-seq": String(seq)
      }
      const start = performance.now()
      const init = { method: "POST", headers, body: `${mark};` }
      const answer = await this.insist(stream, init, ({ status }) => status === 200 || status === 204)
      const tail = parseOffset(answer.headers.get("stream-next-offset") ?? "")
      this.ops[stream]?.push({ who: id, kind: "append", mark, start, end: performance.now(), tail })
    }
  }

  /** By HEAD, by a read of what is to come, or by a read from the start. */
  async read(stream: number, id: string): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      const start = performance.now()
      const isHead = turn % 2 === 0
      const response = await this.ask(stream, { method: isHead ? "HEAD" : "GET" }, isHead ? "" : "?offset=now")
      const end = performance.now()
      const tail = parseOffset(response?.headers.get("stream-next-offset") ?? "")
      if (response?.status === 200) this.ops[stream]?.push({ who: id, kind: "tail", start, end, tail })
      await sleep(5)
    }
  }

  async content(stream: number): Promise<ReadonlyArray<Content>> {
    const text = await (
      await this.insist(stream, {}, ({ status, headers }) => status === 200 && headers.has("stream-up-to-date"))
    ).text()
    let end = 0
    return text
      .split(";")
      .slice(0, -1)
      .map((mark) => {
        end += mark.length + 1
        return { mark, end }
      })
  }
}

/** From each harm to the next: the longest time in which nobody was told of an append to the stream. */
const gapsOf = (ops: ReadonlyArray<Op>, harms: ReadonlyArray<number>): Array<number> => {
  const told = ops.flatMap(({ kind, end }) => (kind === "append" ? [end] : [])).sort((a, b) => a - b)
  return harms.map((at, index) => {
    let longest = 0
    let before = at
    for (const end of told) {
      if (end <= at) continue
      longest = Math.max(longest, end - before)
      before = end
      if (end > (harms[index + 1] ?? Number.POSITIVE_INFINITY)) break
    }
    return longest
  })
}

/** Everything, in its order, and nothing twice; the last of it may take a moment. */
const judgeListener = async (listener: Listener, content: ReadonlyArray<Content>): Promise<ReadonlyArray<string>> => {
  const whole = content.map(({ mark }) => `${mark};`).join("")
  for (const end = performance.now() + healMs; performance.now() < end && listener.heard.text !== whole; )
    await sleep(20)
  const { text } = listener.heard
  await listener.stop()
  if (text === whole) return []
  let at = 0
  while (at < text.length && text[at] === whole[at]) at += 1
  const other = `${JSON.stringify(text.slice(at, at + 60))}, not ${JSON.stringify(whole.slice(at, at + 60))}`
  return [`a listener heard ${text.length} bytes of ${whole.length}; at ${at} ${other}`]
}

const judge = async (
  recorder: Recorder,
  listeners: ReadonlyArray<Listener>,
  harms: ReadonlyArray<number>
): Promise<StreamVerdict> => {
  const told = { acknowledged: 0, found: 0, duplicates: 0, tailReads: 0 }
  const gaps: Array<number> = []
  const faults: Array<string> = []
  for (const [stream, ops] of recorder.ops.entries()) {
    const content = await recorder.content(stream)
    const marks = new Set(content.map(({ mark }) => mark))
    const acknowledged = ops.filter(({ kind }) => kind === "append")
    told.acknowledged += acknowledged.length
    told.found += acknowledged.filter(({ mark }) => marks.has(mark ?? "")).length
    told.duplicates += content.length - marks.size
    told.tailReads += ops.length - acknowledged.length
    faults.push(...tailFaults(ops, content), ...(await judgeListener(listeners[stream] as Listener, content)))
    gaps.push(...gapsOf(ops, harms))
  }
  gaps.sort((a, b) => a - b)
  const at = (share: number) => Math.round(gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))] ?? 0)
  return { ...told, gapMsP50: at(0.5), gapMsP99: at(0.99), gapMsMax: at(1), faults: faults.slice(0, 20) }
}

export const streamLoad = (options: LoadOptions): Effect.Effect<StreamLoad> =>
  Effect.promise(async () => {
    const recorder = new Recorder(options)
    const each = Array.from({ length: options.streams }, (_, stream) => stream)
    const make = { method: "PUT", headers: { "content-type": "text/plain" } }
    for (const stream of each) await recorder.insist(stream, make, ({ status }) => status === 201 || status === 200)
    const listeners = each.map((stream) => new Listener(options.urls, recorder.path(stream), stream))
    const running = each.flatMap((stream) => [
      ...Array.from({ length: options.producers }, (_, n) => recorder.produce(stream, `w${stream}-${n}`)),
      ...Array.from({ length: options.readers }, (_, n) => recorder.read(stream, `r${stream}-${n}`))
    ])
    return {
      allSince: (at) => recorder.ops.every((ops) => ops.some(({ kind, start }) => kind === "append" && start > at)),
      finish: (harms) =>
        Effect.promise(async () => {
          recorder.isOver = true
          await Promise.all(running)
          return judge(recorder, listeners, harms)
        })
    }
  })
