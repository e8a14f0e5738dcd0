/** What a node runs its shards with, and what it can tell of them. */
import { Effect, type Scope } from "effect"
import { keep } from "../actor/keep.ts"
import type { Kind } from "../actor/kind.ts"
import type { Settings } from "../actor/owned.ts"
import type { Heard, Ports, Serving } from "../actor/owner.ts"
import type { Client } from "../client.ts"

export interface Hosting {
  readonly node: string
  /** What this process alone holds, until it dies: whoever held it before is dead. */
  readonly home?: string
  readonly kinds: ReadonlyMap<string, Kind>
  readonly settings: Settings
  readonly client: Client
  readonly heard?: Heard
}

/** One shard on this node, for health and metrics. */
export interface Held {
  readonly shard: number
  readonly epoch: number
  readonly actors: number
  readonly waiting: number
  readonly logBytes: number
}

export interface Placement {
  /** The shards that are served here now. */
  readonly held: () => ReadonlyArray<Held>
  /** False while a shard that should be served here is not. */
  readonly isReady: () => boolean
  /** The shard as it is served here now; undefined when it is not. */
  readonly serving: (shard: number) => Serving | undefined
  /** Ends when every shard that should be served here is. */
  readonly ready: Effect.Effect<void>
}

/** The shards that are being served here, by number. */
export class Served {
  private readonly serving = new Map<number, Serving>()

  /** Keeps a shard in the current scope. */
  keep(
    ports: Ports,
    hosting: Hosting,
    shard: number,
    mayAnswer: () => boolean
  ): Effect.Effect<void, never, Scope.Scope> {
    const changed = (serving: Serving | undefined) => {
      if (serving === undefined) this.serving.delete(shard)
      else this.serving.set(shard, serving)
    }
    return Effect.asVoid(Effect.forkScoped(keep(ports, { ...hosting, shard, mayAnswer, changed })))
  }

  held(): ReadonlyArray<Held> {
    return [...this.serving].map(([shard, { epoch, actors, logBytes }]) => ({
      shard,
      epoch,
      actors: actors.cells.size,
      waiting: actors.waiting,
      logBytes: logBytes()
    }))
  }

  readonly of = (shard: number): Serving | undefined => this.serving.get(shard)

  has(shard: number): boolean {
    return this.serving.has(shard)
  }
}
