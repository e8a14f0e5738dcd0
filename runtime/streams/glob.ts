/** Patterns of paths: `*` is one segment or a part of it, `**` is anything. */
import { operatorOrg, orgOf, ownKey, pathOfKey } from "../../messages/stream.ts"
import type { SubscriptionConfig } from "../../messages/subscription.ts"

const parts = /\*\*|\*|[^*]+/g

export const globOf = (pattern: string): ((path: string) => boolean) => {
  const source = (pattern.match(parts) ?? []).map((part) => {
    if (part === "**") return ".*"
    return part === "*" ? "[^/]*" : part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&")
  })
  const expression = new RegExp(`^${source.join("")}$`, "s")
  return (path) => expression.test(path)
}

/**
 * An organisation's patterns are of its own paths, as it writes them. No pattern means the stream that its own
 * subscription is woken through: every wake would be the reason for another one.
 */
export const matcherOf = ({
  pattern,
  org,
  wakeStream
}: Pick<SubscriptionConfig, "pattern" | "org" | "wakeStream">): ((path: string) => boolean) => {
  if (pattern === undefined) return () => false
  const glob = globOf(pattern)
  const owner = org ?? operatorOrg
  return (path) => path !== wakeStream && orgOf(path) === owner && glob(pathOfKey(ownKey(path)))
}
