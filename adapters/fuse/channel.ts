/** What the thread that asks and the main thread say to each other. */
import type { Invalidation, Request } from "../../runtime/ports/mount.ts"
import type { Negotiated } from "./init.ts"

/** What the asking thread is for; it is started with the name of its module alone. */
export interface Start {
  readonly fd: number
  readonly negotiated: Negotiated
  readonly data: unknown
}

/** A request that is for the main thread, with the number under which the kernel waits for the reply. */
export interface Handed {
  readonly kind: "handed"
  readonly low: number
  readonly high: number
  readonly opcode: number
  readonly request: Request
  readonly later: unknown
  /** Where the bytes of a large write are: in a buffer that the asking thread waits to get back. */
  readonly place?: { readonly number: number; readonly at: number; readonly length: number }
}

/** From the asking thread. */
export type Report =
  | Handed
  /** A buffer that large writes may lie in from now on, and one that none will lie in any more. */
  | { readonly kind: "shared"; readonly number: number; readonly buffer: SharedArrayBuffer }
  | { readonly kind: "unshared"; readonly number: number }
  /** The synchronous part is loaded; requests are read from `go` on. */
  | { readonly kind: "loaded" }
  | { readonly kind: "interrupted"; readonly id: number }
  | { readonly kind: "told"; readonly message: unknown }
  /** A request made the synchronous part throw; the kernel was told EIO. */
  | { readonly kind: "defect"; readonly opcode: number; readonly why: unknown }
  | { readonly kind: "ended" }

/** To the asking thread. */
export type Order =
  | { readonly kind: "prepare"; readonly data: unknown }
  | { readonly kind: "start"; readonly start: Start }
  | { readonly kind: "go" }
  | { readonly kind: "tell"; readonly message: unknown }
  /** The write that lay in this buffer is answered. */
  | { readonly kind: "buffer"; readonly number: number }
  /** Looked at with the next request, which is still answered. */
  | { readonly kind: "stop" }

/** To the thread that notifies, and its answer: how many batches are with the kernel. */
export interface Batch {
  readonly batch: number
  readonly invalidations: ReadonlyArray<Invalidation>
}
