/** Calls within the turn of a commit: what one of them falls over is reported, and does not become the shard's end. */

/** A request that is not answered for it is cut off by its connection's own time-out. */
export const hand = <A>(call: (value: A) => void, value: A): void => {
  try {
    call(value)
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : new Error(String(error)))
  }
}
