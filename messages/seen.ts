/** What hosts that have one workspace mounted tell each other: how far each of them shows what was committed. */
import { Schema } from "effect"

export const Seen = Schema.Struct({
  /** Whoever asks there sees what was committed up to this version, or something newer. */
  shown: Schema.Natural,
  /** To be answered as soon as this version is shown. */
  look: Schema.optionalKey(Schema.Natural),
  /** Nothing is shown there any more, and nobody has to wait for it. */
  gone: Schema.optionalKey(Schema.Boolean)
})
export type Seen = typeof Seen.Type
