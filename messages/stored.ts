/** What a partition of streams says and hears of objects: they are announced, written, committed, and forgotten. */
import { Schema } from "effect"
import { StreamKey } from "./stream.ts"

const offset = Schema.Natural
const objectKey = Schema.String.check(Schema.isMaxLength(200))
const objectKeys = Schema.Array(objectKey)

/** Where a run of appends lies in an object: its index there, and the offsets at which its blocks end. */
const section = {
  ...{ stream: StreamKey, from: offset, to: offset },
  ...{ index: Schema.Natural, indexBytes: Schema.Natural, ends: Schema.Array(offset) }
}

export const storedCommands = {
  /**
   * Before they are written. What is not committed within so long is garbage, and can be committed by nobody any more:
   * so whatever becomes of whoever writes it, an object is needed, or is deleted.
   */
  PlanObjects: {
    input: Schema.Struct({
      objects: objectKeys.check(Schema.isMaxLength(100)),
      forMs: Schema.Natural.check(Schema.isLessThanOrEqualTo(86_400_000))
    }),
    reply: Schema.Struct({})
  },
  /** An object has the bytes of ranges that lie in several segments: these are not needed any more. */
  Merge: {
    input: Schema.Struct({
      object: objectKey,
      sections: Schema.Array(Schema.Struct({ ...section, createdAt: Schema.Natural }))
    }),
    reply: Schema.Struct({ merged: Schema.Natural })
  }
}

export const storedRefusals = {
  /** Somebody else than those who may. */
  NotAllowed: { caller: Schema.String, why: Schema.String },
  /** It was not announced here, or too long ago: it may have been deleted. */
  ObjectUnplanned: { object: Schema.String }
}

export const storedEvents = {
  ObjectsPlanned: { objects: objectKeys, until: Schema.Natural },
  SegmentsMerged: { object: objectKey, sections: Schema.Array(Schema.Struct(section)) }
}
