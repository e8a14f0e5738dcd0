/**
 * What this mount makes in directories that are lent to it: answered at once, shown at once, and told to the workspace
 * in its order a moment later.
 */
import { Effect, Fiber } from "effect"
import { decide } from "../../actors/workspace/decide/decide.ts"
import type { Command } from "../../actors/workspace/decide/rules.ts"
import type { Attributes } from "../../messages/inode.ts"
import { aheadMax, type Made } from "../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { Signal } from "../actor/signal.ts"
import type { Errno } from "../ports/mount.ts"
import type { Diary, Remembered } from "./diary.ts"
import { Wishes } from "./loans.ts"
import { Riders } from "./riders.ts"
import type { Foreseen, View } from "./view.ts"

type Created = Extract<WorkspaceEvent, { readonly _tag: "Created" }>

/** What was answered is at most so old when the workspace has not got it yet; then whoever makes more waits. */
const ageMsMax = 50
/** Where nobody waits for it, what comes within this time is told together. */
const gatherMs = 5
/** JSON of what is told at once: a part of what a message and an entry hold. */
const batchTextMax = 256 * 1024
/** A directory that could not be given back is tried again after so long. */
const againMs = 250
/** What a command whose fate is not known may still do it has done after so long. */
const unknownMs = 5_000

interface Step {
  readonly made: Made
  readonly at: number
  readonly size: number
}

interface Waiter {
  readonly upTo: number
  readonly wake: () => void
}

export interface AheadHost {
  readonly view: View
  readonly diary: Diary
  readonly now: () => number
  /** How long is waited for the workspace before a process is told EIO. */
  readonly patienceMs: number
  readonly fork: (work: Effect.Effect<void>) => void
  /** How much is ahead, for the thread that answers at once. */
  readonly depth: Int32Array
  readonly tell: (made: ReadonlyArray<Made>) => Effect.Effect<void>
  readonly giveBack: (inos: ReadonlyArray<number>) => Effect.Effect<void, Errno>
}

export class Ahead implements Foreseen {
  private readonly host: AheadHost
  /** In its order, what the replica has not heard of from the workspace. */
  private readonly queue: Array<Step> = []
  private readonly inos = new Set<number>()
  /** Counted from the beginning: what was made, what the workspace has answered for, and what has come back. */
  private made = 0
  private told = 0
  private settled = 0
  /** Directories that are changed by commands at the moment, which nothing may overtake. */
  private readonly direct = new Map<number, number>()
  private waiting: Array<Waiter> = []
  private readonly riders = new Riders()
  /** The newest version that was there. */
  private newest = 0
  /** Whether the replica shows what is in the queue: an older one has no place for it. */
  private isShown = true
  private readonly wishes = new Wishes()
  private readonly more = new Signal()
  private readonly urgent = new Signal()
  /** What is asked for again by the kernel, and was made by a process before this one. */
  private readonly requests = new Map<number, number>()
  /** Directories and files of which something was lost with a session. */
  readonly lost = new Set<number>()
  readonly counts = { made: 0, told: 0, batches: 0, recalls: 0, waits: 0 }
  /** Not before this moment: a command of a process before this one may still be under way. */
  private readonly from: number

  constructor(host: AheadHost, isResumed: boolean) {
    this.host = host
    this.from = isResumed ? host.now() + unknownMs : 0
    this.newest = host.view.version
  }

  get depth(): number {
    return this.made - this.settled
  }

  get loans(): number {
    const { tree, session } = this.host.view
    return tree.loans.borrowers.get(session)?.count ?? 0
  }

  private signed(): void {
    Atomics.store(this.host.depth, 0, this.depth + this.lost.size)
  }

  /** Whether a directory may be changed here and now. */
  private isFree(parent: number): boolean {
    const { tree, session, isLive } = this.host.view
    const loan = tree.loans.all.get(parent)
    return loan?.session === session && loan.recalledAt === 0 && isLive && this.isShown && !this.direct.has(parent)
  }

  /** Waits while too much is ahead, or the oldest of it for too long. */
  private readonly room: Effect.Effect<void> = Effect.suspend(() => {
    const oldest = this.queue[0]
    if (oldest === undefined) return Effect.void
    const isLate = this.host.now() - oldest.at > ageMsMax
    if (this.depth < aheadMax && !isLate) return Effect.void
    this.counts.waits += 1
    return Effect.andThen(this.reached(this.settled + Math.ceil(this.depth / 2)), this.room)
  })

