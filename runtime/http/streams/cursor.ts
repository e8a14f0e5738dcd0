/** The cursor of live reads: it changes every twenty seconds, so that caches join the readers of one interval alone. */

const epochMs = Date.parse("2024-10-09T00:00:00Z")
const intervalMs = 20_000
const jitterSecondsMax = 3600

/** What to send to a reader that sent this cursor: later than its own, also when its own is of the future. */
export const cursorAfter = (given: string | undefined, now: number): string => {
  const current = Math.floor((now - epochMs) / intervalMs)
  const held = given !== undefined && /^\d{1,15}$/.test(given) ? Number(given) : -1
  if (held < current) return String(current)
  const seconds = 1 + Math.floor(Math.random() * jitterSecondsMax)
  return String(held + Math.max(1, Math.ceil((seconds * 1000) / intervalMs)))
}
