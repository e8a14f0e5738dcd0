/** The codec of the kernel's protocol on requests and replies written out by hand, and what is agreed at the start. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { decode, forgotten, incoming, interruptedBy } from "../../adapters/fuse/decode.ts"
import { agreement, negotiate } from "../../adapters/fuse/init.ts"
import { encodeNotice, resend } from "../../adapters/fuse/notice.ts"
import { initFlags, opcodes } from "../../adapters/fuse/protocol.ts"
import { Reply } from "../../adapters/fuse/reply.ts"
import { type Listed, mountDefaults, type Request, type Stat } from "../../runtime/ports/mount.ts"

type Field = readonly [bits: 16 | 32 | 64, value: number | bigint] | string | Buffer

const bytesOf = (fields: ReadonlyArray<Field>): Buffer =>
  Buffer.concat(
    fields.map((field) => {
      if (typeof field === "string") return Buffer.from(`${field}\0`)
      if (Buffer.isBuffer(field)) return field
      const [bits, value] = field
      const buffer = Buffer.alloc(bits / 8)
      if (bits === 16) buffer.writeUInt16LE(Number(value))
      else if (bits === 32) buffer.writeUInt32LE(Number(value))
      else buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)))
      return buffer
    })
  )

const request = (opcode: number, fields: ReadonlyArray<Field>, unique: bigint = 8n) => {
  const body = bytesOf(fields)
  const head = bytesOf([
    [32, 40 + body.length],
    [32, opcode],
    [64, unique],
    [64, 2n ** 33n + 5n],
    [32, 1000],
    [32, 100],
    [32, 4242],
    [32, 0]
  ])
  const from = incoming()
  Buffer.concat([head, body]).copy(from.bytes)
  return from
}

const head = { node: 2 ** 33 + 5, uid: 1000, gid: 100, pid: 4242, id: 8, resent: false }
const asked = (opcode: number, fields: ReadonlyArray<Field>) =>
  decode(request(opcode, fields), { setxattrExtended: true })

const stat: Stat = {
  ino: 2 ** 40 + 3,
  mode: 0o100644,
  nlink: 2,
  uid: 7,
  gid: 8,
  rdev: 0,
  size: 2 ** 35 + 1,
  used: 4096,
  atimeS: -1,
  atimeNs: 1,
  mtimeS: 2 ** 33,
  mtimeNs: 2,
  ctimeS: 3,
  ctimeNs: 999_999_999
}

describe("requests", () => {
  it("are read with who asks, and whether they are sent again", () => {
    expect(asked(opcodes.lookup, ["name"])).toEqual({ op: "lookup", ...head, name: "name" })
    const again = decode(request(opcodes.lookup, ["a"], 2n ** 63n + 2n ** 40n + 8n), { setxattrExtended: true })
    expect(again).toMatchObject({ id: 2 ** 40 + 8, resent: true })
  })

  it("leave out what the kernel appends for others", () => {
    const from = request(opcodes.mkdir, [[32, 0o755], [32, 0o22], "d", Buffer.alloc(6), Buffer.alloc(8, 1)])
    from.words[9] = 1
    expect(decode(from, { setxattrExtended: true })).toEqual({ op: "mkdir", ...head, name: "d", mode: 0o755 })
  })

  it("say which attributes change, and no others", () => {
    const times = [
      [64, -2n],
      [64, 9],
      [64, 5],
      [32, 7],
      [32, 8],
      [32, 9]
    ] as const
    const body = (valid: number): ReadonlyArray<Field> => [
      [32, valid],
      [32, 0],
      [64, 0],
      [64, 2n ** 34n],
      [64, 0],
      ...times,
      [32, 0o100600],
      [32, 0],
      [32, 12],
      [32, 34]
    ]
    expect(asked(opcodes.setattr, body(0))).toEqual({ op: "setattr", ...head, clearSetId: false })
    expect(asked(opcodes.setattr, body(0xffffffff))).toEqual({
      op: "setattr",
      ...head,
      mode: 0o600,
      owner: 12,
      group: 34,
      size: 2 ** 34,
      atime: "now",
      mtime: "now",
      ctime: { s: 5, ns: 9 },
      clearSetId: true
    })
    expect(asked(opcodes.setattr, body((1 << 4) | (1 << 5)))).toMatchObject({
      atime: { s: -2, ns: 7 },
      mtime: { s: 9, ns: 8 }
    })
  })

  it("have two names when something moves", () => {
    const names = ["from", "to"]
    const moved = { op: "rename", ...head, name: "from", toNode: 9, toName: "to" }
    expect(asked(opcodes.rename, [[64, 9], ...names])).toEqual({ ...moved, how: "replace" })
    expect(asked(opcodes.rename2, [[64, 9], [32, 1], [32, 0], ...names])).toEqual({ ...moved, how: "noreplace" })
    expect(asked(opcodes.rename2, [[64, 9], [32, 2], [32, 0], ...names])).toEqual({ ...moved, how: "exchange" })
    expect(asked(opcodes.symlink, ["name", "target"])).toEqual({
      op: "symlink",
      ...head,
      name: "name",
      target: "target"
    })
    expect(asked(opcodes.link, [[64, 77], "l"])).toEqual({ op: "link", ...head, source: 77, name: "l" })
  })

  it("carry data", () => {
    const data = Buffer.from("data\0with zeros")
    const write: ReadonlyArray<Field> = [
      [64, 3],
      [64, 2n ** 33n],
      [32, data.length],
      [32, 5],
      [64, 1],
      [32, 0o2001],
      [32, 0],
      data
    ]
    expect(asked(opcodes.write, write)).toEqual({
      op: "write",
      ...head,
      handle: 3,
      offset: 2 ** 33,
      data,
      flags: 0o2001,
      delayed: true,
      clearSetId: true
    })
    const extended: ReadonlyArray<Field> = [[32, data.length], [32, 1], [32, 0], [32, 0], "user.a", data]
    expect(asked(opcodes.setxattr, extended)).toEqual({
      op: "setxattr",
      ...head,
      name: "user.a",
      value: data,
      how: "create"
    })
  })

  it("tell locks by owner, range and family", () => {
    const lock: ReadonlyArray<Field> = [
      [64, 1],
      [64, 0xabcn],
      [64, 5],
      [64, 2n ** 63n - 1n],
      [32, 1],
      [32, 99],
      [32, 1],
      [32, 0]
    ]
    expect(asked(opcodes.setlkw, lock)).toEqual({
      op: "setlk",
      ...head,
      owner: "0000000000000abc",
      flock: true,
      type: "write",
      start: 5,
      end: Number.MAX_SAFE_INTEGER,
      holder: 99,
      wait: true
    })
  })

  it("let go of nodes, one or many, and name the one that is interrupted", () => {
    expect([...forgotten(request(opcodes.forget, [[64, 3]]))]).toEqual([[head.node, 3]])
    const many: ReadonlyArray<Field> = [
      [32, 2],
      [32, 0],
      [64, 10],
      [64, 1],
      [64, 11],
      [64, 2]
    ]
    expect([...forgotten(request(opcodes.batchForget, many))]).toEqual([
      [10, 1],
      [11, 2]
    ])
    expect(interruptedBy(request(opcodes.interrupt, [[64, 2n ** 63n + 14n]]))).toBe(14)
  })

  it("that nobody has a name for are left to be refused", () => {
    for (const opcode of [opcodes.ioctl, opcodes.poll, opcodes.bmap, 4000])
      expect(asked(opcode, [[64, 0]])).toBeUndefined()
  })

  it("without an end to their name are a mistake that does not pass", () => {
    const from = request(opcodes.lookup, [Buffer.from("abc")])
    from.bytes.fill(0x61, 40, 4096)
    expect(() => decode(from, { setxattrExtended: true })).toThrow("has no end")
  })
})

describe("replies", () => {
  const dir = mkdtempSync(join(tmpdir(), "artifacts-fuse-"))
  const path = join(dir, "device")
  let fd = 0
  let reply: Reply
  beforeAll(() => {
    fd = openSync(path, "a+")
    reply = new Reply(fd)
  })
  afterAll(() => {
    closeSync(fd)
    rmSync(dir, { recursive: true })
  })
  const sent = (once: () => void): Buffer => {
    truncateSync(path)
    once()
    const bytes = readFileSync(path)
    expect(bytes.readUInt32LE(0)).toBe(bytes.length)
    expect(bytes.readBigUInt64LE(8)).toBe((2n << 32n) + 1n)
    return bytes
  }
  const answer = (opcode: number, fields: Partial<Request> & { readonly op: Request["op"] }, value: unknown) =>
    sent(() => reply.answer(1, 2, opcode, { ...head, ...fields } as Request, value as undefined))

  it("are an error's number, or nothing but success", () => {
    expect(sent(() => reply.fail(1, 2, "ENOENT")).readInt32LE(4)).toBe(-2)
    expect(sent(() => reply.number(1, 2, 0)).length).toBe(16)
  })

  it("have an inode's attributes and how long they hold", () => {
    const bytes = answer(opcodes.lookup, { op: "lookup" }, { stat, entryMs: 1500, attrMs: 250 }).subarray(16)
    expect(bytes.length).toBe(128)
    const wide = (at: number) => Number(bytes.readBigInt64LE(at))
    expect([wide(0), wide(16), wide(24)]).toEqual([stat.ino, 1, 0])
    expect([bytes.readUInt32LE(32), bytes.readUInt32LE(36)]).toEqual([500e6, 250e6])
    expect([wide(40), wide(48), wide(56)]).toEqual([stat.ino, stat.size, 8])
    expect([wide(64), wide(72), wide(80)]).toEqual([-1, 2 ** 33, 3])
    expect([88, 92, 96, 100, 104, 108, 112].map((at) => bytes.readUInt32LE(at))).toEqual([
      1, 2, 999_999_999, 0o100644, 2, 7, 8
    ])
    expect(answer(opcodes.getattr, { op: "getattr" }, { stat, attrMs: 0 }).length).toBe(16 + 104)
  })

  it("tell that there is no such name, for a while", () => {
    const bytes = answer(opcodes.lookup, { op: "lookup" }, { stat: undefined, entryMs: 2000, attrMs: 0 }).subarray(16)
    expect([Number(bytes.readBigUInt64LE(0)), Number(bytes.readBigUInt64LE(16))]).toEqual([0, 2])
  })

  it("carry bytes in one piece, in several, or from the reply's own buffer", () => {
    const read = { op: "read", size: 100 } as const
    expect(answer(opcodes.read, read, Buffer.from("abc")).subarray(16).toString()).toBe("abc")
    expect(
      answer(opcodes.read, read, [Buffer.from("abc"), Buffer.from("de")])
        .subarray(16)
        .toString()
    ).toBe("abcde")
    reply.data.set(Buffer.from("own"))
    expect(answer(opcodes.read, read, 3).subarray(16).toString()).toBe("own")
    expect(() => answer(opcodes.read, read, 101)).toThrow("101")
  })

  it("list what fits, whole entries only", () => {
    const entries: ReadonlyArray<Listed> = ["a", "bb", "ä".repeat(100)].map((name, index) => ({
      name,
      next: index + 1,
      stat,
      entryMs: 0,
      attrMs: 0
    }))
    const sizes = (plus: boolean, size: number) =>
      answer(plus ? opcodes.readdirplus : opcodes.readdir, { op: "readdir", size, plus }, entries).length - 16
    expect([sizes(false, 31), sizes(false, 32), sizes(false, 63), sizes(false, 64), sizes(false, 4096)]).toEqual([
      0, 32, 32, 64, 288
    ])
    expect([sizes(false, 287), sizes(false, 288), sizes(true, 159), sizes(true, 160), sizes(true, 4096)]).toEqual([
      64, 288, 0, 160, 672
    ])
    const listed = answer(opcodes.readdir, { op: "readdir", size: 4096, plus: false }, entries).subarray(16)
    expect([listed.readUInt32LE(16), listed.readUInt32LE(20)]).toEqual([1, 8])
  })

  it("give a value, its size, or that there is no room", () => {
    const value = Buffer.from("12345")
    expect(answer(opcodes.getxattr, { op: "getxattr", size: 0 }, value).readUInt32LE(16)).toBe(5)
    expect(answer(opcodes.getxattr, { op: "getxattr", size: 5 }, value).subarray(16)).toEqual(value)
    expect(answer(opcodes.getxattr, { op: "getxattr", size: 4 }, value).readInt32LE(4)).toBe(-34)
    expect(answer(opcodes.listxattr, { op: "listxattr", size: 99 }, ["a", "b"]).subarray(16).toString()).toBe("a\0b\0")
  })

  it("name the lock in the way, or none", () => {
    const none = answer(opcodes.getlk, { op: "getlk" }, undefined)
    expect(none.readUInt32LE(32)).toBe(2)
    const lock = { owner: "", flock: false, type: "write", start: 3, end: Number.MAX_SAFE_INTEGER, holder: 5 }
    const some = answer(opcodes.getlk, { op: "getlk" }, lock).subarray(16)
    expect([some.readBigUInt64LE(0), some.readBigUInt64LE(8)]).toEqual([3n, 2n ** 63n - 1n])
    expect([some.readUInt32LE(16), some.readUInt32LE(20)]).toEqual([1, 5])
  })
})

describe("the start", () => {
  const offer = (minor: number, flags: number, flags2: number) =>
    request(opcodes.init, [[32, 7], [32, minor], [32, 131_072], [32, flags], [32, flags2], Buffer.alloc(44)])
  const all = 0xffff_ffff

  it("agrees on what both sides know, and on 1 MiB requests", () => {
    const from = offer(99, all, all)
    const agreed = negotiate(from, mountDefaults)
    if (typeof agreed === "string") throw new Error(agreed)
    expect(agreed.minor).toBe(45)
    expect(agreed.flags).toContain("hasResend")
    expect(agreed.flags).not.toContain("writebackCache")
    const reply = agreement(from, agreed, mountDefaults).subarray(16)
    expect([reply.readUInt32LE(0), reply.readUInt32LE(4), reply.readUInt32LE(20)]).toEqual([7, 45, 1 << 20])
    expect(reply.readUInt16LE(28)).toBe(256)
    expect(reply.readUInt32LE(32) & (1 << (initFlags.hasResend - 32))).not.toBe(0)
    expect(reply.readUInt32LE(12) & (1 << initFlags.writebackCache)).toBe(0)
  })

  it("does without what an older kernel lacks, and without the second word unless it is there", () => {
    const agreed = negotiate(offer(31, 1, all), mountDefaults)
    expect(agreed).toEqual({ minor: 31, flags: ["asyncRead"], noOpen: false, noOpendir: false })
    expect(negotiate(offer(30, all, 0), mountDefaults)).toMatch("7.30")
  })

  it("never leaves truncation to an open that is not asked", () => {
    const agreed = negotiate(offer(45, all, all), { ...mountDefaults, noOpen: true, writeback: true })
    if (typeof agreed === "string") throw new Error(agreed)
    expect(agreed.flags).not.toContain("atomicTruncate")
    expect(agreed.flags).toContain("writebackCache")
  })
})

describe("notices", () => {
  it("are laid out as the kernel reads them", () => {
    const inode = encodeNotice({ kind: "inode", ino: 5, offset: -1, length: 0 })
    expect([inode.length, inode.readInt32LE(4), inode.readBigUInt64LE(8)]).toEqual([40, 2, 0n])
    expect(inode.readBigInt64LE(24)).toBe(-1n)
    const entry = encodeNotice({ kind: "entry", parent: 1, name: "né" })
    expect([entry.length, entry.readUInt32LE(0), entry.readUInt32LE(24)]).toEqual([16 + 16 + 4, 36, 3])
    expect(entry.subarray(32).toString()).toBe("né\0")
    const gone = encodeNotice({ kind: "deleted", parent: 1, ino: 9, name: "x" })
    expect([gone.length, gone.readInt32LE(4), gone.readUInt32LE(32)]).toEqual([16 + 24 + 2, 6, 1])
    const store = encodeNotice({ kind: "store", ino: 3, offset: 4096, data: Buffer.from("abc") })
    expect([store.length, store.readUInt32LE(32)]).toEqual([16 + 24 + 3, 3])
    expect([resend().length, resend().readInt32LE(4)]).toEqual([16, 7])
  })
})
