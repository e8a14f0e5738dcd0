/** Reads one request after another from the device, answers what can be answered at once, and hands the others over. */
import { readSync } from "node:fs"
import type { Answers, Later, Operation, Request, SyncFiles } from "../../runtime/ports/mount.ts"
import type { Order, Report } from "./channel.ts"
import { type Dialect, decode, forgotten, type Incoming, idOf, incoming, interruptedBy, opcodeOf } from "./decode.ts"
import type { Negotiated } from "./init.ts"
import { opcodes, requestBytesMax } from "./protocol.ts"
import { Reply } from "./reply.ts"

/** The way to the main thread. */
export interface Channel {
  readonly report: (report: Report, transfer?: Array<ArrayBuffer>) => void
  /** What the main thread said since, or undefined. It must cost next to nothing: it is asked before each request. */
  readonly order: () => Order | undefined
}

/** Where copying data to a buffer of its own costs less than leaving it where it was read to, for the main thread. */
const copyBytesMax = 1 << 14
/** Buffers kept for the large writes that the main thread has under way. */
const sparesMax = 16

/**
 * A buffer for requests that both threads see. Giving buffers away and back would do as well, but each of them counts
 * as new memory where it arrives, and a collector that runs for that costs more than all the rest.
 */
interface Shared {
  readonly number: number
  readonly from: Incoming
}

/** What a read fails with when the mount has ended; ENOENT is a request that was interrupted before it was read. */
const over = new Set(["ENODEV", "ECONNABORTED", "ENOTCONN"])
const again = new Set(["EINTR", "EAGAIN", "ENOENT"])

const next = (fd: number, from: Incoming): boolean => {
  for (;;) {
    try {
      readSync(fd, from.bytes)
      return true
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException
      if (over.has(code)) return false
      if (!again.has(code)) throw error
    }
  }
}

type Handler = (request: Request, out: Uint8Array) => Answers[Operation] | string | Later

const isLater = (answer: unknown): answer is Later => typeof answer === "object" && answer !== null && "later" in answer

export class Loop {
  private readonly channel: Channel
  private readonly fd: number
  private readonly files: SyncFiles
  private readonly handlers: Readonly<Record<string, Handler | undefined>>
  private readonly dialect: Dialect
  /** Requests that the kernel is told to do without. */
  private readonly spared: ReadonlySet<number>
  private readonly reply: Reply
  /** Those that the main thread has. */
  private readonly handed = new Map<number, Shared>()
  private readonly spares: Array<Shared> = []
  private made = 0
  private shared: Shared
  private from: Incoming
  private stopped = false

  constructor(fd: number, negotiated: Negotiated, files: SyncFiles, channel: Channel) {
    this.fd = fd
    this.files = files
    this.handlers = files as unknown as Readonly<Record<string, Handler | undefined>>
    this.channel = channel
    this.dialect = { setxattrExtended: negotiated.flags.includes("setxattrExt") }
    const { noOpen, noOpendir } = negotiated
    this.spared = new Set([...(noOpen ? [opcodes.open] : []), ...(noOpendir ? [opcodes.opendir] : [])])
    this.reply = new Reply(fd)
    this.shared = this.share()
    this.from = this.shared.from
  }

  private share(): Shared {
    const number = ++this.made
    const buffer = new SharedArrayBuffer(requestBytesMax)
    this.channel.report({ kind: "shared", number, buffer })
    return { number, from: incoming(buffer) }
  }

  /** Returns when the mount has ended, or after the request that followed a `stop`. */
  run(): void {
    while (!this.stopped && next(this.fd, this.from)) {
      for (let order = this.channel.order(); order !== undefined; order = this.channel.order()) this.obey(order)
      this.handle()
    }
  }

  obey(order: Order): void {
    if (order.kind === "tell") this.files.heard?.(order.message)
    else if (order.kind === "stop") this.stopped = true
    else if (order.kind === "buffer") this.takeBack(order.number)
  }

  private takeBack(number: number): void {
    const shared = this.handed.get(number)
    this.handed.delete(number)
    if (shared !== undefined && this.spares.length < sparesMax) this.spares.push(shared)
    else this.channel.report({ kind: "unshared", number })
  }

  private handle(): void {
    const { from } = this
    const opcode = opcodeOf(from)
    const low = from.words[2] ?? 0
    const high = from.words[3] ?? 0
    if (opcode === opcodes.forget || opcode === opcodes.batchForget) return this.forget()
    if (opcode === opcodes.interrupt) return this.channel.report({ kind: "interrupted", id: interruptedBy(from) })
    if (opcode === opcodes.notifyReply) return
    if (this.spared.has(opcode)) return this.reply.fail(low, high, "ENOSYS")
    try {
      const request = decode(from, this.dialect)
      if (request === undefined) this.unknown(low, high, opcode)
      else this.ask(low, high, opcode, request)
    } catch (why) {
      // The file system's mistake, or the codec's: the caller is not left waiting, and the main thread reports it.
      this.reply.fail(low, high, "EIO")
      this.channel.report({ kind: "defect", opcode, why })
    }
  }

  private ask(low: number, high: number, opcode: number, request: Request): void {
    const handler = this.handlers[request.op]
    const answer = handler === undefined ? { later: undefined } : handler(request, this.reply.data)
    if (answer === undefined) {
      if (request.op === "getlk") this.reply.answer(low, high, opcode, request, undefined)
      else this.reply.number(low, high, 0)
    } else if (typeof answer === "string") this.reply.fail(low, high, answer as "EIO")
    else if (isLater(answer)) this.hand(low, high, opcode, request, answer.later)
    else this.reply.answer(low, high, opcode, request, answer)
  }

  /** Data stays in the buffer that it lies in, until that is given back; or, when there is little of it, is copied. */
  private hand(low: number, high: number, opcode: number, request: Request, later: unknown): void {
    const handed = { kind: "handed", low, high, opcode, later } as const
    if (request.op === "setxattr") {
      const value = new Uint8Array(request.value)
      this.channel.report({ ...handed, request: { ...request, value } }, [value.buffer])
    } else if (request.op !== "write") this.channel.report({ ...handed, request })
    else if (request.data.length <= copyBytesMax) {
      const data = new Uint8Array(request.data)
      this.channel.report({ ...handed, request: { ...request, data } }, [data.buffer])
    } else {
      const { data, ...rest } = request
      const { number } = this.shared
      const place = { number, at: data.byteOffset, length: data.length }
      this.handed.set(number, this.shared)
      this.channel.report({ ...handed, request: rest as Request, place })
      this.shared = this.spares.pop() ?? this.share()
      this.from = this.shared.from
    }
  }

  private forget(): void {
    const { forget } = this.files
    if (forget === undefined) return
    const head = { op: "forget", uid: 0, gid: 0, pid: 0, id: idOf(this.from), resent: false } as const
    for (const [node, count] of forgotten(this.from)) forget({ ...head, node, count }, this.reply.data)
  }

  private unknown(low: number, high: number, opcode: number): void {
    if (opcode === opcodes.destroy) this.reply.number(low, high, 0)
    else this.reply.fail(low, high, opcode === opcodes.ioctl ? "ENOTTY" : "ENOSYS")
  }
}
