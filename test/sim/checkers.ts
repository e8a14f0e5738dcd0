/** What has to be true of every world, whatever went wrong in it. Each checker gives the first thing that is not. */

import { accountDecider } from "../../actors/account/account.ts"
import type { State as Account } from "../../actors/account/state.ts"
import type { Committed } from "../../adapters/world/journal.ts"
import type { Entry } from "../../messages/entry.ts"
import { type Balance, bankDecider, seen } from "./bank.ts"
import type { Asked } from "./history.ts"

export type Violation = string | undefined

/** The entries of one actor in the order in which they were committed, with the state behind each. */
interface Life {
  readonly kind: string
  readonly committed: ReadonlyArray<Committed>
  /** `balances[n]` is the balance behind `n` entries; of banks alone. */
  readonly balances: ReadonlyArray<Balance>
}

const keyOf = (of: { readonly kind: string; readonly id: string }): string => `${of.kind}/${of.id}`

export const livesOf = (ledger: ReadonlyArray<Committed>): Map<string, Life> => {
  const byActor = Map.groupBy(ledger, ({ placed }) => keyOf(placed.entry))
  return new Map(
    [...byActor].map(([key, committed]) => {
      const kind = committed[0]?.placed.entry.kind ?? ""
      const balances = kind === "bank" ? balancesOf(committed) : []
      return [key, { kind, committed, balances }]
    })
  )
}

const balancesOf = (committed: ReadonlyArray<Committed>): ReadonlyArray<Balance> => {
  let balance = bankDecider.initial("")
  const balances = [{ ...balance }]
  for (const { placed } of committed) {
    for (const event of JSON.parse(placed.entry.events)) balance = bankDecider.evolve(balance, event, placed.entry.at)
    balances.push({ ...balance })
  }
  return balances
}

const firstOf = <T>(items: Iterable<T>, check: (item: T) => Violation): Violation => {
  for (const item of items) {
    const violation = check(item)
    if (violation !== undefined) return violation
  }
  return undefined
}

/** One owner's writes at a time, and no actor with a gap, a branch or a command that was applied twice. */
export const isOneHistory = (ledger: ReadonlyArray<Committed>): Violation => {
  const epochs = new Map<number, number>()
  const versions = new Map<string, number>()
  const causes = new Set<string>()
  return firstOf(ledger, ({ shard, epoch, placed: { entry, position } }) => {
    const key = keyOf(entry)
    const where = `${key} version ${entry.version} at ${position} of shard ${shard}`
    if (epoch < (epochs.get(shard) ?? 0)) return `${where}: owner ${epoch} wrote behind owner ${epochs.get(shard)}`
    epochs.set(shard, epoch)
    if (entry.version !== (versions.get(key) ?? 0) + 1) return `${where}: follows version ${versions.get(key) ?? 0}`
    versions.set(key, entry.version)
    const cause = `${key} ${entry.cause}`
    if (causes.has(cause)) return `${where}: ${entry.cause} was applied twice`
    causes.add(cause)
    return undefined
  })
}

/** Every command that was acknowledged is there, with the reply that its client was given. */
export const isNothingLost = (lives: ReadonlyMap<string, Life>, history: ReadonlyArray<Asked>): Violation =>
  firstOf(history, ({ op, commandId, answer }) => {
    if (op.verb === "ask" || answer === undefined || !("ok" in answer)) return undefined
    const entry = entryOf(lives, op, commandId)
    if (entry === undefined) return `${commandId} ${op.name} was acknowledged, and is not in the log of ${keyOf(op)}`
    const reply = JSON.stringify(answer.ok)
    return reply === entry.reply ? undefined : `${commandId} was answered ${reply}, and the log has ${entry.reply}`
  })

const entryOf = (
  lives: ReadonlyMap<string, Life>,
  op: { readonly kind: string; readonly id: string },
  commandId: string
): Entry | undefined =>
  lives.get(keyOf(op))?.committed.find(({ placed }) => placed.entry.cause === commandId)?.placed.entry

/** Each reply in the log is what its events make of the state before: replay and decision agree. */
export const isReplayTrue = (lives: ReadonlyMap<string, Life>): Violation =>
  firstOf(lives, ([key, { kind, committed, balances }]) =>
    kind !== "bank"
      ? undefined
      : firstOf(committed.entries(), ([index, { placed }]) => {
          const reply = JSON.stringify(seen(balances[index + 1] as Balance))
          return reply === placed.entry.reply
            ? undefined
            : `${key} version ${placed.entry.version}: the events give ${reply}, and the reply was ${placed.entry.reply}`
        })
  )

/**
 * The versions that an answer may have seen: all that was acknowledged before the question, nothing from after the
 * answer.
 */
const between = (life: Life | undefined, history: ReadonlyArray<Asked>, asked: Asked) => {
  const committed = life?.committed ?? []
  const versionOf = new Map(committed.map(({ placed }) => [placed.entry.cause, placed.entry.version]))
  let low = 0
  for (const other of history) {
    // A command that was refused can be accepted when it is repeated: its refusal knew nothing of that.
    const isOk = other.answer !== undefined && "ok" in other.answer
    if (other.endedAt >= asked.startedAt || !isOk || keyOf(other.op) !== keyOf(asked.op)) continue
    low = Math.max(low, versionOf.get(other.commandId) ?? 0, movesIn(other))
  }
  const high = committed.filter(({ at }) => at <= asked.endedAt).length
  return { low, high }
}

const movesIn = ({ op, answer }: Asked): number =>
  op.kind === "bank" && op.verb === "ask" && answer !== undefined && "ok" in answer
    ? (answer.ok as { readonly moves: number }).moves
    : 0

