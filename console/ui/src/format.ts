/** How everything is written: one place for money, times, ages and names. */

const LOCALE = 'en-GB'

export interface Money {
  amount: string
  currency: string
}

/** Money with the currency's own decimals; never by way of a rounded sum of ours. */
export function money(value: Money | null | undefined): string {
  if (!value) return '–'
  const fraction = value.amount.split('.')[1]?.length ?? 0
  return new Intl.NumberFormat(LOCALE, {
    style: 'currency',
    currency: value.currency,
    minimumFractionDigits: fraction,
    maximumFractionDigits: fraction,
  }).format(value.amount as unknown as number)
}

const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit' })
const EXACT = new Intl.DateTimeFormat(LOCALE, {
  day: '2-digit',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
})
const DAY = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short' })

/** 14:02 */
export const clock = (at: number | string): string => CLOCK.format(new Date(at))

/** 23 Nov 2026, 14:02:11 */
export const exact = (at: number | string): string => EXACT.format(new Date(at))

/** 14:02 today, 22 Nov 14:02 before. */
export function moment(at: string, now: number): string {
  return day(at) === day(now) ? clock(at) : `${DAY.format(new Date(at))} ${clock(at)}`
}

function day(at: string | number): number {
  return new Date(at).setHours(0, 0, 0, 0)
}

/** Today, Yesterday, then dates: by the calendar, not by hours. */
export function dayName(at: string, now: number): string {
  const days = Math.round((day(now) - day(at)) / 86_400_000)
  if (days <= 0) return 'Today'
  if (days === 1) return 'Yesterday'
  return new Intl.DateTimeFormat(LOCALE, { weekday: 'long', day: 'numeric', month: 'long' }).format(
    new Date(at),
  )
}

/** 40 s, 12 min, 3 h 05 m, 2 d 4 h */
export function span(ms: number): string {
  const secs = Math.max(0, Math.floor(ms / 1000))
  if (secs < 60) return `${secs} s`
  const minutes = Math.floor(secs / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${String(minutes % 60).padStart(2, '0')} m`
  return hours % 24 === 0 ? `${Math.floor(hours / 24)} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** The same in a narrow place: minutes are left out where they decide nothing. */
export function brief(ms: number): string {
  const hours = Math.floor(ms / 3_600_000)
  return hours < 6 ? span(ms) : hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`
}

/** How a deadline stands: red only when it has passed. */
export type Urgency = 'late' | 'soon' | 'calm'

/** Two hours is when there is still something to be done about it. */
const SOON = 2 * 3_600_000

export function urgency(dueAt: string | null | undefined, now: number): Urgency {
  if (!dueAt) return 'calm'
  const left = Date.parse(dueAt) - now
  return left < 0 ? 'late' : left < SOON ? 'soon' : 'calm'
}

/** 2 h 10 m left, 35 min late */
export function due(dueAt: string, now: number, say = span): string {
  const left = Date.parse(dueAt) - now
  return left < 0 ? `${say(-left)} late` : `${say(left)} left`
}

/** A name of the API as people read it: NO_PICKUP_SCAN is "No pickup scan". */
export function words(name: string): string {
  const text = name
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .replaceAll(/[_.-]+/g, ' ')
    .toLowerCase()
    .trim()
  return (text.charAt(0).toUpperCase() + text.slice(1)).replaceAll(/\b[Ss]ku\b/g, 'SKU')
}

/** 1 order, 2 orders */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString(LOCALE)} ${number === 1 ? one : many}`
}

/** 48 kB */
export function size(bytes: number): string {
  return bytes < 1000 ? `${bytes} B` : `${Math.round(bytes / 1000).toLocaleString(LOCALE)} kB`
}

/** 0.9875 is 98.8 % */
export const percent = (part: string): string => `${Number((Number(part) * 100).toFixed(1)).toLocaleString(LOCALE)} %`

/** A day as people read it, or as addresses and the API do: 24 Nov, 2026-11-24. */
export function dayOf(at: Date | string, as: 'words' | 'address' = 'words'): string {
  const date = typeof at === 'string' ? new Date(`${at.slice(0, 10)}T12:00`) : at
  if (as === 'words') return DAY.format(date)
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, '0')).join('-')
}

/** The day that a period of a report begins with. */
export const graphDay = (at: string): string => DAY.format(new Date(at))
