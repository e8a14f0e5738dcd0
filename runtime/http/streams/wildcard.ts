/** The tail of all streams below a prefix in one response: event streams and long-polls with an offset for each. */
import { deflateRawSync, inflateRawSync } from "node:zlib"
import { Clock, Effect, Option, Schema } from "effect"
import { offsetText, parseOffset } from "../../../messages/stream.ts"
import type { StreamInfo } from "../../../messages/stream-partition.ts"
import { Signal } from "../../actor/signal.ts"
import { isSheet, type Opened, open, type Sheet } from "../../streams/open.ts"
import { codingOf } from "./frames.ts"
import { head, refuse, reply, sayJson } from "./reply.ts"
import { isAtEnd } from "./sheet.ts"
import type { Asked, Surface } from "./surface.ts"

/** All offsets stand in one URL, of which servers and proxies take so much. */
const tokenBytesMax = 8 * 1024
const streamsMax = 1_000
/** What is read of one stream before the next one has its turn, and what one long-poll carries. */
const turnBytesMax = 256 * 1024
const pollBytesMax = 1024 * 1024
/** How often the streams are listed anew: what news did not tell is found then. */
const listEveryMs = 5_000
/** What may wait in a connection before no more is read for it. */
const pendingBytesMax = 1024 * 1024

const Vector = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Natural))
const decodeVector = Schema.decodeUnknownOption(Vector)

/** Offsets by the streams' names within the bucket. */
type Offsets = ReadonlyMap<string, number>

export const tokenOf = (offsets: Offsets): string =>
  deflateRawSync(JSON.stringify(Object.fromEntries(offsets))).toString("base64url")

export const readToken = (token: string): Offsets | undefined => {
  if (token.length > tokenBytesMax || !/^[\w-]+$/.test(token)) return undefined
  try {
    const text = inflateRawSync(Buffer.from(token, "base64url"), { maxOutputLength: 1024 * 1024 }).toString()
    const vector = Option.getOrUndefined(decodeVector(text))
    return vector === undefined ? undefined : new Map(Object.entries(vector))
  } catch {
    // It is none of ours.
    return undefined
  }
}

interface Begin {
  readonly bucket: string
  readonly prefix: string
  readonly isSse: boolean
  /** What is not in it begins at its start, or where it is now. */
  readonly offsets: Offsets
  readonly isNow: boolean
}

export const wildcard = (surface: Surface, asked: Asked, bucket: string): void => {
  const { exchange } = asked
  const { searchParams } = exchange.url
  const live = searchParams.get("live")
  if (live !== "sse" && live !== "long-poll") return refuse(exchange, 400, "live is long-poll or sse")
  const given = searchParams.get("offset") ?? "-1"
  const offsets = given === "-1" || given === "now" ? new Map<string, number>() : readToken(given)
  if (offsets === undefined) return refuse(exchange, 400, "offset is -1, now, or one that was returned")
  const prefix = searchParams.get("prefix") ?? ""
  const begin = { bucket, prefix, isSse: live === "sse", offsets, isNow: given === "now" }
  asked.run(tailing(surface, asked, begin))
}

/** One range of one stream, as it is told. */
interface Told {
  readonly stream: string
  readonly content_type: string
  readonly offset: string
  readonly next_offset: string
  readonly json?: unknown
  readonly text?: string
  readonly base64?: string
  readonly closed?: true
}

class Tail {
  readonly offsets: Map<string, number>
  /** Streams that may have more than was sent. */
  readonly dirty = new Set<string>()
  readonly signal = new Signal()
  readonly begin: Begin
  private readonly start: string
  private listed = 0

  constructor(begin: Begin) {
    this.begin = begin
    this.offsets = new Map(begin.offsets)
    this.start = `${begin.bucket}/${begin.prefix}`
  }

  hear(key: string): void {
    if (!key.startsWith(this.start)) return
    this.dirty.add(this.nameOf(key))
    this.signal.set()
  }