/** Answers agree with one order of the entries, and that order with the clients' time. */
export const isLinear = (lives: ReadonlyMap<string, Life>, history: ReadonlyArray<Asked>): Violation =>
  firstOf(history, (asked) => {
    const { op, answer, commandId } = asked
    if (answer === undefined || op.kind !== "bank" || "failed" in answer) return undefined
    const life = lives.get(keyOf(op))
    const { low, high } = between(life, history, asked)
    const where = `${commandId} ${op.name} of ${keyOf(op)}`
    if ("refused" in answer) return refusedRightly(where, life, { low, high }, answer.refused)
    const told = answer.ok as { readonly moves: number }
    if (op.verb === "do") {
      // A repeated command is answered with the reply it was given first, so only the lower bound of its own first
      // asking holds.
      return told.moves > high
        ? `${where} tells of version ${told.moves}; only ${high} were committed by then`
        : undefined
    }
    if (told.moves < low) return `${where} saw version ${told.moves}, and ${low} was known before it asked`
    if (told.moves > high) return `${where} saw version ${told.moves}; only ${high} were committed by then`
    const truth = JSON.stringify(seen(life?.balances[told.moves] ?? bankDecider.initial("")))
    return truth === JSON.stringify(told)
      ? undefined
      : `${where} saw ${JSON.stringify(told)}, and the log says ${truth}`
  })

const refusedRightly = (
  where: string,
  life: Life | undefined,
  { low, high }: { readonly low: number; readonly high: number },
  refusal: { readonly _tag: string; readonly balance?: number }
): Violation => {
  if (refusal._tag !== "Insufficient") return undefined
  const balances = life?.balances ?? [bankDecider.initial("")]
  for (let version = low; version <= high; version++)
    if (balances[version]?.balance === refusal.balance) return undefined
  return `${where} was refused at a balance of ${refusal.balance}, which it had at no version from ${low} to ${high}`
}

/** Commands of one actor that did not overlap are committed in the order in which they were asked. */
export const isInOrder = (lives: ReadonlyMap<string, Life>, history: ReadonlyArray<Asked>): Violation => {
  const done = history.flatMap((asked) => {
    if (asked.op.verb === "ask" || asked.answer === undefined || !("ok" in asked.answer)) return []
    const entry = entryOf(lives, asked.op, asked.commandId)
    return entry === undefined ? [] : [{ asked, key: keyOf(asked.op), version: entry.version }]
  })
  const first = new Map<string, number>()
  for (const { commandId, startedAt } of history)
    first.set(commandId, Math.min(startedAt, first.get(commandId) ?? startedAt))
  return firstOf(done, (one) =>
    firstOf(done, (other) =>
      one.key === other.key &&
      one.asked.endedAt < (first.get(other.asked.commandId) ?? 0) &&
      one.version > other.version
        ? `${other.asked.commandId} was asked after ${one.asked.commandId} was answered, and is before it in the log`
        : undefined
    )
  )
}

/** What was sent has arrived, once; what was saved has come back. Only once everything is quiet. */
export const isMoneyKept = (lives: ReadonlyMap<string, Life>): Violation => {
  let paidIn = 0
  let held = 0
  const underWay = new Map<string, number>()
  for (const [key, { kind, committed, balances }] of lives) {
    if (kind !== "bank") continue
    const last = balances.at(-1) as Balance
    held += last.balance
    if (last.saved > 0) return `${key}: ${last.saved} are still saved, and were due at ${last.until}`
    for (const { placed } of committed)
      for (const event of JSON.parse(placed.entry.events)) {
        if (event._tag === "Deposited") paidIn += event.amount
        if (event._tag === "Withdrawn") paidIn -= event.amount
        if (event._tag === "Sent") underWay.set(event.to, (underWay.get(event.to) ?? 0) + event.amount)
        if (event._tag === "Credited")
          underWay.set(placed.entry.id, (underWay.get(placed.entry.id) ?? 0) - event.amount)
      }
  }
  for (const [id, amount] of underWay) if (amount !== 0) return `bank/${id}: ${amount} were sent to it and not credited`
  return held === paidIn ? undefined : `${paidIn} were paid in, and ${held} are held`
}

/** Whoever follows an actor from outside came through no state that the log does not give at that version. */
export const isReplicaTrue = (
  lives: ReadonlyMap<string, Life>,
  replicas: ReadonlyMap<string, ReadonlyMap<number, Balance>>
): Violation =>
  firstOf(replicas, ([key, states]) =>
    firstOf(states, ([version, state]) => {
      const truth = JSON.stringify(lives.get(key)?.balances[version] ?? bankDecider.initial(""))
      const folded = JSON.stringify(state)
      return truth === folded
        ? undefined
        : `the replica of ${key} held ${folded} at ${version}, and the log says ${truth}`
    })
  )

/** No two workspaces ever had one id, and no two living ones a name. */
export const isRegistrySound = (lives: ReadonlyMap<string, Life>): Violation => {
  const life = lives.get("account/org")
  if (life === undefined) return undefined
  let state: Account = accountDecider.initial("org")
  const ids = new Set<string>()
  for (const { placed } of life.committed)
    for (const event of JSON.parse(placed.entry.events)) {
      if (event._tag === "WorkspaceCreated") {
        if (ids.has(event.id)) return `the workspace id ${event.id} was given twice`
        if (state.workspaces.has(event.name)) return `a second workspace ${event.name} was made beside a living one`
        ids.add(event.id)
      }
      state = accountDecider.evolve(state, event, placed.entry.at)
    }
  return undefined
}
