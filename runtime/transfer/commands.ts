/** What a transfer needs of a workspace, asked of its actor: a single command holds no replica. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { CommandFailed, Commands, Plan, Stands } from "../files/commands.ts"
import { type Speaker, speak } from "../mount/asking.ts"

export const commandsOf = (as: Speaker): Commands => ({
  reserveSlices: (count) =>
    speak(as, "do", "ReserveSlices", { count }) as Effect.Effect<
      { readonly first: number; readonly count: number },
      CommandFailed
    >,
  write: (id, command) => speak(as, "do", "Write", command, id) as Effect.Effect<Stands, CommandFailed>,
  append: (id, command) =>
    speak(as, "do", "Append", command, id) as Effect.Effect<Stands & { readonly offset: number }, CommandFailed>,
  readPlan: (ino, offset, length) =>
    speak(as, "ask", "ReadPlan", { ino, offset, length }) as Effect.Effect<Plan, CommandFailed>
})

export interface Resolved {
  readonly attributes: Attributes
  readonly parent: number
  readonly name: string
}

export const resolve = (as: Speaker, path: string, follow = true) =>
  speak(as, "ask", "Resolve", { path, follow }) as Effect.Effect<Resolved, CommandFailed>

export const lookup = (as: Speaker, place: { readonly parent: number; readonly name: string }) =>
  speak(as, "ask", "Lookup", place) as Effect.Effect<{ readonly attributes: Attributes }, CommandFailed>

export const linkTarget = (as: Speaker, ino: number) =>
  Effect.map(
    speak(as, "ask", "LinkTarget", { ino }) as Effect.Effect<{ readonly target: string }, CommandFailed>,
    ({ target }) => target
  )

export interface Listed {
  readonly name: string
  readonly attributes: Attributes
}

interface Page {
  readonly entries: ReadonlyArray<Listed & { readonly cursor: number }>
  readonly end: boolean
}

/** All names of a directory. */
export const list = Effect.fnUntraced(function* (as: Speaker, ino: number) {
  const all: Array<Listed> = []
  for (let after: number | undefined; ; ) {
    const page = (yield* speak(as, "ask", "ReadDir", { ino, ...(after === undefined ? {} : { after }) })) as Page
    all.push(...page.entries)
    after = page.entries.at(-1)?.cursor
    if (page.end || after === undefined) return all
  }
})

const root = { uid: 0, gid: 0 }

/** By whom and when, for what a command changes: it runs for whoever holds the workspace's key. */
export const by = (ms: number) => ({ who: root, time: [Math.floor(ms / 1000), (ms % 1000) * 1_000_000] as const })
