/** The records of the stage: which runs were begun, their bytes, what was sent to be committed, and what is over. */
import { crc32 } from "node:zlib"
import type { Who } from "../../messages/inode.ts"
import type { AppendCommand, WriteCommand } from "./commands.ts"

export interface BegunRecord {
  readonly kind: "begun"
  readonly run: number
  readonly ino: number
  readonly append: boolean
  readonly at: number
  /** Whose it is: another session may not commit it, for others may have gone on meanwhile. */
  readonly session: string
  readonly who: Who
}
/** A command and its id, before it is sent: sent again after a crash, it is the same one. */
export interface SentRecord {
  readonly kind: "sent"
  readonly id: string
  readonly ino: number
  readonly runs: ReadonlyArray<number>
  readonly command: { readonly write: WriteCommand } | { readonly append: AppendCommand }
}
export interface OverRecord {
  readonly kind: "over"
  readonly runs: ReadonlyArray<number>
}
/** `length` bytes of a run from `off` on, at `at` of the segment. */
export interface BytesRecord {
  readonly kind: "bytes"
  readonly run: number
  readonly off: number
  readonly ms: number
  readonly at: number
  readonly length: number
}
export type StageRecord = BegunRecord | SentRecord | OverRecord | BytesRecord

/** crc32 u32, kind u32, payload length u32, run f64, off f64, ms f64; the checksum is over all behind it. */
export const headBytes = 36
const bytesKind = 1
const jsonKind = 2

const seal = (head: Buffer, payload: Uint8Array): void => {
  head.writeUInt32LE(crc32(payload, crc32(head.subarray(4))), 0)
}

/** The head of a record of bytes; they follow it. */
export const bytesHead = (run: number, off: number, ms: number, data: Uint8Array): Uint8Array => {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(bytesKind, 4)
  head.writeUInt32LE(data.length, 8)
  head.writeDoubleLE(run, 12)
  head.writeDoubleLE(off, 20)
  head.writeDoubleLE(ms, 28)
  seal(head, data)
  return head
}

export const jsonRecord = (record: BegunRecord | SentRecord | OverRecord): ReadonlyArray<Uint8Array> => {
  const payload = Buffer.from(JSON.stringify(record))
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(jsonKind, 4)
  head.writeUInt32LE(payload.length, 8)
  seal(head, payload)
  return [head, payload]
}

/** How long the record is that this head begins. */
export const recordBytes = (head: Buffer): number => headBytes + head.readUInt32LE(8)

/** The record, or undefined when it is damaged. `at` is where it lies in the segment. */
export const readRecord = (bytes: Buffer, at: number): StageRecord | undefined => {
  const payload = bytes.subarray(headBytes)
  if (crc32(payload, crc32(bytes.subarray(4, headBytes))) !== bytes.readUInt32LE(0)) return undefined
  if (bytes.readUInt32LE(4) === jsonKind) return JSON.parse(payload.toString("utf8")) as StageRecord
  return {
    kind: "bytes",
    run: bytes.readDoubleLE(12),
    off: bytes.readDoubleLE(20),
    ms: bytes.readDoubleLE(28),
    at: at + headBytes,
    length: payload.length
  }
}
