/**
 * Who we are to the server: the demo's key on the machine that serves it, or a key that somebody
 * typed, which lives as long as the tab.
 */

import { signal } from '@preact/signals'

export type Session =
  | { state: 'starting' }
  | { state: 'in'; key: string; demo: boolean }
  | { state: 'out'; reason: string | null }

const PLACE = 'oms.key'

export const session = signal<Session>({ state: 'starting' })

export async function start(): Promise<void> {
  const kept = sessionStorage.getItem(PLACE)
  if (kept) {
    session.value = { state: 'in', key: kept, demo: false }
    return
  }
  const key = await visitorKey()
  session.value = key ? { state: 'in', key, demo: true } : { state: 'out', reason: null }
}

/** The demo's key, if the server gives it to us. It changes when the server starts anew. */
async function visitorKey(): Promise<string | null> {
  try {
    const answer = await fetch('/console/session', { headers: { accept: 'application/json' } })
    return answer.ok ? ((await answer.json()) as { key: string | null }).key : null
  } catch {
    return null
  }
}

export function signIn(key: string): void {
  sessionStorage.setItem(PLACE, key)
  session.value = { state: 'in', key, demo: false }
}

export function signOut(reason: string | null): void {
  sessionStorage.removeItem(PLACE)
  session.value = { state: 'out', reason }
}

/** The server does not know our key. A demo that was started anew has another one. */
export async function refused(key: string): Promise<void> {
  const now = session.value
  if (now.state !== 'in' || now.key !== key) return
  const fresh = now.demo ? await visitorKey() : null
  if (fresh && fresh !== key) session.value = { state: 'in', key: fresh, demo: true }
  else signOut('The server does not accept this key (any more).')
}
