/** Why a node does not start, in words for whoever started it. */
import { Schema } from "effect"

export class CannotStart extends Schema.TaggedError<CannotStart>()("CannotStart", {
  why: Schema.String,
  /** What to try next, when there is something. */
  next: Schema.optionalKey(Schema.String)
}) {}
