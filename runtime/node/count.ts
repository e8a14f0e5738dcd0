/** What a transfer has moved: counted, shown while it goes on, and named when it fails. */
import { Effect } from "effect"
import { decodeName } from "../../messages/names.ts"
import type { Named } from "../cli/file.ts"
import { Problem } from "../cli/problem.ts"
import { type Progress, progress } from "../cli/progress.ts"
import { inWords } from "./transfer.ts"

export interface Moved {
  readonly files: number
  readonly directories: number
  readonly links: number
  readonly bytes: number
  /** Pipes, sockets and devices stay where they are. */
  readonly skipped: ReadonlyArray<string>
}

const now = () => performance.now()

/** Whatever failed, with the path that it is about. */
export const about =
  (path: string) =>
  (error: unknown): Problem => {
    if (error instanceof Problem) return error
    const { code, message, next } = inWords(error)
    return new Problem({ code, message: `${path}: ${message}`, ...(next === undefined ? {} : { next }) })
  }

export const nameOf = ({ workspace, path }: Named): string => `${workspace}:${path}`

/** Counts what is moved, and shows it. */
export class Count {
  files = 0
  directories = 0
  links = 0
  bytes = 0
  readonly skipped: Array<string> = []
  private readonly bar: Progress
  private readonly name: string
  private readonly of: number

  constructor(name: string, files: number, bytes: number | undefined) {
    this.name = name
    this.of = files
    this.bar = progress(name, bytes, process.stderr, now)
  }

  readonly moved = (bytes: number): void => {
    this.bytes += bytes
    this.bar.moved(this.bytes, this.of > 1 ? `${this.name} ${this.files}/${this.of}` : this.name)
  }

  /** Counts what was done. */
  readonly one = <A, E, R>(what: "files" | "directories" | "links", doing: Effect.Effect<A, E, R>) =>
    Effect.tap(doing, () =>
      Effect.sync(() => {
        this[what] += 1
      })
    )

  skip(path: Buffer): void {
    this.skipped.push(decodeName(path))
  }

  end(): Moved {
    this.bar.end()
    const { files, directories, links, bytes, skipped } = this
    return { files, directories, links, bytes, skipped }
  }
}

export const sum = (all: ReadonlyArray<Moved>): Moved => ({
  files: all.reduce((to, { files }) => to + files, 0),
  directories: all.reduce((to, { directories }) => to + directories, 0),
  links: all.reduce((to, { links }) => to + links, 0),
  bytes: all.reduce((to, { bytes }) => to + bytes, 0),
  skipped: all.flatMap(({ skipped }) => skipped)
})
