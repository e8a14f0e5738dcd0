/** From an answer to the bytes of a reply, in one buffer that is used again and again. */
import { writeSync, writevSync } from "node:fs"
import type {
  Answers,
  Attributes,
  Entry,
  Errno,
  FileSystemStat,
  Listed,
  LockRange,
  Opened,
  Request,
  Stat
} from "../../runtime/ports/mount.ts"
import { errnos } from "./errno.ts"
import { nameRoom, writeName } from "./name.ts"
import { dataBytesMax, lockRead, lockUnlock, lockWrite, opcodes, openBits, outHeaderBytes } from "./protocol.ts"

/** The first word behind the header. */
const body = outHeaderBytes / 4
const attrWords = 22
const entryWords = 10 + attrWords
/** What Linux counts `blocks` in. */
const sectorBytes = 512
/** What programs are advised to read and write at once. */
const preferredBytes = 1 << 16

export class Reply {
  readonly bytes: Buffer
  /** Where the synchronous part puts what it has read. */
  readonly data: Uint8Array
  readonly words: Uint32Array
  private readonly fd: number
  private length = outHeaderBytes
  private head: Buffer

  constructor(fd: number) {
    const buffer = new ArrayBuffer(dataBytesMax + 4096)
    this.fd = fd
    this.bytes = Buffer.from(buffer)
    this.words = new Uint32Array(buffer)
    this.data = this.bytes.subarray(outHeaderBytes, outHeaderBytes + dataBytesMax)
    this.head = this.bytes.subarray(0, outHeaderBytes)
  }

  fail(low: number, high: number, errno: Errno): void {
    this.number(low, high, errnos[errno])
  }

  /** Answers with a bare error number, or with 0 for success without anything to say. */
  number(low: number, high: number, error: number): void {
    this.length = outHeaderBytes
    this.words[1] = -error
    this.send(low, high)
  }

  /** Answers with what the file system said. */
  answer(low: number, high: number, opcode: number, request: Request, answer: Answers[Request["op"]]): void {
    this.words[1] = 0
    this.length = outHeaderBytes
    const pieces = this.encode(opcode, request, answer)
    if (pieces === undefined) this.send(low, high)
    else this.sendPieces(low, high, pieces)
  }

  /** Bytes that are sent as they are, or undefined when all is in the buffer. */
  private encode(opcode: number, request: Request, answer: unknown): ReadonlyArray<Uint8Array> | undefined {
    switch (request.op) {
      case "lookup":
      case "mkdir":
      case "mknod":
      case "symlink":
      case "link":
        this.entry(body, answer as Entry)
        this.length = outHeaderBytes + entryWords * 4
        return undefined
      case "getattr":
      case "setattr":
        this.attributes(answer as Attributes)
        return undefined
      case "read":
        return this.read(answer as Answers["read"], request.size)
      case "open":
      case "opendir":
        this.opened(body, answer as Opened)
        this.length = outHeaderBytes + 16
        return undefined
      case "create":
      case "tmpfile": {
        const { entry, opened } = answer as Answers["create"]
        this.entry(body, entry)
        this.opened(body + entryWords, opened)
        this.length = outHeaderBytes + entryWords * 4 + 16
        return undefined
      }
      case "readdir":
        this.listing(answer as Iterable<Listed>, request.size, opcode === opcodes.readdirplus)
        return undefined
      default:
        return this.encodeRare(opcode, request, answer)
    }
  }

