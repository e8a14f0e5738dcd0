/** The client protocol of NATS, read from chunks as they come: strict, bounded, and mostly without copying. */
import { isHeaderBlock } from "../headers.ts"
import type { Packet } from "./router.ts"

export interface Words {
  readonly connect: (json: string) => void
  readonly publish: (packet: Packet, hasHeaders: boolean) => void
  readonly subscribe: (subject: string, queue: string | undefined, sid: string) => void
  readonly unsubscribe: (sid: string, max: number) => void
  readonly ping: () => void
  readonly pong: () => void
}

export interface ParserLimits {
  readonly lineBytesMax: number
  /** CONNECT carries a JWT, which lists permissions: it may be longer than other lines. */
  readonly connectBytesMax: number
  readonly payloadBytesMax: number
}

export const unknownOperation = "Unknown Protocol Operation"
export const lineTooLong = "Maximum Control Line Exceeded"
export const payloadTooLarge = "Maximum Payload Violation"

const lf = 10
const cr = 13
const tab = 9
const space = 32
const del = 127
const tokensMax = 5
/** The digits of the largest number that is read; what is longer is no number of ours. */
const digitsMax = 9
/** So much is taken for a payload when its line has come; more only when more has come. */
const payloadBytesFirst = 256 * 1024
const nothing = Buffer.alloc(0)

export class Parser {
  readonly #words: Words
  readonly #limits: ParserLimits
  readonly #starts = new Int32Array(tokensMax)
  readonly #ends = new Int32Array(tokensMax)
  readonly #packet: Packet = { subject: "", reply: "", data: nothing, start: 0, bodyAt: 0, end: 0 }
  #isAscii = true
  /** The beginning of a line whose end has not come yet, or all that came while halted. */
  #held: Buffer = nothing
  /** The payload that a line has announced, with its end of line; negative when none is due. */
  #due = -1
  #headerBytes = 0
  #payload: Buffer = nothing
  #payloadAt = 0
  #isHalted = false

  constructor(words: Words, limits: ParserLimits) {
    this.#words = words
    this.#limits = limits
  }

  /** Bytes that wait here for more. */
  get heldBytes(): number {
    return this.#held.length + this.#payload.length
  }

  /** Nothing more is read until `resume`; what is left of the chunk is kept. */
  halt(): void {
    this.#isHalted = true
  }

  resume(): string | undefined {
    this.#isHalted = false
    const rest = this.#held
    this.#held = nothing
    return this.feed(rest)
  }

  /** Reads a chunk; gives the reason when what came is not the protocol, after which nothing more may be fed. */
  feed(chunk: Buffer): string | undefined {
    if (this.#isHalted) {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
      return undefined
    }
    let at = 0
    if (this.#due >= 0) {
      at = this.#fill(chunk)
      if (this.#due >= 0) return undefined
      if (!this.#emitPayload()) return unknownOperation
    }
    if (this.#held.length > 0 && at < chunk.length && !this.#isHalted) {
      const next = this.#joinLine(chunk, at)
      if (typeof next === "string") return next
      at = next
    }
    return this.#read(chunk, at)
  }

  #read(chunk: Buffer, from: number): string | undefined {
    const { length } = chunk
    let at = from
    while (at < length) {
      if (this.#isHalted) {
        this.#held = chunk.subarray(at)
        return undefined
      }
      const max = this.#lineMax(chunk[at] as number)
      const bound = Math.min(length, at + max)
      let end = at
      while (end < bound && chunk[end] !== lf) end++
      if (end === bound) {
        if (end - at >= max) return lineTooLong
        this.#held = Buffer.from(chunk.subarray(at))
        return undefined
      }
      const wrong = this.#line(chunk, at, end)
      if (wrong !== undefined) return wrong
      at = end + 1
      if (this.#due < 0) continue
      at = this.#payloadFrom(chunk, at)
      if (at < 0) return unknownOperation
    }
    return undefined
  }

  /** Completes the line whose beginning is held. Gives where the chunk goes on, or what is wrong. */
  #joinLine(chunk: Buffer, at: number): number | string {
    const held = this.#held
    const room = this.#lineMax(held[0] as number) - held.length
    const bound = Math.min(chunk.length, at + room)
    let end = at
    while (end < bound && chunk[end] !== lf) end++
    if (end === bound) {
      if (end - at >= room) return lineTooLong
      this.#held = Buffer.concat([held, chunk.subarray(at)])
      return chunk.length
    }
    const line = Buffer.concat([held, chunk.subarray(at, end)])
    this.#held = nothing
    const wrong = this.#line(line, 0, line.length)
    if (wrong !== undefined) return wrong
    if (this.#due < 0) return end + 1
    const next = this.#payloadFrom(chunk, end + 1)
    return next < 0 ? unknownOperation : next
  }

  #lineMax(first: number): number {
    return (first | 0x20) === 0x63 ? this.#limits.connectBytesMax : this.#limits.lineBytesMax
  }

  /** The payload that is due, if this chunk has all of it. Gives where to go on, negative when it is malformed. */
  #payloadFrom(chunk: Buffer, at: number): number {
    const end = at + this.#due
    if (end > chunk.length) {
      this.#payload = Buffer.allocUnsafe(Math.min(this.#due, Math.max(payloadBytesFirst, chunk.length - at)))
      this.#payloadAt = chunk.copy(this.#payload, 0, at)
      return chunk.length
    }
    this.#due = -1
    return this.#emit(chunk, at, end) ? end : -1
  }

