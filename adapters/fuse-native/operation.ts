/** What an operation of libfuse is here: asked with the binary's arguments, answered with what its signal takes. */
import type { Effect } from "effect"
import type { Ask } from "./asking.ts"
import type { Slot } from "./binding.ts"
import type { Handles } from "./handles.ts"
import type { Fault, Paths } from "./paths.ts"

/** `result` is 0 or a number of bytes; `given` is what the signal takes besides. */
export interface Told {
  readonly result: number
  readonly given?: ReadonlyArray<unknown>
}

export interface Operation {
  /** Of an operation that failed: the signal wants something in each place. */
  readonly blank: (args: ReadonlyArray<never>) => ReadonlyArray<unknown>
  readonly run: (slot: Slot, args: ReadonlyArray<never>) => Effect.Effect<Told, Fault>
}

export interface Asked {
  readonly ask: Ask
  readonly paths: Paths
  readonly handles: Handles
}

export const done: Told = { result: 0 }
const nothing: ReadonlyArray<unknown> = []

/** The binary's arguments are as its source has them; no type comes with them. */
export const operation = <Args extends ReadonlyArray<unknown>>(
  run: (...args: Args) => Effect.Effect<Told, Fault>,
  blank: (...args: Args) => ReadonlyArray<unknown> = () => nothing
): Operation => ({
  blank: (args) => blank(...(args as unknown as Args)),
  run: (_, args) => run(...(args as unknown as Args))
})