  private encodeRare(opcode: number, request: Request, answer: unknown): ReadonlyArray<Uint8Array> | undefined {
    switch (request.op) {
      case "write":
      case "copy":
        this.wide(body, answer as number)
        // WRITE and the older COPY_FILE_RANGE tell a size of 32 bits and padding, which is the same bytes.
        this.length = outHeaderBytes + 8
        return undefined
      case "lseek":
        this.wide(body, answer as number)
        this.length = outHeaderBytes + 8
        return undefined
      case "readlink":
        this.length += writeName(this.bytes, outHeaderBytes, (answer as Answers["readlink"]).target)
        return undefined
      case "getxattr":
        return this.sized(answer as Uint8Array, request.size)
      case "listxattr":
        return this.sized(this.names(answer as ReadonlyArray<string>), request.size)
      case "statfs":
        this.statfs(answer as FileSystemStat)
        return undefined
      case "getlk":
        this.lock(answer as LockRange | undefined)
        return undefined
      default:
        if (answer !== undefined) throw new Error(`${request.op} (${opcode}) has no answer but "done"`)
        return undefined
    }
  }

  private wide(at: number, value: number): void {
    this.words[at] = value
    this.words[at + 1] = Math.floor(value / 2 ** 32)
  }

  private stat(at: number, stat: Stat): void {
    const { words } = this
    this.wide(at, stat.ino)
    this.wide(at + 2, stat.size)
    this.wide(at + 4, Math.ceil(stat.used / sectorBytes))
    this.wide(at + 6, stat.atimeS)
    this.wide(at + 8, stat.mtimeS)
    this.wide(at + 10, stat.ctimeS)
    words[at + 12] = stat.atimeNs
    words[at + 13] = stat.mtimeNs
    words[at + 14] = stat.ctimeNs
    words[at + 15] = stat.mode
    words[at + 16] = stat.nlink
    words[at + 17] = stat.uid
    words[at + 18] = stat.gid
    words[at + 19] = stat.rdev
    words[at + 20] = preferredBytes
    words[at + 21] = 0
  }

  private entry(at: number, entry: Entry): void {
    const { words } = this
    const { attrMs, entryMs, stat } = entry
    words[at + 2] = 0
    words[at + 3] = 0
    this.wide(at + 4, Math.floor(entryMs / 1000))
    this.wide(at + 6, Math.floor(attrMs / 1000))
    words[at + 8] = (entryMs % 1000) * 1e6
    words[at + 9] = (attrMs % 1000) * 1e6
    if (stat === undefined) {
      words.fill(0, at, at + 2)
      words.fill(0, at + 10, at + entryWords)
      return
    }
    this.wide(at, stat.ino)
    this.stat(at + 10, stat)
  }

  private attributes({ attrMs, stat }: Attributes): void {
    const { words } = this
    this.wide(body, Math.floor(attrMs / 1000))
    words[body + 2] = (attrMs % 1000) * 1e6
    words[body + 3] = 0
    this.stat(body + 4, stat)
    this.length = outHeaderBytes + (4 + attrWords) * 4
  }

  private opened(at: number, opened: Opened): void {
    const { words } = this
    this.wide(at, opened.handle ?? 0)
    words[at + 2] =
      (opened.directIo ? openBits.directIo : 0) |
      (opened.keepCache ? openBits.keepCache : 0) |
      (opened.cacheDir ? openBits.cacheDir : 0) |
      (opened.noFlush ? openBits.noFlush : 0) |
      (opened.parallelWrites ? openBits.parallelWrites : 0)
    words[at + 3] = 0
  }

  private read(answer: Answers["read"], size: number): ReadonlyArray<Uint8Array> | undefined {
    if (typeof answer === "number") {
      if (answer > size) throw new Error(`a read of ${size} bytes was answered with ${answer}`)
      this.length += answer
      return undefined
    }
    return answer instanceof Uint8Array ? [answer] : answer
  }

  /** A value, or how long it is when the kernel asks that; too long for the caller's room is an error. */
  private sized(value: Uint8Array, room: number): ReadonlyArray<Uint8Array> | undefined {
    if (room === 0) {
      this.words[body] = value.length
      this.words[body + 1] = 0
      this.length = outHeaderBytes + 8
      return undefined
    }
    if (value.length <= room) return [value]
    this.words[1] = -errnos.ERANGE
    return undefined
  }

