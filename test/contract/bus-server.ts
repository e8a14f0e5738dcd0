/** What every server that speaks the NATS protocol has to do, shown by the official client and by a bare socket. */
import { randomBytes } from "node:crypto"
import {
  type ConnectionOptions,
  connect,
  headers,
  jwtAuthenticator,
  type NatsConnection
} from "@nats-io/transport-node"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Creds, credsFile, parseCreds, type UserOptions, userJwt } from "../../adapters/nats/credentials.ts"
import { type Nkey, nkeyOf } from "../../adapters/nats/nkey.ts"
import { callerPermissions, inboxPrefixOf, type Permissions } from "../../adapters/nats/permissions.ts"
import { plainConnect, type Wire, wire } from "./bus-wire.ts"

export interface Keys {
  readonly operator: Nkey
  readonly account: Nkey
}

/** One server that lets everybody in, and one that asks for a user JWT of this account; both with `pendingBytesMax`. */
export interface Ground {
  readonly open: string
  readonly guarded: string
}

/** What may wait for a slow reader on these servers. */
export const pendingBytesMax = 2 * 1024 * 1024

const now = () => Math.floor(Date.now() / 1000)
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export const makeKeys = (): Keys => ({
  operator: nkeyOf("operator", randomBytes(32)),
  account: nkeyOf("account", randomBytes(32))
})

