/** The npm package `fuse-native`, as far as it is used: its binary, and the libfuse 2 that this one is linked to. */
import { createRequire } from "node:module"
import { constants } from "node:os"
import { dirname, join } from "node:path"

/** Where the binary keeps a request; opaque but for what `times.ts` reads there. */
export type Slot = Buffer

/** Called for each request, on the main thread. What asked waits until the operation's signal is given. */
export type Handler = (slot: Slot, opcode: number, ...args: ReadonlyArray<never>) => void
export type Signal = (slot: Slot, result: number, ...given: ReadonlyArray<unknown>) => void

export interface Binding {
  readonly sizeof_fuse_thread_t: number
  readonly fuse_native_mount: (
    place: string,
    options: string,
    thread: Buffer,
    self: object,
    allocate: (bytes: number) => Slot,
    handlers: ReadonlyArray<Handler>,
    implemented: Uint32Array
  ) => void
  readonly fuse_native_unmount: (place: string, thread: Buffer) => void
  readonly [op: `op_${string}`]: number
  readonly [signal: `fuse_native_signal_${string}`]: Signal
}

const name = "fuse-native"
/** The one whose slots are known; nothing else may read its memory. */
const version = "2.2.6"

/** glibc's RTLD_NODELETE, for which Node has no name. */
const noDelete = 0x1000

/**
 * Loads the libfuse that the package brings, for hosts that have none. Node takes it for a module of its own and says
 * that it is none, but it stays, and the binary finds it by its name.
 */
const loadLibrary = (folder: string): void => {
  const { RTLD_GLOBAL, RTLD_NOW } = constants.dlopen
  const library = join(folder, "prebuilds", `${process.platform}-${process.arch}`, "libfuse.so")
  try {
    process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_GLOBAL | noDelete)
  } catch {
    // Whether it is there now is seen when the binary is loaded.
  }
}

const loadBinary = (require: NodeJS.Require, folder: string): Binding => {
  const load = createRequire(join(folder, "index.js"))("node-gyp-build") as (folder: string) => Binding
  try {
    return load(folder)
  } catch (error) {
    if (!/libfuse/.test((error as Error).message)) throw error
    loadLibrary(folder)
    return load(dirname(require.resolve(`${name}/package.json`)))
  }
}

let loaded: Binding | undefined

/** The binary, or why there is none, in words for a person. */
export const binding = (): Binding | string => {
  if (loaded !== undefined) return loaded
  const require = createRequire(import.meta.url)
  let folder: string
  try {
    folder = dirname(require.resolve(`${name}/package.json`))
  } catch {
    return `the package ${name} is not installed; put it beside this one with: npm install ${name}@${version}`
  }
  const found = (require(`${name}/package.json`) as { readonly version: string }).version
  if (found !== version) return `${name} ${version} is needed, and ${found} is installed`
  try {
    loaded = loadBinary(require, folder)
    return loaded
  } catch (error) {
    const why = (error as Error).message.split("\n")[0]
    return `${name} cannot be loaded on ${process.platform} ${process.arch} (${why}); it needs libfuse 2`
  }
}
