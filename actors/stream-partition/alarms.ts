/** Moments at which something in a partition may have to be looked at: a heap by time. */
import { popTimed, pushTimed } from "../heap.ts"

/** A moment at which a stream, a pin, a subscription or an object may have to be looked at. */
export interface Alarm {
  readonly at: number
  readonly key: string
}

/** No key of a stream begins so: the alarms of a subscription, before its id, and of objects. */
export const subscriberAlarm = "\n"
export const objectAlarm = "\t"

interface Alarmed {
  readonly alarms: Array<Alarm>
}

export const setAlarm = ({ alarms }: Alarmed, at: number, key: string): void => {
  if (at !== Number.POSITIVE_INFINITY) pushTimed(alarms, { at, key })
}

/** Takes out what rings at or before this moment. */
export const takeAlarms = ({ alarms }: Alarmed, at: number): Array<Alarm> => {
  const rung: Array<Alarm> = []
  while (alarms.length > 0 && (alarms[0] as Alarm).at <= at) rung.push(popTimed(alarms))
  return rung
}