  private names(names: ReadonlyArray<string>): Uint8Array {
    const room = names.reduce((sum, name) => sum + nameRoom(name) + 1, 0)
    const list = Buffer.allocUnsafe(room)
    let at = 0
    for (const name of names) {
      at += writeName(list, at, name)
      list[at++] = 0
    }
    return list.subarray(0, at)
  }

  /** Entries until the next one would not fit any more; the kernel asks again from behind the last one. */
  private listing(entries: Iterable<Listed>, size: number, plus: boolean): void {
    const end = outHeaderBytes + Math.min(size, dataBytesMax)
    const { bytes, words } = this
    for (const entry of entries) {
      const start = this.length
      const dirent = plus ? start + entryWords * 4 : start
      const { name } = entry
      // Names are measured only where one as long as its string could be would not fit any more.
      const room = dirent + 24 + nameRoom(name) + 7 > end ? Buffer.byteLength(name) : 0
      if (dirent + 24 > end || (room > 0 && dirent + ((24 + room + 7) & ~7) > end)) return
      const at = dirent >>> 2
      if (plus) {
        this.entry(start >>> 2, entry)
        // The kernel counts a lookup for each entry but these two.
        if (name === "." || name === "..") words.fill(0, start >>> 2, (start >>> 2) + 2)
      }
      this.wide(at, entry.stat.ino)
      this.wide(at + 2, entry.next)
      const length = writeName(bytes, dirent + 24, name)
      words[at + 4] = length
      words[at + 5] = (entry.stat.mode >>> 12) & 0xf
      const padded = (24 + length + 7) & ~7
      bytes.fill(0, dirent + 24 + length, dirent + padded)
      this.length = dirent + padded
    }
  }

  private statfs(stat: FileSystemStat): void {
    const { words } = this
    this.wide(body, stat.blocks)
    this.wide(body + 2, stat.blocksFree)
    this.wide(body + 4, stat.blocksFree)
    this.wide(body + 6, stat.files)
    this.wide(body + 8, stat.filesFree)
    words[body + 10] = stat.blockBytes
    words[body + 11] = stat.nameBytesMax
    words[body + 12] = stat.blockBytes
    words.fill(0, body + 13, body + 20)
    this.length = outHeaderBytes + 80
  }

  private lock(lock: LockRange | undefined): void {
    const { words } = this
    words.fill(0, body, body + 6)
    words[body + 4] = lockUnlock
    if (lock !== undefined) {
      this.wide(body, lock.start)
      this.wide(body + 2, lock.end)
      if (lock.end === Number.MAX_SAFE_INTEGER) {
        words[body + 2] = 0xffff_ffff
        words[body + 3] = 0x7fff_ffff
      }
      words[body + 4] = lock.type === "write" ? lockWrite : lockRead
      words[body + 5] = lock.holder
    }
    this.length = outHeaderBytes + 24
  }

  private send(low: number, high: number): void {
    const { words } = this
    words[0] = this.length
    words[2] = low
    words[3] = high
    write(() => writeSync(this.fd, this.bytes, 0, this.length))
  }

  private sendPieces(low: number, high: number, pieces: ReadonlyArray<Uint8Array>): void {
    const { words } = this
    words[0] = pieces.reduce((sum, piece) => sum + piece.length, outHeaderBytes)
    words[2] = low
    words[3] = high
    write(() => writevSync(this.fd, [this.head, ...pieces]))
  }
}

/** What a write to the device may fail with that is nobody's mistake: the caller gave up, or the mount is over. */
const gone = new Set(["ENOENT", "ENODEV", "EPERM", "ECONNABORTED", "ENOTCONN"])

/** Writes to the device; gives false when there is nobody any more who would hear it. */
export const write = (once: () => void): boolean => {
  for (;;) {
    try {
      once()
      return true
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException
      if (gone.has(code)) return false
      if (code !== "EINTR" && code !== "EAGAIN") throw error
    }
  }
}
