/** Breaks the runtime in one place at a time, and shows that some world notices: `npm run mutants [-- NAME]`. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** In which worlds it is to be noticed; by default in those of actors. */
  readonly world?: "files" | "streams"
}

const filesMutants: ReadonlyArray<Mutant> = [
  {
    name: "files: slices are committed before their blocks are stored",
    file: "runtime/files/upload.ts",
    from: "yield* Effect.mapError(objects.put(block.key, bytes), failure)",
    to: "this.host.fork(Effect.ignore(objects.put(block.key, bytes)))"
  },
  {
    name: "files: digests are not looked at",
    file: "runtime/files/cache.ts",
    from: "digestOf(bytes) === block.digest) return bytes",
    to: "block.digest.length > 0) return bytes"
  },
  {
    name: "files: a session that is over is served",
    file: "actors/workspace/decide/rules.ts",
    from: "!needsSession(caller) || tree.sessions.has(caller)",
    to: "caller.length > 0"
  },
  {
    name: "files: locks outlive their session",
    file: "actors/workspace/evolve/sessions.ts",
    from: "keep(tree, key, forget(locks, session))",
    to: "keep(tree, key, locks)"
  },
  {
    name: "files: a lock is granted beside another one",
    file: "actors/workspace/tree/locks.ts",
    from: "if (locks.held.some((held) => clash(held, wanted))) return false",
    to: "if (locks.held.some((held) => clash(held, wanted)) && locks.queue.length > 0) return false"
  },
  {
    name: "files: who gives up waiting keeps its place in the queue",
    file: "runtime/mount/locks.ts",
    from: "Effect.onInterrupt(() => cancel(asking, request, ticket))",
    to: "Effect.onInterrupt(() => Effect.void)"
  },
  {
    name: "files: a lock that was granted unheard is waited for",
    file: "runtime/mount/view.ts",
    from: "if (!isFirst) this.invalidate([...differences(old, this.tree)])\n    this.grant()",
    to: "if (!isFirst) this.invalidate([...differences(old, this.tree)])"
  },
  {
    name: "files: a replica folds what follows a gap",
    file: "runtime/follow.ts",
    from: "if (next < fresh.length) this.gap.set()",
    to: "if (next < fresh.length) { this.version = (fresh.at(-1) as Published).version; this.fold.apply(fresh) }"
  },
  {
    name: "files: what a process had to tell is forgotten with it",
    file: "runtime/files/recover.ts",
    from: "if (resumed) inherit(writer, left, stale.files)",
    to: "if (resumed) inherit(writer, { found, failures: new Map() }, [])"
  },
  {
    name: "files: the stage is not taken over",
    file: "runtime/files/recover.ts",
    from: "file.runs.push(run)",
    to: "if (run.append) file.runs.push(run)"
  },
  {
    name: "files: an append that is sent again is appended again",
    file: "runtime/mount/bytes.ts",
    from: "? request.data.subarray(appended(request.id)) : request.data",
    to: "? request.data.subarray(appended(-request.id)) : request.data"
  },
  {
    name: "files: a loan is not recalled",
    file: "actors/workspace/decide/touched.ts",
    from: "if (lent.length === 0) return undefined",
    to: "if (lent.length >= 0) return undefined"
  },
  {
    name: "files: a host that keeps a directory is not doubted",
    file: "actors/workspace/decide/touched.ts",
    from: "at - recalledAt >= doubtMs",
    to: "at - recalledAt >= 1000 * doubtMs"
  },
  {
    name: "files: what was made ahead is not told by a successor",
    file: "runtime/mount/foresight.ts",
    from: "yield* saying.tell(some)",
    to: "if (some.length > aheadMax) yield* saying.tell(some)"
  },
  {
    name: "files: a directory is not synchronized with what was made in it",
    file: "runtime/mount/replica.ts",
    from: "return Atomics.load(this.depth, 0) > 0 ? toBeAsked : undefined",
    to: "return Atomics.load(this.depth, 0) < 0 ? toBeAsked : undefined"
  },
  {
    name: "files: what was made and lost with a session is not told",
    file: "runtime/mount/foresight.ts",
    from: "ahead.inherit(own, resumed ? lost : [])",
    to: "ahead.inherit(own, resumed && lost.length > aheadMax ? lost : [])"
  },
  {
    name: "files: what is made overtakes a change of its directory",
    file: "runtime/mount/ahead.ts",
    from: "this.isShown && !this.direct.has(parent)",
    to: "this.isShown"
  },
  {
    name: "files: bytes that overtake what makes their file are given up",
    file: "runtime/mount/asking.ts",
    from: 'error.errno === "ENOENT"',
    to: 'error.errno === "ENODEV"'
  },
  {
    name: "files: limits of bytes are not kept",
    file: "actors/workspace/decide/rules.ts",
    from: "tree.bytesMax > 0 && more > 0 && tree.bytes + more > tree.bytesMax",
    to: "tree.bytesMax > 0 && more > 0 && tree.bytes > tree.bytesMax"
  }
].map((mutant) => ({ ...mutant, world: "files" as const }))

