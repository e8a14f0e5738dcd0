/** Patterns of paths: `*` is one segment or a part of it, `**` is anything. */

const parts = /\*\*|\*|[^*]+/g

export const globOf = (pattern: string): ((path: string) => boolean) => {
  const source = (pattern.match(parts) ?? []).map((part) => {
    if (part === "**") return ".*"
    return part === "*" ? "[^/]*" : part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&")
  })
  const expression = new RegExp(`^${source.join("")}$`, "s")
  return (path) => expression.test(path)
}
