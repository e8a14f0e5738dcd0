/** What clients were promised while a load ran, when each promise came, and whether all of it is still there. */
import { Effect, Stream } from "effect"
import type { Entry } from "../../messages/entry.ts"
import type { Client } from "../../runtime/client.ts"
import type { Journal } from "../../runtime/ports/journal.ts"

export const adminCaller = "admin"

/** One answered command: the name and the id of the workspace that it made, or deleted. */
export interface Promised {
  readonly org: string
  readonly cause: string
  readonly verb: "created" | "deleted"
  readonly name: string
  readonly id: string
}

export class Promises {
  readonly kept: Array<Promised> = []
  /** Refusals: every command of the load is one that can be refused only when it was applied twice, or lost. */
  readonly refused: Array<string> = []
  /** Commands whose fate their client never learned. */
  readonly unanswered: Array<string> = []
  /** Answers that no client should ever get. */
  readonly broken: Array<string> = []
  readonly #times = new Map<string, Array<number>>()

  note(promised: Promised): void {
    this.kept.push(promised)
    const times = this.#times.get(promised.org)
    if (times === undefined) this.#times.set(promised.org, [performance.now()])
    else times.push(performance.now())
  }

  /** The longest time without an answer that any organisation saw between two moments. */
  gapMs(from: number, until: number): number {
    let longest = 0
    for (const times of this.#times.values()) {
      let last = times.findLast((time) => time <= from) ?? from
      for (const time of times) {
        if (time <= from) continue
        longest = Math.max(longest, Math.min(time, until) - last)
        last = time
        if (time > until) break
      }
      if (last < until) longest = Math.max(longest, until - last)
    }
    return Math.round(longest)
  }

  /** When the first answer after this moment came. */
  firstAfter(from: number): number | undefined {
    let first = Number.POSITIVE_INFINITY
    for (const times of this.#times.values()) first = Math.min(first, times.find((time) => time > from) ?? first)
    return Number.isFinite(first) ? first : undefined
  }

  /** Whether every organisation has had an answer since this moment. */
  allSince(from: number): boolean {
    return [...this.#times.values()].every((times) => (times.at(-1) ?? 0) > from)
  }
}

export interface Verdict {
  readonly acknowledged: number
  readonly found: number
  /** Causes that stand in the log more than once, workspaces that are there twice, and refusals under load. */
  readonly duplicates: number
  readonly unanswered: number
  /** The first few of everything that is wrong. */
  readonly faults: ReadonlyArray<string>
}

interface Listed {
  readonly id: string
  readonly name: string
}

const listed = Effect.fnUntraced(function* (client: Client, org: string, deleted: boolean) {
  const all: Array<Listed> = []
  for (;;) {
    const last = all.at(-1)
    const after = last === undefined ? {} : { after: deleted ? last.id : last.name }
    const answer = yield* client.ask({
      verb: "ask",
      kind: "account",
      id: org,
      caller: adminCaller,
      name: "ListWorkspaces",
      body: JSON.stringify({ deleted, ...after })
    })
    if (!("ok" in answer)) throw new Error(`${org} cannot be listed: ${JSON.stringify(answer)}`)
    const page = answer.ok as { readonly workspaces: ReadonlyArray<Listed>; readonly more: boolean }
    all.push(...page.workspaces)
    if (!page.more) return all
  }
})

/** Asks the node for everything that was acknowledged. Gives what is missing or there twice, in words. */
export const askedFor = Effect.fnUntraced(function* (client: Client, promises: Promises, orgs: ReadonlyArray<string>) {
  const missing: Array<string> = []
  const twice: Array<string> = []
  for (const org of orgs) {
    const living = yield* listed(client, org, false)
    const dead = yield* listed(client, org, true)
    const ids = new Map(living.map(({ id, name }) => [id, name]))
    const tombs = new Map(dead.map(({ id, name }) => [id, name]))
    const every = [...living, ...dead].map(({ name }) => name)
    if (new Set(every).size !== every.length) twice.push(`${org}: a name was made twice`)
    const deleted = new Set(
      promises.kept.filter((each) => each.org === org && each.verb === "deleted").map(({ id }) => id)
    )
    for (const { org: of, verb, name, id } of promises.kept) {
      if (of !== org) continue
      // One whose deletion was asked for, but not answered, may be in either place.
      const isThere = verb === "created" ? (ids.get(id) ?? tombs.get(id)) === name : tombs.get(id) === name
      const isRisen = verb === "created" && deleted.has(id) && ids.has(id)
      if (!isThere || isRisen) missing.push(`${org}: ${name} (${id}) was ${verb}, and is not`)
    }
  }
  return { missing, twice }
})

/** Reads the logs themselves: versions dense, every cause once, every acknowledged command with its own effect. */
export const readFor = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  shards: ReadonlyMap<string, number>,
  promises: Promises
) {
  const missing: Array<string> = []
  const twice: Array<string> = []
  for (const [org, shard] of shards) {
    const causes = new Map<string, Entry>()
    let version = 0
    yield* journal.read(shard, 0).pipe(
      Stream.flattenIterable,
      Stream.runForEach((read) =>
        Effect.sync(() => {
          if (!("entry" in read)) throw new Error(`${journal.nameOf(shard)}: ${read.damaged.why}`)
          const { entry } = read
          if (entry.kind !== "account" || entry.id !== org) return
          if (entry.version !== version + 1) missing.push(`${org}: version ${entry.version} follows ${version}`)
          version = entry.version
          if (causes.has(entry.cause)) twice.push(`${org}: ${entry.cause} has two entries`)
          causes.set(entry.cause, entry)
        })
      )
    )
    for (const { org: of, cause, id } of promises.kept) {
      if (of === org && !causes.get(cause)?.reply.includes(JSON.stringify(id)))
        missing.push(`${org}: ${cause} was answered, and is not in the log`)
    }
  }
  return { missing, twice }
})

type Looked = { readonly missing: ReadonlyArray<string>; readonly twice: ReadonlyArray<string> }

export const verdictOf = (promises: Promises, ...looks: ReadonlyArray<Looked>): Verdict => {
  const missing = looks.map((look) => look.missing.length)
  const { refused, broken, unanswered, kept } = promises
  const twice = looks.flatMap((look) => look.twice)
  const faults = [...broken, ...refused, ...twice, ...looks.flatMap((look) => look.missing)]
  return {
    acknowledged: kept.length,
    found: kept.length - Math.max(0, ...missing),
    duplicates: twice.length + refused.length,
    unanswered: unanswered.length,
    faults: faults.slice(0, 10)
  }
}
