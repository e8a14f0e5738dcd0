/** The house rules that a compiler does not know: layout, the direction of dependencies, sizes, names and words. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { describe, expect, it } from "vitest"

const root = dirname(import.meta.dirname)
const read = (path: string) => readFileSync(join(root, path), "utf8")
const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter((path) => path !== "" && existsSync(join(root, path)))

interface Recorded {
  readonly files: Readonly<Record<string, number>>
  readonly functions: Readonly<Record<string, number>>
  readonly wide: Readonly<Record<string, number>>
  readonly unused: ReadonlyArray<string>
}
/** What was over a rule when it was written down. A number here may be lowered and a line removed, nothing else. */
const recorded: Recorded = JSON.parse(read("test/tidy.json"))

interface Source {
  readonly path: string
  readonly text: string
  readonly lines: ReadonlyArray<string>
  /** What it imports: packages as they are written, own files as paths from the root. */
  readonly imports: ReadonlyArray<string>
}

const importPatterns = [
  /^(?:import|export|\}).*?\bfrom "([^"\n]+)"/gm,
  /^import "([^"\n]+)"/gm,
  /\bimport\(\s*"([^"\n]+)"\s*\)/g,
  /\bnew URL\("(\.[^"\n]+\.ts)"/g
]

const importsOf = (path: string, text: string) =>
  importPatterns
    .flatMap((pattern) => [...text.matchAll(pattern)])
    .map(([, name = ""]) => (name.startsWith(".") ? posix.join(posix.dirname(path), name) : name))

const source = (path: string): Source => {
  const text = read(path)
  return { path, text, lines: text.trimEnd().split("\n"), imports: importsOf(path, text) }
}

