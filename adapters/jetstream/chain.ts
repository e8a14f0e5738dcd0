/**
 * Which frames of a stream belong to the log.
 *
 * The server's fence compares sequences, not owners. A claim lands in the middle of what a deposed owner has under
 * way: the frame whose place it took is refused, and yet the next one finds the sequence that it expects, and is
 * stored. So a stream holds frames that nobody was told are written, and that were written after the claim. They are
 * told apart by what they say of themselves: a frame belongs to the log when it is of the newest claim's epoch and its
 * ordinal is the next one. The owner acknowledges by the same rule, and so every reader agrees with it. (That a frame
 * names the sequence of the one before it would not do: after a frame had to move, an older copy of a later one can
 * find the right sequence too.)
 */
import type { Frame } from "../../runtime/journal/frame.ts"

export class Chain {
  #epoch = 0
  #ordinal = 0
  #isBegun = false

  /** Whether this frame, the next in the stream, belongs to the log. The first one that is asked about does. */
  takes(frame: Frame): boolean {
    const isClaim = frame.owner !== undefined
    const isNext = frame.epoch === this.#epoch && frame.ordinal === this.#ordinal + 1
    if (this.#isBegun && !isClaim && !isNext) return false
    this.#isBegun = true
    this.#epoch = frame.epoch
    this.#ordinal = frame.ordinal
    return true
  }
}
