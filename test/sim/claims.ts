/**
 * Workers in a simulated world who claim one subscription and append under their claims, through any node, also when
 * their lease has long ended: nothing of one may lie behind what was there when another one's claim was answered.
 */
import { Effect, Fiber, Random, type Scope } from "effect"
import type { Fenced } from "../../messages/fence.ts"
import type { Appended } from "../../messages/stream-partition.ts"
import type { Wake } from "../../messages/subscription.ts"
import { type Claim, endEarlier, subscriptionPartition, tellFenced } from "../../runtime/streams/fences.ts"
import type { Command, Outcome } from "../../runtime/streams/partitions.ts"
import { crashes, cuts, groundOf, Host } from "./host.ts"
import type { Plan } from "./plan.ts"
import { node, type Reached, Visitor } from "./streams.ts"
import { World } from "./world.ts"

const subscription = "workers"
const work = "sim/work"
/** In other partitions than the subscription, and of the work. */
const outputs = ["out/a", "out/b", "out/c"]
const contentType = "text/plain"
const leaseMs = 1_000
const workersCount = 3
const runMs = 9_000

interface Answered {
  readonly generation: number
  /** How far the outputs were when the claim had been answered. */
  readonly tails: ReadonlyArray<readonly [string, number]>
}

export interface Told {
  readonly faults: ReadonlyArray<string>
  readonly claims: number
  readonly landed: number
  /** Appends of workers whose claim was over. */
  readonly refused: number
}

interface Run {
  readonly hosts: ReadonlyArray<Host<Reached>>
  /** Whether a claim is answered only when earlier ones have ended everywhere: a control leaves it out. */
  readonly isEnded: boolean
  readonly answered: Array<Answered>
  refused: number
}

const claiming = Effect.fnUntraced(function* (run: Run, visitor: Visitor, worker: string, turn: number) {
  const tail = yield* visitor.tail(work)
  const tails = [{ path: work, offset: tail ?? 0 }]
  const token = `${worker}-${turn}`
  const command: Command = {
    ...{ _tag: "ClaimSubscription", id: subscription, worker, wakeId: `w-${token}`, token, tails }
  }
  return yield* visitor.visit(({ partitions }) =>
    Effect.callback<Claim | undefined>((resume) => {
      const fail = () => resume(Effect.succeed(undefined))
      partitions.tell(subscriptionPartition(partitions, subscription), command, "tester", (outcome) => {
        if (!("ok" in outcome)) return fail()
        const { wake, fenced } = outcome.ok as { readonly wake: Wake; readonly fenced?: Fenced }
        const { wakeId, generation } = wake
        const claim = { id: subscription, wakeId, generation, token }
        if (!run.isEnded) return resume(Effect.succeed(claim))
        endEarlier(partitions, { id: subscription, fenced }, (failed) =>
          failed === undefined ? resume(Effect.succeed(claim)) : fail()
        )
      })
    })
  )
})

const appending = (visitor: Visitor, claim: Claim, stream: string, text: string): Effect.Effect<Outcome | undefined> =>
  visitor.visit(({ partitions }) =>
    Effect.callback<Outcome>((resume) => {
      const command: Command & { readonly _tag: "Append" } = { _tag: "Append", stream, contentType, body: { text } }
      const fencing = { partition: partitions.of(stream), claim, caller: "tester" }
      tellFenced(partitions, fencing, command, (outcome) => resume(Effect.succeed(outcome)))
    })
  )

const renewing = (visitor: Visitor, { id, wakeId, generation, token }: Claim) =>
  visitor.visit(({ partitions }) => {
    const held = { id, wakeId, generation, token, acks: [], tails: [], done: false }
    return partitions.told(subscriptionPartition(partitions, id), { _tag: "AckSubscription", ...held }, "tester")
  })

/** As a node that dies before it has told anybody else of it. */
const releasing = (visitor: Visitor, { id, wakeId, generation, token }: Claim) =>
  visitor.visit(({ partitions }) => {
    const command: Command = { _tag: "ReleaseSubscription", id, wakeId, generation, token }
    return partitions.told(subscriptionPartition(partitions, id), command, "tester")
  })