  /** Takes what is still missing of the payload; memory grows with what has come, not with what was announced. */
  #fill(chunk: Buffer): number {
    const count = Math.min(chunk.length, this.#due - this.#payloadAt)
    const needed = this.#payloadAt + count
    if (needed > this.#payload.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#due, needed * 2))
      this.#payload.copy(larger, 0, 0, this.#payloadAt)
      this.#payload = larger
    }
    chunk.copy(this.#payload, this.#payloadAt, 0, count)
    this.#payloadAt = needed
    if (needed === this.#due) this.#due = -1
    return count
  }

  #emitPayload(): boolean {
    const payload = this.#payload
    this.#payload = nothing
    return this.#emit(payload, 0, this.#payloadAt)
  }

  #emit(data: Buffer, start: number, endOfLine: number): boolean {
    const end = endOfLine - 2
    if (data[end] !== cr || data[end + 1] !== lf) return false
    const headerBytes = this.#headerBytes
    if (headerBytes > 0 && !isHeaderBlock(data, start, start + headerBytes)) return false
    const packet = this.#packet
    packet.data = data
    packet.start = start
    packet.bodyAt = start + headerBytes
    packet.end = end
    this.#words.publish(packet, headerBytes > 0)
    packet.data = nothing
    return true
  }

  /** One control line, without its line feed. */
  #line(data: Buffer, start: number, lineEnd: number): string | undefined {
    const end = lineEnd - 1
    if (end <= start || data[end] !== cr) return unknownOperation
    let at = start
    while (at < end && data[at] !== space && data[at] !== tab) at++
    const first = (data[start] as number) | 0x20
    if (first === 0x63) return this.#connect(data, start, at, end)
    const count = this.#tokens(data, at, end)
    if (count < 0) return unknownOperation
    const length = at - start
    const is = (word: string) => length === word.length && isWord(data, start, word)
    if (is("pub")) return this.#publishLine(data, count, false)
    if (is("hpub")) return this.#publishLine(data, count, true)
    if (is("sub")) return this.#subscribeLine(data, count)
    if (is("unsub")) return this.#unsubscribeLine(data, count)
    if (count !== 0) return unknownOperation
    if (is("ping")) this.#words.ping()
    else if (is("pong")) this.#words.pong()
    else return unknownOperation
    return undefined
  }

  #connect(data: Buffer, start: number, at: number, end: number): string | undefined {
    if (at - start !== 7 || !isWord(data, start, "connect") || at === end) return unknownOperation
    this.#words.connect(data.toString("utf8", at + 1, end))
    return undefined
  }

  /** Cuts the rest of the line at blanks. Negative when it holds a control character or too many tokens. */
  #tokens(data: Buffer, from: number, end: number): number {
    let count = 0
    let isInside = false
    let high = 0
    for (let at = from; at < end; at++) {
      const byte = data[at] as number
      if (byte === space || byte === tab) {
        if (isInside) this.#ends[count++] = at
        isInside = false
        continue
      }
      if (byte < space || byte === del) return -1
      high |= byte
      if (isInside) continue
      if (count === tokensMax) return -1
      this.#starts[count] = at
      isInside = true
    }
    if (isInside) this.#ends[count++] = end
    this.#isAscii = high < 0x80
    return count
  }

  /** The token as text; undefined when its bytes are not UTF-8. */
  #token(data: Buffer, index: number): string | undefined {
    const start = this.#starts[index] as number
    const end = this.#ends[index] as number
    if (this.#isAscii) return data.toString("latin1", start, end)
    const text = data.toString("utf8", start, end)
    return text.includes("\ufffd") ? undefined : text
  }

  #number(data: Buffer, index: number): number {
    const start = this.#starts[index] as number
    const end = this.#ends[index] as number
    if (end - start > digitsMax) return -1
    let value = 0
    for (let at = start; at < end; at++) {
      const digit = (data[at] as number) - 48
      if (digit < 0 || digit > 9) return -1
      value = value * 10 + digit
    }
    return value
  }

  /** `PUB subject [reply] size`, and `HPUB subject [reply] headerSize size`. */
  #publishLine(data: Buffer, count: number, withHeaders: boolean): string | undefined {
    const numbers = withHeaders ? 2 : 1
    if (count !== numbers + 1 && count !== numbers + 2) return unknownOperation
    const size = this.#number(data, count - 1)
    const headerBytes = withHeaders ? this.#number(data, count - 2) : 0
    // A size with more digits than are read is not malformed: it is too large.
    if (size < 0) return this.#isNumber(data, count - 1) ? payloadTooLarge : unknownOperation
    if (size > this.#limits.payloadBytesMax) return payloadTooLarge
    if (withHeaders && (headerBytes <= 0 || headerBytes > size)) return unknownOperation
    const subject = this.#token(data, 0)
    const reply = count === numbers + 2 ? this.#token(data, 1) : ""
    if (subject === undefined || reply === undefined) return unknownOperation
    this.#packet.subject = subject
    this.#packet.reply = reply
    this.#headerBytes = headerBytes
    this.#due = size + 2
    return undefined
  }

  #isNumber(data: Buffer, index: number): boolean {
    for (let at = this.#starts[index] as number; at < (this.#ends[index] as number); at++) {
      const byte = data[at] as number
      if (byte < 48 || byte > 57) return false
    }
    return true
  }

  /** `SUB subject [queue] sid`. */
  #subscribeLine(data: Buffer, count: number): string | undefined {
    if (count !== 2 && count !== 3) return unknownOperation
    const subject = this.#token(data, 0)
    const sid = this.#token(data, count - 1)
    const queue = count === 3 ? this.#token(data, 1) : undefined
    if (subject === undefined || sid === undefined || (count === 3 && queue === undefined)) return unknownOperation
    this.#words.subscribe(subject, queue, sid)
    return undefined
  }

  /** `UNSUB sid [max]`. */
  #unsubscribeLine(data: Buffer, count: number): string | undefined {
    if (count !== 1 && count !== 2) return unknownOperation
    const sid = this.#token(data, 0)
    const max = count === 2 ? this.#number(data, 1) : 0
    if (sid === undefined || max < 0) return unknownOperation
    this.#words.unsubscribe(sid, max)
    return undefined
  }
}

/** Whether the bytes spell this lower-case word; NATS takes its words in either case. */
const isWord = (data: Buffer, start: number, word: string): boolean => {
  for (let at = 0; at < word.length; at++)
    if (((data[start + at] as number) | 0x20) !== word.charCodeAt(at)) return false
  return true
}
