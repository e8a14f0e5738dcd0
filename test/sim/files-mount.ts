/**
 * A simulated host that has the workspace mounted: its kernel, its disk, the process that serves the mount, and the
 * one that holds it and begins another session when one is over.
 */
import { Deferred, Effect, type Fiber, type Scope } from "effect"
import { type MemoryTape, makeShelf, makeTape } from "../../adapters/memory/scratch.ts"
import { faultyObjects } from "../../adapters/world/objects.ts"
import { Prng } from "../../adapters/world/prng.ts"
import type { Life } from "../../adapters/world/weather.ts"
import { sessionMs } from "../../messages/limits.ts"
import { client } from "../../runtime/client.ts"
import { openData } from "../../runtime/files/open.ts"
import { type Sidecar, type SidecarOptions, sidecar } from "../../runtime/mount/sidecar.ts"
import type { Request } from "../../runtime/ports/mount.ts"
import type { Shelf, Tape } from "../../runtime/ports/scratch.ts"
import { Kernel } from "./files-kernel.ts"
import type { Ground } from "./host.ts"

export const workspace = "acme_1"
export const org = "acme"

/** A flush gives up after this, so that there are some that do. */
const flushMs = 8_000
/** A process that could not start is followed by another one after this. */
const againMs = 200
const answerMs = 10_000

/** A process that was killed writes nothing more, whatever of it still runs for a moment. */
const mortalTape = (tape: Tape, life: Life): Tape => ({
  ...tape,
  append: (segment, pieces) => (life.alive ? tape.append(segment, pieces) : 0),
  drop: (segment) => {
    if (life.alive) tape.drop(segment)
  }
})

const mortalShelf = (shelf: Shelf, life: Life): Shelf => ({
  ...shelf,
  write: (name, bytes) => Effect.suspend(() => (life.alive ? shelf.write(name, bytes) : Effect.never))
})

type End = "killed" | "unmounted" | "failed" | "over"

interface Serving {
  readonly life: Life
  readonly fiber: Fiber.Fiber<unknown>
  readonly ended: Deferred.Deferred<End>
}

/** What of a mount is written down by who checks it. */
export interface Watched {
  readonly view: (sidecar: Sidecar, life: Life) => void
  readonly answered: (request: Request) => void
}

