/** Asking the server, and following it: requests by fetch, everything live over one socket. */

import { batch, signal } from '@preact/signals'
import { type Client, CloseCode, createClient } from 'graphql-ws'
import { Collection, type Item } from './collection'
import { type TadaDocumentNode, textOf } from './graphql'
import { refused, session } from './session'

/** How the socket stands. Stale: it is open, and silent for too long. */
export type Link = 'connecting' | 'live' | 'stale' | 'reconnecting' | 'offline'

/** The server says something every 15 seconds. */
const SILENCE = 25_000

export const link = signal<Link>('connecting')
/** When the server was last heard, by our clock. */
export const heardAt = signal(Date.now())
/** Our clock now, moved once a second, set to the server's. */
export const now = signal(Date.now())
let ahead = 0

/** Whether what is shown is what is. */
export const current = (): boolean => link.value === 'live'

function heard(occurredAt?: string | null): void {
  heardAt.value = Date.now()
  if (occurredAt) {
    const off = Date.parse(occurredAt) - Date.now()
    // What happened a while ago says nothing of the server's clock, but it cannot be ahead of it.
    if (off > ahead || ahead === 0) ahead = Math.abs(off) < 2000 ? 0 : off > 0 ? off : ahead
  }
  if (link.value === 'stale') link.value = 'live'
}

/** Takes the server's clock from what it says of this moment. */
export function setClock(at: string): void {
  const off = Date.parse(at) - Date.now()
  ahead = Math.abs(off) < 2000 ? 0 : off
}

setInterval(() => {
  now.value = Date.now() + ahead
  if (link.value === 'live' && Date.now() - heardAt.value > SILENCE) link.value = 'stale'
}, 1000)

/** What went wrong with a request, as words for people. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly requestId: string | null,
  ) {
    super(message)
  }
}

interface GraphQLAnswer<T> {
  data?: T | null
  errors?: { message: string; extensions?: { code?: string; requestId?: string } }[]
}

/** Runs a query or a mutation. A refusal in `userErrors` is data; everything else throws. */
export async function ask<R, V>(document: TadaDocumentNode<R, V>, variables?: V): Promise<R> {
  const who = session.value
  if (who.state !== 'in') throw new Refused('Sign in first.', 'UNAUTHENTICATED', null)
  let answer: Response
  try {
    answer = await fetch('/graphql', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json;q=0.9',
        authorization: `Bearer ${who.key}`,
      },
      body: JSON.stringify({ query: textOf(document), variables }),
    })
  } catch {
    throw new Refused('The server does not answer.', 'OFFLINE', null)
  }
  if (answer.status === 401) {
    void refused(who.key)
    throw new Refused('The key is not accepted.', 'UNAUTHENTICATED', null)
  }
  let body: GraphQLAnswer<R>
  try {
    body = (await answer.json()) as GraphQLAnswer<R>
  } catch {
    throw new Refused(`The server answered ${answer.status}.`, 'INTERNAL', null)
  }
  const fault = body.errors?.[0]
  if (fault && !(body.data && Object.values(body.data).some((value) => value !== null))) {
    throw new Refused(
      fault.message,
      fault.extensions?.code ?? 'INTERNAL',
      fault.extensions?.requestId ?? null,
    )
  }
  return body.data as R
}

let client: Client | null = null
let clientKey = ''

/** The one socket of the tab; another key gets another one. */
function socket(): Client {
  const who = session.value
  const key = who.state === 'in' ? who.key : ''
  if (client && clientKey === key) return client
  void client?.dispose()
  clientKey = key
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  const made = createClient({
    url: `${scheme}://${location.host}/graphql/ws`,
    connectionParams: () => ({ authorization: `Bearer ${key}` }),
    keepAlive: 10_000,
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: () => true,
    retryWait: (retries) => {
      const pause = Math.min(15_000, 500 * 2 ** retries) * (0.7 + Math.random() * 0.6)
      return new Promise((done) => {
        const timer = setTimeout(done, pause)
        wake = () => {
          clearTimeout(timer)
          done()
        }
      })
    },
  })
  made.on('connected', () => {
    link.value = 'live'
    heard()
  })
  made.on('pong', () => heard())
  made.on('message', () => heard())
  made.on('closed', (event) => {
    if (client !== made) return
    const code = (event as CloseEvent).code
    if (code === CloseCode.Forbidden || code === 4401) void refused(key)
    link.value = navigator.onLine ? 'reconnecting' : 'offline'
  })
  client = made
  return made
}

let wake: (() => void) | null = null

/** Tries again now, instead of in a while. */
export function reconnect(): void {
  wake?.()
  wake = null
}
addEventListener('online', reconnect)

/** Applies what came once a frame; a tab that nobody sees takes its time. */
function soon(work: () => void): void {
  if (document.hidden) setTimeout(work, 1000)
  else requestAnimationFrame(work)
}

/** A subscription that ends when it is let go. */
function subscribe(
  query: string,
  variables: Record<string, unknown>,
  next: (data: Record<string, unknown>) => void,
  failed: (message: string) => void,
): () => void {
  return socket().subscribe<Record<string, unknown>>(
    { query, variables },
    {
      next: (result) => {
        if (result.data) next(result.data)
        const fault = result.errors?.[0]
        if (fault) failed(fault.message)
      },
      error: (error) => {
        const first = Array.isArray(error) ? error[0] : error
        if (first instanceof CloseEvent) return
        failed(first instanceof Error ? first.message : String(first?.message ?? 'It failed.'))
      },
      complete: () => {},
    },
  )
}

/** A live list and what is known of it. */
export interface Live<T> {
  rows: T[]
  state: 'loading' | 'ready' | 'failed'
  message: string
  /** What changed last, to be tinted. */
  changed: ReadonlySet<string>
}

interface Update {
  kind: Item<never>['kind']
  cursor: string
  seq: number
  occurredAt?: string | null
}

/**
 * Follows a list for as long as it is looked at: a snapshot, then every change once. After a break
 * it goes on from its last cursor, so the variables are read anew at each try.
 */
export function follow<R, T>(
  document: TadaDocumentNode<R, never> | TadaDocumentNode<R, Record<string, unknown>>,
  variables: Record<string, unknown>,
  read: (result: R) => Update & { id: string | null; value: T | null },
  show: (live: Live<T>) => void,
): () => void {
  const collection = new Collection<T>()
  let cursor: string | null = null
  let waiting: Item<T>[] = []
  let planned = false
  let over = false
  const flush = () => {
    planned = false
    if (over) return
    const changed = collection.apply(waiting)
    waiting = []
    if (!collection.complete) return
    batch(() => show({ rows: collection.values(), state: 'ready', message: '', changed }))
  }
  const stop = subscribe(
    textOf(document),
    {
      ...variables,
      get after() {
        return collection.complete ? cursor : null
      },
    },
    (data) => {
      const update = read(data as R)
      cursor = update.cursor
      heard(update.occurredAt)
      if (update.kind === 'HEARTBEAT') return
      waiting.push(update)
      if (!planned) {
        planned = true
        soon(flush)
      }
    },
    (message) => show({ rows: [], state: 'failed', message, changed: new Set() }),
  )
  return () => {
    over = true
    stop()
  }
}

/** Follows one thing that is always told whole. */
export function watch<R>(
  document: TadaDocumentNode<R, never> | TadaDocumentNode<R, Record<string, unknown>>,
  show: (result: R) => void,
): () => void {
  return subscribe(
    textOf(document),
    {},
    (data) => {
      heard()
      show(data as R)
    },
    () => {},
  )
}
