/** Payloads that are not in memory: large ones are objects before they are committed, old ones lie in segments. */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { runOf } from "../../actors/stream-partition/json.ts"
import type { Part } from "../../actors/stream-partition/payload.ts"
import { isJsonType } from "../../messages/stream.ts"
import type { Payload, Wire } from "../../messages/stream-partition.ts"
import type { ObjectMissing, Objects, StoreFailed } from "../ports/objects.ts"
import { Cold, type ColdFailed } from "./cold.ts"

/** Objects read lately are kept in memory up to this: readers of one stream mostly come together. */
const cacheBytesMax = 64 * 1024 * 1024

export class Store {
  readonly cold: Cold
  private readonly objects: Objects["Service"]
  private readonly cached = new Map<string, Buffer>()
  private cachedBytes = 0

  constructor(objects: Objects["Service"]) {
    this.objects = objects
    this.cold = new Cold(objects)
  }

  /** The payload to commit; a JSON body that is none is handed on as it is, to be refused in its turn. */
  put(key: string, contentType: string, body: Buffer, isProven = false): Effect.Effect<Payload, StoreFailed> {
    const made = isJsonType(contentType) ? jsonOf(body) : { bytes: body, count: 1 }
    if (made === undefined) return Effect.succeed({ text: "{" })
    if (made.count === 0) return Effect.succeed({ text: "[]" })
    const { bytes, count } = made
    return Effect.map(this.objects.put(key, bytes), () => {
      this.keep(key, bytes)
      const sha256 = isProven ? { sha256: createHash("sha256").update(bytes).digest("hex") } : {}
      return { object: { key, size: bytes.length, count, ...sha256 } }
    })
  }

  /** The bytes of all parts, in their order; there may be more of these than of those. */
  bytesOf(parts: ReadonlyArray<Part>): Effect.Effect<Array<Buffer>, ColdFailed> {
    const each = Effect.forEach(parts, (part): Effect.Effect<Buffer | Array<Buffer>, ColdFailed> => {
      if (Buffer.isBuffer(part)) return Effect.succeed(part)
      if (part.segment !== undefined) return this.cold.parts({ ...part, segment: part.segment })
      return Effect.map(this.get(part.object), (bytes) => bytes.subarray(part.skip, part.skip + part.size))
    })
    return Effect.map(each, (found) => found.flat())
  }

  /** A wire as it would have been sent, wherever its bytes lie; undefined when no append begins at this offset. */
  unitOf(wire: Wire, offset: number): Effect.Effect<Buffer | undefined, ColdFailed> {
    const { object, segment } = wire
    if (object === undefined)
      return Effect.succeed(Buffer.from(wire.text ?? wire.base64 ?? "", wire.text === undefined ? "base64" : "utf8"))
    return segment === undefined ? this.get(object) : this.cold.unit(object, segment, offset)
  }

  get(key: string): Effect.Effect<Buffer, ObjectMissing | StoreFailed> {
    const known = this.cached.get(key)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.map(this.objects.get(key), (stored) => {
      const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
      this.keep(key, bytes)
      return bytes
    })
  }

  putRaw(key: string, bytes: Buffer): Effect.Effect<void, StoreFailed> {
    return Effect.asVoid(this.objects.put(key, bytes))
  }

  private keep(key: string, bytes: Buffer): void {
    if (bytes.length > cacheBytesMax / 2 || this.cached.has(key)) return
    this.cached.set(key, bytes)
    this.cachedBytes += bytes.length
    while (this.cachedBytes > cacheBytesMax) {
      const [oldest, dropped] = this.cached.entries().next().value as [string, Buffer]
      this.cached.delete(oldest)
      this.cachedBytes -= dropped.length
    }
  }
}

const jsonOf = (body: Buffer): { readonly bytes: Buffer; readonly count: number } | undefined => {
  const run = runOf(body.toString())
  return "why" in run ? undefined : { bytes: Buffer.from(run.text), count: run.count }
}

export const isInMemory = (parts: ReadonlyArray<Part>): parts is ReadonlyArray<Buffer> =>
  parts.every((part) => Buffer.isBuffer(part))