export class MountHost {
  readonly name: string
  kernel: Kernel
  /** Grows with each session: what was accepted in an earlier one and not committed is lost. */
  sessions = 0
  recovered = 0
  private readonly ground: Ground
  private readonly isBounded: boolean
  private readonly watched: Watched
  private readonly fork: (work: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
  private readonly prng: Prng
  private tape: MemoryTape = makeTape()
  private diary: MemoryTape = makeTape()
  private shelf: Shelf = makeShelf()
  private holder: Fiber.Fiber<unknown> | undefined
  private serving: Serving | undefined
  private isEnding = false
  private isEnded = false

  constructor(
    name: string,
    ground: Ground,
    watched: Watched,
    fork: (work: Effect.Effect<unknown>) => Fiber.Fiber<unknown>,
    isBounded = false
  ) {
    this.isBounded = isBounded
    this.name = name
    this.ground = ground
    this.watched = watched
    this.fork = fork
    this.prng = new Prng(ground.plan.seed).fork(name)
    this.kernel = new Kernel(ground.weather, this.prng, watched.answered)
  }

  get isUp(): boolean {
    return this.holder !== undefined
  }

  start(): void {
    if (this.holder === undefined) this.holder = this.fork(this.hold())
  }

  /** The process that serves dies, and the one that holds the mount starts another one. */
  kill(isTorn: boolean): void {
    const { serving } = this
    if (serving === undefined || !serving.life.alive) return
    this.ground.weather.reach("sidecar killed")
    serving.life.alive = false
    // Nobody waits for what of it cannot be interrupted: the dead do nothing any more.
    Deferred.doneUnsafe(serving.ended, Effect.succeed("killed"))
    serving.fiber.interruptUnsafe()
    if (isTorn) this.tear()
  }

  /** What a process was writing when it died is there in part. */
  private tear(): void {
    const { kept } = this.tape
    const last = [...kept.keys()].sort((a, b) => b - a)[0]
    if (last === undefined) return
    const bytes = kept.get(last) as Uint8Array
    const part = bytes.subarray(0, Math.min(bytes.length, this.prng.below(36)))
    if (part.length === 0) return
    kept.set(last, Buffer.concat([bytes, part]))
    this.ground.weather.reach("stage torn")
  }

  /** Everything of the host ends at once; its disk may be gone too. */
  fall(keepsDisk: boolean): void {
    if (this.holder === undefined) return
    this.ground.weather.reach("host fell")
    if (this.serving !== undefined) this.serving.life.alive = false
    this.holder.interruptUnsafe()
    this.serving?.fiber.interruptUnsafe()
    this.holder = undefined
    this.serving = undefined
    this.kernel.fall()
    this.kernel = new Kernel(this.ground.weather, this.prng, this.watched.answered)
    if (keepsDisk) return
    this.tape = makeTape()
    this.diary = makeTape()
    this.shelf = makeShelf()
  }

  /** As `unmount` does it: the process that serves keeps what was written, and says goodbye. */
  readonly unmount = Effect.fnUntraced(function* (this: MountHost) {
    this.isEnding = true
    while (!this.isEnded) yield* Effect.sleep(50)
  })

  private readonly issue = Effect.fnUntraced(function* (this: MountHost) {
    const { network, plan } = this.ground
    const { ask } = client(network.attach({ name: `${this.name}-issues`, alive: true }), plan.settings.shards)
    for (;;) {
      const session = `${this.name}-${this.prng.below(1_000_000)}-${this.sessions}`
      const address = { verb: "do", kind: "mount-session", id: session, caller: "admin", name: "Issue" } as const
      const body = JSON.stringify({ org, workspace, name: "home", mode: "rw" })
      const answer = yield* Effect.option(ask({ ...address, body, patienceMs: answerMs }))
      if (answer._tag === "Some" && "ok" in answer.value) {
        this.sessions += 1
        return session
      }
      yield* Effect.sleep(againMs)
    }
  })

  /** The life of the mount, over the deaths of those who serve it. */
  private readonly hold = Effect.fnUntraced(function* (this: MountHost) {
    let session = yield* this.issue()
    let isResumed = false
    while (!this.isEnded) {
      const life: Life = { name: this.name, alive: true }
      const options = this.optionsOf(session, isResumed)
      const ready = () => {
        isResumed = true
      }
      const ended = Deferred.makeUnsafe<End>()
      const fiber = this.fork(Deferred.into(this.serve(life, options, { ready, ended }), ended))
      this.serving = { life, fiber, ended }
      const end = yield* Deferred.await(ended)
      life.alive = false
      fiber.interruptUnsafe()
      if (end === "unmounted") this.isEnded = true
      if (end === "over") {
        this.ground.weather.reach("session over")
        session = yield* this.issue()
      }
      yield* Effect.sleep(againMs)
    }
  })

  private optionsOf(session: string, resumed: boolean): SidecarOptions {
    const place = { session, workspace, host: this.name, directory: "/mnt", lifeMs: sessionMs }
    const { shards } = this.ground.plan.settings
    const replicaEntries = this.isBounded ? 0 : Number.MAX_SAFE_INTEGER
    const how = { readOnly: false, writeback: false, allowOther: true, replicaEntries }
    return { place, name: "home", shards, ...how, resumed, shown: {} }
  }

  /** A process that cannot begin says whether another one with the same session could. */
  private readonly ends = (serving: Effect.Effect<End, object, Scope.Scope>): Effect.Effect<End> =>
    serving.pipe(
      Effect.scoped,
      Effect.catch((error) => Effect.succeed<End>("isOver" in error && error.isOver === true ? "over" : "failed"))
    )

  private readonly serve = Effect.fnUntraced(function* (
    this: MountHost,
    life: Life,
    options: SidecarOptions,
    how: { readonly ready: () => void; readonly ended: Deferred.Deferred<End> }
  ) {
    const { ground } = this
    const { ended, ready } = how
    const bus = ground.network.attach(life)
    const objects = faultyObjects(ground.objects, ground.weather, life)
    const scratch = { tape: mortalTape(this.tape, life), shelf: mortalShelf(this.shelf, life) }
    const bytes = { prefix: `${org}/${workspace}`, layout: "slices", workspace } as const
    const { session } = options.place
    const made = yield* sidecar(
      {
        bus,
        client: client(bus, options.shards),
        mount: this.kernel.port(life),
        diary: mortalTape(this.diary, life),
        data: (commands, onCommitted) =>
          openData({
            ...{ objects, commands, ...scratch },
            options: { ...bytes, session, resumed: options.resumed, flushMs, readMs: flushMs, onCommitted }
          })
      },
      options
    )
    this.recovered += made.data.meters.recoveredBytes
    if (made.data.meters.recoveredBytes > 0) ground.weather.reach("recovered from the stage")
    this.watched.view(made, life)
    ready()
    const asked = Effect.gen({ self: this }, function* () {
      while (!this.isEnding) yield* Effect.sleep(20)
      yield* Effect.ignore(made.data.flushAll)
    })
    // The holder ends this process where it is, as soon as another session has begun.
    const isOver = yield* Effect.raceFirst(Effect.as(asked, false), Effect.as(made.over, true))
    if (!isOver) return "unmounted" as const
    Deferred.doneUnsafe(ended, Effect.succeed("over"))
    return yield* Effect.never
  }, this.ends)
}
