/** What shortens a stream's history and what opens it: snapshots, the retention floor, and a bootstrap of all of it. */
import { createHash, randomBytes } from "node:crypto"
import { Effect } from "effect"
import type { Snapshot } from "../../../actors/stream-partition/state.ts"
import { offsetText, parseOffset } from "../../../messages/stream.ts"
import type { Wire } from "../../../messages/stream-partition.ts"
import { announced } from "../../streams/announced.ts"
import { isSheet, open, type Sheet } from "../../streams/open.ts"
import { unitEnds } from "../../streams/read.ts"
import { head, refuse, refuseOutcome, reply } from "./reply.ts"
import { BadRequest, header, readAll, typeToCreate } from "./request.ts"
import { framed, isAtEnd, refuseOpened, whenCommitted } from "./sheet.ts"
import type { Asked, Handler, Surface } from "./surface.ts"

const storeAway = ({ exchange }: Asked) =>
  Effect.sync(() => refuse(exchange, 503, "the object store is away", { "retry-after": "1" }))

export const putSnapshot = (surface: Surface, asked: Asked, offsetGiven: string): void => {
  const { exchange } = asked
  const offset = parseOffset(offsetGiven)
  if (offset === undefined) return refuse(exchange, 400, `${offsetGiven} is no offset`)
  readAll(exchange.request, (body) => {
    if (body instanceof BadRequest) return refuse(exchange, body.status, body.why)
    asked.run(publishing(surface, asked, { offset, body }))
  })
}

/** What a segment holds only its index knows: whether an append begins there is looked up before it is said. */
const isWithin = Effect.fnUntraced(function* ({ partitions, store }: Surface, key: string, offset: number) {
  const outcome = yield* partitions.asked(partitions.of(key), { _tag: "ReadUnit", stream: key, from: offset }, "node")
  const wire = "ok" in outcome ? (outcome.ok as { readonly wire: Wire }).wire : undefined
  return wire?.segment !== undefined && (yield* store.unitOf(wire, offset)) === undefined
})

const publishing = Effect.fnUntraced(
  function* (surface: Surface, asked: Asked, { offset, body }: { readonly offset: number; readonly body: Buffer }) {
    const { partitions, store } = surface
    const { exchange, key, caller } = asked
    if (yield* isWithin(surface, key, offset)) return refuse(exchange, 409, "no append begins at its offset")
    const contentType = typeToCreate(exchange.request) ?? "application/octet-stream"
    const digest = createHash("sha256").update(`${contentType}\n`).update(body).digest("hex")
    const write = (name: string) => Effect.as(store.putRaw(name, body), name)
    const object = yield* announced(partitions, partitions.of(key), write)
    const ifDigest = header(exchange.request, "stream-snapshot-match")
    const command = {
      ...{ _tag: "PublishSnapshot" as const, stream: key },
      snapshot: { offset, contentType, object, size: body.length, digest },
      ...(ifDigest !== undefined && { ifDigest })
    }
    const outcome = yield* partitions.told(partitions.of(key), command, caller)
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    reply(exchange, 204, { "stream-snapshot-offset": offsetText(offset), "stream-snapshot-digest": digest })
  },
  (publish, _surface, asked) => Effect.catch(publish, () => storeAway(asked))
)

const latest = Effect.fnUntraced(function* ({ partitions }: Surface, { key, caller }: Asked) {
  const outcome = yield* partitions.asked(partitions.of(key), { _tag: "ShowSnapshot", stream: key }, caller)
  return "ok" in outcome ? (outcome.ok as { readonly snapshot: Snapshot }).snapshot : outcome
})

/** Without an offset it is the latest, which is the only one that is kept. */
export const getSnapshot = (surface: Surface, asked: Asked, offsetGiven: string | undefined): void =>
  asked.run(
    Effect.gen(function* () {
      const { exchange } = asked
      const snapshot = yield* latest(surface, asked)
      if (!("object" in snapshot)) return refuseOutcome(exchange, snapshot)
      if (offsetGiven !== undefined && parseOffset(offsetGiven) !== snapshot.offset)
        return refuse(exchange, 404, "there is no snapshot at this offset")
      const bytes = yield* surface.store.get(snapshot.object)
      head(exchange.response, 200, {
        "content-type": snapshot.contentType,
        "content-length": bytes.length,
        "stream-snapshot-offset": offsetText(snapshot.offset),
        "stream-snapshot-digest": snapshot.digest,
        "stream-next-offset": offsetText(snapshot.offset),
        "cache-control": "no-store"
      })
      exchange.response.end(exchange.request.method === "HEAD" ? undefined : bytes)
    }).pipe(Effect.catch(() => storeAway(asked)))
  )

