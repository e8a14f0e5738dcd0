/** A sidecar, put together: NATS, the object store, the cache on disk and the kernel behind the ports of a mount. */
import { hostname } from "node:os"
import { Context, Deferred, Effect, Layer, type Scope } from "effect"
import { tape } from "../../adapters/disk/scratch.ts"
import { iAnswer, inherited } from "../../adapters/fuse/child.ts"
import { layer as fuse, layerInherited } from "../../adapters/fuse/mount.ts"
import { layer as natsBus } from "../../adapters/nats/bus.ts"
import { inboxPrefixOf } from "../../adapters/nats/permissions.ts"
import type { Storage } from "../../messages/account.ts"
import { sessionMs } from "../../messages/limits.ts"
import { Problem } from "../cli/problem.ts"
import { version } from "../cli/version.ts"
import { client } from "../client.ts"
import type { Told } from "../mount/missed.ts"
import { type Sidecar, sidecar } from "../mount/sidecar.ts"
import { Bus } from "../ports/bus.ts"
import { Mount } from "../ports/mount.ts"
import { Objects } from "../ports/objects.ts"
import { dataOf, diaryOf, type Sizes } from "./bytes.ts"
import { keepCompiled } from "./compiled.ts"
import type { Ticket } from "./issue.ts"
import { objectsAt } from "./store.ts"

/** How the kernel is spoken to: in its own protocol, or through libfuse. */
export type Way = "kernel" | "native"

export interface SidecarStart extends Sizes {
  readonly ticket: Ticket
  /** Names this mount among all that were ever made here. */
  readonly instance: string
  readonly directory: string
  readonly cache: string
  readonly writeback: boolean
  readonly allowOther: boolean
  readonly fuse: Way
  readonly storesLate: boolean
  readonly makesAhead: boolean
  readonly cacheMs: number | undefined
  readonly replicaEntries: number | undefined
  readonly seenWithinMs: number | undefined
  /** By a process before this one: what was accepted then is on the stage. */
  readonly resumed: boolean
  /** Where it is kept what the kernel was told. */
  readonly told?: Told
}

/** The operator's store, or the customer's bucket with the credentials of this host. */
export const storeOf = (storage: Storage, managed: string): string => {
  if (storage._tag === "Managed") return managed
  const { bucket, endpoint, region } = storage
  const query = new URLSearchParams({ ...(endpoint && { endpoint }), ...(region && { region }) }).toString()
  return `s3://${bucket}${query === "" ? "" : `?${query}`}`
}

export const isReadOnly = ({ ticket }: SidecarStart): boolean => ticket.issued.session.mode === "ro"

/** A problem that no other process can help with. */
export const sessionOver = "session-over"
const isOver = (error: object): boolean => "isOver" in error && error.isOver === true

export const hostName = (): string =>
  hostname()
    .replaceAll(/[^\x21-\x7e]/g, "-")
    .slice(0, 255) || "host"

const inWords = (what: string) => (error: { readonly _tag: string; readonly why: string }) =>
  new Problem({ code: error._tag, message: `${what}: ${error.why}` })

/** libfuse is loaded where it is asked for. */
const libfuse = Effect.promise(() => import("../../adapters/fuse-native/mount.ts"))

const kernelOf = Effect.fnUntraced(function* ({ fuse: way }: SidecarStart) {
  if (way === "native") return (yield* libfuse).layer
  const device = inherited()
  return device === undefined ? fuse : layerInherited(device)
})

/** What `.config` tells of how it was begun. Nothing of it is secret. */
const shownOf = (start: SidecarStart) => {
  const {
    cache,
    ticket,
    fuse: way,
    allowOther,
    cacheBytes,
    bufferBytes,
    memoryBytes,
    uploadsMax,
    cacheMs,
    seenWithinMs
  } = start
  const { session, workspace } = ticket.issued
  const asked = { cacheBytes, bufferBytes, memoryBytes, uploadsMax, attrCacheMs: cacheMs, seenWithinMs }
  const { layout } = workspace
  return { version, pid: process.pid, org: session.org, layout, fuse: way, allowOther, cache, ...asked }
}

