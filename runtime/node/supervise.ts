/** Keeps a mount alive: holds the kernel's descriptor, and starts another sidecar when the one that serves has died. */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Deferred, Effect, type Scope } from "effect"
import { hold } from "../../adapters/fuse/holder.ts"
import { Problem } from "../cli/problem.ts"
import { mountOptionsOf } from "../mount/sidecar.ts"
import { writeWhole } from "./files.ts"
import { isReadOnly, type SidecarStart } from "./sidecar.ts"

export interface Supervised {
  /** Of the process that serves now. */
  readonly pid: () => number | undefined
  /** Waits for the end of the mount, whoever ended it. */
  readonly ended: Effect.Effect<void, Problem>
}

/** What a sidecar that gives up says of it. */
interface Said {
  readonly problem?: { readonly code: string; readonly message: string; readonly next?: string }
}

/** One that ends sooner may never have answered: it waits this long for a workspace that is away. */
const wellMs = 60_000

/** Beside the stage, for this user alone: the sidecar's secret is in it. */
const startFile = (start: SidecarStart): string => join(start.cache, "start.json")

const refused = ({ reason, why }: { readonly reason: string; readonly why: string }) =>
  new Problem({ code: reason, message: why })

/** Returns when the mount answers. It ends with the scope. */
export const supervise: (start: SidecarStart) => Effect.Effect<Supervised, Problem, Scope.Scope> = Effect.fnUntraced(
  function* (start) {
    const file = startFile(start)
    yield* Effect.sync(() => writeWhole(file, JSON.stringify(start)))
    const gaveUp = yield* Deferred.make<never, Problem>()
    const heard = (message: unknown): void => {
      const { problem } = message as Said
      if (problem !== undefined) Deferred.doneUnsafe(gaveUp, Effect.fail(new Problem(problem)))
    }
    const log = Effect.runForkWith(yield* Effect.context<never>())
    const options = mountOptionsOf({
      name: start.ticket.issued.workspace.name,
      readOnly: isReadOnly(start),
      writeback: start.writeback,
      allowOther: start.allowOther
    })
    const holding = yield* Effect.raceFirst(
      hold({
        place: start.directory,
        options,
        command: [fileURLToPath(new URL("./serving.ts", import.meta.url)), file],
        spare: false,
        wellMs,
        heard,
        died: (how) =>
          void log(Effect.logWarning("the process that served the mount ended, and another one takes over", { how }))
      }).pipe(Effect.mapError(refused)),
      Deferred.await(gaveUp)
    )
    return {
      pid: holding.pid,
      ended: Effect.raceFirst(holding.ended.pipe(Effect.mapError(refused)), Deferred.await(gaveUp))
    }
  }
)
