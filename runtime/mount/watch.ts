/** What the thread that answers at once counts of its requests, and tells of each while somebody reads `.accesslog`. */
import type { Later, Request, SyncFiles, SyncHost } from "../ports/mount.ts"
import { accessLine } from "./accessline.ts"
import type { FromReplica, ToReplica } from "./telling.ts"
import { isVirtual, virtualName } from "./virtual.ts"

type Handler = (request: Request, out: Uint8Array) => unknown

const isLater = (answer: unknown): answer is Later => typeof answer === "object" && answer !== null && "later" in answer

export const watched = ({ heard, forget, ...handlers }: SyncFiles, host: SyncHost): SyncFiles => {
  const { nowMs } = host
  const tell = (message: FromReplica): void => host.tell(message)
  const names = Object.keys(handlers)
  const counts = new Float64Array(names.length)
  let isListening = false
  const counted = () => Object.fromEntries(names.map((name, at) => [name, counts[at] as number]))
  const heeded = (handler: Handler, request: Request, out: Uint8Array): unknown => {
    const since = nowMs()
    const answer = handler(request, out)
    // The other thread tells of what it answers.
    if (isLater(answer)) return answer
    const outcome = typeof answer === "string" ? { failure: answer } : { answer }
    tell({ kind: "line", line: accessLine(request, outcome, [since, nowMs()]) })
    return answer
  }
  const all = Object.entries(handlers).map(([op, each], at) => {
    const handler = each as unknown as Handler
    return [
      op,
      (request: Request, out: Uint8Array): unknown => {
        if (isVirtual(request.node)) {
          // What `.stats` says was counted up to here: the other thread hears it before it is asked to read.
          if (op === "read" && virtualName(request.node) === ".stats") tell({ kind: "answered", counts: counted() })
          return handler(request, out)
        }
        counts[at] = (counts[at] as number) + 1
        return isListening ? heeded(handler, request, out) : handler(request, out)
      }
    ] as const
  })
  return {
    ...(Object.fromEntries(all) as SyncFiles),
    ...(forget === undefined ? {} : { forget }),
    heard: (message) => {
      const told = message as ToReplica
      if (told.kind === "listening") isListening = told.isOn
      else heard?.(message)
    }
  }
}
