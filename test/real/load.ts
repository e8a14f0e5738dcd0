/** A load of commands over NATS by several clients, each of which asks with one id until it is answered. */
import { readFileSync } from "node:fs"
import { Context, Effect, Fiber, Layer, Option, type Scope } from "effect"
import { layer as natsBus } from "../../adapters/nats/bus.ts"
import { parseCreds, readUserJwt } from "../../adapters/nats/credentials.ts"
import { inboxPrefixOf } from "../../adapters/nats/permissions.ts"
import { shardOf } from "../../messages/subjects.ts"
import { type Client, client } from "../../runtime/client.ts"
import { Bus, type BusDown } from "../../runtime/ports/bus.ts"
import { adminCaller, Promises } from "./promises.ts"

export interface LoadOptions {
  readonly servers: ReadonlyArray<string>
  /** The administrator's credentials file. */
  readonly creds: string
  readonly shards: number
  readonly clients: number
  readonly organisations: number
  /** What each line of a client waits between two commands: it bounds the load. */
  readonly paceMs: number
}

export interface Load {
  readonly promises: Promises
  /** Organisations with the shards that they live in, each in one of its own as far as there are enough. */
  readonly orgs: ReadonlyMap<string, number>
  readonly client: Client
  /** Lets what was asked be answered, and ends. */
  readonly stop: Effect.Effect<void>
}

/** Every so many workspaces one is deleted again, and one is asked for as soon as it was made. */
const deleteEvery = 4
const showEvery = 3

const connected = (servers: ReadonlyArray<string>, file: string, shards: number) =>
  Effect.gen(function* () {
    const credentials = parseCreds(readFileSync(file, "utf8"))
    const claims = credentials === undefined ? undefined : readUserJwt(credentials.jwt)
    if (credentials === undefined || claims === undefined) throw new Error(`${file} is no credentials file`)
    const inboxPrefix = inboxPrefixOf(claims.sub)
    const context = yield* Layer.build(natsBus({ servers, name: "load", credentials, inboxPrefix }))
    return client(Context.get(context, Bus), shards)
  })

const chooseOrgs = (count: number, shards: number): ReadonlyMap<string, number> => {
  const orgs = new Map<string, number>()
  for (let n = 1; orgs.size < Math.min(count, shards); n++) {
    const org = `load-${n}`
    const shard = shardOf("account", org, shards)
    if (![...orgs.values()].includes(shard)) orgs.set(org, shard)
  }
  return orgs
}

interface Line {
  readonly client: Client
  readonly promises: Promises
  readonly org: string
  readonly name: string
}

const say = Effect.fnUntraced(function* (line: Line, command: string, name: string) {
  const { org, promises } = line
  const cause = `${command}:${name}`
  const what = `${org} ${cause}`
  const asked = { verb: "do", kind: "account", id: org, caller: adminCaller, name: command } as const
  const answer = yield* line.client.ask({ ...asked, body: JSON.stringify({ name }), commandId: cause }).pipe(
    Effect.catch((error) =>
      Effect.sync(() => {
        promises.unanswered.push(`${what}: ${error.why}`)
        return undefined
      })
    )
  )
  if (answer === undefined) return undefined
  if ("refused" in answer) promises.refused.push(`${what}: ${JSON.stringify(answer.refused)}`)
  else if ("failed" in answer) promises.broken.push(`${what}: ${JSON.stringify(answer.failed)}`)
  else {
    const { workspace } = answer.ok as { readonly workspace: { readonly id: string } }
    promises.note({ org, cause, verb: command === "CreateWorkspace" ? "created" : "deleted", name, id: workspace.id })
    return true
  }
  return undefined
})

/** What was acknowledged to this line is there for its next question, whoever answers it. */
const show = Effect.fnUntraced(function* ({ client, org, promises }: Line, name: string) {
  const asked = { verb: "ask", kind: "account", id: org, caller: adminCaller, name: "ShowWorkspace" } as const
  const answer = yield* client.ask({ ...asked, body: JSON.stringify({ name }) }).pipe(Effect.option)
  if (Option.isNone(answer)) promises.unanswered.push(`${org} ShowWorkspace ${name}`)
  else if (!("ok" in answer.value))
    promises.broken.push(`${org}: ${name} was made, and then: ${JSON.stringify(answer.value)}`)
})

const write = Effect.fnUntraced(function* (line: Line, paceMs: number, isOver: () => boolean) {
  for (let n = 1; !isOver(); n++) {
    const name = `${line.name}-${n}`
    const isThere = yield* say(line, "CreateWorkspace", name)
    if (isThere === true && n % showEvery === 0) yield* show(line, name)
    if (isThere === true && n % deleteEvery === 0) yield* say(line, "DeleteWorkspace", name)
    yield* Effect.sleep(paceMs)
  }
})

/** Founds the organisations, and writes until it is stopped. */
export const load = (options: LoadOptions): Effect.Effect<Load, BusDown, Scope.Scope> =>
  Effect.gen(function* () {
    const { servers, creds, shards, paceMs } = options
    const orgs = chooseOrgs(options.organisations, shards)
    const promises = new Promises()
    const own = yield* connected(servers, creds, shards)
    for (const id of orgs.keys()) {
      const asked = { verb: "do", kind: "account", caller: adminCaller, name: "FoundOrganisation", body: "{}" } as const
      const answer = yield* Effect.orDie(own.ask({ ...asked, id }))
      if (!("ok" in answer)) throw new Error(`${id} cannot be founded: ${JSON.stringify(answer)}`)
    }
    let isOver = false
    const lines: Array<Fiber.Fiber<void>> = []
    for (let n = 1; n <= options.clients; n++) {
      const speaking = yield* connected(servers, creds, shards)
      for (const org of orgs.keys()) {
        const line = { client: speaking, promises, org, name: `c${n}` }
        lines.push(yield* Effect.forkScoped(write(line, paceMs, () => isOver)))
      }
    }
    const stop = Effect.suspend(() => {
      isOver = true
      return Effect.asVoid(Effect.forEach(lines, Fiber.join, { concurrency: "unbounded" }))
    })
    return { promises, orgs, client: own, stop }
  })
