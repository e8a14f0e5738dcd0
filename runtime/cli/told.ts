/** Refusals and failures in words, with what to try next. */

import type { Call } from "./call.ts"
import { command } from "./command.ts"
import { Problem } from "./problem.ts"

type Said = { readonly _tag: string } & Readonly<Record<string, unknown>>

interface Words {
  readonly message: string
  readonly next?: string
}

const words: Readonly<Record<string, (said: Said, call: Call) => Words>> = {
  NotFounded: ({ org }) => ({
    message: `there is no organisation ${org}`,
    next: `make it with: ${command} org create --org ${org}`
  }),
  AlreadyFounded: ({ org }) => ({
    message: `the organisation ${org} is there already`,
    next: "name another one with --org"
  }),
  NameTaken: ({ name }) => ({
    message: `there is a workspace ${name} already`,
    next: `look at it with: ${command} workspace show ${name}`
  }),
  NoSuchWorkspace: ({ name }) => ({
    message: `there is no workspace ${name}`,
    next: `see which there are with: ${command} workspace list`
  }),
  KeyTaken: ({ key }) => ({ message: `there is a key ${key} already` }),
  NoSuchKey: ({ key }) => ({
    message: `there is no key ${key}`,
    next: `see which there are with: ${command} key list`
  }),
  NotAllowed: ({ caller, why }) => ({ message: `${caller} may not do that: ${why}` }),
  TooMany: ({ what, max }) => ({ message: `there are too many ${what}: ${max} is the most` }),
  Malformed: ({ why }, { name }) => ({ message: `${name} was not understood: ${why}` }),
  Busy: () => ({ message: "the node has too much to do", next: "try again in a moment" }),
  Late: () => ({ message: "the deadline had passed, and nothing was done" }),
  TooLarge: ({ bytes, bytesMax }) => ({ message: `that is too large: ${bytes} bytes, and ${bytesMax} is the most` }),
  Corrupt: ({ log, position, why }, { kind, id }) => ({
    message: `${kind}/${id} is stopped, for its log is damaged at ${log}, position ${position}: ${why}`,
    next: "nothing is skipped: bring the journal back from a backup"
  }),
  Defect: ({ why }) => ({ message: `the actor failed: ${why}`, next: "the node's log says more" }),
  Forbidden: ({ why }) => ({ message: `the credential does not allow that: ${why}` })
}

export const told = (call: Call, said: { readonly _tag: string }): Problem => {
  const { message, next } = words[said._tag]?.(said, call) ?? { message: JSON.stringify(said) }
  return new Problem({ code: said._tag, message, details: said, ...(next === undefined ? {} : { next }) })
}
