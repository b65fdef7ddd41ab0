/** What waits for a person: why, and what may be done about it, by hand or by key. */

import { useEffect, useState } from 'preact/hooks'
import { ask, current, follow, type Live, now } from './api'
import { clock, count, exact, money, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Ask, Badge, Due, Empty, Failure, NoPermission, Skeleton } from './parts'
import { filter, go, place } from './route'
import { actorName, may, viewer, waiting } from './shell'
import { done, failed } from './toasts'

const QUEUE = graphql(`
  subscription Queue($where: ExceptionWhere, $after: String) {
    exceptionQueue(where: $where, after: $after) {
      kind cursor seq occurredAt exceptionId
      exception {
        id code severity blocking status queue owner summary openedAt dueAt snoozedUntil details
        suggestedActions { action enabled disabledReason }
        order {
          id number stage customerName total { amount currency } paymentStatus fulfillmentStatus dispatchBy
          lines { sku title quantity }
        }
      }
    }
  }
`)
type Waiting = NonNullable<ResultOf<typeof QUEUE>['exceptionQueue']['exception']>

const TAKE = graphql(`mutation Take($id: ID!, $key: String) { exceptionTake(input: { id: $id, idempotencyKey: $key }) { exception { id owner } userErrors { code message } } }`)
const SNOOZE = graphql(`mutation Snooze($id: ID!, $until: DateTime, $key: String) { exceptionSnooze(input: { id: $id, until: $until, idempotencyKey: $key }) { exception { id } userErrors { code message } } }`)
const RESOLVE = graphql(`mutation Resolve($id: ID!, $text: String!, $key: String) { exceptionResolve(input: { id: $id, resolution: $text, idempotencyKey: $key }) { order { id } userErrors { code message } } }`)
const REOPEN = graphql(`mutation Reopen($id: ID!, $key: String) { exceptionReopen(input: { id: $id, reason: "settled by mistake", idempotencyKey: $key }) { exception { id } userErrors { code message } } }`)
const ADDRESS = graphql(`mutation AcceptAddress($id: ID!, $key: String) { exceptionAcceptAddress(input: { id: $id, idempotencyKey: $key }) { exception { id } userErrors { code message } } }`)
const REPRICE = graphql(`mutation Reprice($id: ID!, $key: String) { exceptionReprice(input: { id: $id, idempotencyKey: $key }) { exception { id } userErrors { code message } } }`)
const THEIRS = graphql(`mutation AcceptTheirs($id: ID!, $key: String) { exceptionAcceptTheirs(input: { id: $id, idempotencyKey: $key }) { exception { id } userErrors { code message } } }`)
const SPLIT = graphql(`mutation SplitOff($id: ID!, $key: String) { exceptionSplitOff(input: { id: $id, idempotencyKey: $key }) { exception { id } userErrors { code message } } }`)
const VOID = graphql(`mutation RetryVoid($id: ID!, $key: String) { orderRetryVoid(input: { id: $id, idempotencyKey: $key }) { order { id } userErrors { code message } } }`)
const CAPTURE = graphql(`mutation Capture($id: ID!, $key: String) { paymentCapture(input: { id: $id, idempotencyKey: $key }) { order { id } userErrors { code message } } }`)
const REAUTHORIZE = graphql(`mutation Reauthorize($id: ID!, $key: String) { paymentReauthorize(input: { id: $id, idempotencyKey: $key }) { order { id } userErrors { code message } } }`)
const REFUND = graphql(`mutation RetryRefund($id: ID!, $key: String) { orderRetryRefund(input: { id: $id, idempotencyKey: $key }) { order { id } userErrors { code message } } }`)
const CANCEL = graphql(`mutation CancelFor($id: ID!, $text: String!, $key: String) { orderCancel(input: { id: $id, reason: $text, idempotencyKey: $key }) { order { id } userErrors { code message } } }`)

interface Payload {
  userErrors: { code: string; message: string }[]
}

const LABELS: Record<string, string> = {
  OVERRIDE: 'Let it pass',
  ACCEPT_ADDRESS: 'Take the suggested address',
  REPRICE: 'Take our price',
  ACCEPT_THEIRS: "Take the channel's figure",
  EDIT: 'Edit the order',
  SPLIT_OFF: 'Split off what is missing',
  RETRY_PAYMENT: 'Ask for another card',
  RETRY_VOID: 'Ask to void again',
  RETRY_CAPTURE: 'Capture again',
  REAUTHORIZE: 'Authorise again',
  RETRY_REFUND: 'Give back again',
  CANCEL: 'Cancel the order',
}

