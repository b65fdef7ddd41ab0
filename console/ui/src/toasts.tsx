/** What became of what somebody did; nothing else is announced. */

import { signal } from '@preact/signals'
import { Refused } from './api'

interface Toast {
  id: number
  tone: 'done' | 'failed'
  text: string
  undo: (() => void) | undefined
}

const toasts = signal<Toast[]>([])
let last = 0

/** Says that something was done; it goes by itself, after the time that there is to undo it. */
export function done(text: string, undo?: () => void): void {
  const id = put('done', text, undo)
  setTimeout(() => dismiss(id), undo ? 8000 : 4000)
}

/** Says that something was refused; it stays until somebody has read it. */
export function failed(error: unknown): void {
  const text = error instanceof Refused || error instanceof Error ? error.message : String(error)
  put('failed', text.charAt(0).toUpperCase() + text.slice(1), undefined)
}

function put(tone: Toast['tone'], text: string, undo: Toast['undo']): number {
  last += 1
  toasts.value = [...toasts.value.slice(-3), { id: last, tone, text, undo }]
  return last
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export function Toasts() {
  return (
    <div class="toasts" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.tone}`} role={toast.tone === 'failed' ? 'alert' : 'status'}>
          <span aria-hidden="true">{toast.tone === 'failed' ? '✕' : '✓'}</span>
          <p>{toast.text}</p>
          {toast.undo && (
            <button
              type="button"
              class="link"
              onClick={() => {
                toast.undo?.()
                dismiss(toast.id)
              }}
            >
              Undo <kbd>Z</kbd>
            </button>
          )}
          <button type="button" class="icon" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  )
}
