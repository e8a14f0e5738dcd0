/** Brings node_modules into line with package-lock.json, and Node 24 with it; runs on any Node from 20 on. */
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, "node_modules")
const lock = join(root, "package-lock.json")
const nodeLink = join(modules, ".bin", "node")

const say = (line) => process.stderr.write(`artifacts: ${line}\n`)
const fail = (line) => {
  say(line)
  process.exit(1)
}
const json = (path) => JSON.parse(readFileSync(path, "utf8"))

/** What npm says on its standard output goes to ours for errors, so that the output of a command stays its own. */
const npm = (...args) => spawnSync("npm", args, { cwd: root, stdio: ["ignore", 2, 2] }).status === 0

/** Whether npm has put in place just what the lock file names; what is optional may be missing. */
const agrees = () => {
  const hidden = join(modules, ".package-lock.json")
  if (!existsSync(hidden)) return false
  const wanted = json(lock).packages
  const present = json(hidden).packages
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (path === "") continue
    if (present[path] === undefined ? optional !== true : present[path].version !== version) return false
  }
  return true
}

const major = (binary) => {
  const { status, stdout } = spawnSync(binary, ["--version"], { encoding: "utf8" })
  return status === 0 ? Number(/^v(\d+)\./.exec(stdout)?.[1]) : 0
}

/** The package `node` fetches its binary in an install script; where none may run, the binary's own package will do. */
const fetchNode = () => {
  const { version } = json(lock).packages["node_modules/node"]
  const name = `node-${process.platform}-${process.arch}`
  const place = join(modules, ".node")
  const flags = ["--no-save", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
  if (!npm("install", ...flags, "--prefix", place, `${name}@${version}`)) return
  rmSync(nodeLink, { force: true })
  symlinkSync(join("..", ".node", "node_modules", name, "bin", "node"), nodeLink)
}

/** Two commands that start at once in a fresh clone must not both install: the second waits for the first. */
const alone = () => {
  const mark = join(root, ".cache", "installing")
  mkdirSync(dirname(mark), { recursive: true })
  for (;;) {
    try {
      writeFileSync(mark, String(process.pid), { flag: "wx" })
      process.on("exit", () => rmSync(mark, { force: true }))
      return
    } catch (error) {
      if (error.code !== "EEXIST") throw error
    }
    try {
      process.kill(Number(readFileSync(mark, "utf8")), 0)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    } catch {
      rmSync(mark, { force: true })
    }
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1))
alone()
if (!agrees()) {
  say("installing what is missing (npm ci)")
  const included = ["--include=dev", "--include=optional", "--include=peer"]
  if (!npm("ci", "--no-audit", "--no-fund", "--loglevel=error", ...included)) fail("npm ci failed; see above")
}
mkdirSync(dirname(nodeLink), { recursive: true })
if (major(nodeLink) < 24) fetchNode()
if (major(nodeLink) < 24) {
  const own = process.execPath
  if (major(own) < 24) fail(`npm has no Node 24 for ${process.platform} ${process.arch}: install one, then try again`)
  rmSync(nodeLink, { force: true })
  symlinkSync(own, nodeLink)
}
copyFileSync(lock, join(modules, ".installed-lock.json"))