const code = tracked.filter((path) => /\.(ts|mjs)$/.test(path)).map(source)
const scripts = tracked.filter((path) => /^#!.*sh\b/.test(read(path).slice(0, 40))).map(source)
const product = code.filter(({ path }) => /^(messages|actors|runtime|adapters)\//.test(path))
const own = (name: string) => /^(messages|actors|runtime|adapters|test)\//.test(name)

/** Every rule names its culprits, so that a failure can be mended without reading this file. */
const none = (culprits: ReadonlyArray<string>) => expect(culprits).toEqual([])

describe("layout", () => {
  it("has the top-level names that were agreed, and no others", () => {
    const allowed = /^(package\.json|package-lock\.json|tsconfig\.json|README\.md|LICENSE|artifacts|\..+)$/
    const folders = new Set(["actors", "messages", "adapters", "runtime", "test", "docs"])
    const tops = [...new Set(tracked.map((path) => path.split("/")[0] ?? ""))]
    none(tops.filter((top) => !folders.has(top) && !allowed.test(top)))
  })

  it("names files in lower case after their subject", () => {
    const vague = /^(utils?|helpers?|common|types|misc|manager|index|impl|shared|lib)$/
    const names = code.map(({ path }) => path)
    none(names.filter((path) => !/^[a-z0-9]+([.-][a-z0-9]+)*\.(ts|mjs)$/.test(posix.basename(path))))
    none(
      names.filter((path) =>
        posix
          .basename(path)
          .split(/[.-]/)
          .some((part) => vague.test(part))
      )
    )
  })

  it("names types for what they are", () => {
    const vague = /^export (?:abstract )?(?:class|interface|type|const) (\w+(?:Manager|Helper|Utils?|Impl))\b/gm
    none(product.flatMap(({ path, text }) => [...text.matchAll(vague)].map(([, name]) => `${path}: ${name}`)))
  })

  it("opens every file with a sentence that says what it is", () => {
    const sentence = /^\/\*\*\s+(\* )?[A-Z`"][\s\S]*?[.!?]\s*\*\//
    none(code.filter(({ text }) => !sentence.test(text)).map(({ path }) => path))
    none(scripts.filter(({ lines }) => !/^# [A-Z`"]/.test(lines[1] ?? "")).map(({ path }) => path))
  })

  it("has no barrels and no default exports", () => {
    const statement = /^(?!import|\}|\s|\/\/|\/\*|\*|$)/
    const barrels = code.filter(({ lines }) => {
      const statements = lines.filter((line) => statement.test(line))
      return statements.length > 0 && statements.every((line) => /^export (\*|\{|type \{)/.test(line))
    })
    none(barrels.map(({ path }) => path))
    const configured = new Set(["test/vitest.config.ts"])
    const defaults = code.filter(
      ({ path, text }) => /^export default\b|\bas default\b/m.test(text) && !configured.has(path)
    )
    none(defaults.map(({ path }) => path))
  })
})

/** What an adapter may take from another one, each with its reason. */
const sharedAdapters: Readonly<Record<string, RegExp>> = {
  // The faulty twins are the ones in memory with faults in front.
  "adapters/world/": /^adapters\/(memory\/|nats\/broker\/(subjects|interest)\.ts$)/,
  // A journal in JetStream is reached over a NATS connection.
  "adapters/jetstream/": /^adapters\/nats\//,
  // Whoever serves a mount, the directory that is mounted on is prepared and freed in one way.
  "adapters/fuse-native/": /^adapters\/fuse\/place\.ts$/,
  // Subjects match in one way, on the broker and on the bus in memory.
  "adapters/memory/": /^adapters\/nats\/broker\/(subjects|interest)\.ts$/
}

/** Why this file may not import that, or undefined when it may. */
const trespass = (path: string, name: string): string | undefined => {
  const inside = (folder: string) => path.startsWith(folder)
  const to = (folder: string) => name.startsWith(folder)
  if (inside("test/") || inside(".ci/")) return undefined
  if (to("test/")) return "only tests import tests"
  if (inside("messages/")) return name === "effect" || to("messages/") ? undefined : "messages import effect alone"
  // Snapshots that any Arrow tool can read are written by Arrow's own library.
  if (path === "actors/workspace/snapshot/arrow.ts" && name === "apache-arrow") return undefined
  if (inside("actors/")) return to("messages/") || to("actors/") ? undefined : "actors import messages alone"
  if (inside("runtime/ports/")) {
    return to("messages/") || to("runtime/ports/") || name === "effect" ? undefined : "a port has no implementation"
  }
  if (inside("runtime/node/")) return undefined
  if (inside("runtime/")) return to("adapters/") ? "only runtime/node wires adapters" : undefined
  if (!inside("adapters/") || !own(name) || to("messages/") || to("runtime/ports/")) return undefined
  if (name === "runtime/journal/frame.ts" || to(path.split("/").slice(0, 2).join("/"))) return undefined
  const shared = Object.entries(sharedAdapters).find(([folder]) => inside(folder))?.[1]
  return shared?.test(name) ? undefined : "adapters import ports, messages, frames and their own folder"
}

describe("dependencies", () => {
  it("point one way: messages, actors, runtime; adapters stand aside", () => {
    none(
      code.flatMap(({ path, imports }) =>
        imports.flatMap((name) => {
          const why = trespass(path, name)
          return why === undefined ? [] : [`${path} imports ${name}: ${why}`]
        })
      )
    )
  })

  it("between own files are written with their ending, and lead somewhere", () => {
    const wrong = (name: string) => own(name) && (!/\.(ts|mjs)$/.test(name) || !existsSync(join(root, name)))
    none(code.flatMap(({ path, imports }) => imports.filter(wrong).map((name) => `${path} imports ${name}`)))
  })

  it("on packages are exact, imported somewhere, and locked without naming a registry", () => {
    const manifest = JSON.parse(read("package.json"))
    const versions: Record<string, string> = { ...manifest.dependencies, ...manifest.devDependencies }
    none(Object.entries(versions).flatMap(([name, version]) => (/^\d+\.\d+\.\d+$/.test(version) ? [] : [name])))
    // What is run or found by name instead of being imported.
    const byName = new Set(["node", "@types/node", "typescript", "@biomejs/biome", "@effect/tsgo"])
    const packages = new Set(code.flatMap(({ imports }) => imports.map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0])))
    none(
      Object.keys(versions).filter(
        (name) => !byName.has(name) && !packages.has(name) && !recorded.unused.includes(name)
      )
    )
    expect(read("package-lock.json")).not.toContain('"resolved"')
  })

  it("in the lock file are there for every platform, for npm ci refuses a lock that lacks any", () => {
    const locked: Record<string, { readonly optionalDependencies?: object }> = JSON.parse(
      read("package-lock.json")
    ).packages
    const lacking = Object.entries(locked).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !locked[`node_modules/${name}`] && !locked[`${path}/node_modules/${name}`]
      )
    )
    none(lacking)
  })
})

const fileLinesMax = 400
const functionLinesMax = 60

/**
 * The lines of each function without those of the functions within it. The formatter indents by two, so a function is
 * what lies between the line that opens it and the next line of the same indent that begins with a closing brace.
 */
