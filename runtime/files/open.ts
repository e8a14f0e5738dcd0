/** Puts the parts together that read and write a workspace's files. */
import { Clock, Effect, FiberSet, Random, type Scope } from "effect"
import { randomId } from "../client.ts"
import type { Objects } from "../ports/objects.ts"
import type { ScratchFailed, Shelf, Tape } from "../ports/scratch.ts"
import { Buffers } from "./buffer.ts"
import { BlockCache } from "./cache.ts"
import type { Commands } from "./commands.ts"
import { type Data, newMeters } from "./data.ts"
import { BlockDisk } from "./disk.ts"
import { sliceIds } from "./ids.ts"
import { keysOf } from "./keys.ts"
import { type DataOptions, dataDefaults } from "./options.ts"
import { Reader } from "./reader.ts"
import { recover } from "./recover.ts"
import { Stage } from "./staging.ts"
import { isDressed } from "./traits.ts"
import { Writer } from "./writer.ts"

export interface DataParts {
  readonly objects: Objects["Service"]
  readonly commands: Commands
  /** Blocks on the local disk. */
  readonly shelf?: Shelf | undefined
  /** Where accepted writes are staged; without one they live in this process alone until they are flushed. */
  readonly tape?: Tape | undefined
  readonly options: Partial<DataOptions> & Pick<DataOptions, "prefix" | "layout" | "workspace">
}

/**
 * Opens the files' bytes; what an earlier process left on the stage is taken over first. With the scope everything
 * under way stops where it is: who wants it kept flushes before.
 */
export const openData = (parts: DataParts): Effect.Effect<Data, ScratchFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const wanted: DataOptions = { ...dataDefaults, ...parts.options }
    const options = {
      ...wanted,
      bufferBytes: Math.max(wanted.bufferBytes, bufferBytesMin),
      stageBytes: Math.max(wanted.stageBytes, stageBytesMin)
    }
    const { commands, objects } = parts
    const meters = newMeters()
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const now = () => clock.currentTimeMillisUnsafe()
    const below = (count: number) => Math.floor(random.nextDoubleUnsafe() * count)
    const run = yield* FiberSet.makeRuntime<never, void, never>()
    const fork = (work: Effect.Effect<void>) => void run(work)
    const keyOf = keysOf(options)
    const disk = parts.shelf && new BlockDisk(parts.shelf, { ...options, below, now, fork, meters })
    const cache = new BlockCache({ ...options, objects, disk, meters, now, fork })
    const stage = parts.tape && new Stage(parts.tape, options.stageBytes, meters)
    const writer = new Writer({
      upload: {
        ...options,
        objects,
        keyOf,
        ids: yield* sliceIds(commands),
        buffers: new Buffers(),
        stage,
        meters,
        now,
        fork,
        keep: (block, bytes, given) => {
          // A full block is one of many: the kernel has its pages, and it would drive out what is read again and again.
          if (bytes.length >= largeBytesMin && !options.cacheLargeWrites) return false
          cache.keep(block, given ? bytes : bytes.slice())
          return given
        }
      },
      commit: { commands, newId: randomId, onCommitted: options.onCommitted },
      clock,
      session: options.session,
      bufferBytes: options.bufferBytes,
      flushMs: options.flushMs
    })
    const reader = new Reader({
      ...options,
      commands,
      cache,
      writer,
      keyOf,
      meters,
      aheadBytesMax: Math.floor(options.memoryBytes / 2),
      fork
    })
    if (stage !== undefined)
      yield* recover({ writer, stage, meters, session: options.session, resumed: options.resumed })
    return data(writer, reader, meters)
  })

/** With less a write could wait for ever: a block that grows takes room twice, and a stage holds what is over too. */
const bufferBytesMin = 8 * 1024 * 1024
const stageBytesMin = 16 * 1024 * 1024

const largeBytesMin = 1024 * 1024

const data = (writer: Writer, reader: Reader, meters: Data["meters"]): Data => ({
  accept: (writing) => writer.accept(writing),
  write: writer.write,
  read: (reading) => reader.read(reading),
  flush: writer.flush,
  flushAll: Effect.suspend(() =>
    Effect.flatMap(
      Effect.forEach([...writer.files.keys()], (ino) => Effect.exit(writer.flush(ino)), {
        concurrency: "unbounded"
      }),
      (exits) => exits.find((exit) => exit._tag === "Failure") ?? Effect.void
    )
  ),
  ordered: writer.ordered,
  set: (ino, traits) => {
    const file = writer.files.get(ino)
    return file !== undefined && writer.dressing.set(file, traits)
  },
  isSet: (ino) => {
    const file = writer.files.get(ino)
    return file !== undefined && isDressed(file)
  },
  traitsOf: (ino) => writer.files.get(ino)?.set?.traits,
  sizeOf: (ino, committed) => Math.max(committed, writer.files.get(ino)?.end ?? 0),
  timeOf: (ino) => writer.files.get(ino)?.time,
  isDirty: (ino) => (writer.files.get(ino)?.runs.length ?? 0) > 0,
  discard: (ino) => writer.discard(ino),
  fail: (ino, errno, why) => writer.fail(ino, errno, why),
  appended: (request) => writer.appended.get(request) ?? 0,
  released: (handle) => reader.released(handle),
  meters
})
