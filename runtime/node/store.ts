/** The object store that a node or a mount was told of, loaded where it is needed. */
import { Effect, type Layer } from "effect"
import { layer as diskObjects } from "../../adapters/disk/objects.ts"
import type { Objects } from "../ports/objects.ts"
import { CannotStart } from "./fault.ts"

type ObjectsLayer = Layer.Layer<Objects, { readonly _tag: string; readonly why: string }>

/** Behind a directory: what is stored there survives kill -9, and not the loss of power. */
const unsynced = "?sync=no"

const warned = (path: string) =>
  Effect.logWarning("objects are stored without waiting for the disk: a loss of power may lose them", { place: path })

/** A directory of this host, or a bucket. */
export const objectsAt = (place: string): Effect.Effect<ObjectsLayer, CannotStart> =>
  Effect.suspend(() => {
    if (place.startsWith("s3://"))
      return Effect.map(
        Effect.promise(() => import("../../adapters/s3/objects.ts")),
        (s3): ObjectsLayer => s3.layer(place)
      )
    if (place.startsWith("file://")) {
      const { pathname, search } = URL.canParse(place) ? new URL(place) : { pathname: "", search: "" }
      const path = decodeURIComponent(pathname)
      const isLawful = path !== "" && path !== "/" && (search === "" || search === unsynced)
      const isSynced = search !== unsynced
      const store = diskObjects(path, { synced: isSynced })
      if (isLawful) return isSynced ? Effect.succeed(store) : Effect.as(warned(path), store)
    }
    if (place.startsWith("/")) return Effect.succeed(diskObjects(place))
    const why = `--objects ${place.replace(/\/\/[^/@]*@/, "//")} names no store`
    return Effect.fail(new CannotStart({ why, next: "say s3://BUCKET/PREFIX or file:///DIRECTORY[?sync=no]" }))
  })
