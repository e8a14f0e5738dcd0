/** What is told to an organisation of its own streams and subscriptions, which the actors know by longer names. */
import { keyIn, keyOfPath, operatorOrg, ownKey, pathOfKey, streamFault } from "../../../messages/stream.ts"

/** A subscription's id among those of all organisations. A path cannot name one with a slash in it. */
export const idIn = (org: string, id: string): string => (org === operatorOrg ? id : `${org}/${id}`)

export const ownId = (id: string): string => id.slice(id.indexOf("/") + 1)

/** A claim's token begins with its organisation, so that it can be brought without an API key. */
export const tokenOf = (org: string, secret: string): string => (org === operatorOrg ? secret : `${org}.${secret}`)

export const orgOfToken = (token: string): string => {
  const dot = token.indexOf(".")
  return dot < 0 ? operatorOrg : token.slice(0, dot)
}

/** The path by which subscriptions know a stream; undefined when this names none. */
export const pathIn = (org: string, text: string): string | undefined => {
  const key = keyOfPath(text.replace(/^\/+/, ""))
  return streamFault(key) === undefined ? pathOfKey(keyIn(org, key)) : undefined
}

export const ownPath = (path: string): string => pathOfKey(ownKey(path))
