/**
 * A kind made to be checked: money is neither made nor lost, transfers go through the outbox, savings through a
 * timer.
 */
import { Schema } from "effect"
import type { Decider } from "../../actors/decider.ts"
import { protocol } from "../../messages/protocol.ts"
import { kindOf } from "../../runtime/actor/kind.ts"

const amount = Schema.Natural
/** Every reply tells the state that it was decided on: how many entries it has seen, and what it holds. */
const Seen = Schema.Struct({ moves: Schema.Natural, balance: Schema.Natural, saved: Schema.Natural })

const bank = protocol({
  kind: "bank",
  commands: {
    Deposit: { input: Schema.Struct({ amount }), reply: Seen },
    Withdraw: { input: Schema.Struct({ amount }), reply: Seen },
    Transfer: { input: Schema.Struct({ amount, to: Schema.String }), reply: Seen },
    Credit: { input: Schema.Struct({ amount }), reply: Seen },
    Save: { input: Schema.Struct({ amount, forMs: Schema.Natural }), reply: Seen },
    Fall: { input: Schema.Struct({ half: Schema.Boolean }), reply: Seen }
  },
  queries: { Balance: { input: Schema.Struct({}), reply: Seen } },
  refusal: Schema.TaggedUnion({ Insufficient: { balance: amount }, Busy: {} }),
  event: Schema.TaggedUnion({
    Deposited: { amount },
    Withdrawn: { amount },
    Sent: { amount, to: Schema.String },
    Credited: { amount },
    Saved: { amount, until: Schema.Natural },
    Matured: {},
    /** Its evolution throws, as a defect of ours would: it is decided and never committed. */
    Broken: {}
  })
})
export type Bank = typeof bank

export interface Balance {
  moves: number
  balance: number
  saved: number
  until: number
}

export const seen = ({ moves, balance, saved }: Balance) => ({ moves, balance, saved })

const snapshotSteps = 3

export const bankDecider: Decider<Balance, Bank> = {
  protocol: bank,
  snapshotVersion: 1,
  initial: () => ({ moves: 0, balance: 0, saved: 0, until: 0 }),
  decide: (state, command, { at }) => {
    const accept = (...events: ReadonlyArray<Schema.Schema.Type<Bank["event"]>>) => {
      const after = events.reduce((next, event) => bankDecider.evolve(next, event, at), { ...state })
      return { events, reply: seen(after) }
    }
    switch (command._tag) {
      case "Deposit":
        return accept({ _tag: "Deposited", amount: command.amount })
      case "Credit":
        return accept({ _tag: "Credited", amount: command.amount })
      case "Withdraw":
        return command.amount > state.balance
          ? { refused: { _tag: "Insufficient", balance: state.balance } }
          : accept({ _tag: "Withdrawn", amount: command.amount })
      case "Transfer":
        return command.amount > state.balance
          ? { refused: { _tag: "Insufficient", balance: state.balance } }
          : accept({ _tag: "Sent", amount: command.amount, to: command.to })
      case "Save":
        if (state.until > 0) return { refused: { _tag: "Busy" } }
        return command.amount > state.balance
          ? { refused: { _tag: "Insufficient", balance: state.balance } }
          : accept({ _tag: "Saved", amount: command.amount, until: at + command.forMs })
      case "Tick":
        return state.until > 0 && state.until <= at ? accept({ _tag: "Matured" }) : { events: [], reply: seen(state) }
      case "Fall":
        if (command.half) return { events: [{ _tag: "Deposited", amount: 1 }, { _tag: "Broken" }], reply: seen(state) }
        throw new Error("it was told to fall")
    }
  },
  evolve: (state, event) => {
    state.moves += 1
    switch (event._tag) {
      case "Deposited":
      case "Credited":
        state.balance += event.amount
        break
      case "Withdrawn":
      case "Sent":
        state.balance -= event.amount
        break
      case "Saved":
        state.balance -= event.amount
        state.saved += event.amount
        state.until = event.until
        break
      case "Matured":
        state.balance += state.saved
        state.saved = 0
        state.until = 0
        break
      case "Broken":
        throw new Error("it was told to fall halfway")
    }
    return state
  },
  answer: (state) => ({ reply: seen(state) }),
  save: (state) => Buffer.from(JSON.stringify(state)),
  load: (bytes) => JSON.parse(Buffer.from(bytes).toString()),
  // As a large state does it: others have their turn before it is done.
  saving: function* (state) {
    const bytes = Buffer.from(JSON.stringify(state))
    for (let step = 0; step < snapshotSteps; step++) yield
    return [bytes]
  },
  loading: function* (bytes) {
    for (let step = 0; step < snapshotSteps; step++) yield
    return JSON.parse(Buffer.from(bytes).toString())
  },
  followed: true,
  due: (state) => (state.until > 0 ? state.until : undefined),
  oblige: (event) =>
    event._tag === "Sent"
      ? [{ kind: "bank", id: event.to, command: { _tag: "Credit", amount: event.amount } as const }]
      : []
}

export const bankKind = kindOf(bankDecider)
