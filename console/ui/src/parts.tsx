/** What several screens are made of. */

import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { link, now } from './api'
import { brief, due, exact, span, urgency, words } from './format'
import { useKeys } from './keys'

/** A list that is on its way: nothing for a moment, then its outline. */
export function Skeleton({ rows = 8 }: { rows?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} />
      ))}
    </div>
  )
}

/** Nothing is there: what is missing, why, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

/** It could not be read: what was said, and another try. */
export function Failure({ message, retry }: { message: string; retry: () => void }) {
  return (
    <div class="empty" role="alert">
      <h2>This could not be read</h2>
      <p>{message}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  )
}

/** Who looks may not see this. */
export function NoPermission({ scope }: { scope: string }) {
  return (
    <Empty title="Your key does not show this">
      <p>
        It needs the scope <code>{scope}</code>. Whoever manages keys can make one that has it.
      </p>
    </Empty>
  )
}

const FULL: Record<string, string> = {
  PAID: '●', REFUNDED: '●', FULFILLED: '●', COMPLETED: '●', DELIVERED: '●', DISPATCHED: '●', SHIPPED: '●',
  AUTHORIZED: '◐', PARTIALLY_PAID: '◐', IN_PROGRESS: '◐', PARTIALLY_FULFILLED: '◐', PICKING: '◐',
  PACKING: '◐', PARTIALLY_REFUNDED: '◐', PICKED: '◐', PACKED: '◕', LABELED: '◕', READY: '◕',
  ON_HOLD: '‖', UNKNOWN: '?', VOIDED: '⊘', CANCELLED: '⊘', EXPIRED: '⊘', REJECTED: '⊘', DECLINED: '✕',
}

/** One word with a glyph, so that colour is never alone. */
export function Badge({ name, tone }: { name: string; tone?: string }) {
  return (
    <span class={`badge ${tone ?? ''}`}>
      <span aria-hidden="true">{FULL[name] ?? '○'}</span> {words(name)}
    </span>
  )
}

/** A deadline that goes on by itself. */
export function Due({ at, open = true, narrow = false }: { at: string | null | undefined; open?: boolean; narrow?: boolean }) {
  if (!at) return <span class="muted">–</span>
  if (!open) return <time dateTime={at}>{exact(at)}</time>
  const state = link.value === 'live' ? urgency(at, now.value) : 'calm'
  return (
    <time dateTime={at} title={exact(at)} class={`due ${state}`}>
      {state !== 'calm' && <span aria-hidden="true">{state === 'late' ? '▲' : '△'} </span>}
      {due(at, now.value, narrow ? brief : span)}
    </time>
  )
}

/** How long ago. */
export function Age({ at }: { at: string }) {
  return (
    <time dateTime={at} title={exact(at)}>
      {span(now.value - Date.parse(at))}
    </time>
  )
}

/** A box over everything that gives the focus back when it goes. */
export function Dialog({
  label,
  close,
  children,
}: {
  label: string
  close: () => void
  children: ComponentChildren
}) {
  const box = useRef<HTMLDialogElement>(null)
  useKeys('Everywhere', { Escape: close }, true)
  useEffect(() => {
    const before = document.activeElement
    const shown = box.current
    shown?.showModal()
    box.current?.querySelector<HTMLElement>('[data-first]')?.focus()
    return () => {
      // Nothing behind a dialog can have the focus before it is closed.
      shown?.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={box}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault()
        close()
      }}
      onClick={(event) => {
        if (event.target === box.current) close()
      }}
    >
      {children}
    </dialog>
  )
}

/** Asks for a reason before something that cannot be taken back. */
export function Ask({
  title,
  detail,
  field,
  initial = '',
  go,
  run,
  close,
}: {
  title: string
  detail?: string
  field: string
  initial?: string
  go: string
  run: (text: string) => void
  close: () => void
}) {
  const [text, setText] = useState(initial)
  const send = () => {
    if (!text.trim()) return
    close()
    run(text.trim())
  }
  return (
    <Dialog label={title} close={close}>
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault()
          send()
        }}
      >
        <h2>{title}</h2>
        {detail && <p class="muted">{detail}</p>}
        <label>
          {field}
          <textarea
            data-first
            rows={3}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send()
            }}
          />
        </label>
        <div class="row end">
          <button type="button" onClick={close}>
            Not now
          </button>
          <button type="submit" class="primary" disabled={!text.trim()}>
            {go} <kbd>Ctrl ↵</kbd>
          </button>
        </div>
      </form>
    </Dialog>
  )
}

/** Runs something when a value changes, and again when it is asked to. */
export function useLoad<T>(
  load: () => Promise<T>,
  inputs: readonly unknown[],
): { data: T | null; error: string | null; loading: boolean; again: () => void } {
  const [state, setState] = useState<{ data: T | null; error: string | null; loading: boolean }>({
    data: null,
    error: null,
    loading: true,
  })
  const [round, setRound] = useState(0)
  useEffect(() => {
    let over = false
    setState((before) => ({ ...before, loading: true }))
    load().then(
      (data) => !over && setState({ data, error: null, loading: false }),
      (error: Error) => !over && setState((before) => ({ data: before.data, error: error.message, loading: false })),
    )
    return () => {
      over = true
    }
  }, [...inputs, round])
  return { ...state, again: () => setRound((before) => before + 1) }
}