  /** What there is. Only the first time, `now` may be where a stream begins. */
  found(infos: ReadonlyArray<StreamInfo>): void {
    for (const { stream: key, tail, floor } of infos) {
      const name = this.nameOf(key)
      if (!this.offsets.has(name)) this.offsets.set(name, this.begin.isNow && this.listed === 0 ? tail : floor)
      if ((this.offsets.get(name) ?? 0) < tail) this.dirty.add(name)
    }
    this.listed += 1
  }

  keyOf(name: string): string {
    return `${this.begin.bucket}/${name}`
  }

  private nameOf(key: string): string {
    return key.slice(this.begin.bucket.length + 1)
  }

  get listing() {
    return { _tag: "ListStreams" as const, prefix: this.start, limit: streamsMax }
  }
}

const isTold = (outcome: object): outcome is { readonly ok: { readonly streams: ReadonlyArray<StreamInfo> } } =>
  "ok" in outcome

/** Lists what there is. Says what is wrong when it cannot be followed so. */
const list = Effect.fnUntraced(function* ({ partitions }: Surface, tail: Tail) {
  partitions.replicas?.needAll()
  const infos: Array<StreamInfo> = []
  for (const partition of partitions.ids.keys()) {
    const outcome = yield* partitions.asked(partition, tail.listing, "node")
    if (!isTold(outcome)) return "a partition is moving"
    infos.push(...outcome.ok.streams)
  }
  tail.found(infos)
  const isTooMuch = infos.length >= streamsMax || tokenOf(tail.offsets).length > tokenBytesMax
  return isTooMuch ? "too many streams begin so: say a longer prefix" : undefined
})

const opened = ({ partitions }: Surface, key: string, from: number): Effect.Effect<Opened> =>
  Effect.callback((resume) =>
    open(partitions, key, { from, bytesMax: turnBytesMax }, (sheet) => resume(Effect.succeed(sheet)))
  )

const committed = ({ partitions }: Surface, { here }: Sheet): Effect.Effect<boolean> =>
  here === undefined
    ? Effect.succeed(true)
    : Effect.callback((resume) => partitions.settled(here, (isSettled) => resume(Effect.succeed(isSettled))))

/** The next range of a stream that may have one. */
const next = Effect.fnUntraced(function* (surface: Surface, tail: Tail, name: string) {
  tail.dirty.delete(name)
  const from = tail.offsets.get(name) ?? 0
  const sheet = yield* opened(surface, tail.keyOf(name), from)
  if (!isSheet(sheet)) {
    if ("absent" in sheet) tail.offsets.delete(name)
    if ("floor" in sheet) {
      tail.offsets.set(name, sheet.floor)
      tail.dirty.add(name)
    }
    return undefined
  }
  const isClosed = sheet.closed && isAtEnd(sheet)
  if (sheet.next <= from && !isClosed) return undefined
  if (!(yield* committed(surface, sheet))) {
    tail.dirty.add(name)
    return undefined
  }
  const bytes = Buffer.concat(yield* surface.store.bytesOf(sheet.parts))
  tail.offsets.set(name, sheet.next)
  if (!isAtEnd(sheet)) tail.dirty.add(name)
  return told(name, sheet, bytes)
})

const told = (stream: string, sheet: Sheet, bytes: Buffer): Told => {
  const coding = codingOf(sheet.contentType)
  return {
    ...{ stream, content_type: sheet.contentType },
    ...{ offset: offsetText(sheet.from), next_offset: offsetText(sheet.next) },
    ...(coding === "json" && { json: JSON.parse(`[${bytes.toString("utf8", 0, Math.max(0, bytes.length - 1))}]`) }),
    ...(coding === "text" && { text: bytes.toString() }),
    ...(coding === "base64" && { base64: bytes.toString("base64") }),
    ...(sheet.closed && isAtEnd(sheet) && { closed: true as const })
  }
}

