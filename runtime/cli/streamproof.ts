/** `artifacts stream read --verify`: redoes a stream's hash chain over what is read, and compares the digests. */
import { hash } from "node:crypto"
import { Effect } from "effect"
import { linkOf, originOf } from "../../actors/stream-partition/proof.ts"
import { isJsonType, keyOfPath, offsetText, parseOffset } from "../../messages/stream.ts"
import { Problem } from "./problem.ts"
import { bytesOf, callAgain, type Reached } from "./streamcall.ts"

interface Page {
  readonly created_at_ms: number
  readonly tail_offset: string
  readonly digest: string
  readonly anchors: ReadonlyArray<{ readonly offset: string; readonly digest: string }>
  readonly next_offset: string
  readonly ends: ReadonlyArray<number>
}

export interface Verified {
  readonly appends: number
  readonly bytes: number
  readonly from: string
  readonly offset: string
  readonly digest: string
}

const placeOf = (text: string | null): number => parseOffset(text ?? "") ?? 0

const broken = (message: string) => new Problem({ code: "not-proven", message })

const pageAt = Effect.fnUntraced(function* (to: Reached, path: string, offset: string) {
  const response = yield* callAgain(to, `${path}/proof${offset}`, { method: "GET" })
  return JSON.parse(Buffer.from(yield* bytesOf(response)).toString()) as Page
})

/** The digest so far, and bytes that are not a whole append yet. */
class Chain {
  appends = 0
  bytes = 0
  at: number
  digest: string
  private held: Buffer = Buffer.alloc(0)
  private readonly ends: Array<number> = []

  constructor(at: number, digest: string) {
    this.at = at
    this.digest = digest
  }

  /** Where appends end that are still to be read. */
  expect(ends: ReadonlyArray<number>): void {
    this.ends.push(...ends)
  }

  take(bytes: Buffer): void {
    this.held = this.held.length === 0 ? bytes : Buffer.concat([this.held, bytes])
    for (let end = this.ends[0]; end !== undefined && end - this.at <= this.held.length; end = this.ends[0]) {
      const unit = this.held.subarray(0, end - this.at)
      this.digest = linkOf(this.digest, this.at, hash("sha256", unit))
      this.held = this.held.subarray(unit.length)
      this.at = end
      this.appends += 1
      this.bytes += unit.length
      this.ends.shift()
    }
  }
}

/** JSON messages are chained as they are stored: each with a comma behind it. */
const storedOf = (body: Buffer, isJson: boolean): Buffer => {
  if (!isJson) return body
  return body.length <= 2 ? Buffer.alloc(0) : Buffer.concat([body.subarray(1, -1), Buffer.from(",")])
}

const shownOf = (stored: Buffer, isJson: boolean): Buffer =>
  isJson ? Buffer.concat([Buffer.from("["), stored.subarray(0, -1), Buffer.from("]")]) : stored

type Show = (bytes: Uint8Array, isJson: boolean) => Effect.Effect<void>

/** Up to where the stream was when this began. */
export const verify = Effect.fnUntraced(function* (to: Reached, name: string, path: string, show: Show) {
  const first = yield* pageAt(to, path, "")
  const [anchor] = first.anchors
  if (anchor === undefined) return yield* broken("the stream tells no place from which it could be proven")
  const from = placeOf(anchor.offset)
  const key = keyOfPath(name.replace(/^\/+/, ""))
  if (from === 0 && anchor.digest !== originOf(key, first.created_at_ms, 0))
    return yield* broken(`the chain does not begin as that of ${name}`)
  const tail = placeOf(first.tail_offset)
  const chain = new Chain(from, anchor.digest)
  chain.expect(first.ends)
  for (let known = placeOf(first.next_offset); known < tail; ) {
    const page = yield* pageAt(to, path, `?offset=${offsetText(known)}`)
    chain.expect(page.ends.filter((end) => end <= tail))
    known = placeOf(page.next_offset)
  }
  for (let at = from; at < tail; ) {
    const response = yield* callAgain(to, `${path}?offset=${offsetText(at)}`, { method: "GET" })
    const isJson = isJsonType(response.headers.get("content-type") ?? "")
    const stored = storedOf(Buffer.from(yield* bytesOf(response)), isJson).subarray(0, tail - at)
    if (stored.length === 0) return yield* broken(`the stream ends at ${offsetText(at)}, before its proof`)
    yield* show(shownOf(stored, isJson), isJson)
    chain.take(stored)
    at += stored.length
  }
  const { appends, bytes, digest } = chain
  if (chain.at !== tail || digest !== first.digest)
    return yield* broken(`the chain over what was read is ${digest} at ${offsetText(chain.at)}, not ${first.digest}`)
  return { appends, bytes, digest, from: anchor.offset, offset: first.tail_offset } satisfies Verified
})
