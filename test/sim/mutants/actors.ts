/** What is broken in the runtime, one at a time. */
import type { Mutant } from "./mutant.ts"

export const actors: ReadonlyArray<Mutant> = [
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
  }
]