const tailing = Effect.fnUntraced(
  function* (surface: Surface, asked: Asked, begin: Begin) {
    const tail = new Tail(begin)
    yield* Effect.acquireRelease(
      Effect.sync(() => surface.live.watch(({ key }) => tail.hear(key))),
      (stop) => Effect.sync(() => void stop())
    )
    const why = yield* list(surface, tail)
    if (why !== undefined) return refuse(asked.exchange, why.startsWith("too") ? 400 : 503, why)
    yield* begin.isSse ? sendEvents(surface, asked, tail) : poll(surface, asked, tail)
  },
  (tail, _surface, { exchange }) =>
    Effect.scoped(tail).pipe(
      Effect.catch((error) =>
        Effect.sync(() => {
          // Whoever was being sent events comes back with its offsets.
          if (exchange.response.headersSent) exchange.response.end()
          else refuse(exchange, 503, `the object store is away (${error._tag})`, { "retry-after": "1" })
        })
      )
    )
)

/** As much as there is, up to a bound. */
const gather = Effect.fnUntraced(function* (surface: Surface, tail: Tail, bytesMax: number) {
  const ranges: Array<Told> = []
  let bytes = 0
  for (const name of [...tail.dirty]) {
    const range = yield* next(surface, tail, name)
    if (range === undefined) continue
    ranges.push(range)
    bytes += (parseOffset(range.next_offset) ?? 0) - (parseOffset(range.offset) ?? 0)
    if (bytes >= bytesMax) break
  }
  return ranges
})

const poll = Effect.fnUntraced(function* (surface: Surface, { exchange }: Asked, tail: Tail) {
  const end = (yield* Clock.currentTimeMillis) + surface.options.longPollMs
  for (;;) {
    const streams = yield* gather(surface, tail, pollBytesMax)
    const upToDate = tail.dirty.size === 0
    const headers = { "stream-next-offset": tokenOf(tail.offsets), ...(upToDate && { "stream-up-to-date": "true" }) }
    if (streams.length > 0) return sayJson(exchange, 200, { streams }, headers)
    const left = end - (yield* Clock.currentTimeMillis)
    if (left <= 0) return reply(exchange, 204, { ...headers, "cache-control": "no-store" })
    yield* waitForNews(surface, tail, Math.min(left, listEveryMs))
  }
})

/** Until something is heard; when nothing is for long, the streams are listed again. */
const waitForNews = Effect.fnUntraced(function* (surface: Surface, tail: Tail, ms: number) {
  if (tail.dirty.size > 0) return
  const isHeard = yield* Effect.raceFirst(Effect.as(tail.signal.wait, true), Effect.as(Effect.sleep(ms), false))
  if (!isHeard && ms === listEveryMs) yield* list(surface, tail)
})

const control = (tail: Tail): string => {
  const offsets = { streamNextOffset: tokenOf(tail.offsets), ...(tail.dirty.size === 0 && { upToDate: true }) }
  return `event: control\ndata:${JSON.stringify(offsets)}\n\n`
}

const sendEvents = Effect.fnUntraced(function* (surface: Surface, { exchange }: Asked, tail: Tail) {
  const { response } = exchange
  const { sseMs, keepAliveMs } = surface.options
  head(response, 200, { "content-type": "text/event-stream", "cache-control": "no-cache" })
  response.flushHeaders()
  const end = (yield* Clock.currentTimeMillis) + sseMs
  let saidAt = Number.NEGATIVE_INFINITY
  for (;;) {
    const ranges = yield* gather(surface, tail, turnBytesMax)
    const now = yield* Clock.currentTimeMillis
    if (ranges.length > 0 || now - saidAt >= keepAliveMs) {
      const data = ranges.map((range) => `event: data\ndata:${JSON.stringify(range)}\n\n`)
      response.write(`${data.join("")}${control(tail)}`)
      saidAt = now
    }
    if (now >= end) return void response.end()
    if (response.writableLength > pendingBytesMax) yield* drained(response)
    yield* waitForNews(surface, tail, Math.min(end - now, keepAliveMs, listEveryMs))
  }
})

const drained = (response: Asked["exchange"]["response"]): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const isDrained = () => resume(Effect.void)
    response.once("drain", isDrained)
    return Effect.sync(() => void response.off("drain", isDrained))
  })
