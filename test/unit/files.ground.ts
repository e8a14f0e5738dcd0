/** A data plane for a test: objects in memory that fail when told to, a workspace, and files' bytes over both. */
import { Effect, Exit, Scope } from "effect"
import { make as makeObjects } from "../../adapters/memory/objects.ts"
import { type MemoryShelf, type MemoryTape, makeShelf, makeTape } from "../../adapters/memory/scratch.ts"
import type { Committed, Data } from "../../runtime/files/data.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { openData } from "../../runtime/files/open.ts"
import type { DataOptions } from "../../runtime/files/options.ts"
import { type Objects, StoreDown, StoreRefused } from "../../runtime/ports/objects.ts"
import { Bytespace, calm } from "../sim/bytespace.ts"

export const who = { uid: 1000, gid: 1000 }
export const mib = 1024 * 1024
export const place = { prefix: "org/space", layout: "slices", workspace: "space" } as const

export interface Ground {
  readonly objects: Objects["Service"]
  readonly keys: Set<string>
  readonly space: Bytespace
  readonly tape: MemoryTape
  readonly shelf: MemoryShelf
  readonly committed: Array<Committed>
  /** Why puts and gets fail, when they do. */
  fault: { put?: "down" | "refused" | undefined; get?: "down" | undefined; damage?: number }
}

export const ground = (): Ground => {
  const inner = makeObjects()
  const keys = new Set<string>()
  const made: Ground = {
    keys,
    objects: {
      ...inner,
      put: (key, bytes) =>
        Effect.suspend(() => {
          const failed = { operation: "put", key, why: "it is away" }
          if (made.fault.put === "down") return Effect.fail(new StoreDown(failed))
          if (made.fault.put === "refused") return Effect.fail(new StoreRefused(failed))
          keys.add(key)
          return inner.put(key, bytes)
        }),
      get: (key, range) =>
        Effect.suspend(() => {
          if (made.fault.get === "down") return Effect.fail(new StoreDown({ operation: "get", key, why: "it is away" }))
          return Effect.map(inner.get(key, range), (bytes) => {
            if ((made.fault.damage ?? 0) > 0) {
              made.fault.damage = (made.fault.damage ?? 0) - 1
              bytes[0] = (bytes[0] ?? 0) ^ 1
            }
            return bytes
          })
        })
    },
    space: new Bytespace(keysOf(place), (key) => keys.has(key)),
    tape: makeTape(),
    shelf: makeShelf(),
    committed: [],
    fault: {}
  }
  return made
}

export interface Opened {
  readonly data: Data
  /** As kill -9 ends it. */
  readonly kill: () => Promise<void>
}

export const open = async (
  on: Ground,
  options: Partial<DataOptions> & { readonly unstaged?: boolean } = {}
): Promise<Opened> => {
  const scope = Scope.makeUnsafe()
  const parts = {
    objects: on.objects,
    commands: on.space.commands(calm),
    shelf: on.shelf,
    tape: options.unstaged ? undefined : on.tape,
    options: { ...place, onCommitted: (one: Committed) => void on.committed.push(one), ...options }
  }
  const data = await Effect.runPromise(Scope.provide(openData(parts), scope))
  return { data, kill: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

export const run = Effect.runPromise
export const write = (data: Data, offset: number, bytes: Uint8Array | string, ino = 2) =>
  run(data.write({ ino, offset, data: Buffer.from(bytes), who }))
export const append = (data: Data, offset: number, bytes: string, ino = 2) =>
  run(data.write({ ino, offset, data: Buffer.from(bytes), who, append: true }))
export const read = async (data: Data, offset: number, length: number, ino = 2) =>
  Buffer.concat(await run(data.read({ ino, offset, length, handle: 1 })))
export const text = async (data: Data, ino = 2) => (await read(data, 0, 1000, ino)).toString()
export const noise = (bytes: number, seed = 1) => {
  const out = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    out[at] = state >>> 16
  }
  return out
}
