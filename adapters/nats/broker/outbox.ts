/** What waits to be written to one socket: small pieces are gathered, and one turn of the loop is one write. */
import type { Socket } from "node:net"

const pieceBytesMin = 4 * 1024
/** A piece is handed over when it is full: the kernel takes about as much at once. */
const pieceBytesMax = 64 * 1024
/** What the socket is given before it has to say that it took it; the rest can still be dropped. */
const handedBytesMax = 512 * 1024
const nothing = Buffer.alloc(0)
/** A body of this size is not worth a copy: it goes as it is. */
const ownPieceBytes = 32 * 1024

export class Outbox {
  readonly #socket: Socket
  readonly #pendingBytesMax: number
  readonly #overflowed: () => void
  #piece: Buffer = nothing
  #pieceBytes = pieceBytesMin
  #at = 0
  #waiting: Array<Buffer> = []
  #waitingBytes = 0
  #isBlocked = false
  #isScheduled = false
  #isEnded = false

  /** `overflowed` is called once more bytes wait than may: the reader is too slow. */
  constructor(socket: Socket, pendingBytesMax: number, overflowed: () => void) {
    this.#socket = socket
    this.#pendingBytesMax = pendingBytesMax
    this.#overflowed = overflowed
    socket.on("drain", () => {
      this.#isBlocked = false
      this.#flush()
    })
  }

  get pendingBytes(): number {
    return this.#waitingBytes + this.#at + this.#socket.writableLength
  }

  text(line: string): void {
    if (this.#isEnded) return
    const room = line.length * 3
    if (this.#piece.length - this.#at < room) this.#makeRoom(room)
    this.#at += this.#piece.write(line, this.#at)
    this.#schedule()
  }

  /** A control line, then the bytes of the message, then the end of line. */
  message(line: string, data: Buffer, start: number, end: number): void {
    if (this.#isEnded) return
    const size = end - start
    // A character of the line takes three bytes at most; a large body needs no room here.
    const room = line.length * 3 + 2 + (size < ownPieceBytes ? size : 0)
    if (this.#piece.length - this.#at < room) this.#makeRoom(room)
    this.#at += this.#piece.write(line, this.#at)
    if (size < ownPieceBytes) data.copy(this.#piece, this.#at, start, end)
    else this.#enqueue(data.subarray(start, end))
    if (size < ownPieceBytes) this.#at += size
    this.#piece[this.#at++] = 13
    this.#piece[this.#at++] = 10
    this.#schedule()
  }

  /** Drops what has not been handed to the socket, writes this last line, and takes nothing more. */
  cut(line: string): void {
    if (this.#isEnded) return
    this.#waiting = []
    this.#waitingBytes = 0
    this.#at = 0
    this.end(line)
  }

  /** Writes all that waits and this last line, and takes nothing more. */
  end(line: string): void {
    if (this.#isEnded) return
    if (line.length > 0) this.text(line)
    this.#isEnded = true
    this.#finish()
  }

  /** Nothing was said for a while: the memory is better used elsewhere. */
  rest(): void {
    if (this.#at > 0) return
    this.#piece = nothing
    this.#pieceBytes = pieceBytesMin
  }

  #finish(): void {
    this.#push()
    for (const piece of this.#waiting) this.#socket.write(piece)
    this.#waiting = []
    this.#waitingBytes = 0
    this.#socket.end()
  }

  #enqueue(bytes: Buffer): void {
    this.#push()
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
  }

  #push(): void {
    if (this.#at === 0) return
    this.#waiting.push(this.#piece.subarray(0, this.#at))
    this.#waitingBytes += this.#at
    // What is left of the piece is still free: the part that was handed over is not touched again.
    this.#piece = this.#piece.subarray(this.#at)
    this.#at = 0
  }

  #makeRoom(bytes: number): void {
    // A piece that was filled within one turn was too small: the next one is twice as large.
    if (this.#at > this.#pieceBytes / 2) this.#pieceBytes = Math.min(pieceBytesMax, this.#pieceBytes * 2)
    this.#push()
    this.#piece = Buffer.allocUnsafeSlow(Math.max(this.#pieceBytes, bytes))
  }

  #schedule(): void {
    if (this.#waitingBytes + this.#at + this.#socket.writableLength > this.#pendingBytesMax) {
      this.#overflowed()
      return
    }
    if (this.#isScheduled || this.#isBlocked) return
    this.#isScheduled = true
    process.nextTick(this.#flushLater)
  }

  readonly #flushLater = (): void => {
    this.#isScheduled = false
    this.#flush()
  }

  #flush(): void {
    if (this.#isEnded || this.#isBlocked) return
    const whole = this.#piece
    this.#push()
    this.#hand()
    // When the kernel took everything at once, the same memory serves the next turn.
    if (this.#socket.writableLength === 0 && this.#waiting.length === 0) this.#piece = whole
  }

  /** Gives the socket what waits, several pieces as one write. */
  #hand(): void {
    const { length } = this.#waiting
    if (length > 1) this.#socket.cork()
    let sent = 0
    let handed = 0
    while (sent < length && handed < handedBytesMax) {
      const piece = this.#waiting[sent++] as Buffer
      handed += piece.length
      if (!this.#socket.write(piece)) this.#isBlocked = true
    }
    this.#waitingBytes -= handed
    this.#waiting = sent === length ? [] : this.#waiting.slice(sent)
    if (length > 1) this.#socket.uncork()
    // What is left goes as soon as the socket has room, or in the next moment if it has it now.
    if (this.#waiting.length > 0 && !this.#isBlocked) this.#schedule()
  }
}
