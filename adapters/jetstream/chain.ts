/**
 * Which frames of a stream belong to the log.
 *
 * The server's fence compares sequences, not owners. A claim lands in the middle of what a deposed owner has under way:
 * the frame whose place it took is refused, and yet the next one finds the sequence that it expects, and is stored. So a
 * stream holds frames that nobody was told are written, and that were written after the claim. They are told apart by
 * what they say of themselves: a frame belongs to the log when it is of the newest claim's epoch and follows the last frame
 * that belongs. The owner acknowledges by the same rule, and so every reader agrees with it.
 */
import type { Frame } from "../../runtime/journal/frame.ts"

export class Chain {
  #epoch = 0
  #last = 0

  /** Whether this frame, the next in the stream, belongs to the log. The first one that is asked about does. */
  takes(frame: Frame, sequence: number): boolean {
    const first = this.#last === 0
    if (!first && frame.owner === undefined && (frame.epoch !== this.#epoch || frame.previous !== this.#last))
      return false
    this.#epoch = frame.epoch
    this.#last = sequence
    return true
  }
}
