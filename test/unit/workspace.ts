/** A workspace without a runtime: commands go in as the actor loop would bring them, and what came of them is kept. */
import { Schema } from "effect"
import { initial, type Tree } from "../../actors/workspace/tree/tree.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import type { CommandOf, QueryOf, RefusalOf } from "../../messages/protocol.ts"
import { blocksOf } from "../../messages/slices.ts"
import { type Workspace, workspace } from "../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"

export type Command = CommandOf<Workspace>
export type Query = QueryOf<Workspace>
// biome-ignore lint/suspicious/noExplicitAny: a test knows which reply it asked for.
type Any = any
type Answer = { readonly ok: Any } | { readonly refused: RefusalOf<Workspace> }

const replies = new Map(
  Object.entries({ ...workspace.commands, ...workspace.queries }).map(([name, { reply }]) => [
    name,
    Schema.is(reply as Schema.Codec<unknown, unknown>)
  ])
)
const inputs = new Map(
  Object.entries({ ...workspace.commands, ...workspace.queries }).map(([name, { input }]) => [
    name,
    Schema.decodeUnknownSync(input as Schema.Codec<unknown, unknown>, { onExcessProperty: "error" })
  ])
)
const isRefusal = Schema.is(workspace.refusal)
const readEvent = Schema.decodeUnknownSync(workspace.event, { onExcessProperty: "error" })

export interface Logged {
  readonly event: WorkspaceEvent
  readonly at: number
}

export const root = { uid: 0, gid: 0, groups: [] as Array<number> }
export const alice = { uid: 1000, gid: 1000, groups: [1000, 50] }
export const bob = { uid: 1001, gid: 1001, groups: [1001] }

/** Digests of the right number, whatever the bytes. */
export const digestsOf = (size: number): string => "0123456789abcdef".repeat(blocksOf(size))

export class Desk {
  tree: Tree = initial("acme_1")
  version = 0
  at = 1_000_000
  caller = "admin"
  readonly log: Array<Logged> = []
  /** Looked at before and after each decision, which may not change what it sees. */
  watch: ((tree: Tree) => string) | undefined

  /** Sends a command; everything that crosses the wire is held to its schema. */
  send(command: Command, caller = this.caller): Answer {
    const { _tag, ...input } = command
    inputs.get(_tag)?.(input)
    return this.take(command, caller)
  }

  tick(): Answer {
    return this.take({ _tag: "Tick" }, "node")
  }

  /** A tick that is due does something, or it would come for ever. */
  checkDue(): void {
    const { at, tree, version } = this
    const moment = workspaceDecider.due?.(tree) ?? Number.POSITIVE_INFINITY
    const context = { id: "acme_1", caller: "node", commandId: "t", at, version: version + 1 }
    const decision = workspaceDecider.decide(tree, { _tag: "Tick" }, context)
    if (moment <= at && "events" in decision && decision.events.length === 0)
      throw new Error("a tick comes for nothing")
  }

  private take(command: Command | { readonly _tag: "Tick" }, caller: string): Answer {
    const { at, version } = this
    const context = { id: "acme_1", caller, commandId: `c${version}`, at, version: version + 1 }
    const before = this.watch?.(this.tree)
    const decision = workspaceDecider.decide(this.tree, command, context)
    if (this.watch?.(this.tree) !== before) throw new Error(`${command._tag} changed the tree before it was accepted`)
    if ("refused" in decision) {
      if (!isRefusal(decision.refused)) throw new Error(`no such refusal: ${JSON.stringify(decision.refused)}`)
      return { refused: decision.refused }
    }
    const isDone = decision.retryAfterMs === undefined
    if (isDone && command._tag !== "Tick" && replies.get(command._tag)?.(decision.reply) !== true)
      throw new Error(`${command._tag} replies ${JSON.stringify(decision.reply)}`)
    if (decision.events.length > 0) this.version += 1
    const text = JSON.stringify(decision.events)
    for (const raw of JSON.parse(text) as ReadonlyArray<unknown>) {
      const event = readEvent(raw)
      this.log.push({ event, at })
      this.tree = workspaceDecider.evolve(this.tree, event, at)
    }
    if (!isDone) return { refused: { _tag: "Again" } as never }
    return { ok: JSON.parse(JSON.stringify(decision.reply)) }
  }

  ask(query: Query, caller = this.caller): Answer {
    const { _tag, ...input } = query
    inputs.get(_tag)?.(input)
    const { at, version } = this
    const answered = workspaceDecider.answer(this.tree, query, { id: "acme_1", caller, at, version })
    if ("refused" in answered) return answered
    if (replies.get(_tag)?.(answered.reply) !== true)
      throw new Error(`${_tag} replies ${JSON.stringify(answered.reply)}`)
    return { ok: answered.reply }
  }

  /** The reply, where there has to be one. */
  do(command: Command, caller = this.caller): Any {
    const answer = this.send(command, caller)
    if ("refused" in answer) throw new Error(`${command._tag} was refused: ${JSON.stringify(answer.refused)}`)
    return answer.ok
  }

  show(query: Query, caller = this.caller): Any {
    const answer = this.ask(query, caller)
    if ("refused" in answer) throw new Error(`${query._tag} was refused: ${JSON.stringify(answer.refused)}`)
    return answer.ok
  }

  /** The errno, or the tag of another refusal; undefined when it was accepted. */
  fault(command: Command, caller = this.caller): string | undefined {
    const answer = this.send(command, caller)
    if (!("refused" in answer)) return undefined
    return answer.refused._tag === "Errno" ? answer.refused.code : answer.refused._tag
  }
}
