/** The records of the stage: which runs were begun, their bytes, what was sent to be committed, and what is over. */
import { crc32 } from "node:zlib"
import type { Who } from "../../messages/inode.ts"
import type { Traits } from "../../messages/workspace-events.ts"
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
/** Something accepted for a file is lost, and nobody was told yet. It is over, as a run is, when somebody was. */
export interface FailedRecord {
  readonly kind: "failed"
  readonly run: number
  readonly ino: number
  readonly errno: string
  readonly why: string
}
/**
 * `length` bytes of a run from `off` on, at `at` of the segment. Of an append it says by which request they came: one
 * that is sent again must not append them again.
 */
export interface BytesRecord {
  readonly kind: "bytes"
  readonly run: number
  readonly off: number
  readonly ms: number
  readonly at: number
  readonly length: number
  readonly request?: number
}
/** Set of a file behind this run's bytes, to be committed with them. A later one takes its place. */
export interface SetRecord {
  readonly kind: "set"
  readonly run: number
  readonly ino: number
  readonly set: Traits
}
export type StageRecord = BegunRecord | SetRecord | SentRecord | OverRecord | FailedRecord | BytesRecord

/** crc32 u32, kind u32, payload length u32, run f64, off f64, ms f64; the checksum is over all behind it. */
export const headBytes = 36
const bytesKind = 1
const jsonKind = 2
/** Bytes with the number of their request before them, as an f64. */
const requestedKind = 3
const requestBytes = 8

const seal = (head: Buffer, payload: Uint8Array): void => {
  head.writeUInt32LE(crc32(payload, crc32(head.subarray(4))), 0)
}

export interface BytesPlace {
  readonly run: number
  readonly off: number
  readonly ms: number
  readonly request?: number | undefined
}

/** The head of a record of bytes; they follow it. */
export const bytesHead = ({ run, off, ms, request }: BytesPlace, data: Uint8Array): Uint8Array => {
  const before = request === undefined ? 0 : requestBytes
  const head = Buffer.alloc(headBytes + before)
  head.writeUInt32LE(request === undefined ? bytesKind : requestedKind, 4)
  head.writeUInt32LE(before + data.length, 8)
  head.writeDoubleLE(run, 12)
  head.writeDoubleLE(off, 20)
  head.writeDoubleLE(ms, 28)
  if (request !== undefined) head.writeDoubleLE(request, headBytes)
  seal(head, data)
  return head
}

export const jsonRecord = (record: Exclude<StageRecord, BytesRecord>): ReadonlyArray<Uint8Array> => {
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
  const request = bytes.readUInt32LE(4) === requestedKind ? payload.readDoubleLE(0) : undefined
  const before = request === undefined ? 0 : requestBytes
  return {
    kind: "bytes",
    run: bytes.readDoubleLE(12),
    off: bytes.readDoubleLE(20),
    ms: bytes.readDoubleLE(28),
    at: at + headBytes + before,
    length: payload.length - before,
    ...(request === undefined ? {} : { request })
  }
}
