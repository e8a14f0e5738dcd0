/**
 * What the kernel was not told because the process that should have told it had ended: the next one finds out from when
 * on, and tells it. Else the kernel would believe for an hour what was so before.
 */
import { Effect } from "effect"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Published } from "../follow.ts"
import type { Errno, Invalidation } from "../ports/mount.ts"
import { type Asking, query } from "./asking.ts"
import { foreign } from "./invalidate.ts"
import type { View } from "./view.ts"

/** Kept where the next process finds it. */
export interface Told {
  /** Up to which version a process before this one had told the kernel; 0 when that is not known. */
  readonly upTo: number
  readonly note: (version: number) => void
}

/** What is told is noted so often: behind the note things are told twice, which does no harm. */
const noteMs = 1_000

interface Since {
  readonly forgotten?: boolean
  readonly entries?: ReadonlyArray<Published>
}

const outdated = ({ tree, session }: View, { caller, events }: Published): ReadonlyArray<Invalidation> =>
  caller === session ? [] : (events as ReadonlyArray<WorkspaceEvent>).flatMap((event) => foreign(tree, event))

/** Every name and every inode: nobody knows any more which of them changed. */
export function* everything({ inodes, names }: Tree): Generator<Invalidation> {
  for (let entry = 0; entry < names.top; entry++) {
    if (names.childOf(entry) < 0) continue
    const parent = inodes.ino[names.directory[entry] as number] as number
    yield { kind: "entry", parent, name: names.name[entry] as string }
  }
  for (let slot = 0; slot < inodes.top; slot++) {
    const ino = inodes.ino[slot] as number
    if (ino > 0) yield { kind: "inode", ino, offset: 0, length: 0 }
  }
}

/** Tells the kernel what was committed since `upTo` and before this process began. */
export const catchUp: (asking: Asking, upTo: number) => Effect.Effect<void, Errno> = Effect.fnUntraced(
  function* (asking, upTo) {
    const { view } = asking
    for (let version = upTo; version < view.begunAt; ) {
      const { entries = [], forgotten } = (yield* query(asking, "Since", { version })) as Since
      if (forgotten === true || entries.length === 0) {
        yield* Effect.logWarning(
          "what changed while nobody served the mount is not known: the kernel asks for all anew"
        )
        return view.invalidate([...everything(view.tree)])
      }
      view.invalidate(entries.flatMap((entry) => outdated(view, entry)))
      version = entries.at(-1)?.version ?? view.begunAt
    }
  }
)

/** Notes what the kernel knows, for as long as this process serves. */
export const noting = ({ view }: Pick<Asking, "view">, note: Told["note"]): Effect.Effect<never> =>
  Effect.gen(function* () {
    for (let noted = 0; ; ) {
      const { version } = view
      yield* view.invalidated
      if (version > noted) note(version)
      noted = version
      yield* Effect.sleep(noteMs)
    }
  })
