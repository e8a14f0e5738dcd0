/** A binary heap by time, in a plain array: the earliest stands first. */

export interface Timed {
  readonly at: number
  readonly key: string
}

export const pushTimed = (heap: Array<Timed>, timed: Timed): void => {
  let index = heap.push(timed) - 1
  while (index > 0) {
    const parent = (index - 1) >> 1
    if ((heap[parent] as Timed).at <= timed.at) break
    heap[index] = heap[parent] as Timed
    index = parent
  }
  heap[index] = timed
}

/** The earliest one. The heap may not be empty. */
export const popTimed = (heap: Array<Timed>): Timed => {
  const top = heap[0] as Timed
  const last = heap.pop() as Timed
  if (heap.length === 0) return top
  let index = 0
  for (;;) {
    let child = 2 * index + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && (heap[child + 1] as Timed).at < (heap[child] as Timed).at) child += 1
    if ((heap[child] as Timed).at >= last.at) break
    heap[index] = heap[child] as Timed
    index = child
  }
  heap[index] = last
  return top
}
