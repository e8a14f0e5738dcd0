/** The bytes of what the kernel is told unasked. */
import type { Invalidation } from "../../runtime/ports/mount.ts"
import { nameRoom, writeName } from "./name.ts"
import { notices, outHeaderBytes } from "./protocol.ts"

const started = (code: number, bytes: number): Buffer => {
  const notice = Buffer.alloc(outHeaderBytes + bytes)
  notice.writeUInt32LE(notice.length, 0)
  notice.writeUInt32LE(code, 4)
  return notice
}

/** 64 bits of a number below 2^53, negative ones included. */
const wide = (notice: Buffer, value: number, at: number): void => {
  notice.writeBigInt64LE(BigInt(value), at)
}

/** A notice that ends with a name, whose length stands in `lengthAt`. */
const named = (code: number, bytes: number, name: string, lengthAt: number): Buffer => {
  const notice = started(code, bytes + nameRoom(name) + 1)
  const length = writeName(notice, outHeaderBytes + bytes, name)
  const whole = outHeaderBytes + bytes + length + 1
  notice[whole - 1] = 0
  notice.writeUInt32LE(whole, 0)
  notice.writeUInt32LE(length, lengthAt)
  return notice.subarray(0, whole)
}

const at = outHeaderBytes

export const encodeNotice = (invalidation: Invalidation): Buffer => {
  switch (invalidation.kind) {
    case "inode": {
      const notice = started(notices.invalInode, 24)
      wide(notice, invalidation.ino, at)
      wide(notice, invalidation.offset, at + 8)
      wide(notice, invalidation.length, at + 16)
      return notice
    }
    case "entry": {
      const notice = named(notices.invalEntry, 16, invalidation.name, at + 8)
      wide(notice, invalidation.parent, at)
      return notice
    }
    case "deleted": {
      const notice = named(notices.deleted, 24, invalidation.name, at + 16)
      wide(notice, invalidation.parent, at)
      wide(notice, invalidation.ino, at + 8)
      return notice
    }
    case "store": {
      const { data } = invalidation
      const notice = started(notices.store, 24 + data.length)
      wide(notice, invalidation.ino, at)
      wide(notice, invalidation.offset, at + 8)
      notice.writeUInt32LE(data.length, at + 16)
      notice.set(data, at + 24)
      return notice
    }
    default:
      return invalidation satisfies never
  }
}

/** Asks the kernel to send again what was read and never answered. */
export const resend = (): Buffer => started(notices.resend, 0)