/** Goes on for a while after it has been told that its claim is over: it has not understood. */
const labour = Effect.fnUntraced(function* (run: Run, visitor: Visitor, claim: Claim) {
  const { generation } = claim
  for (let n = 0, late = 0; late < 4 && n < 40; n++) {
    const stream = outputs[yield* Random.nextIntBetween(0, outputs.length - 1)] as string
    const outcome = yield* appending(visitor, claim, stream, `${generation}:${n};`)
    if (outcome !== undefined && "refused" in outcome) {
      late += 1
      run.refused += 1
    }
    const isSlow = (yield* Random.next) < 0.15
    yield* Effect.sleep(isSlow ? 1_600 : yield* Random.nextIntBetween(5, 200))
    const chance = yield* Random.next
    if (chance < 0.3) yield* renewing(visitor, claim)
    else if (chance < 0.4) yield* releasing(visitor, claim)
  }
})

const worker = Effect.fnUntraced(function* (run: Run, index: number) {
  const visitor = new Visitor(run.hosts, index)
  for (let turn = 0; ; turn++) {
    yield* Effect.sleep(yield* Random.nextIntBetween(20, 300))
    const claim = yield* claiming(run, visitor, `n${index}`, turn)
    if (claim === undefined) continue
    const tails: Array<readonly [string, number]> = []
    for (const stream of outputs) {
      const tail = yield* visitor.tail(stream)
      if (tail !== undefined) tails.push([stream, tail])
    }
    run.answered.push({ generation: claim.generation, tails })
    yield* labour(run, visitor, claim)
  }
})

const insisting = Effect.fnUntraced(function* (visitor: Visitor) {
  for (const stream of [work, ...outputs]) yield* visitor.insist(stream, { _tag: "CreateStream", stream, contentType })
  const body = { text: "work" }
  yield* visitor.insist(work, { _tag: "Append", stream: work, contentType, body }) as Effect.Effect<Appended>
  const config = { type: "pull-wake" as const, streams: [work], leaseMs }
  yield* visitor.insist(`__ds/${subscription}`, { _tag: "PutSubscription", id: subscription, config, existing: [] })
})

const contentOf = (bytes: Buffer) => {
  let end = 0
  return bytes
    .toString()
    .split(";")
    .slice(0, -1)
    .map((mark) => {
      end += mark.length + 1
      return { generation: Number(mark.split(":")[0]), end }
    })
}

const judged = Effect.fnUntraced(function* (run: Run) {
  const faults: Array<string> = []
  let landed = 0
  for (const stream of outputs) {
    const visitor = new Visitor(run.hosts, 0)
    let bytes: Buffer | undefined
    for (let tries = 0; tries < 200 && bytes === undefined; tries++) {
      bytes = yield* visitor.whole(stream, 4096)
      yield* Effect.sleep(50)
    }
    if (bytes === undefined) return { faults: [`${stream} cannot be read`], landed }
    const marks = contentOf(bytes)
    landed += marks.length
    for (const [index, { generation }] of marks.entries())
      if (generation < (marks[index - 1]?.generation ?? 0)) faults.push(`${stream}: ${generation} behind a later claim`)
    for (const { generation, tails } of run.answered)
      for (const [key, tail] of tails)
        if (key === stream && marks.some((mark) => mark.end > tail && mark.generation < generation))
          faults.push(`${stream}: an earlier claim's append lies behind what claim ${generation} found`)
  }
  return { faults, landed }
})

const program: (plan: Plan, world: World, isEnded: boolean) => Effect.Effect<Told, never, Scope.Scope> =
  Effect.fnUntraced(function* (plan, world, isEnded) {
    const ground = yield* groundOf(plan)
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const { weather } = ground
    const hosts = Array.from(
      { length: plan.nodes },
      (_, index) => new Host<Reached>(`n${index}`, weather, fork, (life, ready) => node(ground, life, ready))
    )
    for (const host of hosts) host.start()
    const run: Run = { hosts, isEnded, answered: [], refused: 0 }
    yield* insisting(new Visitor(hosts, 0))
    const background = (effect: Effect.Effect<void>) => void fork(effect)
    crashes(plan, world, background, (index) => (hosts[index] === undefined ? [] : [hosts[index]]))
    cuts(ground, background)
    const workers = Array.from({ length: workersCount }, (_, index) => fork(worker(run, index)))
    yield* Effect.sleep(runMs)
    for (const fiber of workers) yield* Fiber.interrupt(fiber)
    weather.heal()
    for (const host of hosts) host.start()
    yield* Effect.sleep(2_000)
    const { faults, landed } = yield* judged(run)
    for (const host of hosts) host.kill()
    return { faults, landed, claims: run.answered.length, refused: run.refused }
  })

export const runClaims = (plan: Plan, isEnded = true): Told => {
  const world = new World(plan.seed)
  return world.run(Effect.scoped(program(plan, world, isEnded)))
}
