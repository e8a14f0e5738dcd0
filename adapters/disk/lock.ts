/** One lock for all processes that use a directory: the operating system lets go of it when its holder dies. */
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, type Scope } from "effect"
import type { StoreFailed } from "../../runtime/ports/objects.ts"
import { faultOf } from "./fault.ts"

/** Whoever holds the lock does a few system calls; a holder that takes this long is stuck, and that is said. */
const patienceMs = 30_000
const pauseMs = 5
const sqliteBusy = 5

export interface Lock {
  /** Runs the body while nobody else, in this process or in another, runs one. */
  readonly hold: <A>(body: () => Promise<A>) => Promise<A>
}

const isBusy = (cause: unknown): boolean =>
  cause instanceof Error && "errcode" in cause && Number(cause.errcode) % 256 === sqliteBusy

/**
 * SQLite is used for its file locks alone, which Node has no call of its own for: the database stays empty. It holds
 * between processes of one host; over a network file system it is as good as that file system's locks.
 */
export const open = (file: string): Effect.Effect<Lock, StoreFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* Effect.acquireRelease(
      Effect.try({ try: () => new DatabaseSync(file, { timeout: 0 }), catch: (cause) => faultOf("open", file, cause) }),
      (opened) => Effect.sync(() => opened.close())
    )
    const begin = database.prepare("BEGIN IMMEDIATE")
    const end = database.prepare("ROLLBACK")
    let tail: Promise<unknown> = Promise.resolve()

    const take = async (): Promise<void> => {
      const until = performance.now() + patienceMs
      for (;;) {
        try {
          begin.run()
          return
        } catch (cause) {
          if (!isBusy(cause)) throw cause
          if (performance.now() > until) throw new Error(`another process has held ${file} for ${patienceMs} ms`)
        }
        await sleep(pauseMs * (0.5 + Math.random()))
      }
    }
    const alone = async <A>(body: () => Promise<A>): Promise<A> => {
      await take()
      try {
        return await body()
      } finally {
        end.run()
      }
    }
    return {
      hold: (body) => {
        const turn = tail.then(() => alone(body))
        tail = turn.catch(() => undefined)
        return turn
      }
    }
  })
