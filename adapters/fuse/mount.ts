/** The Mount port on the kernel's own protocol. */
import { Effect, Layer } from "effect"
import { Mount, type Mounting } from "../../runtime/ports/mount.ts"
import { connect, release } from "./device.ts"
import { look, unmount } from "./place.ts"
import { type Device, prepareData, serve } from "./serving.ts"

const free = (place: string, lazy: boolean) => unmount(place, lazy ? "lazy" : "plain")

/** Mounts in this process: when it dies, so does the mount. */
export const layer = Layer.succeed(Mount, {
  mount: Effect.fnUntraced(function* (mounting: Mounting) {
    const device = yield* connect(mounting.place, mounting.options)
    const mounted = yield* serve(device, mounting)
    // First of all at the end, for the kernel may have things to write back that must still be answered.
    yield* Effect.addFinalizer(() => release(mounting.place))
    return mounted
  }),
  prepare: prepareData,
  unmount: free,
  look
})

/** Serves a device that a supervisor opened and mounted, and will close. */
export const layerInherited = (device: Device) =>
  Layer.succeed(Mount, {
    mount: (mounting: Mounting) => serve(device, mounting),
    prepare: prepareData,
    unmount: free,
    look
  })
