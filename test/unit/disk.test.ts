/** What a directory as a store has to withstand: other processes, dead ones, folders in the way, large directories. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Stream } from "effect"
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest"
import { faultOf } from "../../adapters/disk/fault.ts"
import { layer } from "../../adapters/disk/objects.ts"
import { walk } from "../../adapters/disk/walk.ts"
import { compareKeys } from "../../messages/keys.ts"
import { Buffers } from "../../runtime/files/buffer.ts"
import { Objects } from "../../runtime/ports/objects.ts"

const scratch = mkdtempSync(join(tmpdir(), "artifacts-disk-"))
const children = new Set<ChildProcess>()
let root = ""
let tests = 0
beforeEach(() => {
  root = join(scratch, `store-${++tests}`)
})
afterEach(() => {
  for (const child of children) child.kill("SIGKILL")
  children.clear()
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const seconds = (): number => (performance.timeOrigin + performance.now()) / 1000
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const using = <A, E>(use: (store: typeof Objects.Service) => Effect.Effect<A, E>): Promise<A> =>
  Effect.runPromise(Effect.provide(Effect.flatMap(Objects, use), layer(root)))

const refusal = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>): Effect.Effect<string> =>
  Effect.match(effect, { onFailure: (error) => error._tag, onSuccess: () => "success" })

/** Another process that adds to a counter by conditional puts, or holds the lock until it is killed. */
const other = (source: string, ...args: ReadonlyArray<string>) => {
  const adapter = new URL("../../adapters/disk/", import.meta.url).href
  const effect = JSON.stringify(import.meta.resolve("effect"))
  const head = `import { Effect } from ${effect}\nconst at = ${JSON.stringify(adapter)}\n`
  const child = spawn(process.execPath, ["--input-type=module", "-e", head + source, ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  children.add(child)
  const ended = new Promise<number | null>((done) => void child.once("exit", done))
  return { child, ended }
}
const adding = `
const { layer } = await import(at + "objects.ts")
const { Objects } = await import(new URL("../../runtime/ports/objects.ts", at).href)
const [root, times] = process.argv.slice(1)
const add = (store) => Effect.gen(function* () {
  for (;;) {
    const { etag } = yield* store.head("shared/counter")
    const value = Number(new TextDecoder().decode(yield* store.get("shared/counter")))
    const next = new TextEncoder().encode(String(value + 1))
    const exit = yield* Effect.exit(store.putIf("shared/counter", next, { etag }))
    if (exit._tag === "Success") return
    if (!String(exit.cause).includes("ObjectConflict")) return yield* exit
  }
})
await Effect.runPromise(Effect.provide(
  Effect.flatMap(Objects, (store) => Effect.repeat(add(store), { times: Number(times) - 1 })), layer(root)))
`
const holding = `
const { open } = await import(at + "lock.ts")
const forever = () => {
  console.log("held")
  return new Promise(() => setInterval(() => {}, 1000))
}
const held = Effect.flatMap(open(process.argv[1]), (lock) => Effect.promise(() => lock.hold(forever)))
await Effect.runPromise(Effect.scoped(held))
`

const dying = `
const { Flusher } = await import(at + "flush.ts")
const { temporaries } = await import(at + "temporary.ts")
await temporaries(process.argv[1], new Flusher()).write(new Uint8Array(10))
process.kill(process.pid, "SIGKILL")
`

const writing = `
const { layer } = await import(at + "objects.ts")
const { Objects } = await import(new URL("../../runtime/ports/objects.ts", at).href)
let next = 0
const line = (store) => Effect.forever(Effect.suspend(() => {
  const own = next++
  const put = store.put("w/" + own, new Uint8Array(20000).fill(own))
  return Effect.tap(put, () => Effect.sync(() => console.log(own)))
}))
await Effect.runPromise(Effect.provide(Effect.flatMap(Objects, (store) =>
  Effect.all([1, 2, 3, 4].map(() => line(store)), { concurrency: "unbounded" })), layer(process.argv[1])))
`

describe("a directory as a store", { timeout: 20_000 }, () => {
  it("counts right when several processes replace one object on condition", async () => {
    await using((store) => store.put("shared/counter", text("0")))
    const runs = [1, 2, 3].map(() => other(adding, root, "40"))
    expect(await Promise.all(runs.map((run) => run.ended))).toEqual([0, 0, 0])
    expect(new TextDecoder().decode(await using((store) => store.get("shared/counter")))).toBe("120")
    expect(readdirSync(join(root, ".new"))).toEqual([])
  })

  it("does not wait for a dead process that held the lock", async () => {
    const etag = await using((store) => store.put("a", text("1")))
    const holder = other(holding, join(root, ".lock"))
    await new Promise((heard) => holder.child.stdout.once("data", heard))
    let settled = false
    const put = using((store) => store.putIf("a", text("2"), { etag })).finally(() => {
      settled = true
    })
    await sleep(100)
    expect(settled).toBe(false)
    holder.child.kill("SIGKILL")
    await holder.ended
    await put
  })

  it("never repeats an etag, not even for equal bytes put one after the other", async () => {
    const etags = await using((store) =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        for (let round = 0; round < 60; round++) {
          seen.push(yield* store.put("same", text("x")))
          seen.push(yield* store.put("same", text("y")))
          yield* store.remove(["same"])
        }
        return seen
      })
    )
    expect(new Set(etags).size).toBe(etags.length)
  })

  it("makes an object younger than the one it replaces when the clock went back", async () => {
    const first = await using((store) => store.put("a", text("1")))
    const future = seconds() + 3600
    utimesSync(join(root, "a"), future, future)
    const mtimeNs = () => statSync(join(root, "a"), { bigint: true }).mtimeNs
    const before = mtimeNs()
    const second = await using((store) => store.put("a", text("2")))
    expect(mtimeNs()).toBeGreaterThan(before)
    expect(second).not.toBe(first)
    expect(await using((store) => store.head("a"))).toEqual({ size: 1, etag: second })
    await using((store) => store.putIf("a", text("3"), { etag: second }))
  })

  it("keeps large objects as they are, wherever they lie in memory and whatever their length", async () => {
    const mib = 1024 * 1024
    const memory = Uint8Array.from({ length: 2 * mib + 8192 }, (_, at) => at % 251)
    const paged = new Buffers().grow(undefined, 4 * mib)
    paged.set(memory)
    const parts = [paged.subarray(0, 2 * mib), paged.subarray(4096, mib + 4096), paged.subarray(0, mib + 1)]
    for (const from of [0, 1, 4080]) parts.push(memory.subarray(from, from + 2 * mib))
    await using((store) =>
      Effect.forEach(parts, (part, at) =>
        Effect.gen(function* () {
          const etag = yield* store.put(`large/${at}`, part)
          expect(Buffer.compare(yield* store.get(`large/${at}`), part)).toBe(0)
          expect(yield* store.head(`large/${at}`)).toEqual({ size: part.length, etag })
        })
      )
    )
    expect(readdirSync(join(root, ".new"))).toEqual([])
  })
  it("makes nothing in the place of a store that has gone away", async () => {
    const gone = await using((store) =>
      Effect.gen(function* () {
        yield* store.put("a/b", text("1"))
        renameSync(root, `${root}-away`)
        return yield* Effect.exit(store.put("c/d", text("2")))
      })
    )
    expect(gone._tag).toBe("Failure")
    expect(existsSync(root)).toBe(false)
  })
  it("stores the same without waiting for the disk, where that is asked for", async () => {
    const unsynced = layer(root, { synced: false })
    const put = Effect.flatMap(Objects, (store) => store.put("a/b", text("1")))
    await Effect.runPromise(Effect.provide(put, unsynced))
    expect(new TextDecoder().decode(await using((store) => store.get("a/b")))).toBe("1")
    expect(readdirSync(join(root, ".new"))).toEqual([])
  })
  it("hides and sweeps what a dead process left, and lets a living one finish", async () => {
    await using((store) => store.put("a", text("1")))
    const gone = other(dying, join(root, ".new"))
    await gone.ended
    // What it had written, and what it had made for the next object.
    expect(readdirSync(join(root, ".new")).length).toBe(2)
    await using(() => Effect.void)
    expect(readdirSync(join(root, ".new"))).toEqual([])
    writeFileSync(join(root, ".new", "elsewhere-1-a-1"), "young, from another host")
    writeFileSync(join(root, ".new", "elsewhere-1-a-2"), "old")
    const days = seconds() - 2 * 24 * 3600
    utimesSync(join(root, ".new", "elsewhere-1-a-2"), days, days)
    const found = await using((store) => Stream.runCollect(store.list("")))
    expect(found.flat().map((one) => one.key)).toEqual(["a"])
    expect(readdirSync(join(root, ".new"))).toEqual(["elsewhere-1-a-1"])
  })

  it("has all that was acknowledged, and nothing in part, after its writers were killed", async () => {
    const acknowledged = new Set<string>()
    for (let round = 0; round < 3; round++) {
      const writer = other(writing, join(root, String(round)))
      let said = ""
      writer.child.stdout.on("data", (some) => {
        said += String(some)
      })
      await once(writer.child.stdout, "data")
      await sleep(30 + round * 37)
      writer.child.kill("SIGKILL")
      await writer.ended
      for (const own of said.split("\n").slice(0, -1)) acknowledged.add(`${round}/w/${own}`)
    }
    for (let round = 0; round < 3; round++) {
      const whole = (bytes: Uint8Array, own: number) =>
        bytes.length === 20_000 && bytes.every((byte) => byte === own % 256)
      const found = await Effect.runPromise(
        Effect.provide(
          Effect.flatMap(Objects, (store) =>
            Effect.gen(function* () {
              const keys = (yield* Stream.runCollect(store.list(""))).flat().map((one) => one.key)
              for (const key of keys) expect(whole(yield* store.get(key), Number(key.slice(2))), key).toBe(true)
              return keys
            })
          ),
          layer(join(root, String(round)))
        )
      )
      for (const key of found) acknowledged.delete(`${round}/${key}`)
      expect(readdirSync(join(root, String(round), ".new"))).toEqual([])
    }
    expect([...acknowledged]).toEqual([])
  })

  it("says which key is in the way of a folder, and which folder in the way of a key", async () => {
    await using((store) => store.put("way/in", text("x")))
    for (const put of [
      (store: typeof Objects.Service) => store.put("way", text("y")),
      (store: typeof Objects.Service) => store.putIf("way", text("y"), { absent: true }),
      (store: typeof Objects.Service) => store.put("way/in/deep", text("y"))
    ]) {
      const refused = await using((store) => Effect.flip(put(store)))
      expect(refused._tag).toBe("StoreRefused")
      expect(refused.key).toMatch(/^way/)
    }
    await using((store) => store.remove(["way", "way/in/deep"]))
    expect(existsSync(join(root, "way", "in"))).toBe(true)
    expect(readdirSync(join(root, ".new"))).toEqual([])
  })

  it("never leads out of its root", async () => {
    mkdirSync(root, { recursive: true })
    writeFileSync(join(scratch, "secret"), "s")
    for (const key of ["../secret", "a/../../secret", "/etc/passwd", "a\0b"]) {
      for (const tag of await using((store) =>
        Effect.all([refusal(store.get(key)), refusal(store.put(key, text("x")))])
      )) {
        expect(tag, key).toBe("StoreRefused")
      }
    }
    for (const prefix of ["../", "a/../../", "/etc/", "../sec", ".new/", "a\0/"]) {
      expect((await using((store) => Stream.runCollect(store.list(prefix)))).flat(), prefix).toEqual([])
    }
  })

  it("walks a directory that is larger than the part it holds", async () => {
    const keys = Array.from({ length: 100 }, (_, at) => (at % 9 === 0 ? `d/${at}-/x` : `d/${at}${"-.0/"[at % 3]}y`))
    for (const key of keys) {
      mkdirSync(join(root, key, ".."), { recursive: true })
      writeFileSync(join(root, key), key)
    }
    const expected = keys.toSorted(compareKeys)
    for (const directoryNamesMax of [1, 7, 50, 1000]) {
      for (const after of [undefined, "d/5", expected[50], "e"]) {
        const found: Array<string> = []
        for await (const page of walk(root, "d/", after, { pageKeysMax: 9, directoryNamesMax })) {
          found.push(...page.map((one) => one.key))
        }
        expect(found).toEqual(expected.filter((key) => after === undefined || compareKeys(key, after) > 0))
      }
    }
  })

  it("tells what may pass from what stays", () => {
    const error = (code: string) => Object.assign(new Error(`${code}: said`), { code })
    expect(faultOf("put", "k", error("ENOSPC"))).toMatchObject({ _tag: "StoreDown", key: "k", operation: "put" })
    expect(faultOf("put", "k", error("ENOSPC")).why).toContain("the disk is full")
    expect(faultOf("put", "k", error("EROFS"))._tag).toBe("StoreRefused")
    expect(faultOf("get", "k", error("EACCES"))._tag).toBe("StoreRefused")
    expect(faultOf("get", "k", error("EIO"))._tag).toBe("StoreDown")
  })
})
