/**
 * What a mount says to its workspace: every change under an id of its own, so that one that is sent again is done
 * once.
 */
import { Clock, Effect } from "effect"
import type { Command } from "../../actors/workspace/decide/rules.ts"
import { touched } from "../../actors/workspace/decide/touched.ts"
import { isFile } from "../../actors/workspace/tree/inodes.ts"
import { readPlan } from "../../actors/workspace/tree/read.ts"
import type { Attributes, Time, Who } from "../../messages/inode.ts"
import type { Verb } from "../../messages/subjects.ts"
import type { Client } from "../client.ts"
import {
  type CommandFailed,
  CommandRefused,
  type Commands,
  CommandUnanswered,
  type Plan,
  type Stands
} from "../files/commands.ts"
import type { Followed } from "../follow.ts"
import type { Asked, Errno } from "../ports/mount.ts"
import type { Ahead } from "./ahead.ts"
import type { Others } from "./others.ts"
import type { View } from "./view.ts"

/** How long a process waits for the workspace before it is told EIO. */
const patienceMs = 30_000
/** In a session that lives shortly everything is given up sooner: what it would change is void when it is over. */
export const patienceOf = (lifeMs: number): number => Math.min(patienceMs, lifeMs / 2)
/** A replica that cannot be brought up to what was committed for so long is behind, and says so. */
const reachedMs = 10_000

export interface Changed {
  readonly attributes: Attributes
  readonly version: number
}

export interface Asking {
  readonly client: Client
  readonly view: View
  readonly followed: Pick<Followed, "reached" | "version">
  readonly now: () => Time
  readonly over?: ((why: string) => void) | undefined
  readonly patienceMs?: number | undefined
  /** Where directories are lent to this mount. */
  readonly ahead?: Ahead | undefined
  /** Who is to see a change before it is answered, where anybody else has the workspace mounted. */
  readonly others?: Pick<Others, "owes" | "wrote"> | undefined
}

interface Refusal {
  readonly _tag: string
  readonly code?: string
  readonly why?: string
}

/** The session is over: what it would change is nobody's business any more. */
const refusedOf = ({ _tag, code, why = _tag }: Refusal): CommandRefused => {
  const errno = _tag === "Errno" ? (code ?? "EIO") : _tag === "SessionOver" ? "ESTALE" : "EACCES"
  return new CommandRefused({ errno, why })
}

/** In whose name it is asked, and of whom. */
export interface Speaker {
  readonly client: Client
  readonly workspace: string
  readonly session: string
  /** Told when the session is over. Then nothing is answered any more: a successor is, with a session of its own. */
  readonly over?: ((why: string) => void) | undefined
  readonly patienceMs?: number | undefined
}

/** The reply, or why there is none. */
export const speak = Effect.fnUntraced(function* (as: Speaker, verb: Verb, name: string, body: object, id?: string) {
  const { client, workspace, session } = as
  const address = { verb, kind: "workspace", id: workspace, caller: session, name }
  const answer = yield* client
    .ask({
      ...address,
      body: JSON.stringify(body),
      patienceMs: as.patienceMs ?? patienceMs,
      ...(id === undefined ? {} : { commandId: `${session}:${id}` })
    })
    .pipe(Effect.mapError(({ why }) => new CommandUnanswered({ why })))
  if ("ok" in answer) return answer.ok
  if ("refused" in answer) {
    if (answer.refused._tag !== "SessionOver" || as.over === undefined) return yield* refusedOf(answer.refused)
    as.over(JSON.stringify(answer.refused))
    return yield* Effect.never
  }
  return yield* new CommandUnanswered({ why: JSON.stringify(answer.failed) })
})

/** Waits until the replicas show an entry: only then is it answered, so that what follows sees it. */
export const shown = (asking: Pick<Asking, "followed">, version: number): Effect.Effect<void> =>
  asking.followed.version() >= version
    ? Effect.void
    : asking.followed.reached(version).pipe(
        Effect.timeoutOrElse({
          duration: reachedMs,
          orElse: () => Effect.logWarning("the replica does not come up to what was committed", { version })
        })
      )

const send = ({ view, ...asking }: Asking, verb: Verb, name: string, body: object, id?: string) =>
  speak({ ...asking, workspace: view.workspace, session: view.session }, verb, name, body, id)

const isUnknown = (error: CommandFailed): boolean => error._tag === "CommandRefused" && error.errno === "ENOENT"

export const errnoOf = (error: CommandFailed): Errno =>
  error._tag === "CommandRefused" ? (error.errno as Errno) : "EIO"

/** A change on behalf of a process, behind all that was made ahead of the workspace. */
export const change = (asking: Asking, asked: Asked, name: string, fields: object): Effect.Effect<Changed, Errno> =>
  Effect.map(inTurn(asking, name, fields, `r${asked.id}-${name}`), (reply) => {
    asking.others?.owes(asked, reply.version)
    return reply
  })

