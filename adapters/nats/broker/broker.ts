/** The embedded broker: it speaks the NATS client protocol on loopback, so that a node needs no server beside it. */
import { randomBytes } from "node:crypto"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { Cause, Context, Effect, Exit, Layer, Schema, type Scope } from "effect"
import { Bus } from "../../../runtime/ports/bus.ts"
import type { Authority } from "./admission.ts"
import { Connection, type House, slowConsumer } from "./connection.ts"
import { type BrokerLimits, limitsDefault } from "./limits.ts"
import { Local } from "./local.ts"
import { Router } from "./router.ts"

/** The address is taken, or is not one of this host's. */
export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", {
  address: Schema.String,
  why: Schema.String
}) {}

export interface BrokerOptions {
  /** Loopback unless said otherwise. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  /** Without it everybody may come in and do everything: for tests alone. */
  readonly authority?: Authority
  readonly limits?: Partial<BrokerLimits>
}

export interface BrokerCounters {
  readonly connections: number
  readonly connectionsTotal: number
  readonly subscriptions: number
  readonly messagesIn: number
  readonly bytesIn: number
  readonly messagesOut: number
  readonly bytesOut: number
  readonly slowConsumers: number
  readonly staleConnections: number
}

export interface ConnectionInfo {
  readonly id: number
  readonly user: string
  readonly name: string
  readonly pendingBytes: number
}

export interface Broker {
  readonly host: string
  readonly port: number
  readonly url: string
  /** The node's own place at the broker. */
  readonly bus: Bus["Service"]
  readonly counters: () => BrokerCounters
  readonly connections: () => ReadonlyArray<ConnectionInfo>
  /** Ends all connections of this user; says how many there were. */
  readonly drop: (user: string) => number
}

/** What clients take the broker for: a server that has all that they look for by version. */
const versionClaimed = "2.10.29"

class Embedded {
  readonly house: House
  readonly local: Local
  readonly sockets = new Set<Socket>()
  readonly connections = new Set<Connection>()
  readonly router: Router
  readonly #id = `N${randomBytes(20).toString("hex").toUpperCase()}`
  readonly #isGuarded: boolean
  address: AddressInfo = { address: "", family: "IPv4", port: 0 }
  isLame = false
  total = 0
  slow = 0
  stale = 0

  constructor(options: BrokerOptions, ask: House["ask"], failed: (defect: unknown) => void) {
    this.#isGuarded = options.authority !== undefined
    this.router = new Router((subscription) => {
      if (subscription.client instanceof Connection) subscription.client.ended(subscription)
    })
    const limits = { ...limitsDefault, ...options.limits }
    this.local = new Local(this.router, limits.payloadBytesMax, failed)
    this.house = {
      router: this.router,
      limits,
      authority: options.authority,
      now: () => Date.now(),
      info: (id, nonce) => this.info(id, nonce),
      ask,
      left: (connection, why) => {
        this.connections.delete(connection)
        if (why === slowConsumer) this.slow++
        if (why === "Stale Connection") this.stale++
      }
    }
  }

  info(clientId: number, nonce: string | undefined): string {
    const fields = {
      server_id: this.#id,
      server_name: "artifacts",
      version: versionClaimed,
      proto: 1,
      host: this.address.address,
      port: this.address.port,
      headers: true,
      max_payload: this.house.limits.payloadBytesMax,
      client_id: clientId,
      ...(this.#isGuarded ? { auth_required: true, nonce } : {}),
      ...(this.isLame ? { ldm: true } : {})
    }
    return `INFO ${JSON.stringify(fields)}\r\n`
  }

  accept(socket: Socket): void {
    this.sockets.add(socket)
    socket.once("close", () => this.sockets.delete(socket))
    if (this.connections.size >= this.house.limits.connectionsMax) {
      socket.on("error", () => socket.destroy())
      socket.end("-ERR 'maximum connections exceeded'\r\n", () => socket.destroy())
      return
    }
    this.connections.add(new Connection(this.house, socket, ++this.total))
  }

  counters(): BrokerCounters {
    return {
      connections: this.connections.size,
      connectionsTotal: this.total,
      subscriptions: this.router.subscriptions,
      ...this.router.traffic,
      slowConsumers: this.slow,
      staleConnections: this.stale
    }
  }

  drop(user: string): number {
    const theirs = [...this.connections].filter((connection) => connection.user === user)
    for (const connection of theirs) connection.close("User Authentication Revoked")
    return theirs.length
  }

  /** Tells the clients that no more will come from here, and lets go of them. */
  release(): void {
    this.isLame = true
    for (const connection of this.connections) connection.tell(this.info(connection.id, undefined))
    for (const connection of [...this.connections]) connection.release()
    this.local.close()
  }
}

const addressOf = (host: string, port: number): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)

const listen = (server: Server, host: string, port: number) =>
  Effect.callback<AddressInfo, CannotListen>((resume) => {
    const address = addressOf(host, port)
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another process listens there already" : error.message
      resume(Effect.fail(new CannotListen({ address, why })))
    })
    server.listen({ host, port }, () => resume(Effect.succeed(server.address() as AddressInfo)))
  })

/** Ends when the last client has gone, or when it was waited for long enough. */
const stop = (server: Server, embedded: Embedded) =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(
      () => {
        for (const socket of embedded.sockets) socket.destroy()
      },
      Math.min(embedded.house.limits.farewellMs, 250)
    )
    server.close(() => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    embedded.release()
  })

/** Listens until the scope closes. */
export const broker = (options: BrokerOptions): Effect.Effect<Broker, CannotListen, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context()
    const run = Effect.runCallbackWith(context)
    const embedded = new Embedded(
      options,
      (question, answered) =>
        void run(question, {
          onExit: (exit) => {
            if (Exit.isFailure(exit)) run(Effect.logError("a token could not be checked", exit.cause))
            answered(Exit.isSuccess(exit) ? exit.value : undefined)
          }
        }),
      (defect) => void run(Effect.logError("a listener of the bus failed", Cause.die(defect)))
    )
    const server = createServer({ noDelay: true }, (socket) => embedded.accept(socket))
    const host = options.host ?? "127.0.0.1"
    const { port } = yield* Effect.acquireRelease(listen(server, host, options.port), () => stop(server, embedded))
    embedded.address = { address: host, family: "IPv4", port }
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        setInterval(() => {
          for (const connection of embedded.connections) connection.checkAlive()
        }, embedded.house.limits.pingIntervalMs)
      ),
      (timer) => Effect.sync(() => clearInterval(timer))
    )
    return {
      host,
      port,
      url: `nats://${addressOf(host, port)}`,
      bus: embedded.local.bus,
      counters: () => embedded.counters(),
      connections: () =>
        [...embedded.connections].map(({ id, user, name, pendingBytes }) => ({ id, user, name, pendingBytes })),
      drop: (user) => embedded.drop(user)
    }
  })

export class EmbeddedBroker extends Context.Service<EmbeddedBroker, Broker>()("adapters/EmbeddedBroker") {}

/** The broker, and the bus of the node that has it. */
export const layer = (options: BrokerOptions): Layer.Layer<EmbeddedBroker | Bus, CannotListen> =>
  Layer.effectContext(
    Effect.map(broker(options), (made) => Context.make(EmbeddedBroker, made).pipe(Context.add(Bus, made.bus)))
  )
