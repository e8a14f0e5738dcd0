/** The process whose power is cut: puts objects into a directory without a pause, and says which are there. */
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { layer } from "../../adapters/disk/objects.ts"
import { Objects } from "../../runtime/ports/objects.ts"
import { bodyOf } from "./powercut-body.ts"

/** Old ones are removed, so that the disk has room, and uses what was used before. */
const keptMax = 8
const writers = 3

const [directory = "", sync = "true"] = process.argv.slice(2)

const say = (what: "put" | "remove", key: string): void => void process.stdout.write(`${what} ${key}\n`)

const writing = Effect.fnUntraced(function* (store: Objects["Service"], writer: number) {
  const kept: Array<string> = []
  for (let at = 0; ; at++) {
    const key = `chunks/${writer}/${at % 7}/${at}`
    yield* store.put(key, bodyOf(key))
    say("put", key)
    kept.push(key)
    if (kept.length <= keptMax) continue
    const old = kept.shift() as string
    // Said before: once it is asked for, it may be gone.
    say("remove", old)
    yield* store.remove([old])
  }
})

const program = Effect.gen(function* () {
  const store = Context.get(yield* Layer.build(layer(join(directory, "objects"), { synced: sync === "true" })), Objects)
  yield* Effect.all(
    Array.from({ length: writers }, (_, writer) => writing(store, writer)),
    { concurrency: "unbounded" }
  )
})

await Effect.runPromise(Effect.scoped(program))
