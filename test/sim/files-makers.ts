/** Programs on simulated mounts that make many names, in directories of their own and in one that they share. */
import { Effect } from "effect"
import type { Errno } from "../../runtime/ports/mount.ts"
import { type App, type Around, isFailed, lookedUp, madeFolder, tried } from "./files-apps.ts"
import type { MountHost } from "./files-mount.ts"

const exclusively = 0o302
const shared = "shared"

/** `answered` is lost with the session or the host at most, and `kept` with nothing. */
type Standing = "answered" | "kept" | "unknown"

interface Name {
  standing: Standing
  ino: number
  session: number
}

/** Whether there is nothing but another host that it could have to wait for. */
type Served = Around & { readonly isServed: boolean }

/** Who was told that it alone made a name of the directory that all share. */
export class Claims {
  private readonly by = new Map<string, Array<{ readonly maker: Maker; readonly name: Name }>>()

  made(maker: Maker, text: string, name: Name): void {
    const all = this.by.get(text) ?? []
    all.push({ maker, name })
    this.by.set(text, all)
  }

  /** In the end it is known whose session was over, and what was lost with it. */
  get fault(): string | undefined {
    for (const [text, all] of this.by) {
      const certain = all.filter(({ maker, name }) => maker.isCertain(name)).map(({ maker }) => maker.name)
      if (certain.length > 1) return `${certain.join(" and ")} both made ${shared}/${text}`
    }
    return undefined
  }
}

export class Maker implements App {
  readonly name: string
  readonly mount: MountHost
  readonly faults: Array<string> = []
  private readonly around: Served
  private readonly claims: Claims
  /** By directory and name. */
  private readonly names = new Map<string, Name>()
  private readonly folders = new Map<string, number>()
  private left: number
  private count = 0

  constructor(name: string, mount: MountHost, claims: Claims, around: Served) {
    this.name = name
    this.mount = mount
    this.claims = claims
    this.around = around
    this.left = around.steps
  }

  isCertain({ standing, session }: Name): boolean {
    return standing === "kept" || (standing === "answered" && session === this.mount.sessions)
  }

  private readonly folder = Effect.fnUntraced(function* (this: Maker, name: string) {
    const known = this.folders.get(name)
    if (known !== undefined) return known
    const ino = yield* madeFolder(this.mount.kernel, name)
    this.folders.set(name, ino)
    return ino
  })

  /** A name that nobody else makes, or one that others may make too. */
  private readonly make = Effect.fnUntraced(function* (this: Maker, folder: string) {
    const { kernel, sessions } = this.mount
    const node = yield* this.folder(folder)
    const text = folder === shared ? `x${this.around.prng.below(30)}` : `${this.count++}`
    const key = `${folder}/${text}`
    if (this.names.has(key)) return
    const name: Name = { standing: "unknown", ino: 0, session: sessions }
    if (folder !== shared) this.names.set(key, name)
    const made = this.around.prng.chance(0.2)
      ? Effect.map(kernel.ask("mkdir", { node, name: text, mode: 0o40755 }), ({ stat }) => stat?.ino ?? 0)
      : Effect.map(
          kernel.ask("create", { node, name: text, mode: 0o100644, flags: exclusively }),
          ({ entry }) => entry.stat?.ino ?? 0
        )
    const ino = yield* tried(made)
    if (isFailed(ino)) {
      this.around.reach(`make ${ino.failed}`)
      if (this.around.isServed && ino.failed === "EIO")
        this.faults.push(`${this.name}: ${key} was not made, because another host says nothing`)
      if (folder !== shared && ino.failed === "EEXIST" && this.mount.sessions === sessions)
        this.faults.push(`${this.name}: nobody made ${key}, and it is there`)
      return
    }
    Object.assign(name, { ino, standing: "answered", session: sessions })
    this.names.set(key, name)
    if (folder === shared) this.claims.made(this, text, name)
  })

  /** What a directory is said to have is there for good. */
  private readonly keep = Effect.fnUntraced(function* (this: Maker, folder: string) {
    const { kernel } = this.mount
    const node = yield* this.folder(folder)
    const before = [...this.names].filter(([key, { standing }]) => key.startsWith(`${folder}/`) && standing !== "kept")
    const [first] = before
    // What has no number cannot be asked for: then it is the directory that says what of it is lost.
    const file = this.around.prng.chance(0.3) && first !== undefined && first[1].ino > 0 ? first : undefined
    const place = { node: file?.[1].ino ?? node, handle: 7, dataOnly: false }
    const answer = yield* tried(kernel.ask(file === undefined ? "fsyncdir" : "fsync", place))
    const told = file === undefined ? before : [file]
    for (const [, name] of told)
      if (isFailed(answer)) name.standing = "unknown"
      else if (name.standing === "answered") name.standing = "kept"
    if (isFailed(answer)) this.around.reach(`fsync ${answer.failed}`)
  })

  /** The directory gets other rights, or another name and its own again. */
  private readonly change = Effect.fnUntraced(function* (this: Maker, folder: string) {
    const { kernel } = this.mount
    const node = yield* this.folder(folder)
    const mode = 0o700 + this.around.prng.below(64)
    yield* tried(kernel.ask("setattr", { node, mode, clearSetId: false }))
  })

  private readonly look = Effect.fnUntraced(function* (this: Maker, folder: string, mount: MountHost) {
    const node = mount === this.mount ? yield* this.folder(folder) : yield* lookedUp(mount.kernel, folder)
    const { sessions } = this.mount
    const known = [...this.names].filter(([key, name]) => key.startsWith(`${folder}/`) && this.isCertain(name))
    if (node === 0) return known.length
    const request = { node, handle: 9, offset: 0, size: 65_536, plus: true }
    const listed = Array.from(yield* mount.kernel.ask("readdir", request), ({ name, stat }) => `${name} ${stat.ino}`)
    const found = new Set(listed)
    if (this.mount.sessions !== sessions) return 0
    for (const [key, { ino, standing }] of known)
      if (!found.has(`${key.slice(folder.length + 1)} ${ino}`))
        this.faults.push(`${this.name}: ${key} (${ino}) was ${standing}, and ${mount.name} lists it otherwise`)
    return 0
  })

  readonly work: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const { prng } = this.around
    for (; this.left > 0; this.left--) {
      const folder = prng.chance(0.5) ? shared : this.name
      const dice = prng.next()
      if (dice < 0.7) for (let more = prng.between(1, 6); more > 0; more--) yield* this.make(folder)
      else if (dice < 0.8) yield* this.keep(folder)
      else if (dice < 0.9) yield* this.change(folder)
      else yield* tried(this.look(folder, this.mount))
      yield* Effect.sleep(prng.chance(0.4) ? 0 : prng.below(700))
    }
  })

  /** What was not kept is gone with the host, or is not. */
  fell(): void {
    for (const name of this.names.values()) if (name.standing === "answered") name.standing = "unknown"
  }

  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    for (const folder of [shared, this.name]) {
      yield* this.keep(folder)
      yield* this.keep(folder)
    }
  })

  readonly check = (mount: MountHost): Effect.Effect<void, Errno> =>
    Effect.asVoid(Effect.andThen(this.look(shared, mount), this.look(this.name, mount)))
}