const functionsOf = ({ path, lines }: Source): ReadonlyArray<readonly [string, number]> => {
  const opens = /(=>|\bfunction\b.*|\)(: [^=]+)?) \{$/
  const control = /^\s*(\} )?(if|for|while|switch|else|try|catch|do|return switch)\b(?!.*(=>|function))/
  const found: Array<[string, number]> = []
  const stack: Array<{ name: string; indent: number; lines: number }> = []
  for (const line of lines) {
    const indent = line.length - line.trimStart().length
    const top = stack.at(-1)
    if (top !== undefined) top.lines += 1
    if (top !== undefined && indent === top.indent && line.trimStart().startsWith("}")) {
      stack.pop()
      found.push([`${path}: ${top.name}`, top.lines])
    }
    if (opens.test(line) && !control.test(line)) {
      const name = /(?:const|function\*?|static|readonly|private|async)\s+(\w+)|^\s*(\w+)\s*[(:=]/.exec(line)
      stack.push({ name: name?.[1] ?? name?.[2] ?? line.trim().slice(0, 40), indent, lines: 1 })
    }
  }
  return found
}

describe("sizes", () => {
  it(`are ${fileLinesMax} lines a file or as recorded`, () => {
    const allowed = (path: string) => recorded.files[path] ?? fileLinesMax
    const large = product.filter(({ path, lines }) => lines.length > allowed(path))
    none(large.map(({ path, lines }) => `${path} has ${lines.length} lines, ${allowed(path)} allowed`))
  })

  it(`are ${functionLinesMax} lines a function or as recorded`, () => {
    const large = product
      .flatMap(functionsOf)
      .filter(([name, size]) => size > (recorded.functions[name] ?? functionLinesMax))
    none(
      large.map(([name, size]) => `${name} has ${size} lines, ${recorded.functions[name] ?? functionLinesMax} allowed`)
    )
  })

  it("are recorded only while they are needed", () => {
    const files = new Map(product.map(({ path, lines }) => [path, lines.length]))
    none(Object.keys(recorded.files).filter((path) => (files.get(path) ?? 0) <= fileLinesMax))
    const largest = new Map<string, number>()
    for (const [name, size] of product.flatMap(functionsOf)) largest.set(name, Math.max(size, largest.get(name) ?? 0))
    none(Object.keys(recorded.functions).filter((name) => (largest.get(name) ?? 0) <= functionLinesMax))
  })

  it("are 120 columns a line", () => {
    const prose = tracked.filter((path) => path.endsWith(".md")).map(source)
    const free = (path: string, line: string) => path.endsWith(".md") && /^\||https:\/\//.test(line)
    const wide = [...code, ...scripts, ...prose].flatMap(({ path, lines }) => {
      const at = lines.flatMap((line, index) => ([...line].length > 120 && !free(path, line) ? [index + 1] : []))
      return at.length > (recorded.wide[path] ?? 0) ? [`${path}: line ${at.join(", ")}`] : []
    })
    none(wide)
  })
})

describe("limits", () => {
  it("are all used", () => {
    const limits = [...read("messages/limits.ts").matchAll(/^export const (\w+)/gm)].map(([, name = ""]) => name)
    const elsewhere = product.filter(({ path }) => path !== "messages/limits.ts").map(({ text }) => text)
    const unused = limits.filter((name) => !elsewhere.some((text) => new RegExp(`\\b${name}\\b`).test(text)))
    none(unused.filter((name) => !recorded.unused.includes(name)))
  })
})

describe("words", () => {
  const banned: ReadonlyArray<readonly [string, RegExp]> = [
    [
      "who or what wrote it",
      /\b(claude|anthropic|openai|chatgpt|copilot|codex|llms?|language model|ai[- ](generated|written))\b/i
    ],
    [
      "how it was planned",
      /\b(DESIGN|STYLE|MEASURED|FILES|STREAMS|TABLES)(\.md\b| ?§)|\bissue #?\d+\b|\bsub-?agents?\b/
    ],
    ["how it was planned", /\b(the|my|your) brief\b|\bco-?authored-by\b|\bour (lead|colleagues?)\b|\ba colleague\b/i],
    ["a machine's path", /\/work\/\w|\/root\/|\/tmp\/\w+\/|\/workspace\/main/],
    [
      "a registry's host",
      /\b(npmjs|yarnpkg|pypi|debian|ubuntu|crates|golang|docker)\.(org|com|io)\b|\bjfrog\b|\bartifactory\b/i
    ],
    ["how it was planned", /\bhelpers?\b|\b(this|last|our) session\b/i],
    ["unfinished work", /\b(TODO|FIXME|XXX|HACK)\b/]
  ]
  it("say what the project is, not how it came about", () => {
    const exempt = new Set(["test/tidy.test.ts", "LICENSE", "package-lock.json"])
    const text = tracked.filter((path) => !exempt.has(path) && !path.startsWith("test/golden/"))
    const found = text.flatMap((path) =>
      read(path)
        .split("\n")
        .flatMap((line, index) =>
          banned.flatMap(([what, pattern]) => {
            const word = pattern.exec(line)?.[0]
            return word === undefined ? [] : [`${path}:${index + 1}: ${what}: ${word}`]
          })
        )
    )
    none(found)
  })
})
