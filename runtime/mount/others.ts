/**
 * How far the other hosts show what was committed: a change that is answered here is seen there. Who does not say so in
 * time is not waited for again until it is heard of.
 */
import { Effect } from "effect"

/** Nothing is lost as a rule: who has not answered by then is asked to look whether it missed something. */
const askMs = 100

interface Other {
  shown: number
  /** It did not answer in time. */
  isDeaf: boolean
}

interface Waiting {
  readonly version: number
  readonly wake: () => void
}

export interface OthersEdges {
  /** So long it is waited at most; 0 where nobody is waited for. */
  readonly withinMs: number
  /** Asks for an answer as soon as this version is shown there. */
  readonly ask: (session: string, version: number) => void
  readonly log: (line: Effect.Effect<void>) => void
  /** Called when the first one comes, and when the last one has gone. */
  readonly met: (areThere: boolean) => void
}

export class Others {
  private readonly edges: OthersEdges
  private readonly others = new Map<string, Other>()
  private waiting: Array<Waiting> = []
  /** The newest entry that this host has caused. */
  own: number
  /** The newest commit of bytes. */
  written = 0
  private readonly due = new WeakMap<object, number>()
  /** Waits that were given up. */
  unseen = 0

  /** What a process before this one has caused is no newer than the version that this one begins with. */
  constructor(version: number, edges: OthersEdges) {
    this.own = version
    this.edges = edges
  }

  get areThere(): boolean {
    return this.others.size > 0
  }

  get size(): number {
    return this.others.size
  }

  get deaf(): number {
    let deaf = 0
    for (const { isDeaf } of this.others.values()) if (isDeaf) deaf += 1
    return deaf
  }

  isKnown(session: string): boolean {
    return this.others.has(session)
  }

  /** Whether it is waited for. */
  isHeeded(session: string): boolean {
    return this.others.get(session)?.isDeaf === false && this.edges.withinMs > 0
  }

  /** A session has said how far it is. */
  heard(session: string, shown: number): void {
    const other = this.others.get(session)
    if (other === undefined) {
      this.others.set(session, { shown, isDeaf: false })
      if (this.size === 1) this.edges.met(true)
    } else {
      other.shown = Math.max(other.shown, shown)
      if (other.isDeaf) this.edges.log(Effect.logInfo("another host is heard of again, and waited for", { session }))
      other.isDeaf = false
    }
    this.wake()
  }

  gone(session: string): void {
    if (!this.others.delete(session)) return
    if (!this.areThere) this.edges.met(false)
    this.wake()
  }

  /** An entry of this host was folded. */
  caused(version: number): void {
    this.own = Math.max(this.own, version)
  }

  /** Bytes were committed, whoever flushes them. */
  wrote(version: number): void {
    this.written = Math.max(this.written, version)
  }

  /** What a request has changed. A reply that changed nothing tells the version of somebody else's entry. */
  owes(request: object, version: number): void {
    this.raised(request, Math.min(version, this.own))
  }

  /** With what was made or written before. */
  raised(request: object, version: number): number {
    const due = Math.max(this.dueOf(request), version)
    this.due.set(request, due)
    return due
  }

  /** What others have to show of what this request has changed; 0 where it did not ask the workspace. */
  dueOf(request: object): number {
    return this.due.get(request) ?? 0
  }

  private isShown(version: number): boolean {
    for (const { isDeaf, shown } of this.others.values()) if (!isDeaf && shown < version) return false
    return true
  }

  /** Waits until every other host shows this version. */
  shown(version: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.edges.withinMs === 0 || this.isShown(version) ? Effect.void : this.patiently(version)
    )
  }

  private readonly patiently = Effect.fnUntraced(function* (this: Others, version: number) {
    const { withinMs } = this.edges
    for (let waited = 0; waited < withinMs; waited += askMs) {
      const inTime = yield* Effect.timeoutOption(this.reached(version), Math.min(askMs, withinMs - waited))
      if (inTime._tag === "Some") return
      for (const [session, { isDeaf, shown }] of this.others)
        if (!isDeaf && shown < version) this.edges.ask(session, version)
    }
    yield* this.giveUp(version)
  })

  private reached(version: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.isShown(version)) return resume(Effect.void)
      const waiting = { version, wake: () => resume(Effect.void) }
      this.waiting.push(waiting)
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((each) => each !== waiting)
      })
    })
  }

  private readonly giveUp = Effect.fnUntraced(function* (this: Others, version: number) {
    if (this.isShown(version)) return
    this.unseen += 1
    for (const [session, other] of this.others) {
      if (other.isDeaf || other.shown >= version) continue
      other.isDeaf = true
      yield* Effect.logWarning("another host does not say that it shows what was changed here: it is not waited for", {
        ...{ session, version, shown: other.shown }
      })
    }
    this.wake()
  })

  private wake(): void {
    if (this.waiting.length === 0) return
    const ready = this.waiting.filter(({ version }) => this.isShown(version))
    if (ready.length === 0) return
    this.waiting = this.waiting.filter((each) => !ready.includes(each))
    for (const { wake } of ready) wake()
  }
}
