/**
 * What this mount makes, sets, removes and renames in directories that are lent to it: answered at once, shown at once,
 * and told to the workspace in its order a moment later.
 */
import { Effect, Fiber } from "effect"
import { decide } from "../../actors/workspace/decide/decide.ts"
import type { Command } from "../../actors/workspace/decide/rules.ts"
import type { Attributes } from "../../messages/inode.ts"
import { aheadMax, numberOf, type Step } from "../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { Signal } from "../actor/signal.ts"
import type { Errno } from "../ports/mount.ts"
import type { Diary, Remembered } from "./diary.ts"
import { Ledger } from "./ledger.ts"
import { Homes, Wishes } from "./loans.ts"
import { Riders } from "./riders.ts"
import { inosOf, isMade, isStep, overOf, placesOf, restOf, shownOf, stepOf, turnOf, withheld } from "./steps.ts"
import type { Foreseen, View } from "./view.ts"

/** What was answered is at most so old when the workspace has not got it yet; then whoever makes more waits. */
const ageMsMax = 50
/** Where nobody waits for it, what comes within this time is told together. */
const gatherMs = 5
/** A directory that could not be given back is tried again after so long. */
const againMs = 250
/** What a command whose fate is not known may still do it has done after so long. */
const unknownMs = 5_000

/** What came of a step: for what is there then, how it looks. */
interface Decided {
  readonly attributes: Attributes | undefined
}

/** Refusals that a directory that is lent to this host gives as certainly as the workspace. */
const certain: ReadonlySet<string> = new Set(["EEXIST", "ENOENT", "EISDIR", "ENOTDIR", "ENOTEMPTY"])

export interface AheadHost {
  readonly view: View
  readonly diary: Diary
  readonly now: () => number
  /** How long is waited for the workspace before a process is told EIO. */
  readonly patienceMs: number
  readonly fork: (work: Effect.Effect<void>) => void
  /** How much is ahead, for the thread that answers at once. */
  readonly depth: Int32Array
  readonly tell: (steps: ReadonlyArray<Step>) => Effect.Effect<void>
  readonly giveBack: (inos: ReadonlyArray<number>) => Effect.Effect<void, Errno>
}

export class Ahead implements Foreseen {
  private readonly host: AheadHost
  /** In its order, what the replica has not heard of from the workspace. */
  private readonly ledger = new Ledger()
  private readonly homes = new Homes()
  /** Directories that are changed by commands at the moment, which nothing may overtake. */
  private readonly direct = new Map<number, number>()
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
    return this.ledger.depth
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

  /** Not where too much is ahead, or the oldest of it for too long. */
  private get hasRoom(): boolean {
    const { since, depth } = this.ledger
    return since === undefined || (depth < aheadMax && this.host.now() - since <= ageMsMax)
  }

  private readonly room: Effect.Effect<void> = Effect.suspend(() => {
    if (this.hasRoom) return Effect.void
    const { depth, settled } = this.ledger
    this.counts.waits += 1
    return Effect.andThen(this.reached(settled + Math.ceil(depth / 2)), this.room)
  })

  private reached(upTo: number): Effect.Effect<void> {
    return this.ledger.reached(upTo, this.urgent.set)
  }

  /** Waits until the workspace has all that was made up to now. */
  readonly drained: Effect.Effect<void, Errno> = Effect.suspend(() =>
    this.depth === 0 ? Effect.void : this.inTime(this.reached(this.ledger.done))
  )

  /**
   * Waits until what was made up to now is being told: what is sent then comes right behind it. It overtakes only where
   * the telling was lost on its way, and then the workspace says that it does not know what was made.
   */
  readonly riding: Effect.Effect<void, Errno> = Effect.suspend(() =>
    this.riders.behind(this.ledger.done, this.host.now() + this.host.patienceMs, this.urgent.set)
  )

  private inTime(waiting: Effect.Effect<void>): Effect.Effect<void, Errno> {
    const { patienceMs } = this.host
    return Effect.timeoutOrElse(waiting, { duration: patienceMs, orElse: () => Effect.fail("EIO" as const) })
  }

  /** Whether the workspace may not have this inode yet. */
  isAhead(ino: number): boolean {
    return this.ledger.isAbout(ino)
  }

