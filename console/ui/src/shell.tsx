/** What is around every screen: where one can go, how the link stands, the keys. */

import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, heardAt, link, now, reconnect, setClock, watch } from './api'
import { clock, span } from './format'
import { graphql, type ResultOf } from './graphql'
import { KEYS, type Scope, useKeys } from './keys'
import { PAGES } from './pages'
import { Palette } from './palette'
import { Dialog } from './parts'
import { go, place } from './route'
import { session, signOut } from './session'
import { Toasts } from './toasts'

const VIEWER = graphql(`query Viewer { viewer { name actor role scopes } exceptionStats { openCount overdueCount } }`)
const KEY_NAMES = graphql(`query KeyNames { apiKeys(first: 250) { nodes { id name } } }`)
const STAGES = graphql(`
  subscription Stages { stageCounts { seq at stages { stage count slaAtRisk oldestSince } } }
`)

export type Viewer = ResultOf<typeof VIEWER>['viewer']
export type StageCounts = ResultOf<typeof STAGES>['stageCounts']

export const viewer = signal<Viewer | null>(null)
export const stages = signal<StageCounts | null>(null)
/** How many exceptions wait, as the exceptions screen or the last look had it. */
export const waiting = signal(0)
const names = signal<ReadonlyMap<string, string>>(new Map())

/** Whether who looks may do something; what is not known yet is not refused. */
export const may = (scope: string): boolean =>
  viewer.value === null || (viewer.value.scopes as string[]).includes(scope)

/** Who did something, as a person would say it. */
export function actorName(actor: string | null | undefined): string {
  if (!actor) return '–'
  if (actor === viewer.value?.actor) return 'You'
  const [kind, name] = actor.split(':', 2)
  if (kind === 'key' && name) return names.value.get(name) ?? `Key …${name.slice(-4)}`
  if (kind === 'worker' && name) return `OMS (${name})`
  return actor
}

type Theme = 'light' | 'dark'
const kept = localStorage.getItem('oms.theme')
const theme = signal<Theme>(
  kept === 'light' || kept === 'dark' ? kept : matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',
)
theme.subscribe((value) => {
  document.documentElement.dataset.theme = value
})

function changeTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  localStorage.setItem('oms.theme', theme.value)
}

function LinkBadge() {
  const state = link.value
  const age = span(Math.max(0, now.value - heardAt.value))
  const said = {
    live: 'Live',
    connecting: 'Connecting',
    stale: `Stale: silent for ${age}`,
    reconnecting: `Reconnecting, showing ${clock(heardAt.value)}`,
    offline: 'Offline',
  }[state]
  return (
    <span class={`link-badge ${state}`} role="status" title={`Last heard ${age} ago`}>
      <span aria-hidden="true">{state === 'live' ? '●' : state === 'connecting' ? '○' : '▲'}</span> {said}
      {(state === 'offline' || state === 'reconnecting') && (
        <button type="button" class="link" onClick={reconnect}>
          Try now
        </button>
      )}
    </span>
  )
}

function Help({ close }: { close: () => void }) {
  const scopes = [...new Set(KEYS.map((key) => key.scope))] as Scope[]
  return (
    <Dialog label="Keys" close={close}>
      <header class="row">
        <h2>Keys</h2>
        <button type="button" class="icon" data-first aria-label="Close" onClick={close}>
          ×
        </button>
      </header>
      <div class="keys">
        {scopes.map((scope) => (
          <section key={scope}>
            <h3>{scope}</h3>
            <dl>
              {KEYS.filter((key) => key.scope === scope).map((key) => (
                <div key={key.key}>
                  <dt>
                    {key.key.split(' ').map((part) => (
                      <kbd key={part}>{part === 'Escape' ? 'Esc' : part.replace('mod+', 'Ctrl ').toUpperCase()}</kbd>
                    ))}
                  </dt>
                  <dd>{key.does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  )
}

/** Where each letter behind `g` leads. */
const WAYS = Object.fromEntries(PAGES.map((page) => [`g ${page.key}`, () => go(page.path)]))

export function Shell({ children }: { children: ComponentChildren }) {
  const [help, setHelp] = useState(false)
  const [palette, setPalette] = useState(false)
  useEffect(() => {
    ask(VIEWER).then(
      (data) => {
        viewer.value = data.viewer
        waiting.value = data.exceptionStats.openCount
        if ((data.viewer.scopes as string[]).includes('KEYS_MANAGE')) {
          void ask(KEY_NAMES).then((keys) => {
            names.value = new Map(keys.apiKeys.nodes.map((key) => [atob(key.id).split(':')[1] ?? '', key.name]))
          })
        }
      },
      () => {},
    )
    return watch(STAGES, (data) => {
      setClock(data.stageCounts.at)
      stages.value = data.stageCounts
    })
  }, [])
  useKeys('Everywhere', {
    ...WAYS,
    'mod+k': () => setPalette(true),
    '/': () => {
      const field = document.getElementById('search')
      if (field) field.focus()
      else setPalette(true)
    },
    '?': () => setHelp(true),
    t: changeTheme,
    Escape: () => {
      const at = document.activeElement
      if (at instanceof HTMLElement && at.matches('input, textarea, select')) at.blur()
      else if (place.value.path.startsWith('/orders/')) history.back()
    },
  })
  const kiosk = place.value.query.get('kiosk') === '1'
  const who = session.value
  return (
    <div class={`shell ${kiosk ? 'kiosk' : ''} ${link.value === 'live' || link.value === 'connecting' ? '' : 'old'}`}>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault()
        document.getElementById('main')?.focus()
      }}>
        Skip to the content
      </a>
      <header class="top">
        <a href="/" class="name">OMS</a>
        <nav aria-label="Screens">
          {PAGES.map((page) => (
            <a
              key={page.path}
              href={page.path}
              aria-current={place.value.path === page.path ? 'page' : undefined}
            >
              {page.name}
              {page.path === '/exceptions' && waiting.value > 0 && <span class="pill">{waiting.value}</span>}
            </a>
          ))}
        </nav>
        <LinkBadge />
        <button type="button" class="finder" onClick={() => setPalette(true)}>
          Find <kbd>Ctrl K</kbd>
        </button>
        <button type="button" class="icon" onClick={changeTheme} aria-label={theme.value === 'dark' ? 'Light colours' : 'Dark colours'}>
          {theme.value === 'dark' ? '☀' : '☾'}
        </button>
        <button type="button" class="icon" aria-label="Keys" onClick={() => setHelp(true)}>
          ?
        </button>
        <span class="who" title={viewer.value?.role}>{viewer.value?.name}</span>
        <button type="button" class="link" onClick={() => signOut(null)}>
          {who.state === 'in' && who.demo ? 'Use a key' : 'Sign out'}
        </button>
      </header>
      <main id="main" tabIndex={-1}>{children}</main>
      {help && <Help close={() => setHelp(false)} />}
      {palette && <Palette close={() => setPalette(false)} />}
      <Toasts />
    </div>
  )
}
