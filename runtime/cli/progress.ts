/** A line that shows how far a transfer has come, on a terminal and only when it takes long. */

const quietMs = 400
const stepMs = 100
const width = 24
const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const

export const bytesText = (bytes: number): string => {
  let unit = 0
  let shown = bytes
  while (shown >= 1024 && unit < units.length - 1) {
    shown /= 1024
    unit += 1
  }
  return `${unit === 0 ? shown : shown.toFixed(1)} ${units[unit]}`
}

export interface Progress {
  /** All bytes so far, and what they belong to where that changes. */
  readonly moved: (bytes: number, name?: string) => void
  readonly end: () => void
}

/** `total` is undefined where nobody knows it. `now` gives milliseconds that only grow. */
export const progress = (
  name: string,
  total: number | undefined,
  to: { readonly isTTY?: boolean; readonly write: (text: string) => unknown },
  now: () => number
): Progress => {
  const began = now()
  let shownAt = began
  let isShown = false
  const moved = (bytes: number, shownName = name): void => {
    const at = now()
    if (to.isTTY !== true || at - began < quietMs || at - shownAt < stepMs) return
    shownAt = at
    isShown = true
    const share = total === undefined || total === 0 ? undefined : Math.min(1, bytes / total)
    const done =
      share === undefined ? "" : `[${"=".repeat(Math.round(share * width)).padEnd(width)}] ${Math.floor(share * 100)}% `
    to.write(
      `\r\u001b[K${shownName} ${done}${bytesText(bytes)}, ${bytesText((bytes * 1000) / Math.max(1, at - began))}/s`
    )
  }
  return {
    moved,
    end: () => {
      if (isShown) to.write("\r\u001b[K")
    }
  }
}