  /** Waits until the workspace has this inode, where it was made here. */
  kept(ino: number): Effect.Effect<void, Errno> {
    return this.ledger.isAbout(ino) ? this.drained : Effect.void
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

  /** What comes of a command that changes these directories, or files in them; undefined where it has to be asked. */
  readonly attempt = Effect.fnUntraced(function* (
    this: Ahead,
    request: number,
    command: Command,
    places: ReadonlyArray<number>
  ) {
    if (!places.every((place) => this.isFree(place))) return undefined
    if (!this.hasRoom) yield* this.inTime(this.room)
    return places.every((place) => this.isFree(place)) ? this.decide(request, command, places) : undefined
  })

  private decide(request: number, command: Command, places: ReadonlyArray<number>): Decided | Errno | undefined {
    const { view, diary, now } = this.host
    const { tree, session } = view
    const turn = tree.loans.nextOf(session)
    if (turn === 0) return undefined
    const at = now()
    const decision = decide(tree, command, { id: tree.id, caller: session, commandId: "", at, version: 0 })
    if ("refused" in decision) {
      const { refused } = decision
      return refused._tag === "Errno" && certain.has(refused.code) ? (refused.code as Errno) : undefined
    }
    const [event] = decision.events
    const step = event && stepOf(tree, event, turn)
    if (step === undefined) return undefined
    const size = diary.write(request, step)
    if (size === 0) return undefined
    this.ledger.add({ step, at, size })
    this.signed()
    this.counts.made += 1
    for (const place of places) this.wishes.used(place, at)
    this.show(step)
    this.more.set()
    const { attributes } = decision.reply as { readonly attributes?: Attributes }
    return { attributes: attributes && isMade(step) ? { ...attributes, ino: turn } : attributes }
  }

  private show(step: Step): void {
    const { view } = this.host
    view.foresee(shownOf(view.tree, step, view.session))
    if (!isMade(step)) return this.homes.moved(step)
    this.homes.put(step.ino, step.parent)
    if (step.type === "directory") this.lent([step.ino])
  }

  /** Where this mount made a file, as far as it remembers. */
  homeOf(ino: number): number {
    return this.homes.of(ino)
  }

  placed(ino: number, parent: number): void {
    this.homes.put(ino, parent)
  }

  /** Whether a command that changes it is under way. */
  isChanging(ino: number): boolean {
    return this.direct.has(ino)
  }

  /** Tells the workspace, for as long as there is something to tell. One message is under way at a time. */
  readonly telling: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    let last = 0
    for (;;) {
      const { ledger } = this
      if (ledger.told >= ledger.done) yield* this.more.wait
      const pause = last + gatherMs - this.host.now()
      if (pause > 0 && !ledger.areWaiting && !this.riders.areWaiting)
        yield* Effect.raceFirst(Effect.sleep(pause), this.urgent.wait)
      last = this.host.now()
      const batch = ledger.batch()
      if (batch.length === 0) continue
      const upTo = ledger.told + batch.length
      const telling = yield* Effect.forkChild(this.host.tell(batch), { startImmediately: true })
      this.riders.go(upTo)
      yield* Fiber.join(telling)
      this.counts.batches += 1
      this.counts.told += batch.length
      ledger.told = Math.max(ledger.told, upTo)
      this.host.diary.told(numberOf(batch.at(-1) as Step))
    }
  })

  /** What of an own event the replica does not show yet. */
  settle(event: WorkspaceEvent): ReadonlyArray<WorkspaceEvent> {
    const { ledger, isShown } = this
    if (!ledger.has(turnOf(event))) return [event]
    const { step } = ledger.queue[0] as { readonly step: Step }
    if (!isStep(step, event))
      throw new Error(`the workspace has ${JSON.stringify(event)}, and ${JSON.stringify(step)} was done`)
    ledger.shift()
    return isShown ? restOf(this.host.view.tree, step, event) : [event]
  }

  /** What was done to a file shows over what others change of it meanwhile. */
  again(event: WorkspaceEvent): ReadonlyArray<WorkspaceEvent> {
    if (!this.isShown || !("ino" in event) || !this.ledger.isAbout(event.ino)) return []
    const { ino } = event
    return this.ledger.queue.flatMap(({ step }) => overOf(step, ino))
  }

  /** What others did, as it shows over what was done here and not told yet. */
  beneath(event: WorkspaceEvent): WorkspaceEvent {
    if (!this.isShown || this.depth === 0) return event
    const steps = this.ledger.queue.map(({ step }) => step)
    return withheld(this.host.view.tree, steps, event)
  }

  /** Whoever waited for what has come back goes on. */
  folded(): void {
    const { version } = this.host.view
    if (!this.isShown && version >= this.newest) {
      this.isShown = true
      for (const { step } of this.ledger.queue) this.show(step)
    }
    this.newest = Math.max(this.newest, version)
    this.signed()
    this.ledger.wake()
  }

  /** Another state is there. What it lacks is shown on top of it, once it is not older than what was there before. */
  reloaded(): void {
    const { tree, session, version } = this.host.view
    this.isShown = false
    const { ledger } = this
    while (version >= this.newest && ledger.queue[0] !== undefined) {
      const number = numberOf(ledger.queue[0].step)
      if (!tree.sessions.has(session) || !tree.loans.isUsed(number, session)) break
      ledger.shift()
    }
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
  inherit(own: ReadonlyArray<Remembered>, lost: ReadonlyArray<Step>): void {
    for (const { step, request } of own) this.requests.set(request, inosOf(step)[0] ?? 0)
    for (const step of lost) for (const one of placesOf(step)) this.lost.add(one)
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

  /** Gives back what is not used, and lets those go who have waited for too long. */
  sweep(): void {
    const { view, fork, now } = this.host
    this.riders.dismiss(now())
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
