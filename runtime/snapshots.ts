/** Snapshots as objects: one for each version, framed so that a damaged or torn one is told from a whole one. */
import { crc32 } from "node:zlib"
import { Effect, Layer, Metric, Stream } from "effect"
import { type Damage, joining, packing, unpacking } from "./packed.ts"
import { Objects, type StoreFailed, StoreRefused } from "./ports/objects.ts"
import { type Snapshot, Snapshots, type Unsaved } from "./ports/snapshots.ts"
import { inSteps } from "./steps.ts"

/** Versions of one actor are pruned as new ones come; more deletions than this at once are asked for in parts. */
const pruneKeysMax = 1000

/** A snapshot can be pruned between the listing and the read; then a newer one exists, and the list is read again. */
const listingsMax = 4

const magic = 0x50_4e_53_41 // "ASNP", read as little-endian
const format = 1
const headBytes = 40
const versionDigits = 16
const versionName = /^[0-9]{16}$/
const nameLaw = /^[A-Za-z0-9_-]{1,128}(?:\/[A-Za-z0-9_-]{1,128}){0,3}$/

/** How many damaged snapshots this process has passed over. */
export const damagedCount = Metric.counter("artifacts_snapshots_damaged_total", { incremental: true })

export interface SnapshotsOptions {
  /** Stands before every key, and ends with a slash. */
  readonly prefix?: string
}

const headOf = (name: string, is: { version: number; size: number; blocks: number }): Buffer => {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(magic, 0)
  head.writeUInt8(format, 4)
  head.writeBigUInt64LE(BigInt(is.version), 8)
  head.writeBigUInt64LE(BigInt(is.size), 16)
  head.writeUInt32LE(is.blocks, 24)
  head.writeUInt32LE(crc32(name), 28)
  head.writeUInt32LE(crc32(head.subarray(0, 32)), 32)
  return head
}

const piecesOf = ({ bytes }: Unsaved): ReadonlyArray<Uint8Array> => (bytes instanceof Uint8Array ? [bytes] : bytes)

function* framing(name: string, snapshot: Unsaved): Generator<void, Uint8Array> {
  const { parts, size, blocks } = yield* packing(piecesOf(snapshot))
  return yield* joining([headOf(name, { version: snapshot.version, size, blocks }), ...parts])
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

function* unframing(name: string, version: number, stored: Uint8Array): Generator<void, Snapshot | Damage> {
  const file = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const head = openHead(name, version, file)
  if ("damage" in head) return head
  const bytes = yield* unpacking(file, headBytes, head)
  return "damage" in bytes ? bytes : { version, bytes }
}

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
    const opened = yield* inSteps(unframing(name, version, stored))
    if (!("damage" in opened)) return opened
    yield* Metric.update(damagedCount, 1)
    yield* Effect.logWarning("a damaged snapshot is passed over", {
      key: `${objects.place} ${key}`,
      why: opened.damage
    })
    return "damaged" as const
  })

  return Snapshots.of({
    save: Effect.fnUntraced(function* (name: string, snapshot: Unsaved) {
      const folder = yield* folderOf("save", name)
      if (!Number.isSafeInteger(snapshot.version) || snapshot.version < 0) {
        throw new Error(`a snapshot's version has to be a natural number: ${snapshot.version} of ${name}`)
      }
      yield* objects.put(keyOf(folder, snapshot.version), yield* inSteps(framing(name, snapshot)))
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
    at: Effect.fnUntraced(function* (name: string, version: number) {
      const found = yield* read(name, yield* folderOf("at", name), version)
      return typeof found === "string" ? undefined : found
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
