/** A frame holds the entries of one append, or one claim, as bytes: the unit of storage in every journal that has one. */
import type { Position } from "../../messages/entry.ts"
import { batchEntriesMax } from "../../messages/limits.ts"

/** The place of an entry: its frame's place in the log, and its own within the frame. Sequences begin with 1. */
export const positionOf = (sequence: number, index: number): Position => sequence * batchEntriesMax + index
export const sequenceOf = (position: Position): number => Math.floor(position / batchEntriesMax)
export const indexOf = (position: Position): number => position % batchEntriesMax
