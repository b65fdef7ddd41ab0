/**
 * Every key of the console, once: what is handled is what the help shows.
 *
 * A barcode scanner types like a person, so a key that changes something waits for a moment of
 * silence: a scan is longer than one letter.
 */

import { useEffect, useRef } from 'preact/hooks'

export type Scope = 'Everywhere' | 'Lists' | 'Board' | 'Exceptions' | 'Order' | 'Stock' | 'Reports' | 'Settings' | 'System' | 'Pick and pack'

export interface Key {
  scope: Scope
  /** As KeyboardEvent.key has it; `g b` is one after the other. */
  key: string
  does: string
  /** Whether it changes something at the server, or begins to. */
  changes?: boolean
  /** Whether it only moves about, so that a list of commands has no use for it. */
  moves?: boolean
}

export const KEYS: readonly Key[] = [
  { scope: 'Everywhere', key: 'g b', does: 'Go to the board' },
  { scope: 'Everywhere', key: 'g e', does: 'Go to the exceptions' },
  { scope: 'Everywhere', key: 'g o', does: 'Go to the orders' },
  { scope: 'Everywhere', key: 'g s', does: 'Go to the stock' },
  { scope: 'Everywhere', key: 'g w', does: 'Go to what waits for stock' },
  { scope: 'Everywhere', key: 'g p', does: 'Go to pick and pack' },
  { scope: 'Everywhere', key: 'g k', does: 'Go to the reports' },
  { scope: 'Everywhere', key: 'g ,', does: 'Go to the settings' },
  { scope: 'Everywhere', key: 'g y', does: 'Go to the system' },
  { scope: 'Everywhere', key: 'mod+k', does: 'Do or find anything', moves: true },
  { scope: 'Everywhere', key: '/', does: 'Search: this screen, or all orders', moves: true },
  { scope: 'Everywhere', key: '?', does: 'Show these keys' },
  { scope: 'Everywhere', key: 't', does: 'Change between light and dark' },
  { scope: 'Everywhere', key: 'Escape', does: 'Close, or go back', moves: true },
  { scope: 'Lists', key: 'j', does: 'Next', moves: true },
  { scope: 'Lists', key: 'k', does: 'Previous', moves: true },
  { scope: 'Lists', key: 'Enter', does: 'Open', moves: true },
  { scope: 'Board', key: 'h', does: 'Column to the left', moves: true },
  { scope: 'Board', key: 'l', does: 'Column to the right', moves: true },
  { scope: 'Board', key: 'f', does: 'Wall screen on or off' },
  { scope: 'Exceptions', key: 'a', does: 'Do the first suggestion', changes: true },
  { scope: 'Exceptions', key: '1-9', does: 'Do the suggestion of that number', changes: true, moves: true },
  { scope: 'Exceptions', key: 'm', does: 'Take it: mine', changes: true },
  { scope: 'Exceptions', key: 's', does: 'Snooze for an hour', changes: true },
  { scope: 'Exceptions', key: 'z', does: 'Undo the last settling', changes: true },
  { scope: 'Order', key: 'n', does: 'Write a note' },
  { scope: 'Stock', key: '1-9', does: 'Tab of that number', moves: true },
  { scope: 'Stock', key: 'c', does: 'Correct a count', changes: true },
  { scope: 'Reports', key: 'e', does: 'Make a file of the period', changes: true },
  { scope: 'Settings', key: 'x', does: 'Try the rule on the newest orders' },
  { scope: 'Pick and pack', key: 'F2', does: 'To the scan field', moves: true },
  { scope: 'Pick and pack', key: 'F4', does: 'Too few in this bin' },
  { scope: 'Pick and pack', key: 'F8', does: 'Back to all work' },
  { scope: 'Pick and pack', key: 'F9', does: 'Close the parcel' },
  { scope: 'System', key: 'v', does: 'Check the books' },
]

export type Handlers = Record<string, (event: KeyboardEvent, key: string) => void>

interface Layer {
  scope: Scope
  handlers: Handlers
  /** Nothing below it hears anything: a dialog. */
  closed: boolean
}

const layers: Layer[] = []
const QUIET = 150
let chord = ''
let chordTimer = 0
let pending = 0

const ALIAS: Record<string, string> = { ArrowDown: 'j', ArrowUp: 'k', ArrowLeft: 'h', ArrowRight: 'l' }

/** What was pressed, as the table writes it. */
function pressed(event: KeyboardEvent): string {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key
  return event.ctrlKey || event.metaKey ? `mod+${name}` : name
}

function typing(event: KeyboardEvent): boolean {
  const at = event.target as HTMLElement | null
  return !!at?.closest?.('input, textarea, select, [contenteditable]')
}

addEventListener('keydown', (event) => {
  // Whatever comes behind a letter says that it was no command.
  clearTimeout(pending)
  if (event.altKey || event.defaultPrevented) return
  const name = pressed(event)
  if (typing(event) && name !== 'Escape' && !/^(mod\+.|F\d)/.test(name)) return
  const joined = chord ? `${chord} ${name}` : name
  clearTimeout(chordTimer)
  chord = ''
  if (name === 'g' && joined === 'g') {
    chord = 'g'
    chordTimer = window.setTimeout(() => {
      chord = ''
    }, 1200)
    return
  }
  const tries = [joined, ALIAS[joined], /^[1-9]$/.test(joined) ? '1-9' : '']
  for (let place = layers.length - 1; place >= 0; place--) {
    const layer = layers[place]!
    const key = tries.find((it) => it && layer.handlers[it])
    if (key) {
      const on = event.target as HTMLElement | null
      // A button or a link that has the focus keeps its own Enter.
      if (key === 'Enter' && on?.closest('a, button, summary')) return
      event.preventDefault()
      const handler = layer.handlers[key]!
      if (KEYS.some((it) => it.key === key && it.scope === layer.scope && it.changes)) {
        pending = window.setTimeout(() => handler(event, joined), QUIET)
      } else handler(event, joined)
      return
    }
    if (layer.closed) return
  }
})

/** What can be done now, newest first: what is handled here, and what leads elsewhere. */
export function commands(): { key: Key; run: () => void }[] {
  return layers.toReversed().flatMap((layer) =>
    KEYS.filter((key) => key.scope === layer.scope && !key.moves && layer.handlers[key.key]).map((key) => ({
      key,
      run: () => layer.handlers[key.key]?.(new KeyboardEvent('keydown'), key.key),
    })),
  )
}

/** Handles keys for as long as the component is there. */
export function useKeys(scope: Scope, handlers: Handlers, closed = false): void {
  const latest = useRef(handlers)
  latest.current = handlers
  useEffect(() => {
    const layer: Layer = {
      scope,
      closed,
      handlers: Object.fromEntries(
        Object.keys(handlers).map((key) => [
          key,
          (event: KeyboardEvent, name: string) => latest.current[key]?.(event, name),
        ]),
      ),
    }
    layers.push(layer)
    return () => {
      layers.splice(layers.indexOf(layer), 1)
    }
  }, [scope, closed, Object.keys(handlers).join(' ')])
}