/** What needs more than a button can give: the order's page says how. */
const ELSEWHERE = ['EDIT', 'RETRY_PAYMENT']

/** A value as a person reads it: of a reason its message, of an address its lines. */
function said(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  if ('message' in value) return String(value.message)
  return Object.entries(value)
    .filter(([, part]) => part !== null && part !== '')
    .map(([name, part]) => `${words(name)}: ${typeof part === 'object' ? JSON.stringify(part) : String(part)}`)
    .join('\n')
}

/** The facts that a check or a rule saw, flat. */
function facts(details: unknown): [string, string][] {
  if (typeof details !== 'object' || details === null) return []
  return Object.entries(details).flatMap(([name, value]): [string, string][] => {
    if (value === null || value === '') return []
    if (name === 'facts') return facts(value)
    if (['rule', 'version'].includes(name)) return []
    const text = Array.isArray(value) ? value.map(said).join('\n') : said(value)
    return [[words(name), text]]
  })
}

export function Exceptions() {
  const [live, setLive] = useState<Live<Waiting>>({ rows: [], state: 'loading', message: '', changed: new Set() })
  const [round, setRound] = useState(0)
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set())
  const [busy, setBusy] = useState('')
  const [asking, setAsking] = useState<{ it: Waiting; action: string } | null>(null)
  const [undo, setUndo] = useState<(() => void) | null>(null)
  useEffect(
    () =>
      follow(
        QUEUE,
        { where: { status: { in: ['OPEN', 'ASSIGNED'] }, snoozed: false } },
        ({ exceptionQueue: it }) => ({ ...it, id: it.exceptionId, value: it.exception }),
        (next) => {
          waiting.value = next.rows.length
          setLive(next)
        },
      ),
    [round],
  )
  const query = place.value.query
  const mine = query.get('mine') === '1'
  const rows = live.rows
    .filter((row) => !hidden.has(row.id) && (!mine || row.owner === viewer.value?.actor))
    .sort((one, other) => one.code.localeCompare(other.code) || one.dueAt.localeCompare(other.dueAt) || one.id.localeCompare(other.id))
  const chosen = query.get('id')
  const at = Math.max(0, rows.findIndex((row) => row.id === chosen))
  const it = rows[at]
  const choose = (row: Waiting | undefined) => {
    if (!row) return
    filter({ id: row.id })
    requestAnimationFrame(() => document.getElementById(row.id)?.focus())
  }
  const step = (by: number) => choose(rows[Math.min(rows.length - 1, Math.max(0, at + by))])

  /** Runs a mutation; what is refused comes back in place, with the server's words. */
  const run = async (row: Waiting, words: string, call: (key: string) => Promise<Payload>, leaves = true) => {
    if (!current()) return failed('The link to the server is not live; nothing was sent.')
    const next = rows[at + 1] ?? rows[at - 1]
    if (leaves) {
      setHidden((before) => new Set(before).add(row.id))
      choose(next)
    }
    setBusy(row.id)
    const back = () => {
      setHidden((before) => new Set([...before].filter((id) => id !== row.id)))
      if (leaves) choose(row)
    }
    try {
      const { userErrors } = await call(crypto.randomUUID())
      const refusal = userErrors[0]
      if (refusal) {
        back()
        failed(`${row.order?.number ?? ''}: ${refusal.message}`)
      } else if (leaves) {
        const reopen = () => {
          setUndo(null)
          ask(REOPEN, { id: row.id, key: crypto.randomUUID() }).then(({ exceptionReopen }) => {
            if (exceptionReopen.userErrors[0]) failed(exceptionReopen.userErrors[0].message)
            else {
              back()
              done('Opened again')
            }
          }, failed)
        }
        const reversible = words === LABELS.OVERRIDE
        done(`${row.order?.number ?? ''}: ${words.toLowerCase()}`, reversible ? reopen : undefined)
        setUndo(reversible ? () => reopen : null)
      } else done(words)
    } catch (error) {
      back()
      failed(error)
    } finally {
      setBusy('')
    }
  }
  const perform = (row: Waiting | undefined, action: string | undefined) => {
    const offered = row?.suggestedActions.find((one) => one.action === action)
    if (!row || !offered) return
    if (!offered.enabled) return failed(offered.disabledReason ?? 'Not now')
    const order = row.order?.id ?? ''
    const say = LABELS[offered.action] ?? words(offered.action)
    if (ELSEWHERE.includes(offered.action)) return go(`/orders/${row.order?.number}`)
    switch (offered.action) {
      case 'OVERRIDE':
      case 'CANCEL':
        return setAsking({ it: row, action: offered.action })
      case 'ACCEPT_ADDRESS':
        return void run(row, say, async (key) => (await ask(ADDRESS, { id: row.id, key })).exceptionAcceptAddress)
      case 'REPRICE':
        return void run(row, say, async (key) => (await ask(REPRICE, { id: row.id, key })).exceptionReprice)
      case 'ACCEPT_THEIRS':
        return void run(row, say, async (key) => (await ask(THEIRS, { id: row.id, key })).exceptionAcceptTheirs)
      case 'SPLIT_OFF':
        return void run(row, say, async (key) => (await ask(SPLIT, { id: row.id, key })).exceptionSplitOff)
      // Money is never shown as done before the server says so: these stay in the list.
      case 'RETRY_VOID':
        return void run(row, say, async (key) => (await ask(VOID, { id: order, key })).orderRetryVoid, false)
      case 'RETRY_CAPTURE':
        return void run(row, say, async (key) => (await ask(CAPTURE, { id: order, key })).paymentCapture, false)
      case 'REAUTHORIZE':
        return void run(row, say, async (key) => (await ask(REAUTHORIZE, { id: order, key })).paymentReauthorize, false)
      case 'RETRY_REFUND':
        return void run(row, say, async (key) => (await ask(REFUND, { id: order, key })).orderRetryRefund, false)
    }
  }
  const take = () => it && void run(it, 'It is yours', async (key) => (await ask(TAKE, { id: it.id, key })).exceptionTake, false)
  const snooze = () => {
    if (!it) return
    const until = new Date(now.value + 3_600_000)
    void run(it, `Snoozed until ${clock(until.getTime())}`, async (key) => (await ask(SNOOZE, { id: it.id, until: until.toISOString(), key })).exceptionSnooze)
  }
  const allowed = may('ORDERS_MANAGE')
  useKeys('Exceptions', {
    j: () => step(1),
    k: () => step(-1),
    Enter: () => it?.order && go(`/orders/${it.order.number}`),
    a: () => allowed && perform(it, it?.suggestedActions.find((one) => one.enabled)?.action),
    '1-9': (_, key) => allowed && perform(it, it?.suggestedActions[Number(key) - 1]?.action),
    m: () => allowed && take(),
    s: () => allowed && snooze(),
    z: () => undo?.(),
  })
  if (!may('ORDERS_READ')) return <NoPermission scope="ORDERS_READ" />
  if (live.state === 'failed') return <Failure message={live.message} retry={() => setRound(round + 1)} />
  if (live.state === 'loading') return <Skeleton />
  const kinds = [...new Set(rows.map((row) => row.code))]
  const why = !allowed ? 'Your key does not have the scope ORDERS_MANAGE' : !current() ? 'The link to the server is not live' : ''
  return (
    <>
      <div class="searchbar">
        <h1>Exceptions</h1>
        <div class="views">
          <a href="/exceptions" aria-current={mine ? undefined : 'true'}>All</a>
          <a href="/exceptions?mine=1" aria-current={mine ? 'true' : undefined}>Mine</a>
        </div>
      </div>
      {!it ? (
        mine && live.rows.length > 0 ? (
          <Empty title="None of them is yours">
            <button type="button" onClick={() => filter({ mine: null })}>Show all {live.rows.length}</button>
          </Empty>
        ) : (
          <Empty title="Nothing needs a person">
            <p>What a check or a rule stops appears here by itself.</p>
          </Empty>
        )
      ) : (
        <div class="queue">
          <div class="list">
            {kinds.map((kind) => {
              const of = rows.filter((row) => row.code === kind)
              return (
                <section key={kind} aria-label={words(kind)}>
                  <h2>{words(kind)} <span class="pill">{of.length}</span></h2>
                  <ul>
                    {of.map((row) => (
                      <li key={row.id}>
                        <button type="button" id={row.id} data-exception aria-current={row === it ? 'true' : undefined} onClick={() => choose(row)}>
                          <span class="row">
                            <b>{row.order?.number}</b>
                            <span class="row">
                              {row.owner && <span class="badge">{actorName(row.owner)}</span>}
                              <Due at={row.dueAt} />
                            </span>
                          </span>
                          <span class="what">{row.summary}</span>
                        </button>
                      </li>
                    ))}
                  </ul>
                </section>
              )
            })}
          </div>
          <article class="pane" aria-label="The chosen exception">
            <div class="row">
              <h2>{it.summary.charAt(0).toUpperCase() + it.summary.slice(1)}</h2>
            </div>
            <div class="row">
              <Badge name={it.severity} tone={it.severity === 'HIGH' || it.severity === 'CRITICAL' ? 'late' : it.severity === 'MEDIUM' ? 'soon' : ''} />
              {it.blocking ? <Badge name="STOPS_THE_ORDER" /> : <Badge name="DOES_NOT_STOP_IT" />}
              <span class="muted">queue {it.queue}, since {exact(it.openedAt)}</span>
            </div>
            {it.owner && it.owner !== viewer.value?.actor && <p class="due soon" role="status">Taken by {actorName(it.owner)}</p>}
            <div class="actions">
              {it.suggestedActions.map((one, index) => (
                <button
                  key={one.action}
                  type="button"
                  class={index === 0 ? 'primary' : ''}
                  disabled={!one.enabled || !!why || busy === it.id}
                  title={why || (one.disabledReason ?? '')}
                  onClick={() => perform(it, one.action)}
                >
                  {busy === it.id && index === 0 ? 'In progress…' : (LABELS[one.action] ?? words(one.action))} <kbd>{index + 1}</kbd>
                </button>
              ))}
              <button type="button" disabled={!!why || it.owner === viewer.value?.actor} title={why} onClick={take}>Take it <kbd>M</kbd></button>
              <button type="button" disabled={!!why} title={why} onClick={snooze}>Snooze 1 h <kbd>S</kbd></button>
            </div>
            {why && <p class="muted">{why}.</p>}
            <h3>Why it was flagged</h3>
            <dl class="facts">
              {facts(it.details).map(([name, value]) => (
                <>
                  <dt>{name}</dt>
                  <dd class="fact">{value}</dd>
                </>
              ))}
            </dl>
            {it.order && (
              <>
                <h3>The order</h3>
                <dl class="facts">
                  <dt>Number</dt>
                  <dd><p><a href={`/orders/${it.order.number}`}>{it.order.number}</a></p></dd>
                  <dt>Customer</dt>
                  <dd>{it.order.customerName ?? '–'}</dd>
                  <dt>Total</dt>
                  <dd>{money(it.order.total)}</dd>
                  <dt>State</dt>
                  <dd class="row"><Badge name={it.order.stage} /> <Badge name={it.order.paymentStatus} /></dd>
                  <dt>Lines</dt>
                  <dd>{it.order.lines.map((line) => `${line.quantity} × ${line.sku}`).join(', ') || count(0, 'line')}</dd>
                </dl>
              </>
            )}
          </article>
        </div>
      )}
      {asking && (
        <Ask
          title={`${LABELS[asking.action]}: ${asking.it.order?.number ?? ''}`}
          detail={asking.action === 'CANCEL' ? 'The order ends, and what it holds goes back.' : asking.it.summary}
          field={asking.action === 'CANCEL' ? 'Why is it cancelled?' : 'Why is that right?'}
          initial={asking.action === 'CANCEL' ? '' : 'checked, it is right as it is'}
          go={LABELS[asking.action] ?? 'Go on'}
          close={() => setAsking(null)}
          run={(text) => {
            const row = asking.it
            if (asking.action === 'CANCEL')
              void run(row, 'Cancelled', async (key) => (await ask(CANCEL, { id: row.order?.id ?? '', text, key })).orderCancel)
            else void run(row, LABELS.OVERRIDE!, async (key) => (await ask(RESOLVE, { id: row.id, text, key })).exceptionResolve)
          }}
        />
      )}
    </>
  )
}