  private reached(upTo: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.settled >= upTo) return resume(Effect.void)
      const waiter = { upTo, wake: () => resume(Effect.void) }
      this.waiting.push(waiter)
      this.urgent.set()
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((each) => each !== waiter)
      })
    })
  }

  /** Waits until the workspace has all that was made up to now. */
  readonly drained: Effect.Effect<void, Errno> = Effect.suspend(() =>
    this.depth === 0 ? Effect.void : this.inTime(this.reached(this.made))
  )

  /**
   * Waits until what was made up to now is being told: what is sent then comes right behind it. It overtakes only where
   * the telling was lost on its way, and then the workspace says that it does not know what was made.
   */
  readonly riding: Effect.Effect<void, Errno> = Effect.suspend(() =>
    this.inTime(this.riders.behind(this.made, this.urgent.set))
  )

  private inTime(waiting: Effect.Effect<void>): Effect.Effect<void, Errno> {
    const { patienceMs } = this.host
    return Effect.timeoutOrElse(waiting, { duration: patienceMs, orElse: () => Effect.fail("EIO" as const) })
  }

  /** Whether the workspace may not have this inode yet. */
  isAhead(ino: number): boolean {
    return this.inos.has(ino)
  }

  /** Waits until the workspace has this inode, where it was made here. */
  kept(ino: number): Effect.Effect<void, Errno> {
    return this.inos.has(ino) ? this.drained : Effect.void
  }

  /** A change by command: behind what was made before it, and what is made in these directories comes behind it. */
  directly<A>(inos: ReadonlyArray<number>, work: Effect.Effect<A, Errno>): Effect.Effect<A, Errno> {
    const mark = (change: number) => {
      for (const ino of inos) {
        const count = (this.direct.get(ino) ?? 0) + change
        if (count === 0) this.direct.delete(ino)
        else this.direct.set(ino, count)
      }
    }
    return Effect.suspend(() => {
      mark(1)
      return Effect.onExit(Effect.andThen(this.drained, work), (exit) => {
        const failure = exit._tag === "Failure" ? exit.cause.reasons[0] : undefined
        const isKnown = exit._tag === "Success" || (failure?._tag === "Fail" && failure.error !== "EIO")
        const unmark = Effect.sync(() => mark(-1))
        return isKnown ? unmark : Effect.sync(() => this.host.fork(Effect.andThen(Effect.sleep(unknownMs), unmark)))
      })
    })
  }

  /** Whether the next change in a directory is to ask for it. */
  wants(parent: number): boolean {
    const now = this.host.now()
    const wants = now >= this.from && this.wishes.wants(parent, now)
    this.wishes.made(parent, now)
    return wants
  }

  get isWanting(): boolean {
    return this.host.now() >= this.from
  }

  /** What a process before this one made for the same request. */
  resent(request: number): number {
    return this.requests.get(request) ?? 0
  }

  /** What comes of a command that makes an entry; undefined where the workspace has to be asked. */
  readonly make = Effect.fnUntraced(function* (this: Ahead, request: number, command: Command & { parent: number }) {
    const { parent } = command
    if (!this.isFree(parent)) return undefined
    yield* this.inTime(this.room)
    return this.isFree(parent) ? this.decide(request, command) : undefined
  })

  private decide(request: number, command: Command & { parent: number }): Attributes | Errno | undefined {
    const { view, diary, now } = this.host
    const { tree, session } = view
    const ino = tree.loans.nextOf(session)
    if (ino === 0) return undefined
    const context = { id: tree.id, caller: session, commandId: "", at: 0, version: 0 }
    const decision = decide(tree, command, context)
    if ("refused" in decision) {
      const { refused } = decision
      return refused._tag === "Errno" && refused.code === "EEXIST" ? "EEXIST" : undefined
    }
    const [event] = decision.events
    if (event?._tag !== "Created" || event.name === undefined) return undefined
    const { _tag, orphan, ...rest } = { ...event, ino }
    const made = rest as Made
    const size = diary.write(request, made)
    if (size === 0) return undefined
    const at = now()
    this.enqueue({ made, at, size })
    this.counts.made += 1
    this.wishes.made(command.parent, at)
    this.show(made)
    this.more.set()
    return { ...(decision.reply as { readonly attributes: Attributes }).attributes, ino }
  }

  private enqueue(step: Step): void {
    this.queue.push(step)
    this.inos.add(step.made.ino)
    this.made += 1
    this.signed()
  }

  private show(made: Made): void {
    const { view } = this.host
    const created: WorkspaceEvent = { _tag: "Created", ...made }
    const session = view.session as never
    view.foresee(made.type === "directory" ? [created, { _tag: "Lent", inos: [made.ino], session }] : [created])
    if (made.type === "directory") this.lent([made.ino])
  }

  /** Tells the workspace, for as long as there is something to tell. One message is under way at a time. */
  readonly telling: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    let last = 0
    for (;;) {
      if (this.told >= this.made) yield* this.more.wait
      const pause = last + gatherMs - this.host.now()
      if (pause > 0 && this.waiting.length === 0 && !this.riders.areWaiting)
        yield* Effect.raceFirst(Effect.sleep(pause), this.urgent.wait)
      last = this.host.now()
      const batch = this.batch()
      if (batch.length === 0) continue
      const upTo = this.told + batch.length
      const telling = yield* Effect.forkChild(this.host.tell(batch), { startImmediately: true })
      this.riders.go(upTo)
      yield* Fiber.join(telling)
      this.counts.batches += 1
      this.counts.told += batch.length
      this.told = Math.max(this.told, upTo)
      this.host.diary.told((batch.at(-1) as Made).ino)
    }
  })

  private batch(): ReadonlyArray<Made> {
    const batch: Array<Made> = []
    let size = 0
    for (let at = this.told - this.settled; at < this.queue.length && batch.length < aheadMax; at++) {
      const one = this.queue[at] as Step
      size += one.size
      if (size > batchTextMax && batch.length > 0) break
      batch.push(one.made)
    }
    return batch
  }

  /** Whether an own event says what the replica shows already. */
  settle(event: WorkspaceEvent): boolean {
    if (event._tag !== "Created" || !this.inos.delete(event.ino)) return false
    const first = this.queue.shift()?.made
    if (first === undefined || !isSame(first, event))
      throw new Error(`the workspace has ${JSON.stringify(event)}, and ${JSON.stringify(first)} was made`)
    this.settled += 1
    this.told = Math.max(this.told, this.settled)
    return this.isShown
  }

  /** Whoever waited for what has come back goes on. */
  folded(): void {
    const { version } = this.host.view
    if (!this.isShown && version >= this.newest) {
      this.isShown = true
      for (const { made } of this.queue) this.show(made)
    }
    this.newest = Math.max(this.newest, version)
    this.signed()
    if (this.waiting.length === 0) return
    const ready = this.waiting.filter(({ upTo }) => upTo <= this.settled)
    if (ready.length === 0) return
    this.waiting = this.waiting.filter(({ upTo }) => upTo > this.settled)
    for (const { wake } of ready) wake()
  }

  /** Another state is there. What it lacks is shown on top of it, once it is not older than what was there before. */
  reloaded(): void {
    const { tree, session, version } = this.host.view
    this.isShown = false
    while (version >= this.newest && this.queue[0] !== undefined) {
      const { ino } = this.queue[0].made
      if (!tree.sessions.has(session) || !tree.loans.isUsed(ino, session)) break
      this.queue.shift()
      this.inos.delete(ino)
      this.settled += 1
    }
    this.told = Math.max(this.told, this.settled)
    this.folded()
    const recalled = [...tree.loans.all].filter(([, loan]) => loan.session === session && loan.recalledAt > 0)
    if (recalled.length > 0) this.recalled(recalled.map(([ino]) => ino))
  }

  /** Others want to change something there: what was made there is told first. */
  recalled(inos: ReadonlyArray<number>): void {
    const { view, fork, now } = this.host
    const own = inos.filter((ino) => view.tree.loans.isLentTo(ino, view.session))
    for (const ino of inos) this.wishes.changed(ino, now())
    if (own.length === 0) return
    this.counts.recalls += own.length
    fork(this.giveBack(own))
  }

  changed(inos: ReadonlyArray<number>): void {
    for (const ino of inos) this.wishes.changed(ino, this.host.now())
  }

  private readonly giveBack = Effect.fnUntraced(function* (this: Ahead, inos: ReadonlyArray<number>) {
    const given = this.directly(inos, this.host.giveBack(inos))
    while ((yield* Effect.exit(given))._tag === "Failure") yield* Effect.sleep(againMs)
  })

  /** What processes before this one made for the same mount, and what is lost of an earlier one. */
  inherit(own: ReadonlyArray<Remembered>, lost: ReadonlyArray<Made>): void {
    for (const { made, request } of own) this.requests.set(request, made.ino)
    for (const { ino, parent } of lost) for (const one of [ino, parent]) this.lost.add(one)
    this.signed()
  }

  /** Whether something of it, or of anything, was lost; that is said once. */
  mourned(ino: number | undefined): boolean {
    const wasLost = ino === undefined ? this.lost.size > 0 : this.lost.delete(ino)
    if (ino === undefined) this.lost.clear()
    this.signed()
    return wasLost
  }

  /** The session has them from now on. */
  lent(inos: ReadonlyArray<number>): void {
    const now = this.host.now()
    for (const ino of inos) this.wishes.begun(ino, now)
  }

  /** Gives back what is not used. */
  sweep(): void {
    const { view, fork, now } = this.host
    const idle: Array<number> = []
    for (const [ino, { session, recalledAt }] of view.tree.loans.all) {
      if (session !== view.session || recalledAt > 0 || !this.wishes.isIdle(ino, now()) || this.direct.has(ino))
        continue
      idle.push(ino)
      if (idle.length === aheadMax) break
    }
    if (idle.length > 0) fork(this.giveBack(idle))
  }
}

const isSame = (made: Made, event: Created): boolean =>
  made.ino === event.ino &&
  made.parent === event.parent &&
  made.name === event.name &&
  made.type === event.type &&
  made.mode === event.mode &&
  made.uid === event.uid &&
  made.gid === event.gid &&
  made.rdev === event.rdev &&
  made.target === event.target &&
  made.time[0] === event.time[0] &&
  made.time[1] === event.time[1]