/** Comes back when the file system answers; it ends with the scope, after all that was written is kept. */
export const startSidecar: (start: SidecarStart) => Effect.Effect<Sidecar, Problem, Scope.Scope> = Effect.fnUntraced(
  function* (start) {
    const { ticket, directory, cache } = start
    const { issued, publicKey, seed } = ticket
    const { session, workspace, jwt, nats, shards } = issued
    const options = {
      servers: nats.split(","),
      name: `mount ${workspace.name} ${directory}`,
      credentials: { jwt, seed },
      inboxPrefix: inboxPrefixOf(publicKey)
    }
    const connected = yield* Layer.build(natsBus(options)).pipe(Effect.mapError(inWords(nats)))
    const bus = Context.get(connected, Bus)
    const place = storeOf(workspace.storage, issued.objects)
    const store = yield* objectsAt(place).pipe(
      Effect.flatMap((layer) => Layer.build(layer)),
      Effect.mapError(inWords(`the object store ${place.replace(/\?.*/, "")} cannot be used`))
    )
    const objects = Context.get(store, Objects)
    const mount = Context.get(yield* Layer.build(yield* kernelOf(start)), Mount)
    const files = { org: session.org, workspace: workspace.id, layout: workspace.layout, cache }
    const diary = yield* tape(diaryOf(cache)).pipe(Effect.mapError(inWords(cache)))
    const whose = { session: session.session, resumed: start.resumed }
    return yield* sidecar(
      {
        bus,
        client: client(bus, shards),
        mount,
        diary,
        data: (commands, onCommitted) => dataOf({ objects, commands, onCommitted, ...files, ...whose, sizes: start })
      },
      {
        place: {
          session: session.session,
          workspace: workspace.id,
          host: hostName(),
          directory,
          lifeMs: session.lifeMs ?? sessionMs
        },
        name: workspace.name,
        shards,
        readOnly: isReadOnly(start),
        writeback: start.writeback,
        allowOther: start.allowOther,
        storesLate: start.storesLate,
        makesAhead: start.makesAhead,
        ...(start.replicaEntries === undefined ? {} : { replicaEntries: start.replicaEntries }),
        ...(start.seenWithinMs === undefined ? {} : { seenWithinMs: start.seenWithinMs }),
        ...(start.cacheMs === undefined ? {} : { entryMs: start.cacheMs, attrMs: start.cacheMs }),
        resumed: start.resumed,
        ...(start.told === undefined ? {} : { told: start.told }),
        shown: { ...shownOf(start), nats, objects: objects.place }
      }
    ).pipe(
      Effect.mapError((error) => {
        const told = inWords("the mount could not be made")(error as never)
        return isOver(error) ? new Problem({ code: sessionOver, message: told.message }) : told
      })
    )
  }
)

/** Ends this process for a successor with another session. */
export type Renew = Effect.Effect<never>

/** Serves until the mount or the session ends, or the fibre is interrupted. */
export const serve = (start: SidecarStart, ready: (made: Sidecar) => Effect.Effect<void>, renew: Renew) =>
  Effect.gen(function* () {
    const made = yield* startSidecar(start)
    yield* ready(made)
    yield* iAnswer
    // Other hosts wait for what this one says of their changes.
    yield* keepCompiled(() => made.company.others.areThere)
    const ended = yield* Deferred.make<string | undefined>()
    yield* Effect.forkScoped(Effect.andThen(made.mounted.ended, Deferred.succeed(ended, undefined)))
    yield* Effect.forkScoped(Effect.flatMap(made.over, (why) => Deferred.succeed(ended, why)))
    const why = yield* Deferred.await(ended)
    if (why !== undefined) return yield* renew
  }).pipe(Effect.scoped)
