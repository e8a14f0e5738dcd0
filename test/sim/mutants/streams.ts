/** What is broken in streams, one at a time. */
import type { Mutant } from "./mutant.ts"

export const streams: ReadonlyArray<Mutant> = [
  {
    name: "streams: an object is written before it is announced",
    file: "runtime/streams/announced.ts",
    from: "return Effect.flatMap(\n      telling,",
    to: "return Effect.flatMap(\n      Effect.andThen(Effect.ignore(write(object)), telling),"
  },
  {
    name: "streams: an object that was announced in vain is forgotten",
    file: "actors/stream-partition/objects.ts",
    from: "state.planned.delete(object)\n    discard(state, object, at)",
    to: "state.planned.delete(object)"
  },
  {
    name: "streams: an object that came too late is committed",
    file: "actors/stream-partition/objects.ts",
    from: "return object === undefined ? undefined : {",
    to: 'return object !== "" ? undefined : {'
  },
  {
    name: "streams: an object is let go of while another stream needs it",
    file: "actors/stream-partition/segments.ts",
    from: "if (left > 0) objects.set(object, left)",
    to: "if (left > 1) objects.set(object, left)"
  },
  {
    name: "streams: an object is forgotten before it is deleted",
    file: "runtime/streams/sealer.ts",
    from: "if (objects.length === 0 || !(yield* this.settled(here))) return false\n",
    to:
      "if (objects.length === 0 || !(yield* this.settled(here))) return false\n" +
      '    yield* this.tell(partition, { _tag: "ForgetObjects", objects })\n'
  },
  {
    name: "streams: bytes leave memory before their object is there",
    file: "runtime/streams/sealer.ts",
    from: "Effect.as(this.objects.put(name, bytes), name)",
    to: "Effect.as(Effect.ignore(this.objects.put(name, bytes)), name)"
  }
]
