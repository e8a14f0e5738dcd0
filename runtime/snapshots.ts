/** Snapshots as objects: one for each version, framed so that a damaged or torn one is told from a whole one. */
import { crc32, constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { Effect, Layer, Metric, Stream } from "effect"
import { Objects, type StoreFailed, StoreRefused } from "./ports/objects.ts"
import { type Snapshot, Snapshots } from "./ports/snapshots.ts"

/** A block is compressed without a pause: at some 700 MB/s the loop stands still for 1.5 ms, not for a whole state. */
const blockBytesMax = 1024 * 1024

/** Versions of one actor are pruned as new ones come; more deletions than this at once are asked for in parts. */
const pruneKeysMax = 1000

/** A snapshot can be pruned between the listing and the read; then a newer one exists, and the list is read again. */
const listingsMax = 4

const magic = 0x50_4e_53_41 // "ASNP", read as little-endian
const format = 1
const headBytes = 40
const blockHeadBytes = 12
const versionDigits = 16
const versionName = /^[0-9]{16}$/
const nameLaw = /^[A-Za-z0-9_-]{1,128}(?:\/[A-Za-z0-9_-]{1,128}){0,3}$/

/** How many damaged snapshots this process has passed over. */
export const damagedCount = Metric.counter("artifacts_snapshots_damaged_total", { incremental: true })

export interface SnapshotsOptions {
  /** Stands before every key, and ends with a slash. */
  readonly prefix?: string
}

const headOf = (name: string, snapshot: Snapshot, blocks: number): Buffer => {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(magic, 0)
  head.writeUInt8(format, 4)
  head.writeBigUInt64LE(BigInt(snapshot.version), 8)
  head.writeBigUInt64LE(BigInt(snapshot.bytes.length), 16)
  head.writeUInt32LE(blocks, 24)
  head.writeUInt32LE(crc32(name), 28)
  head.writeUInt32LE(crc32(head.subarray(0, 32)), 32)
  return head
}

/** A block that does not get smaller is kept as it is: then its two lengths are equal. */
const pack = (raw: Uint8Array): ReadonlyArray<Uint8Array> => {
  const packed = zstdCompressSync(raw, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } })
  const body = packed.length < raw.length ? packed : raw
  const head = Buffer.alloc(blockHeadBytes)
  head.writeUInt32LE(body.length, 0)
  head.writeUInt32LE(raw.length, 4)
  head.writeUInt32LE(crc32(raw), 8)
  return [head, body]
}

const frame = Effect.fnUntraced(function* (name: string, snapshot: Snapshot) {
  const parts: Array<Uint8Array> = [headOf(name, snapshot, Math.ceil(snapshot.bytes.length / blockBytesMax))]
  for (let at = 0; at < snapshot.bytes.length; at += blockBytesMax) {
    parts.push(...pack(snapshot.bytes.subarray(at, at + blockBytesMax)))
    yield* Effect.yieldNow
  }
  return Buffer.concat(parts)
})

interface Damage {
  readonly damage: string
}

const openHead = (name: string, version: number, file: Buffer): { size: number; blocks: number } | Damage => {
  if (file.length < headBytes) return { damage: `only ${file.length} bytes` }
  if (file.readUInt32LE(0) !== magic) return { damage: "not a snapshot" }
  if (file.readUInt32LE(32) !== crc32(file.subarray(0, 32))) return { damage: "its head fails the checksum" }
  if (file.readUInt8(4) !== format) return { damage: `format ${file.readUInt8(4)}, and only ${format} is known` }
  if (file.readUInt32LE(28) !== crc32(name)) return { damage: "it was written under another name" }
  if (file.readBigUInt64LE(8) !== BigInt(version)) return { damage: "it is of another version than its key says" }
  return { size: Number(file.readBigUInt64LE(16)), blocks: file.readUInt32LE(24) }
}

const unpack = (packed: Uint8Array, size: number): Uint8Array | undefined => {
  if (packed.length === size) return packed
  try {
    return zstdDecompressSync(packed, { maxOutputLength: Math.max(size, 1) })
  } catch {
    // The decompressor's only complaint is damage, and the caller names the snapshot.
    return undefined
  }
}

