/** A decider made ready to run: its schemas are compiled once, and everything it exchanges is text. */
import { Result, Schema } from "effect"
import type { AnyProtocol, Context, Decider, Obligation } from "../../actors/decider.ts"

// biome-ignore lint/suspicious/noExplicitAny: kinds of every state live in one table.
type Any = any

export type Read<T> = { readonly value: T } | { readonly why: string }

type Decode = (input: unknown) => Read<Any>

/** What the actor loop needs of a kind; all of it is synchronous and free of effects. */
export interface Kind {
  readonly name: string
  readonly snapshotVersion: number
  readonly initial: (id: string) => Any
  readonly readCommand: (name: string, body: string) => Read<{ readonly _tag: string }>
  readonly readQuery: (name: string, body: string) => Read<{ readonly _tag: string }>
  readonly readEvents: (json: string) => ReadonlyArray<Any>
  readonly decide: (state: Any, command: Any, context: Context) => Any
  readonly evolve: (state: Any, event: Any, at: number) => Any
  readonly answer: (state: Any, query: Any, context: Omit<Context, "commandId">) => Any
  /** Of the moment of the first step. */
  readonly saving: (state: Any) => Generator<void, ReadonlyArray<Uint8Array>>
  readonly loading: (bytes: Uint8Array, id: string) => Generator<void, Any>
  readonly leave: (state: Any) => void
  readonly followed: boolean
  readonly due: (state: Any) => number
  readonly mayOblige: (events: string) => boolean
  readonly oblige: ((event: Any, id: string) => ReadonlyArray<Obligation>) | undefined
}

const decoder = (schema: Schema.Codec<Any, unknown>): Decode => {
  const decode = Schema.decodeUnknownResult(schema, { onExcessProperty: "error" })
  return (input) => {
    const result = decode(input)
    return Result.isSuccess(result) ? { value: result.success } : { why: String(result.failure) }
  }
}

const parse = (json: string): Read<Any> => {
  try {
    return { value: JSON.parse(json) }
  } catch (error) {
    return { why: `the body is not JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** Reads one message of a table: its name comes from the subject, its fields from the body. */
const reader = (what: string, kind: string, table: Readonly<Record<string, { readonly input: Any }>>) => {
  const decoders = new Map(Object.entries(table).map(([name, exchange]) => [name, decoder(exchange.input)]))
  return (name: string, body: string): Read<{ readonly _tag: string }> => {
    const decode = decoders.get(name)
    if (decode === undefined)
      return { why: `${kind} has no ${what} ${name}; it has ${[...decoders.keys()].join(", ") || "none"}` }
    const parsed = parse(body === "" ? "{}" : body)
    if ("why" in parsed) return parsed
    const read = decode(parsed.value)
    return "why" in read ? { why: `${name}: ${read.why}` } : { value: { ...read.value, _tag: name } }
  }
}

/** What is small is done in a single step. */
const inOne = <Given extends ReadonlyArray<Any>, A>(make: (...given: Given) => A) =>
  // biome-ignore lint/correctness/useYield: there is nothing between its first step and its last.
  function* (...given: Given): Generator<void, A> {
    return make(...given)
  }

export const kindOf = <State, P extends AnyProtocol>(decider: Decider<State, P>): Kind => {
  const { protocol } = decider
  const readEvent = decoder(Schema.Array(protocol.event as Any) as Any)
  return {
    name: protocol.kind,
    snapshotVersion: decider.snapshotVersion,
    initial: decider.initial,
    readCommand: reader("command", protocol.kind, protocol.commands),
    readQuery: reader("query", protocol.kind, protocol.queries),
    readEvents: (json) => {
      const read = readEvent(JSON.parse(json))
      if ("why" in read) throw new Error(`an event of ${protocol.kind} does not decode: ${read.why}`)
      return read.value
    },
    decide: decider.decide,
    evolve: decider.evolve,
    answer: decider.answer,
    saving: decider.saving ?? inOne((state) => [decider.save(state)]),
    loading: decider.loading ?? inOne(decider.load),
    leave: decider.leave ?? (() => {}),
    followed: decider.followed === true,
    due: (state) => decider.due?.(state) ?? 0,
    mayOblige: decider.mayOblige ?? (() => decider.oblige !== undefined),
    oblige: decider.oblige as Kind["oblige"]
  }
}
