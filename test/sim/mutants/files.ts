/** What is broken in mounts, one at a time. */
import type { Mutant } from "./mutant.ts"

export const files: ReadonlyArray<Mutant> = [
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
    to: "if (!isFirst) this.invalidate([...differences(old, this.tree)])",
    // In a world it costs time alone: whatever is heard next wakes who waits.
    test: "test/unit/mount.test.ts"
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
    name: "files: what others change shows over what was set ahead",
    file: "runtime/mount/steps.ts",
    from: "if (isMade(step) || !inosOf(step).includes(ino)) return []",
    to: "if (isMade(step) || ino > 0) return []",
    test: "test/property/ahead.test.ts"
  },
  {
    name: "files: what was removed ahead is kept for ever",
    file: "runtime/mount/ahead.ts",
    from: "return isShown ? restOf(this.host.view.tree, step, event) : [event]",
    to: "return isShown ? [] : [event]",
    test: "test/property/ahead.test.ts"
  },
  {
    name: "files: a name of several is taken away ahead",
    file: "runtime/mount/steps.ts",
    from: "return tree.inodes.nlink[slot] === 1 ? [parent] : undefined",
    to: "return [parent]",
    test: "test/property/ahead.test.ts"
  },
  {
    name: "files: what was set is not staged",
    file: "runtime/files/traits.ts",
    from: 'this.host.stage?.noted({ kind: "set", run, ino: file.ino, set: traits })',
    to: "undefined",
    test: "test/unit/files.traits.test.ts"
  },
  {
    name: "files: a write keeps the time that was set before it",
    file: "runtime/files/traits.ts",
    from: "const { mtime, ...rest } = traits",
    to: "const { mtime, ...rest } = { ...traits, mtime: undefined }",
    test: "test/unit/files.traits.test.ts"
  },
  {
    name: "files: bytes that overtake what makes their file are given up",
    file: "runtime/mount/asking.ts",
    from: 'error.errno === "ENOENT"',
    to: 'error.errno === "ENODEV"'
  },
  {
    name: "files: a change does not wait for other hosts",
    file: "runtime/mount/others.ts",
    from: "this.edges.withinMs === 0 || this.isShown(version)",
    to: "this.edges.withinMs > 0 || this.isShown(version)"
  },
  {
    name: "files: a host says that it shows what it does not",
    file: "runtime/mount/showing.ts",
    from: "for (const session of ready) this.say(session, upTo)",
    to: "for (const session of ready) this.say(session, upTo + 1)"
  },
  {
    name: "files: a replica goes back to a state that came late",
    file: "runtime/follow.ts",
    from: "if (this.isLoaded && this.version >= version) return\n    this.fold.load",
    to: "if (this.isLoaded && this.version > version + 1_000_000) return\n    this.fold.load"
  },
  {
    name: "files: limits of bytes are not kept",
    file: "actors/workspace/decide/rules.ts",
    from: "tree.bytesMax > 0 && more > 0 && tree.bytes + more > tree.bytesMax",
    to: "tree.bytesMax > 0 && more > 0 && tree.bytes > tree.bytesMax"
  }
]
