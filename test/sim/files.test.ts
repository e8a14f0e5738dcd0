/** Hosts that append to one file and write to files of their own, while stores, answers and processes fail. */
import { Effect, Exit, Scope } from "effect"
import { expect, it } from "vitest"
import { make as makeObjects } from "../../adapters/memory/objects.ts"
import { makeTape } from "../../adapters/memory/scratch.ts"
import { Prng } from "../../adapters/world/prng.ts"
import type { Data } from "../../runtime/files/data.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { openData } from "../../runtime/files/open.ts"
import { type Objects, StoreDown } from "../../runtime/ports/objects.ts"
import { Bytespace } from "./bytespace.ts"
import { World } from "./world.ts"

const place = { prefix: "org/space", layout: "slices", workspace: "space" } as const
const who = { uid: 1000, gid: 1000 }
const logIno = 2
const hosts = 3
const recordBytes = 32

const record = (host: number, count: number): Buffer => Buffer.from(`<${host}:${count}>`.padEnd(recordBytes, "."))

interface Outcome {
  readonly appended: number
  readonly kills: number
  readonly moved: number
  readonly recovered: number
}

const runWorld = (seed: number): Outcome => {
  const world = new World(seed)
  const prng = new Prng(seed).fork("files")
  const inner = makeObjects()
  const keys = new Set<string>()
  let lossy = 0.15
  const far = <A, E>(operation: string, key: string, act: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      yield* Effect.sleep(prng.below(40))
      if (prng.chance(lossy)) return yield* new StoreDown({ operation, key, why: "the request was lost" })
      const done = yield* act
      if (prng.chance(lossy)) return yield* new StoreDown({ operation, key, why: "the answer was lost" })
      return done
    })
  const stored = (key: string, bytes: Uint8Array) =>
    Effect.tap(inner.put(key, bytes), () => Effect.sync(() => keys.add(key)))
  const objects: Objects["Service"] = {
    ...inner,
    put: (key, bytes) => far("put", key, stored(key, bytes)),
    get: (key, range) => far("get", key, inner.get(key, range))
  }
  const space = new Bytespace(keysOf(place), (key) => keys.has(key))
  const faults = {
    lost: () => prng.chance(lossy),
    lostAnswer: () => prng.chance(lossy),
    delayMs: () => prng.below(30)
  }
  const counts = { appended: 0, kills: 0, moved: 0, recovered: 0 }

  /** One host's life: it appends and flushes and dies, and its successor goes on with what was staged. */
  const host = (number: number) =>
    Effect.gen(function* () {
      const tape = makeTape()
      const chooser = prng.fork(`host ${number}`)
      let believed = 0
      const open = (scope: Scope.Closeable): Effect.Effect<Data> =>
        Scope.provide(
          openData({
            objects,
            commands: space.commands(faults),
            tape,
            options: {
              ...place,
              flushMs: 2_000,
              onCommitted: ({ attributes, ino, moved }) => {
                if (ino === logIno) believed = Math.max(believed, attributes.size)
                if (moved !== undefined && moved.believed !== moved.offset) counts.moved += 1
              }
            }
          }),
          scope
        ).pipe(Effect.orDie)
      let scope = Scope.makeUnsafe()
      let data = yield* open(scope)
      let written = 0
      for (let step = 0; step < 60; step++) {
        if (chooser.chance(0.06)) {
          yield* Effect.timeoutOption(Effect.exit(data.flushAll), chooser.below(120))
          yield* Scope.close(scope, Exit.void)
          scope = Scope.makeUnsafe()
          data = yield* open(scope)
          counts.kills += 1
          counts.recovered += data.meters.recoveredBytes
        }
        if (chooser.chance(0.7)) {
          const bytes = record(number, written++)
          yield* data.write({ ino: logIno, offset: believed, data: bytes, who, append: true }).pipe(Effect.orDie)
          believed += bytes.length
          counts.appended += 1
          const own = { ino: 10 + number, offset: (written - 1) * recordBytes, data: bytes, who }
          yield* data.write(own).pipe(Effect.orDie)
        }
        if (chooser.chance(0.2)) yield* Effect.ignore(data.flush(logIno))
        yield* Effect.sleep(chooser.below(400))
      }
      while ((yield* Effect.exit(data.flushAll))._tag === "Failure") yield* Effect.sleep(100)
      yield* Scope.close(scope, Exit.void)
      return written
    })

  const read = (data: Data, ino: number) =>
    Effect.map(data.read({ ino, offset: 0, length: 10_000_000, handle: 0 }), (pieces) => Buffer.concat(pieces))

  world.run(
    Effect.gen(function* () {
      const written = yield* Effect.forEach(
        Array.from({ length: hosts }, (_, number) => number),
        host,
        {
          concurrency: "unbounded"
        }
      )
      lossy = 0
      const data = yield* openData({ objects, commands: space.commands(), options: place })
      const log = (yield* read(data, logIno)).toString()
      const records = log.match(/<[^>]*>\.*/g) ?? []
      if (records.join("") !== log) throw new Error("there is something between the records")
      for (const [number, count] of written.entries()) {
        const own = records.filter((one) => one.startsWith(`<${number}:`))
        const wanted = Array.from({ length: count }, (_, index) => record(number, index).toString())
        if (own.join("") !== wanted.join("")) throw new Error(`the records of host ${number}: ${own.join("")}`)
        if ((yield* read(data, 10 + number)).toString() !== wanted.join(""))
          throw new Error(`the own file of host ${number} is another one`)
      }
    }).pipe(Effect.scoped, Effect.orDie)
  )
  return counts
}

it("finds every appended record once, in the order of its host, and whole", () => {
  const worlds = Number(process.env["FILES_WORLDS"] ?? 60)
  const total = { appended: 0, kills: 0, moved: 0, recovered: 0 }
  for (let seed = 1; seed <= worlds; seed++) {
    const counts = runWorld(seed)
    for (const what of Object.keys(total) as Array<keyof Outcome>) total[what] += counts[what]
  }
  console.log(JSON.stringify({ worlds, ...total }))
  for (const what of Object.keys(total) as Array<keyof Outcome>) expect(total[what], what).toBeGreaterThan(0)
})

it("is the same world for the same seed", () => {
  expect(runWorld(7)).toEqual(runWorld(7))
})
