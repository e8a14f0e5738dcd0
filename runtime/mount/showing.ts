/** Tells other hosts how far this one shows what they have changed: when both threads and the kernel know it. */
import { Deferred, Effect, Fiber } from "effect"
import { needsSession } from "../../actors/workspace/decide/rules.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { Signal } from "../actor/signal.ts"
import type { Published } from "../follow.ts"
import { inosOf, placesOf, type View } from "./view.ts"

/** What the kernel is told and may not have taken notice of yet. */
interface Batch {
  readonly upTo: number
  readonly entries: ReadonlyArray<Published>
}

const concerns = (entries: ReadonlyArray<Published>, isMeant: (ino: number) => boolean): boolean =>
  entries.some(({ events }) =>
    (events as ReadonlyArray<WorkspaceEvent>).some(
      (event) => placesOf(event).some(isMeant) || inosOf(event).some(isMeant)
    )
  )

export class Showing {
  private readonly view: Pick<View, "version" | "invalidated">
  private readonly say: (session: string, shown: number) => void
  /** Who is to be told, and of which version. */
  private readonly owed = new Map<string, number>()
  private batches: Array<Batch> = []
  /** Inodes that requests under way keep the kernel from forgetting. */
  private readonly held = new Map<number, number>()
  private readonly more = new Signal()
  /** Ends the wait for the kernel. */
  private hurry: () => void = () => undefined
  private readonly opened = Deferred.makeUnsafe<void>()

  constructor(view: Pick<View, "version" | "invalidated">, say: (session: string, shown: number) => void) {
    this.view = view
    this.say = say
  }

  /** From now on the kernel knows what changed before this process began. */
  open(): void {
    Deferred.doneUnsafe(this.opened, Effect.void)
  }

  /** Entries of others were folded: both threads show them, and the kernel is being told. */
  folded(entries: ReadonlyArray<Published>): void {
    const upTo = entries.at(-1)?.version ?? 0
    for (const { caller } of entries) if (needsSession(caller)) this.owed.set(caller, upTo)
    this.batches.push({ upTo, entries })
    if (this.held.size > 0 && concerns(entries, this.isHeld)) this.hurry()
    this.more.set()
  }

  /** Another session asks to be told when this version is shown. */
  asked(session: string, version: number): void {
    this.owed.set(session, Math.max(version, this.owed.get(session) ?? 0))
    this.more.set()
  }

  /** Something was folded, of whomever. */
  advanced(): void {
    if (this.owed.size > 0) this.more.set()
  }

  /**
   * While a request that changes something is under way the kernel locks what it changes, and takes no notice there.
   * The request may itself wait for the other host, which may wait for this one: so that one is told at once. Whoever
   * looks there on this host waits for the request, but for names that the kernel knows already.
   */
  enter(inos: ReadonlyArray<number>): () => void {
    for (const ino of inos) this.held.set(ino, (this.held.get(ino) ?? 0) + 1)
    const isMeant = (ino: number) => inos.includes(ino)
    if (this.batches.some(({ entries }) => concerns(entries, isMeant))) this.hurry()
    return () => {
      for (const ino of inos) {
        const count = (this.held.get(ino) ?? 1) - 1
        if (count === 0) this.held.delete(ino)
        else this.held.set(ino, count)
      }
    }
  }

  private readonly isHeld = (ino: number): boolean => this.held.has(ino)

  private readonly noticed = (upTo: number): Effect.Effect<void> =>
    Effect.map(this.view.invalidated, () => {
      this.batches = this.batches.filter((batch) => batch.upTo > upTo)
    })

  /** One message to each at a time: what comes meanwhile is told with the next. */
  readonly telling: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    yield* Deferred.await(this.opened)
    for (;;) {
      yield* this.more.wait
      const upTo = this.view.version
      const ready = [...this.owed].filter(([, version]) => version <= upTo).map(([session]) => session)
      if (ready.length === 0 && this.batches.length === 0) continue
      for (const session of ready) this.owed.delete(session)
      const told = yield* Effect.forkChild(this.noticed(upTo), { startImmediately: true })
      if (told.pollUnsafe() === undefined) yield* Effect.raceFirst(Fiber.await(told), this.barred)
      for (const session of ready) this.say(session, upTo)
    }
  })

  /** Ends when the kernel cannot take notice because of a request that is under way. */
  private readonly barred = Effect.callback<void>((resume) => {
    const isBarred = this.held.size > 0 && this.batches.some(({ entries }) => concerns(entries, this.isHeld))
    if (isBarred) return resume(Effect.void)
    this.hurry = () => resume(Effect.void)
    return Effect.sync(() => {
      this.hurry = () => undefined
    })
  })
}