const streamsMutants: ReadonlyArray<Mutant> = [
  {
    name: "streams: an object is written before it is announced",
    file: "runtime/streams/announced.ts",
    from: "return Effect.flatMap(\n      telling,",
    to: "return Effect.flatMap(\n      Effect.andThen(Effect.ignore(write(object)), telling),"
  },
  {
    name: "streams: an object that was announced in vain is forgotten",
    file: "actors/stream-partition/objects.ts",
    from: "state.planned.delete(object)\n    discard(state, object, at)",
    to: "state.planned.delete(object)"
  },
  {
    name: "streams: an object that came too late is committed",
    file: "actors/stream-partition/objects.ts",
    from: "return object === undefined ? undefined : {",
    to: 'return object !== "" ? undefined : {'
  },
  {
    name: "streams: an object is let go of while another stream needs it",
    file: "actors/stream-partition/segments.ts",
    from: "if (left > 0) objects.set(object, left)",
    to: "if (left > 1) objects.set(object, left)"
  },
  {
    name: "streams: an object is forgotten before it is deleted",
    file: "runtime/streams/sealer.ts",
    from: "if (objects.length === 0 || !(yield* this.settled(here))) return false\n",
    to:
      "if (objects.length === 0 || !(yield* this.settled(here))) return false\n" +
      '    yield* this.tell(partition, { _tag: "ForgetObjects", objects })\n'
  },
  {
    name: "streams: bytes leave memory before their object is there",
    file: "runtime/streams/sealer.ts",
    from: "Effect.as(this.objects.put(name, bytes), name)",
    to: "Effect.as(Effect.ignore(this.objects.put(name, bytes)), name)"
  }
].map((mutant) => ({ ...mutant, world: "streams" as const }))

const mutants: ReadonlyArray<Mutant> = [
  {
    name: "no fence",
    file: "adapters/world/journal.ts",
    from: "return this.isFenced ? Effect.fail(fenced)",
    to: "return fenced.epoch < 0 ? Effect.fail(fenced)"
  },
  {
    name: "no dedupe",
    file: "runtime/actor/window.ts",
    from: "return this.answers.get(this.last.of(commandId, caller))",
    to: "return undefined"
  },
  {
    name: "no dedupe of obligations",
    file: "runtime/actor/window.ts",
    from: 'return old ? "{}" : undefined',
    to: "return undefined"
  },
  {
    name: "no catch-up",
    file: "runtime/actor/recover.ts",
    from: "if (read.position > log.head) return",
    to: "if (read.position > 0) return"
  },
  {
    name: "answer before commit",
    file: "runtime/actor/shard.ts",
    from: "batch.release(delivery, okText(reply), { ok: made.given })",
    to: "delivery.answer(okText(reply))"
  },
  {
    name: "queries do not wait for what they saw",
    file: "runtime/actor/shard.ts",
    from: "if (cell.batch !== undefined) cell.batch.release(delivery, text)",
    to: 'if (cell.batch !== undefined && delivery.verb === "do") cell.batch.release(delivery, text)'
  },
  {
    name: "window not rebuilt from a snapshot",
    file: "runtime/actor/cell.ts",
    from: "this.window = Window.load(head.window)",
    to: "this.window = new Window()"
  },
  {
    name: "window not rebuilt from the log",
    file: "runtime/actor/cell.ts",
    from: "if (followers < windowAnswersMax || entry.caller === outboxCaller) this.remember(entry)",
    to: ""
  },
  {
    name: "evolve twice",
    file: "runtime/actor/shard.ts",
    from: "for (const event of made.events) state = cell.kind.evolve(state, event, at)",
    to: "for (const event of [...made.events, ...made.events]) state = cell.kind.evolve(state, event, at)"
  },
  {
    name: "a half-changed state is kept",
    file: "runtime/actor/shard.ts",
    from: "      cell.reset()\n      this.around.activate(cell)\n",
    to: ""
  },
  {
    name: "a fallen actor does not wait for its batch",
    file: "runtime/actor/activate.ts",
    from: "yield* committed(cell.batch)",
    to: "yield* Effect.void"
  },
  {
    name: "a fallen actor does not wait for its snapshot",
    file: "runtime/actor/activate.ts",
    from: "while (cell.behindSnapshot !== undefined) yield* Effect.sleep(snapshotPollMs)",
    to: ""
  },
  {
    name: "the shard is not claimed again",
    file: "runtime/actor/keep.ts",
    from: "yield* Effect.sleep(Math.ceil(pause * (0.5 + (yield* Random.next))))",
    to: "yield* Effect.never"
  },
  {
    name: "the client does not ask again",
    file: "runtime/client.ts",
    from: "if ((yield* Clock.currentTimeMillis) + wait >= deadline) {",
    to: "if (wait > 0) {"
  },
  {
    name: "the lease is not looked at",
    file: "runtime/placement/leased.ts",
    from: "const mayAnswer = () => clock.currentTimeMillisUnsafe() < me.validUntil",
    to: "const mayAnswer = () => true"
  },
  {
    name: "a node is declared dead too early",
    file: "runtime/placement/view.ts",
    from: "return now - at > ttlMs",
    to: "return now - at > 20"
  },
  {
    name: "what was owed is forgotten at a takeover",
    file: "runtime/actor/outbox.ts",
    from: "outbox.committed(obliging.filter((placed) => placed.position > done))",
    to: "outbox.committed([])"
  },
  {
    name: "timers are not folded from the log",
    file: "runtime/actor/recover.ts",
    from: "if (read.position > since) dues.set(key, read.entry.due)",
    to: ""
  },
  {
    name: "timers are not in the checkpoint",
    file: "runtime/actor/checkpoint.ts",
    from: "({ dues: dues.entries(), known: actors.known.save() })",
    to: "({ dues: [], known: actors.known.save(), ...(dues === undefined ? {} : {}) })"
  },
  {
    name: "the log is cut too far",
    file: "runtime/actor/checkpoint.ts",
    from: "Math.min(firstDirty(owned), owned.outboxDone() + 1, before + 1)",
    to: "before + 1"
  },
  {
    name: "the log is cut before what is owed",
    file: "runtime/actor/checkpoint.ts",
    from: "Math.min(firstDirty(owned), owned.outboxDone() + 1, before + 1)",
    to: "Math.min(firstDirty(owned), before + 1)"
  },
  {
    name: "a snapshot of what is not committed",
    file: "runtime/actor/checkpoint.ts",
    from: "yield* committed(batch)",
    to: "yield* Effect.void"
  },
  {
    name: "what came behind a snapshot is forgotten",
    file: "runtime/actor/checkpoint.ts",
    from: "if (from === undefined) owned.actors.dirty.delete(cell.key)",
    to: "if (from !== 0) owned.actors.dirty.delete(cell.key)"
  },
  {
    name: "a follower does not ask for what it missed",
    file: "runtime/follow.ts",
    from: "if (next < fresh.length) this.gap.set()",
    to: "if (next < fresh.length) { this.version = (fresh.at(-1) as Published).version; this.fold.apply(fresh) }"
  },
  {
    name: "a follower is told what is not committed",
    file: "runtime/actor/handout.ts",
    from: "yield* committed(batch)",
    to: "yield* committed(undefined)"
  },
  {
    name: "replies in the order of acknowledgement",
    file: "runtime/actor/pipeline.ts",
    from: "if (at === undefined) break",
    to: "if (at === undefined) continue"
  },
  ...filesMutants,
  ...streamsMutants
]

