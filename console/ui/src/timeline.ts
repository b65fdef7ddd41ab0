/** What an order's events say of themselves, in words, and which of them are one story. */

import { moment, words } from './format'

export interface Entry {
  id: string
  event: string
  actor: string
  details: unknown
  occurredAt: string
  correlationId?: string | null
}

/** An entry, and the older ones that were the same try before it. */
export interface Told<T> {
  entry: T
  before: T[]
}

type Details = Record<string, unknown>
const details = (entry: Entry): Details =>
  typeof entry.details === 'object' && entry.details !== null ? (entry.details as Details) : {}

/** A request and its answer have one transaction. */
const REQUEST = /_requested$/
const FAILURE = /(_failed|_declined|_unknown)$/
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

/**
 * Tells entries newest first: a request that was answered is not told apart from its answer, and
 * tries that failed for the same reason are one, up to the try that did not.
 */
export function fold<T extends Entry>(timeline: readonly T[]): Told<T>[] {
  const answered = new Set(
    timeline.filter((entry) => !REQUEST.test(entry.event)).map((entry) => details(entry).transactionId).filter(Boolean),
  )
  const told: Told<T>[] = []
  const tries = new Map<string, Told<T>>()
  for (const entry of timeline.toReversed()) {
    const { transactionId, shipmentId, reason } = details(entry)
    if (REQUEST.test(entry.event) && answered.has(transactionId)) continue
    const story = String(shipmentId ?? '')
    const name = `${entry.event} ${story} ${reason}`
    const later = FAILURE.test(entry.event) ? tries.get(name) : undefined
    if (later) {
      later.before.push(entry)
      continue
    }
    const one = { entry, before: [] }
    told.push(one)
    if (FAILURE.test(entry.event)) tries.set(name, one)
    // What went well in between ends the row of failures.
    else if (transactionId && !REQUEST.test(entry.event)) for (const key of tries.keys()) if (key.includes(` ${story} `)) tries.delete(key)
  }
  return told
}

/** What stands elsewhere on the page, or says nothing to a person. */
const SILENT = new Set(['amount', 'total', 'size', 'subject', 'attempts', 'number', 'format', 'epoch'])

/** What a single fact says; none if it says nothing. */
function fact(name: string, value: unknown, now: number): string | null {
  if (SILENT.has(name) || name.endsWith('Id')) return null
  if (name === 'nextTryAt') return value === null ? 'no further try' : `next try ${moment(String(value), now)}`
  if (name === 'blocking') return value ? 'stops the order' : null
  if (name === 'won') return value ? 'won' : 'lost'
  if (name === 'weightGrams') return `${Number(value).toLocaleString('en-GB')} g`
  if (name === 'slot') return `slot ${value}`
  if (name === 'quantity' || name === 'units') return value ? `${value} ${value === 1 ? 'unit' : 'units'}` : null
  switch (typeof value) {
    case 'boolean':
      return value ? words(name).toLowerCase() : null
    case 'number':
      return value === 0 ? null : `${value.toLocaleString('en-GB')} ${words(name).toLowerCase()}`
    case 'string':
      if (value === '') return null
      if (MOMENT.test(value)) return `${words(name.replace(/At$/, '')).toLowerCase()} ${moment(value, now)}`
      return /^[a-z]+(_[a-z]+)+$|^[A-Z]+(_[A-Z]+)+$/.test(value) || ['code', 'status', 'kind'].includes(name)
        ? words(value).toLowerCase()
        : value
    default:
      return null
  }
}

/** What an event says of itself, in a line. */
export function say(entry: Entry, now: number): string {
  const first = (name: string) => (name === 'reason' || name === 'units' || name === 'quantity' ? 0 : 1)
  return Object.entries(details(entry))
    .sort(([one], [other]) => first(one) - first(other))
    .map(([name, value]) => fact(name, value, now))
    .filter((text) => text !== null)
    .slice(0, 4)
    .join(', ')
}