/** The same, done now whatever a process before this one was answered. */
export const changeAnew = (asking: Asking, name: string, fields: object): Effect.Effect<Changed, Errno> =>
  inTurn(asking, name, fields, undefined)

const inTurn = (asking: Asking, name: string, fields: object, id?: string): Effect.Effect<Changed, Errno> => {
  const { ahead, view } = asking
  const sent = changed(asking, name, fields, id)
  if (ahead === undefined) return sent
  return Effect.suspend(() => ahead.directly(touched(view.tree, { _tag: name, ...fields } as Command), sent))
}

const changed = Effect.fnUntraced(function* (asking: Asking, name: string, fields: object, id?: string) {
  const reply = (yield* send(asking, "do", name, fields, id).pipe(
    Effect.tapError((error) =>
      error._tag === "CommandUnanswered" ? Effect.logWarning(`${name} was not answered`, error) : Effect.void
    ),
    Effect.mapError(errnoOf)
  )) as Changed
  asking.view.answered(reply.version)
  yield* shown(asking, reply.version)
  return reply
})

/** Tells the workspace that a file without a name is open here, or is not: nobody here waits for it. */
export const holding = (asking: Asking, name: "Open" | "Release", ino: number): Effect.Effect<void> =>
  send(asking, "do", name, { ino }).pipe(
    Effect.catch((error) => Effect.logWarning(`${name} of inode ${ino} was not answered`, error)),
    Effect.asVoid
  )

export const query = (asking: Asking, name: string, fields: object): Effect.Effect<unknown, Errno> =>
  send(asking, "ask", name, fields).pipe(Effect.mapError(errnoOf))

export const whoOf = ({ uid, gid, pid }: Asked): Who => ({ uid, gid, pid })

/** Who asks, and when. */
export const by = (asking: Asking, asked: Asked): { readonly who: Who; readonly time: Time } => ({
  who: whoOf(asked),
  time: asking.now()
})

export const clockOf = Effect.map(Clock.Clock, (clock) => (): Time => {
  const nanos = clock.currentTimeNanosUnsafe()
  return [Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n)]
})

/**
 * The same for the bytes of files: they are planned from the replica, and never from one that is behind what was
 * answered.
 */
export const commandsOf = (asking: Asking): Commands => {
  const told = <A extends { readonly version: number }>(reply: A): A => {
    asking.view.answered(reply.version)
    asking.others?.wrote(reply.version)
    return reply
  }
  /**
   * The workspace has to have the file first: what makes it goes before, and is not waited for. Where that is lost on
   * its way the workspace does not know the file yet, and is asked again once it does.
   */
  const kept = <A>(ino: number, sent: Effect.Effect<A, CommandFailed>): Effect.Effect<A, CommandFailed> => {
    const { ahead } = asking
    if (ahead === undefined || !ahead.isAhead(ino)) return sent
    const inTime = Effect.mapError(() => new CommandUnanswered({ why: "its making was not answered" }))
    const behind = Effect.andThen(inTime(ahead.riding), sent)
    return Effect.catchIf(behind, isUnknown, () => Effect.andThen(inTime(ahead.kept(ino)), sent))
  }
  const plan = (ino: number, offset: number, length: number) => {
    const { tree } = asking.view
    const slot = tree.inodes.find(ino)
    if (slot < 0) return Effect.fail(new CommandRefused({ errno: "ENOENT", why: `inode ${ino} is gone` }))
    if (!isFile(tree.inodes.mode[slot] as number))
      return Effect.fail(new CommandRefused({ errno: "EINVAL", why: `inode ${ino} is no file` }))
    const parts = readPlan(tree, slot, { offset, length })
    return Effect.succeed({ size: tree.inodes.size[slot] as number, parts, more: false })
  }
  return {
    reserveSlices: (count) => send(asking, "do", "ReserveSlices", { count }) as never,
    write: (id, command) =>
      Effect.map(kept(command.ino, send(asking, "do", "Write", command, `d${id}`)), (reply) =>
        told(reply as Stands)
      ) as never,
    append: (id, command) =>
      Effect.map(kept(command.ino, send(asking, "do", "Append", command, `d${id}`)), (reply) =>
        told(reply as Stands)
      ) as never,
    readPlan: (ino, offset, length) => {
      const isUpToDate = () => asking.followed.version() >= asking.view.answeredUpTo
      if (isUpToDate()) return plan(ino, offset, length)
      // A replica that stays behind is passed by: what was answered has to be seen.
      const asked = () => send(asking, "ask", "ReadPlan", { ino, offset, length }) as Effect.Effect<Plan, CommandFailed>
      const planned = Effect.suspend(() => (isUpToDate() ? plan(ino, offset, length) : asked()))
      return Effect.andThen(shown(asking, asking.view.answeredUpTo), planned)
    }
  }
}
