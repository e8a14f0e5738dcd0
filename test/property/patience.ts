/** For how long a property looks for a smaller example: a worker that is busy with it hears of no time-out. */
import fc from "fast-check"

fc.configureGlobal({ interruptAfterTimeLimit: 45_000 })
