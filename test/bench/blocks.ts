/**
 * Megabytes a second through the data plane of a mount over a directory of objects, beside a plain file: JSON lines.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { open as openFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { layer as disk } from "../../adapters/disk/objects.ts"
import { shelf, tape } from "../../adapters/disk/scratch.ts"
import { make as memory } from "../../adapters/memory/objects.ts"
import type { Data } from "../../runtime/files/data.ts"
import { digestOf } from "../../runtime/files/digest.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { openData } from "../../runtime/files/open.ts"
import type { DataOptions } from "../../runtime/files/options.ts"
import { Objects } from "../../runtime/ports/objects.ts"
import { Bytespace, calm } from "../sim/bytespace.ts"

const mib = 1024 * 1024
const place = { prefix: "org/space", layout: "slices", workspace: "space" } as const
const who = { uid: 1000, gid: 1000 }

let total = 1024 * mib
let request = mib

const say = (what: string, more: Record<string, unknown>): void => console.log(JSON.stringify({ bench: what, ...more }))

const timed = async (what: string, bytes: number, act: () => Promise<unknown>): Promise<number> => {
  const cpu = process.cpuUsage()
  const before = performance.now()
  await act()
  const ms = performance.now() - before
  const { system, user } = process.cpuUsage(cpu)
  const mibPerSecond = Math.round((bytes / mib / ms) * 1000)
  say(what, { mibPerSecond, ms: Math.round(ms), cpuMs: Math.round((user + system) / 1000) })
  return mibPerSecond
}

const source = Buffer.alloc(16 * mib)
for (let at = 0; at < source.length; at += 4) source.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
const part = (at: number) => source.subarray(at % source.length, (at % source.length) + request)

const plain = async (folder: string): Promise<void> => {
  const path = join(folder, "plain")
  await timed("plain write and fsync", total, async () => {
    const file = await openFile(path, "w")
    for (let at = 0; at < total; at += request) await file.write(part(at), 0, request)
    await file.sync()
    await file.close()
  })
  await timed("plain read, in the page cache", total, async () => {
    const file = await openFile(path, "r")
    const into = Buffer.allocUnsafe(request)
    for (let at = 0; at < total; at += request) await file.read(into, 0, request, at)
    await file.close()
  })
  rmSync(path)
}

const writeAll = async (data: Data): Promise<void> => {
  for (let at = 0; at < total; at += request) {
    const writing = { ino: 2, offset: at, data: part(at), who }
    if (!data.accept(writing)) await Effect.runPromise(data.write(writing))
    // The device gives one request after another, and others have their turn in between.
    else if (at % (4 * mib) === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await Effect.runPromise(data.flush(2))
}

const readAll = async (data: Data): Promise<void> => {
  for (let at = 0; at < total; at += request) {
    const pieces = await Effect.runPromise(data.read({ ino: 2, offset: at, length: request, handle: 1 }))
    let got = 0
    for (const piece of pieces) got += piece.length
    if (got !== request) throw new Error(`${got} bytes at ${at}`)
  }
}

const through = async (name: string, objects: Objects["Service"], folder: string): Promise<void> => {
  const keys = new Set<string>()
  const watched = {
    ...objects,
    put: (key: string, bytes: Uint8Array) => Effect.tap(objects.put(key, bytes), () => Effect.sync(() => keys.add(key)))
  }
  const space = new Bytespace(keysOf(place), (key) => keys.has(key))
  const opened = async (options: Partial<DataOptions>, staged: boolean) => {
    const scope = Scope.makeUnsafe()
    const made = Effect.gen(function* () {
      const stage = staged ? yield* tape(join(folder, "stage")) : undefined
      const cache = shelf(join(folder, "cache"))
      const commands = space.commands(calm, 1000)
      return yield* openData({
        objects: watched,
        commands,
        shelf: cache,
        tape: stage,
        options: { ...place, ...options }
      })
    })
    const data = await Effect.runPromise(Scope.provide(made, scope))
    return { data, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }
  for (const staged of [false, true]) {
    const one = await opened({}, staged)
    await timed(`${name}: write and flush${staged ? ", staged" : ""}`, total, () => writeAll(one.data))
    say(`${name}: memory`, { rssMib: Math.round(process.memoryUsage().rss / mib) })
    await one.close()
  }
  const cold = await opened({ memoryBytes: 256 * mib }, false)
  await timed(`${name}: cold read`, total, () => readAll(cold.data))
  await new Promise((resolve) => setTimeout(resolve, 500))
  await cold.close()
  const disked = await opened({ memoryBytes: 256 * mib }, false)
  await timed(`${name}: read again after a restart, from the disk cache`, total, () => readAll(disked.data))
  const { diskHits, storeReads } = disked.data.meters
  say(`${name}: hits`, { diskHits, storeReads })
  await disked.close()
  const warm = await opened({ memoryBytes: 2 * total }, false)
  await readAll(warm.data)
  await timed(`${name}: warm read, from memory`, total, () => readAll(warm.data))
  await warm.close()
  for (const key of keys) await Effect.runPromise(objects.remove([key]))
}

const smallFiles = async (objects: Objects["Service"], folder: string, size: number): Promise<void> => {
  const keys = new Set<string>()
  const watched = {
    ...objects,
    put: (key: string, bytes: Uint8Array) => Effect.tap(objects.put(key, bytes), () => Effect.sync(() => keys.add(key)))
  }
  const space = new Bytespace(keysOf(place), (key) => keys.has(key))
  const scope = Scope.makeUnsafe()
  const made = Effect.gen(function* () {
    const stage = yield* tape(join(folder, "stage-small"))
    return yield* openData({ objects: watched, commands: space.commands(calm), tape: stage, options: place })
  })
  const data = await Effect.runPromise(Scope.provide(made, scope))
  const count = 1000
  const one = source.subarray(0, size)
  await timed(`${count} files of ${size} bytes, each written and flushed, 8 at a time`, count * size, async () => {
    let next = 2
    const work = async () => {
      for (let ino = next++; ino < count + 2; ino = next++) {
        await Effect.runPromise(Effect.andThen(data.write({ ino, offset: 0, data: one, who }), data.flush(ino)))
      }
    }
    await Promise.all(Array.from({ length: 8 }, work))
  })
  await Effect.runPromise(Scope.close(scope, Exit.void))
}

const digests = async (): Promise<void> => {
  for (const size of [4096, 128 * 1024, 4 * mib]) {
    const bytes = source.subarray(0, size)
    const rounds = Math.floor((256 * mib) / size)
    for (let at = 0; at < rounds / 4; at++) digestOf(bytes)
    await timed(`digests of ${size} bytes`, rounds * size, async () => {
      for (let at = 0; at < rounds; at++) digestOf(bytes)
    })
  }
}

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "boolean" },
      mib: { type: "string", default: "1024" },
      request: { type: "string", default: String(mib) },
      dir: { type: "string", default: tmpdir() }
    }
  })
  total = Number(values.mib) * mib
  request = Number(values.request)
  const folder = mkdtempSync(join(values.dir, "artifacts-blocks-"))
  const scope = Scope.makeUnsafe()
  try {
    await digests()
    await plain(folder)
    const context = await Effect.runPromise(Layer.buildWithScope(disk(join(folder, "objects")), scope))
    const objects = Context.get(context, Objects)
    await through("over a directory", objects, folder)
    await through("over memory", memory(), folder)
    await smallFiles(objects, folder, 4096)
    await smallFiles(objects, folder, 128 * 1024)
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) await main(process.argv.slice(2))