export const serverContract = (name: string, keys: Keys, start: Effect.Effect<Ground, unknown, Scope.Scope>): void => {
  describe(`server contract: ${name}`, () => {
    const scope = Scope.makeUnsafe()
    const opened: Array<NatsConnection | Wire> = []
    let ground: Ground
    let count = 0
    beforeAll(async () => {
      ground = await Effect.runPromise(Scope.provide(start, scope))
    })
    afterAll(async () => {
      for (const one of opened) await one.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    })

    const at = () => `s${++count}`
    const join = async (options: ConnectionOptions = {}): Promise<NatsConnection> => {
      const made = await connect({ servers: ground.open, reconnect: false, ...options })
      opened.push(made)
      return made
    }
    const bare = async (url = ground.open, hello = plainConnect): Promise<Wire> => {
      const made = await wire(url, hello)
      opened.push(made)
      return made
    }
    const user = (permissions: Permissions, options: Partial<UserOptions> & { seconds?: number; by?: Nkey } = {}) => {
      const own = nkeyOf("user", randomBytes(32))
      const validity = { issuedAt: now(), expiresAt: now() + (options.seconds ?? 60) }
      const jwt = userJwt(options.by ?? keys.account, own.publicKey, { name: "u", permissions, ...options }, validity)
      return parseCreds(credsFile(jwt, own.seed)) as Creds
    }
    const enter = (creds: Creds, options: ConnectionOptions = {}) =>
      join({ servers: ground.guarded, authenticator: authenticator(creds), ...options })
    const authenticator = ({ jwt, seed }: Creds) => jwtAuthenticator(jwt, new TextEncoder().encode(seed))
    const refusals = (connection: NatsConnection): Array<string> => {
      const heard: Array<string> = []
      void (async () => {
        for await (const status of connection.status()) if (status.type === "error") heard.push(status.error.message)
      })()
      return heard
    }
    const listen = (connection: NatsConnection, subject: string, options: { queue?: string; max?: number } = {}) => {
      const heard: Array<string> = []
      const subscription = connection.subscribe(subject, {
        ...options,
        callback: (error, message) => void heard.push(error === null ? text(message.data) : `error: ${error.message}`)
      })
      return { heard, subscription }
    }

    it("ends a subscription by itself after so many messages", async () => {
      const [one, subject] = [await join(), at()]
      const { heard, subscription } = listen(one, subject, { max: 3 })
      const manual = listen(one, subject)
      for (let n = 0; n < 5; n++) one.publish(subject, String(n))
      await one.flush()
      manual.subscription.unsubscribe(7)
      for (let n = 5; n < 10; n++) one.publish(subject, String(n))
      await one.flush()
      expect(heard).toEqual(["0", "1", "2"])
      expect(subscription.isClosed()).toBe(true)
      expect(manual.heard).toEqual(["0", "1", "2", "3", "4", "5", "6"])
      await expect(one.request(subject, "", { timeout: 3_000 })).rejects.toThrow(/no responders/)
    })

    it("takes the same name again for a subscription, once the first has ended", async () => {
      const [one, subject] = [await bare(), at()]
      const round = `SUB ${subject} 1\r\nUNSUB 1 1\r\nPUB ${subject} 1\r\na\r\nPUB ${subject} 1\r\nb\r\nPING\r\n`
      for (let n = 0; n < 3; n++) {
        one.send(round)
        expect(await one.until("PONG\r\n")).toBe(`MSG ${subject} 1 1\r\na\r\nPONG\r\n`)
      }
    })

    it("shares among the members of a queue group on several connections", async () => {
      const members = [await join(), await join(), await join()]
      const subject = at()
      const heard = members.map((member) => listen(member, `${subject}.>`, { queue: "q" }).heard)
      await Promise.all(members.map((member) => member.flush()))
      const [first] = members as [NatsConnection]
      for (let n = 0; n < 300; n++) first.publish(`${subject}.${n % 3}`, String(n))
      await Promise.all(members.map((member) => member.flush()))
      await pause(20)
      expect(new Set(heard.flat()).size).toBe(300)
      expect(heard.flat().length).toBe(300)
      expect(heard.every((one) => one.length > 20)).toBe(true)
    })

    it("carries headers as they are, and strips them for who cannot read them", async () => {
      const [one, subject] = [await join(), at()]
      const old = await bare(ground.open, 'CONNECT {"verbose":false,"headers":false}\r\n')
      old.send(`SUB ${subject} 9\r\nPING\r\n`)
      await old.until("PONG\r\n")
      const got: Array<Record<string, ReadonlyArray<string>>> = []
      one.subscribe(subject, {
        callback: (_, message) => {
          const given = message.headers
          got.push(Object.fromEntries((given?.keys() ?? []).map((key) => [key, given?.values(key) ?? []])))
        }
      })
      const given = headers()
      given.append("A", "one")
      given.append("A", "two")
      given.set("Art-Id", "ä: b")
      one.publish(subject, "", { headers: given })
      one.publish(subject, "body", { headers: given })
      await one.flush()
      const wanted = { A: ["one", "two"], "Art-Id": ["ä: b"] }
      expect(got).toEqual([wanted, wanted])
      expect(await old.until("body\r\n")).toBe(`MSG ${subject} 9 0\r\n\r\nMSG ${subject} 9 4\r\nbody\r\n`)
    })

    it("says that nobody listens, to those who asked to be told", async () => {
      const [one, subject] = [await join(), at()]
      await expect(one.request(subject, "", { timeout: 3_000 })).rejects.toThrow(/no responders/)
      const deaf = await bare(ground.open, 'CONNECT {"verbose":false,"headers":false}\r\n')
      deaf.send(`SUB in.${subject} 1\r\nPUB ${subject} in.${subject} 0\r\n\r\nPING\r\n`)
      expect(await deaf.until("PONG\r\n")).toBe("PONG\r\n")
      const keen = await bare()
      keen.send(`SUB in.${subject} 1\r\nPUB ${subject} in.${subject} 0\r\n\r\nPING\r\n`)
      expect(await keen.until("PONG\r\n")).toMatch(/^HMSG in\.\S+ 1 \d+ \d+\r\nNATS\/1\.0 503\r\n/)
    })

    it("gives a request to all who listen, for a client that collects the answers", async () => {
      const [one, two, subject] = [await join(), await join(), at()]
      for (const connection of [one, one, two])
        connection.subscribe(subject, { callback: (_, message) => void message.respond("here") })
      await Promise.all([one.flush(), two.flush()])
      const answers: Array<string> = []
      for await (const answer of await one.requestMany(subject, "", { maxWait: 700, strategy: "timer" }))
        answers.push(text(answer.data))
      expect(answers).toEqual(["here", "here", "here"])
    })

    it("drains: what was on its way is heard, and then nothing", async () => {
      const [one, two, subject] = [await join(), await join(), at()]
      const { heard, subscription } = listen(one, subject)
      await one.flush()
      for (let n = 0; n < 200; n++) two.publish(subject, String(n))
      await two.flush()
      await subscription.drain()
      expect(heard.length).toBe(200)
      two.publish(subject, "late")
      await two.flush()
      await one.drain()
      expect(heard.length).toBe(200)
      expect(one.isClosed()).toBe(true)
    })

    it("takes a client back with all that it listened to", async () => {
      const subject = at()
      const one = await join({ reconnect: true, reconnectTimeWait: 10, reconnectJitter: 1, maxReconnectAttempts: -1 })
      const { heard } = listen(one, subject)
      await one.flush()
      const back = (async () => {
        for await (const status of one.status()) if (status.type === "reconnect") return
      })()
      await one.reconnect()
      await back
      one.publish(subject, "again")
      await one.flush()
      expect(heard).toEqual(["again"])
    })

    it("does not tell a client what it said itself, when it does not want to hear it", async () => {
      const [one, two, subject] = [await join({ noEcho: true }), await join(), at()]
      const own = listen(one, subject).heard
      await one.flush()
      one.publish(subject, "mine")
      await one.flush()
      two.publish(subject, "theirs")
      await two.flush()
      await one.flush()
      expect(own).toEqual(["theirs"])
    })

    it("acknowledges every word when it is asked to", async () => {
      const subject = at()
      const talker = await bare(ground.open, 'CONNECT {"verbose":true,"pedantic":true}\r\n')
      await talker.until("+OK\r\n")
      talker.send(`sub ${subject}\t1\r\n`)
      expect(await talker.until("+OK\r\n")).toBe("+OK\r\n")
      talker.send(`Pub ${subject}   2\r\nhi\r\n`)
      expect((await talker.until(`MSG ${subject} 1 2\r\nhi\r\n`)).length).toBeGreaterThan(0)
      talker.send("UNSUB 1\r\nping\r\n")
      await talker.until("PONG\r\n")
    })

    it("closes after a payload that is too large, and after what is not the protocol", async () => {
      const large = await bare()
      large.send("PUB x 1048577\r\n")
      await large.until("-ERR 'Maximum Payload Violation'\r\n")
      await large.closed
      for (const nonsense of ["HELLO\r\n", "PUB\r\n", "UNSUB\r\n", "\0\0\0\r\n"]) {
        const lost = await bare()
        lost.send(nonsense)
        expect(await lost.until("\r\n"), nonsense).toMatch(/^-ERR '/)
        await lost.closed
      }
      const long = await bare()
      long.send(`PUB ${"x".repeat(5000)} 1\r\n`)
      expect((await long.until("\r\n")).toLowerCase()).toBe("-err 'maximum control line exceeded'\r\n")
      await long.closed
    })

    it("cuts off a reader that does not read, and goes on with the others", async () => {
      const [one, two, subject] = [await join(), await join(), at()]
      const slow = await bare()
      slow.send(`SUB ${subject} 1\r\nPING\r\n`)
      await slow.until("PONG\r\n")
      slow.socket.pause()
      const { heard } = listen(two, subject)
      await two.flush()
      const piece = new Uint8Array(64 * 1024)
      for (let n = 0; n < 320; n++) {
        one.publish(subject, piece)
        if (n % 8 === 0) await one.flush()
      }
      await one.flush()
      await two.flush()
      slow.socket.resume()
      await slow.closed
      expect(heard.length).toBe(320)
    })

    it("refuses who has no credential, a bad one, an old one, or one that others have signed", async () => {
      const everything: Permissions = {}
      const stranger = nkeyOf("account", randomBytes(32))
      const good = user(everything)
      const bad: Array<Creds> = [
        user(everything, { by: stranger }),
        user(everything, { seconds: -10 }),
        { jwt: good.jwt, seed: nkeyOf("user", randomBytes(32)).seed },
        { jwt: `${good.jwt.slice(0, -6)}AAAAAA`, seed: good.seed }
      ]
      for (const creds of bad) await expect(enter(creds)).rejects.toThrow(/authorization violation|expired/i)
      await expect(join({ servers: ground.guarded })).rejects.toThrow(/authorization violation/i)
      await expect(join({ servers: ground.guarded, token: "guess" })).rejects.toThrow(/authorization violation/i)
      const early = await bare(ground.guarded, "")
      early.send("SUB > 1\r\nPING\r\n")
      expect(await early.until("\r\n")).toMatch(/^-ERR 'authorization violation'/i)
      await early.closed
      const entered = await enter(good)
      await entered.flush()
    })

    it("lets a bearer in without a signature", async () => {
      const { jwt } = user({}, { bearer: true })
      const holder = await bare(ground.guarded, `CONNECT {"verbose":false,"jwt":"${jwt}"}\r\n`)
      holder.send("PING\r\n")
      await holder.until("PONG\r\n")
    })

    it("holds a connection to what it may publish and listen to, and keeps it open", async () => {
      const subject = at()
      const one = await enter(
        user({
          publish: { allow: [`${subject}.a.*`, `${subject}.b.>`], deny: [`${subject}.b.secret`] },
          subscribe: { allow: [`${subject}.>`, `_INBOX.>`], deny: [`${subject}.*.secret`] }
        })
      )
      const spy = await enter(user({}))
      const all = listen(spy, `${subject}.>`).heard
      const part = listen(one, `${subject}.b.*`).heard
      await Promise.all([one.flush(), spy.flush()])
      const said = refusals(one)
      for (const name of ["a.x", "a.x.y", "b.x.y", "b.secret", "c", "a"]) one.publish(`${subject}.${name}`, name)
      await one.flush()
      spy.publish(`${subject}.b.secret`, "hidden")
      spy.publish(`${subject}.b.shown`, "shown")
      await spy.flush()
      await one.flush()
      expect(all).toEqual(["a.x", "b.x.y", "hidden", "shown"])
      expect(part).toEqual(["shown"])
      await pause(10)
      expect(said).toEqual(
        ["a.x.y", "b.secret", "c", "a"].map((name) => `Permissions Violation for Publish to "${subject}.${name}"`)
      )
      const refused = listen(one, "other.>", { queue: "q" }).heard
      const secret = listen(one, `${subject}.b.secret`).heard
      await one.flush()
      expect(refused).toEqual([`error: Permissions Violation for Subscription to "other.>" using queue "q"`])
      expect(secret).toEqual([`error: Permissions Violation for Subscription to "${subject}.b.secret"`])
    })

    it("lets a responder answer what it was asked, so often and so long, and nothing else", async () => {
      const subject = at()
      const responder = await enter(
        user({
          publish: { allow: [] },
          subscribe: { allow: [`${subject}.>`] },
          responses: { max: 1, ttlMs: 1_000 }
        })
      )
      const asker = await enter(user({}))
      const said = refusals(responder)
      responder.subscribe(`${subject}.>`, {
        callback: (_, message) => {
          const answer = () => {
            message.respond("one")
            message.respond("two")
          }
          if (message.subject.endsWith(".late")) setTimeout(answer, 1_400)
          else answer()
        }
      })
      await responder.flush()
      const answers = await asker.requestMany(`${subject}.now`, "", { maxWait: 700, strategy: "timer" })
      const heard: Array<string> = []
      for await (const answer of answers) heard.push(text(answer.data))
      expect(heard).toEqual(["one"])
      await expect(asker.request(`${subject}.late`, "", { timeout: 2_000 })).rejects.toThrow(/timeout/i)
      responder.publish(`${subject}.x`, "")
      await responder.flush()
      await pause(10)
      expect(said.length).toBe(4)
    })

    it("keeps one caller's subjects and answers from another", async () => {
      const target = { kind: "workspace", shard: 3, id: at(), events: true }
      const permissions = (caller: string) => callerPermissions(caller, caller, [target])
      const node = await enter(user({}))
      node.subscribe("art.v1.*.*.3.>", { callback: (_, message) => void message.respond(message.subject) })
      await node.flush()
      const ann = await enter(user(permissions("ann")), { inboxPrefix: inboxPrefixOf("ann") })
      const bob = await enter(user(permissions("bob")), { inboxPrefix: inboxPrefixOf("bob") })
      const own = `art.v1.do.workspace.3.${target.id}.ann.Write`
      expect(text((await ann.request(own, "", { timeout: 3_000 })).data)).toBe(own)
      await expect(bob.request(own, "", { timeout: 3_000 })).rejects.toThrow(/permissions violation/i)
      expect(listen(bob, `${inboxPrefixOf("ann")}.>`).heard).toEqual([])
      const overheard = listen(bob, `${inboxPrefixOf("ann")}.>`).heard
      const events = listen(bob, `art.v1.on.workspace.3.${target.id}`).heard
      await bob.flush()
      expect(overheard[0]).toMatch(/^error: Permissions Violation/)
      node.publish(`art.v1.on.workspace.3.${target.id}`, "event")
      await node.flush()
      await bob.flush()
      expect(events).toEqual(["event"])
    })

    it("ends a connection when its credential does", async () => {
      const one = await enter(user({}, { seconds: 2 }))
      const started = performance.now()
      const error = await one.closed()
      expect(String(error)).toMatch(/user authentication expired/i)
      expect(performance.now() - started).toBeLessThan(10_000)
    })
  })
}
