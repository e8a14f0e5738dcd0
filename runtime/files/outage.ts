/** Whether what is written can be stored: said once when it cannot, and once when it can again. */
import { Effect } from "effect"
import type { Meters } from "./data.ts"
import type { Trouble } from "./file.ts"

interface OutageHost {
  readonly meters: Meters
  readonly now: () => number
  readonly fork: (work: Effect.Effect<void>) => void
}

export class Outage {
  private readonly host: OutageHost
  private sinceMs = 0

  constructor(host: OutageHost) {
    this.host = host
  }

  began({ errno, why }: Trouble): void {
    const { fork, meters, now } = this.host
    if (meters.storingFails === 1) return
    meters.storingFails = 1
    this.sinceMs = now()
    fork(Effect.logWarning("what is written cannot be stored for now, and is tried again", { errno, why }))
  }

  over(): void {
    const { fork, meters, now } = this.host
    if (meters.storingFails === 0) return
    meters.storingFails = 0
    fork(Effect.logInfo("what is written is stored again", { afterMs: now() - this.sinceMs }))
  }
}
