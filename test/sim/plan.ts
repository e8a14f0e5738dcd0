/** Everything that a seed decides before its world begins: printed whole when the world fails. */
import { Prng } from "../../adapters/world/prng.ts"
import { calm, type Faults, type Service } from "../../adapters/world/weather.ts"
import { type Settings, settings } from "../../runtime/actor/owned.ts"

export type Op =
  | {
      readonly kind: "bank"
      readonly id: string
      readonly verb: "do" | "ask"
      readonly name: string
      readonly fields: object
    }
  | {
      readonly kind: "account"
      readonly id: string
      readonly verb: "do" | "ask"
      readonly name: string
      readonly fields: object
    }

export interface Step {
  readonly op: Op
  readonly pauseMs: number
  /** Sends the same command again when it has been answered, or not: a client that is not sure. */
  readonly repeat: boolean
}

export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly window: number
  readonly settings: Settings
  /** Throws all snapshots away at the first restart: the log alone has to do. Never together with truncation. */
  readonly wipe: boolean
  readonly faults: Readonly<Record<Service, Faults>>
  readonly clients: ReadonlyArray<ReadonlyArray<Step>>
  readonly crashes: ReadonlyArray<{ readonly step: number; readonly node: number; readonly downMs: number }>
  readonly cuts: ReadonlyArray<{
    readonly atMs: number
    readonly forMs: number
    readonly node: number
    readonly service: Service
  }>
  /** False in the control: then the checkers have to notice. */
  readonly fence: boolean
}

const services: ReadonlyArray<Service> = ["bus", "journal", "objects", "registry"]

const faultsOf = (prng: Prng): Faults => {
  if (prng.chance(0.3)) return calm
  const rate = () => (prng.chance(0.5) ? 0 : prng.next() * 0.06)
  return { delayMsMax: prng.between(0, 12), lost: rate(), lostAck: rate(), duplicated: rate(), slow: rate() }
}

const bankOp = (prng: Prng): Op => {
  const id = `b${prng.below(3)}`
  const amount = prng.between(1, 9)
  const make = (verb: "do" | "ask", name: string, fields: object): Op => ({ kind: "bank", id, verb, name, fields })
  const dice = prng.next()
  if (dice < 0.25) return make("do", "Deposit", { amount })
  if (dice < 0.35) return make("do", "Withdraw", { amount })
  if (dice < 0.6) return make("do", "Transfer", { amount, to: `b${prng.below(3)}` })
  if (dice < 0.72) return make("do", "Save", { amount, forMs: prng.between(1, 400) })
  if (dice < 0.75) return make("do", "Fall", { half: prng.chance(0.5) })
  return make("ask", "Balance", {})
}

/** Many who ask one actor what it holds while one changes it: whoever answers without being its owner is found out. */
const watchOp = (prng: Prng): Op =>
  prng.chance(0.3)
    ? { kind: "bank", id: "b0", verb: "do", name: "Deposit", fields: { amount: 1 } }
    : { kind: "bank", id: "b0", verb: "ask", name: "Balance", fields: {} }

const accountOp = (prng: Prng): Op => {
  const make = (verb: "do" | "ask", name: string, fields: object): Op => ({
    kind: "account",
    id: "org",
    verb,
    name,
    fields
  })
  const name = `w${prng.below(4)}`
  const dice = prng.next()
  if (dice < 0.15) return make("do", "FoundOrganisation", {})
  if (dice < 0.55) return make("do", "CreateWorkspace", { name })
  if (dice < 0.75) return make("do", "DeleteWorkspace", { name })
  return make("ask", "ListWorkspaces", {})
}

export const planOf = (seed: number, fence = true): Plan => {
  const prng = new Prng(seed).fork("plan")
  const nodes = prng.between(2, 3)
  const isEager = prng.chance(0.6)
  const isWatched = prng.chance(0.25)
  const op = (): Op => (isWatched ? watchOp(prng) : prng.chance(0.85) ? bankOp(prng) : accountOp(prng))
  const steps = (): ReadonlyArray<Step> =>
    Array.from({ length: isWatched ? prng.between(20, 60) : prng.between(5, 25) }, () => ({
      op: op(),
      pauseMs: prng.chance(0.5) ? 0 : prng.below(60),
      repeat: prng.chance(0.1)
    }))
  const calmWeather = prng.chance(0.1)
  return {
    seed,
    nodes,
    window: prng.pick([1, 2, 8]),
    settings: {
      ...settings,
      shards: prng.between(1, 3),
      checkpointEveryMs: prng.between(10, 80),
      logEntriesMax: isEager ? prng.between(2, 20) : 1_000_000,
      idleMs: prng.between(20, 300),
      outboxRecordMs: prng.between(1, 60)
    },
    wipe: !isEager && prng.chance(0.6),
    faults: Object.fromEntries(
      services.map((service) => [service, calmWeather ? calm : faultsOf(prng)])
    ) as unknown as Plan["faults"],
    clients: Array.from({ length: isWatched ? 4 : prng.between(1, 4) }, steps),
    crashes: Array.from({ length: prng.below(4) }, () => ({
      step: prng.between(50, 3_000),
      node: prng.below(nodes),
      downMs: prng.below(1_500)
    })),
    cuts: Array.from({ length: prng.below(4) }, () => ({
      atMs: prng.below(3_000),
      forMs: prng.between(50, 2_000),
      node: prng.below(nodes),
      service: prng.pick(services)
    })),
    fence
  }
}
