/** The mount-session actor: issued, attached, renewed by heartbeat, then detached or expired, and never back. */
import type { Caller } from "../../messages/ids.ts"
import { beatsPerLife, lateMs, sessionMs } from "../../messages/limits.ts"
import { type MountSession, mountSession, type Session } from "../../messages/mount-session.ts"
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import type { Context, Decider, Decision, Obligation, Tick } from "../decider.ts"

interface State {
  readonly id: string
  readonly session: Session | undefined
}

type Event = EventOf<MountSession>
type Outcome = Decision<unknown, RefusalOf<MountSession>, Event>

const lifeOf = ({ lifeMs = sessionMs }: Pick<Session, "lifeMs">): number => lifeMs

/** By then a host that lives has shown it. */
const deadline = (session: Session, at: number): number =>
  Math.min(session.expiresAt, at + lifeOf(session) / beatsPerLife + lateMs)

const isOver = (session: Session): boolean => session.stage === "detached" || session.stage === "expired"

const decide = (state: State, command: CommandOf<MountSession> | Tick, context: Context): Outcome => {
  const accept = (event: Event): Outcome => ({
    events: [event],
    reply: { session: evolve(state, event, context.at).session }
  })
  const { session } = state
  if (command._tag === "Issue") {
    if (session !== undefined) return { refused: { _tag: "AlreadyIssued", session: state.id } }
    const { _tag, ...issued } = command
    const by = context.caller as Caller
    return accept({ _tag: "SessionIssued", ...issued, by, expiresAt: context.at + lifeOf(issued) })
  }
  if (session === undefined) return { refused: { _tag: "NoSuchSession", session: state.id } }
  if (command._tag === "Tick")
    return !isOver(session) && session.expiresAt <= context.at
      ? accept({ _tag: "SessionExpired", workspace: session.workspace })
      : { events: [], reply: {} }
  // Whoever asks is the session itself, by its credential, or somebody who administers it.
  if (context.caller.startsWith("key-"))
    return { refused: { _tag: "NotAllowed", caller: context.caller, why: "a session is kept by its own credential" } }
  if (isOver(session)) return { refused: { _tag: "SessionOver", session: state.id, stage: session.stage } }
  const expiresAt = context.at + lifeOf(session)
  switch (command._tag) {
    case "Attach": {
      const { host, directory } = command
      return accept({ _tag: "SessionAttached", host, directory, expiresAt })
    }
    case "Heartbeat":
      return accept({ _tag: "SessionRenewed", expiresAt })
    case "Doubt": {
      const sooner = Math.ceil(deadline(session, context.at))
      if (sooner >= session.expiresAt) return { events: [], reply: { session } }
      return accept({ _tag: "SessionDoubted", expiresAt: sooner })
    }
    case "Detach":
      return accept({ _tag: "SessionDetached", workspace: session.workspace })
  }
}

const evolve = (state: State, event: Event, at: number): State => {
  if (event._tag === "SessionIssued") {
    const { _tag, by, ...issued } = event
    const session: Session = {
      session: state.id as Session["session"],
      ...issued,
      stage: "issued",
      issuedAt: at,
      issuedBy: by
    }
    return { ...state, session }
  }
  const { session } = state
  if (session === undefined) throw new Error(`${event._tag} of a session that was never issued`)
  switch (event._tag) {
    case "SessionAttached": {
      const { host, directory, expiresAt } = event
      return { ...state, session: { ...session, stage: "attached", host, directory, expiresAt } }
    }
    case "SessionRenewed":
    case "SessionDoubted":
      return { ...state, session: { ...session, expiresAt: event.expiresAt } }
    case "SessionDetached":
      return { ...state, session: { ...session, stage: "detached" } }
    case "SessionExpired":
      return { ...state, session: { ...session, stage: "expired" } }
  }
}

/** The workspace keeps a list of its living sessions: it serves them, and cleans up behind them. */
const oblige = (event: Event, id: string): ReadonlyArray<Obligation> => {
  const to = (workspace: string, command: Obligation["command"]) => [{ kind: "workspace", id: workspace, command }]
  switch (event._tag) {
    case "SessionIssued":
      return to(event.workspace, { _tag: "BeginSession", session: id, mode: event.mode } as Obligation["command"])
    case "SessionDetached":
    case "SessionExpired":
      return to(event.workspace, { _tag: "EndSession", session: id } as Obligation["command"])
    default:
      return []
  }
}

export const mountSessionDecider: Decider<State, MountSession> = {
  protocol: mountSession,
  snapshotVersion: 1,
  initial: (id) => ({ id, session: undefined }),
  decide,
  evolve,
  answer: (state, _query, { caller }) => {
    if (state.session === undefined) return { refused: { _tag: "NoSuchSession", session: state.id } }
    if (caller.startsWith("key-"))
      return { refused: { _tag: "NotAllowed", caller, why: "a session is shown to itself and to administrators" } }
    return { reply: { session: state.session } }
  },
  save: (state) => Buffer.from(JSON.stringify(state)),
  load: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as State,
  due: ({ session }) => (session === undefined || isOver(session) ? undefined : session.expiresAt),
  oblige
}