export const retain = (surface: Surface, asked: Asked, offsetGiven: string): void => {
  const { exchange } = asked
  const offset = parseOffset(offsetGiven)
  if (offset === undefined) return refuse(exchange, 400, `${offsetGiven} is no offset`)
  asked.run(retaining(surface, asked, offset))
}

const retaining = Effect.fnUntraced(
  function* (surface: Surface, { exchange, key, caller }: Asked, offset: number) {
    const { partitions } = surface
    if (yield* isWithin(surface, key, offset)) return refuse(exchange, 409, "no append begins at this offset")
    const outcome = yield* partitions.told(partitions.of(key), { _tag: "RetainFrom", stream: key, offset }, caller)
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    const { floor } = outcome.ok as { readonly floor: number }
    reply(exchange, 204, { "stream-retained-offset": offsetText(floor) })
  },
  (retained, _surface, asked) => Effect.catch(retained, () => storeAway(asked))
)

/** The snapshot, and behind it each append that it does not hold: what a reader needs to begin, in one answer. */
export const bootstrap: Handler = (surface, asked) => {
  const { exchange } = asked
  if (exchange.url.searchParams.has("live")) return refuse(exchange, 400, "a bootstrap is no live read: go on from it")
  asked.run(
    Effect.gen(function* () {
      const snapshot = yield* latest(surface, asked)
      const isThere = "object" in snapshot
      if (!isThere && !("refused" in snapshot && snapshot.refused._tag === "NoSnapshot"))
        return refuseOutcome(exchange, snapshot)
      const known = isThere ? { ...snapshot, bytes: yield* surface.store.get(snapshot.object) } : undefined
      open(surface.partitions, asked.key, { from: known?.offset ?? 0 }, (opened) => {
        if (!isSheet(opened)) return refuseOpened(asked, opened)
        whenCommitted(surface, asked, opened, () => asked.run(sendBootstrap(surface, asked, opened, known)))
      })
    }).pipe(Effect.catch(() => storeAway(asked)))
  )
}

type Known = Snapshot & { readonly bytes: Buffer }

const sendBootstrap = (surface: Surface, asked: Asked, sheet: Sheet, snapshot: Known | undefined) =>
  Effect.all([surface.store.bytesOf(sheet.parts), endsOf(surface, sheet)]).pipe(
    Effect.flatMap(([parts, ends]) => Effect.sync(() => sendParts(asked, sheet, { parts, ends, snapshot }))),
    Effect.catch(() => storeAway(asked))
  )

const endsOf = ({ partitions, store }: Surface, sheet: Sheet) =>
  Effect.forEach(unitEnds(partitions, sheet.key, sheet), (mark) => {
    if (typeof mark === "number") return Effect.succeed([mark])
    return mark.segment === undefined ? Effect.succeed([]) : store.cold.endsOf({ ...mark, segment: mark.segment })
  })

interface Whole {
  readonly parts: ReadonlyArray<Buffer>
  readonly ends: ReadonlyArray<ReadonlyArray<number>>
  readonly snapshot: Known | undefined
}

const sendParts = ({ exchange }: Asked, sheet: Sheet, { parts, ends, snapshot }: Whole): void => {
  const boundary = randomBytes(18).toString("hex")
  const body: Array<Buffer> = []
  const add = (type: string, bytes: ReadonlyArray<Buffer>): void => {
    body.push(Buffer.from(`--${boundary}\r\nContent-Type: ${type}\r\n\r\n`), ...bytes, Buffer.from("\r\n"))
  }
  add(snapshot?.contentType ?? "application/octet-stream", snapshot === undefined ? [] : [snapshot.bytes])
  const all = Buffer.concat(parts)
  let at = sheet.from
  for (const end of ends.flat()) {
    add(sheet.contentType, framed(sheet, [all.subarray(at - sheet.from, end - sheet.from)]))
    at = end
  }
  body.push(Buffer.from(`--${boundary}--\r\n`))
  const whole = Buffer.concat(body)
  const isWhole = isAtEnd(sheet)
  head(exchange.response, 200, {
    "content-type": `multipart/mixed; boundary=${boundary}`,
    "content-length": whole.length,
    "stream-snapshot-offset": snapshot === undefined ? "-1" : offsetText(snapshot.offset),
    "stream-next-offset": offsetText(sheet.next),
    ...(isWhole && { "stream-up-to-date": "true" }),
    ...(isWhole && sheet.closed && { "stream-closed": "true" }),
    "cache-control": "no-store"
  })
  exchange.response.end(exchange.request.method === "HEAD" ? undefined : whole)
}