/** More than it takes to meet the rarest of the faults that a mutant needs. */
const worldsMax = { actors: 12_000, files: 2_000, streams: 6_000 }
const parts = ["messages", "actors", "runtime", "adapters", "test/sim", "test/property", "package.json"]

const root = join(import.meta.dirname, "../..")

/** Runs worlds on a copy of the sources in which one thing is wrong. */
const trial = (mutant: Mutant): { readonly killed: boolean; readonly by: string } => {
  const folder = mkdtempSync(join(tmpdir(), "mutant-"))
  try {
    for (const part of parts) cpSync(join(root, part), join(folder, part), { recursive: true })
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    const path = join(folder, mutant.file)
    const source = readFileSync(path, "utf8")
    if (source.split(mutant.from).length !== 2)
      throw new Error(`mutant "${mutant.name}": its text does not stand exactly once in ${mutant.file}`)
    writeFileSync(
      path,
      source.replace(mutant.from, () => mutant.to)
    )
    const { world = "actors" } = mutant
    const how = ["--only", world, "--seeds", String(worldsMax[world]), "--json", "--first-failure"]
    const args = [join(folder, "test/sim/main.ts"), ...how]
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: 1 << 28 })
    const by = stdout.split("\n").find((line) => line.startsWith("seed ")) ?? stdout.trim().split("\n").at(-1) ?? ""
    return { killed: status !== 0, by: by.slice(0, 160) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const main = (): number => {
  const wanted = process.argv[2]
  const chosen = mutants.filter(({ name }) => wanted === undefined || name.includes(wanted))
  let alive = 0
  for (const mutant of chosen) {
    const { killed, by } = trial(mutant)
    if (!killed) alive += 1
    process.stdout.write(`${killed ? "killed " : "SURVIVED"} ${mutant.name}: ${by}\n`)
  }
  process.stdout.write(
    `${JSON.stringify({ mutants: chosen.length, killed: chosen.length - alive, survived: alive })}\n`
  )
  return alive === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = main()
