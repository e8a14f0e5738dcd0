/** What a file's bytes need of the workspace: ids for slices, commits of them, and plans to read by. */
import { type Effect, Schema } from "effect"
import type { Attributes, Time, Who } from "../../messages/inode.ts"
import type { Appendage, Part, Placement } from "../../messages/slices.ts"
import type { Traits } from "../../messages/workspace-events.ts"

/** The workspace answered that it will not. Asking the same again does not help. */
export class CommandRefused extends Schema.TaggedError<CommandRefused>()("CommandRefused", {
  /** Linux's name for it; ESTALE when the session is over. */
  errno: Schema.String,
  why: Schema.String
}) {}

/** Nobody answered in time: it may have been done or not, and asking again with the same id is safe. */
export class CommandUnanswered extends Schema.TaggedError<CommandUnanswered>()("CommandUnanswered", {
  why: Schema.String
}) {}

export type CommandFailed = CommandRefused | CommandUnanswered

interface Change {
  readonly ino: number
  readonly who: Who
  readonly time: Time
  /** Set behind the bytes. */
  readonly set?: Traits
}
export interface WriteCommand extends Change {
  readonly slices: ReadonlyArray<Placement>
}
export interface AppendCommand extends Change {
  readonly slices: ReadonlyArray<Appendage>
}

/** What stands after a commit; a replica that has folded `version` shows it. */
export interface Stands {
  readonly attributes: Attributes
  readonly version: number
}
export interface Appended extends Stands {
  readonly offset: number
}

export interface Plan {
  /** Of the file. */
  readonly size: number
  /** In the order of the file and without gaps, to the end of the range or of the file. */
  readonly parts: ReadonlyArray<Part>
  /** There were too many parts: they end before the range does. */
  readonly more: boolean
}

export interface Commands {
  readonly reserveSlices: (
    count: number
  ) => Effect.Effect<{ readonly first: number; readonly count: number }, CommandFailed>
  /** `id` is the command's: the same one again gives the first answer and changes nothing. */
  readonly write: (id: string, command: WriteCommand) => Effect.Effect<Stands, CommandFailed>
  readonly append: (id: string, command: AppendCommand) => Effect.Effect<Appended, CommandFailed>
  /** Shows at least what `write` and `append` have answered before it was asked: a replica is waited for. */
  readonly readPlan: (ino: number, offset: number, length: number) => Effect.Effect<Plan, CommandFailed>
}
