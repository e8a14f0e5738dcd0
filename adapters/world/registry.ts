/** A registry as one life sees it from afar. */
import { Registry, RegistryDown } from "../../runtime/ports/registry.ts"
import type { Life, Weather } from "./weather.ts"

export const faultyRegistry = (inner: Registry["Service"], weather: Weather, life: Life): Registry["Service"] => {
  const down = (why: string) => new RegistryDown({ why })
  return Registry.of({
    all: weather.operate(life, "registry", inner.all, down),
    write: (key, value, revision) => weather.operate(life, "registry", inner.write(key, value, revision), down),
    remove: (key, revision) => weather.operate(life, "registry", inner.remove(key, revision), down)
  })
}