const unframe = Effect.fnUntraced(function* (name: string, version: number, stored: Uint8Array) {
  const file = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const head = openHead(name, version, file)
  if ("damage" in head) return head
  const parts: Array<Uint8Array> = []
  let at = headBytes
  let size = 0
  for (let block = 0; block < head.blocks; block++) {
    if (at + blockHeadBytes > file.length) return { damage: `it ends before block ${block}` }
    const packedBytes = file.readUInt32LE(at)
    const rawBytes = file.readUInt32LE(at + 4)
    const end = at + blockHeadBytes + packedBytes
    if (end > file.length || rawBytes > blockBytesMax) return { damage: `it ends within block ${block}` }
    const raw = unpack(file.subarray(at + blockHeadBytes, end), rawBytes)
    if (raw?.length !== rawBytes || crc32(raw) !== file.readUInt32LE(at + 8)) {
      return { damage: `block ${block} fails its checksum` }
    }
    parts.push(raw)
    size += rawBytes
    at = end
    yield* Effect.yieldNow
  }
  if (at !== file.length || size !== head.size) return { damage: "its length is not what its head says" }
  return { version, bytes: parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts) }
})

const make = (objects: typeof Objects.Service, prefix: string): typeof Snapshots.Service => {
  const folderOf = (operation: string, name: string): Effect.Effect<string, StoreRefused> =>
    nameLaw.test(name)
      ? Effect.succeed(`${prefix}snapshots/${name}/`)
      : Effect.fail(
          new StoreRefused({
            operation,
            key: name,
            why: "a snapshot's name is 1 to 4 words of [A-Za-z0-9_-], with / between"
          })
        )

  /** Oldest first. Snapshots of a name that continues this one lie in the same folder and are not of interest. */
  const versions = (folder: string): Effect.Effect<ReadonlyArray<number>, StoreFailed> =>
    objects.list(folder).pipe(
      Stream.runFold(
        (): Array<number> => [],
        (found, page) => {
          for (const { key } of page) {
            const rest = key.slice(folder.length)
            if (versionName.test(rest)) found.push(Number(rest))
          }
          return found
        }
      )
    )
  const keyOf = (folder: string, version: number): string => `${folder}${String(version).padStart(versionDigits, "0")}`

  const read = Effect.fnUntraced(function* (name: string, folder: string, version: number) {
    const key = keyOf(folder, version)
    const stored = yield* objects.get(key).pipe(Effect.catchTag("ObjectMissing", () => Effect.void))
    if (stored === undefined) return "gone" as const
    const opened = yield* unframe(name, version, stored)
    if (!("damage" in opened)) return opened
    yield* Metric.update(damagedCount, 1)
    yield* Effect.logWarning("a damaged snapshot is passed over", {
      key: `${objects.place} ${key}`,
      why: opened.damage
    })
    return "damaged" as const
  })

  return Snapshots.of({
    save: Effect.fnUntraced(function* (name: string, snapshot: Snapshot) {
      const folder = yield* folderOf("save", name)
      if (!Number.isSafeInteger(snapshot.version) || snapshot.version < 0) {
        throw new Error(`a snapshot's version has to be a natural number: ${snapshot.version} of ${name}`)
      }
      yield* objects.put(keyOf(folder, snapshot.version), yield* frame(name, snapshot))
    }),
    latest: Effect.fnUntraced(function* (name: string, passedOver?: (version: number) => void) {
      const folder = yield* folderOf("latest", name)
      for (let listing = 0; listing < listingsMax; listing++) {
        let gone = false
        for (const version of (yield* versions(folder)).toReversed()) {
          const found = yield* read(name, folder, version)
          if (found === "gone") gone = true
          else if (found === "damaged") passedOver?.(version)
          else return found
        }
        if (!gone) return undefined
      }
      return undefined
    }),
    prune: Effect.fnUntraced(function* (name: string, before: number) {
      const folder = yield* folderOf("prune", name)
      const old = (yield* versions(folder))
        .filter((version) => version < before)
        .map((version) => keyOf(folder, version))
      for (let at = 0; at < old.length; at += pruneKeysMax) yield* objects.remove(old.slice(at, at + pruneKeysMax))
    })
  })
}

export const layer = (options: SnapshotsOptions = {}): Layer.Layer<Snapshots, never, Objects> =>
  Layer.effect(
    Snapshots,
    Effect.map(Objects, (objects) => make(objects, options.prefix ?? ""))
  )
