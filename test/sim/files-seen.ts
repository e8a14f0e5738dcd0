/** What a request on one host was answered for is shown by every other host that the first one waits for. */
import type { Life } from "../../adapters/world/weather.ts"
import type { Sidecar } from "../../runtime/mount/sidecar.ts"
import type { Request } from "../../runtime/ports/mount.ts"

/** Who waits for a lock is told in turn, and who lets go of something is seen by nobody. */
const unseen: ReadonlySet<string> = new Set(["setlk", "tmpfile", "release", "releasedir"])

interface Shower {
  readonly sidecar: Sidecar
  readonly life: Life
}

export class SeenElsewhere {
  /** By host. */
  private readonly showers = new Map<string, Shower>()
  private readonly reach: (what: string) => void
  fault: string | undefined

  constructor(reach: (what: string) => void) {
    this.reach = reach
  }

  /** From now on this process serves the host's mount. */
  watch(host: string, sidecar: Sidecar, life: Life): void {
    this.showers.set(host, { sidecar, life })
  }

  answered(host: string, request: Request): void {
    const own = this.showers.get(host)
    if (own === undefined || !own.life.alive || unseen.has(request.op)) return
    const { others } = own.sidecar.company
    const due = others.dueOf(request)
    if (due === 0) return
    if (others.unseen > 0) this.reach("another host given up")
    for (const [name, { life, sidecar }] of this.showers) {
      const { session, version } = sidecar.view
      if (name === host || !life.alive || !others.isHeeded(session)) continue
      this.reach("seen elsewhere")
      if (version < due)
        this.fault ??= `${request.op} was answered on ${host} for version ${due}, and ${name} shows ${version}`
    }
  }
}
