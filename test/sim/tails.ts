/**
 * Checks histories of appends to a stream and of reads of its tail: whether some order of them explains what was
 * told.
 */

export interface Op {
  /** Who did it, for whoever has to understand a fault. */
  readonly who: string
  readonly kind: "append" | "tail"
  /** By one clock, for all who took part. */
  readonly start: number
  /** Infinity when no answer came: it may have happened at any time since, or never. */
  readonly end: number
  /** The tail behind the append, or that was read; undefined when no answer came. */
  readonly tail: number | undefined
  /** What was appended: no two appends are alike. */
  readonly mark?: string
}

/** What the stream held in the end: each append's mark, and the offset at which it ends. */
export interface Content {
  readonly mark: string
  readonly end: number
}

/** Everything that was acknowledged is there once, where its writer was told. */
const lostOrDoubled = (ops: ReadonlyArray<Op>, content: ReadonlyArray<Content>): Array<string> => {
  const faults: Array<string> = []
  const ends = new Map<string, number>()
  const asked = new Set(ops.map(({ mark }) => mark))
  for (const { mark, end } of content) {
    if (ends.has(mark)) faults.push(`${mark} is there twice`)
    if (!asked.has(mark)) faults.push(`${mark} is there, and nobody appended it`)
    ends.set(mark, end)
  }
  for (const { kind, mark, tail, who } of ops) {
    if (kind !== "append" || tail === undefined) continue
    const end = ends.get(mark ?? "")
    if (end === undefined) faults.push(`${mark} of ${who} was acknowledged, and is not there`)
    else if (end !== tail) faults.push(`${mark} of ${who} ends at ${end}, and ${tail} was acknowledged`)
  }
  return faults
}

interface Placed extends Op {
  readonly value: number
}

/**
 * An append takes effect at its own place and a read sees one place, so all of them are ordered by these. Such an order
 * explains the history if it keeps real time: what began after something had ended may not stand before it.
 */
const outOfTime = (ops: ReadonlyArray<Op>, content: ReadonlyArray<Content>): Array<string> => {
  const ends = new Map(content.map(({ mark, end }) => [mark, end]))
  const boundaries = new Set([0, ...ends.values()])
  const faults: Array<string> = []
  const placed: Array<Placed> = []
  for (const op of ops) {
    const value = op.kind === "append" ? ends.get(op.mark ?? "") : op.tail
    if (value === undefined) continue
    if (!boundaries.has(value)) faults.push(`${op.who} read the tail ${value}, where no append ends`)
    placed.push({ ...op, value })
  }
  const byEnd = placed.toSorted((a, b) => a.end - b.end)
  let highest: Placed | undefined
  let next = 0
  for (const op of placed.toSorted((a, b) => a.start - b.start)) {
    for (; (byEnd[next]?.end ?? Number.POSITIVE_INFINITY) < op.start; next++) {
      const ended = byEnd[next] as Placed
      if (highest === undefined || ended.value > highest.value) highest = ended
    }
    if (highest === undefined) continue
    const isLate = op.kind === "append" ? op.value <= highest.value : op.value < highest.value
    if (isLate)
      faults.push(`${op.who}: ${op.kind} at ${op.value} began after ${highest.who} was told of ${highest.value}`)
  }
  return faults
}

/** Empty when the history is linearizable. */
export const tailFaults = (ops: ReadonlyArray<Op>, content: ReadonlyArray<Content>): ReadonlyArray<string> => [
  ...lostOrDoubled(ops, content),
  ...outOfTime(ops, content)
]
