/** The board: where every open order stands, late ones first, as it happens. */

import { useEffect, useState } from 'preact/hooks'
import { follow, type Live, now } from './api'
import { brief, count, money, urgency, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Due, Empty, Failure, NoPermission, Skeleton } from './parts'
import { filter, go, place } from './route'
import { may, stages, waiting } from './shell'

const BOARD = graphql(`
  subscription Board($where: OrderWhere, $after: String) {
    orderUpdates(where: $where, after: $after) {
      kind cursor seq occurredAt orderId
      order {
        id number version stage stageSince dispatchBy paymentStatus customerName serviceLevel
        total { amount currency }
        holds { reason releasedAt }
        exceptions { code status }
      }
    }
  }
`)

type Card = NonNullable<ResultOf<typeof BOARD>['orderUpdates']['order']>

/** What the board shows: everything between the door in and the door out. */
const SHOWN = ['VALIDATING', 'ON_HOLD', 'BACKORDERED', 'STAGED', 'PICKING', 'PACKING', 'READY', 'SHIPPED'] as const
const MOST = 50

/** Late first, then what is due first. */
function order(one: Card, other: Card): number {
  return (one.dispatchBy ?? '9').localeCompare(other.dispatchBy ?? '9') || one.number.localeCompare(other.number)
}

function OrderCard({ card, fresh, leaves }: { card: Card; fresh: boolean; leaves: boolean }) {
  const holds = card.holds.filter((hold) => !hold.releasedAt)
  const open = card.exceptions.filter((it) => it.status === 'OPEN' || it.status === 'ASSIGNED')
  const why = [...holds.map((hold) => hold.reason), ...open.map((it) => words(it.code))]
  const state = leaves ? urgency(card.dispatchBy, now.value) : 'calm'
  return (
    <a href={`/orders/${card.number}`} class={`card ${state} ${fresh ? 'fresh' : ''}`} data-card={card.number}>
      <span class="row">
        <b>{card.number}</b>
        <span class="amount">{money(card.total)}</span>
      </span>
      <span class="row">
        <span class="who">{card.customerName ?? words(card.serviceLevel)}</span>
        {leaves && card.dispatchBy ? <Due at={card.dispatchBy} narrow /> : <span class="muted">for {brief(now.value - Date.parse(card.stageSince))}</span>}
      </span>
      {why.length > 0 && <span class="why">‖ {why[0]}{why.length > 1 && ` +${why.length - 1}`}</span>}
    </a>
  )
}

function Tile({ name, value, tone, href }: { name: string; value: number; tone?: string; href: string }) {
  return (
    <a class={`tile ${value > 0 ? (tone ?? '') : ''}`} href={href}>
      <b>{value}</b>
      <span>{name}</span>
    </a>
  )
}

export function Board() {
  const [live, setLive] = useState<Live<Card>>({ rows: [], state: 'loading', message: '', changed: new Set() })
  const [round, setRound] = useState(0)
  useEffect(() => {
    const since = new Date(Date.now() - 86_400_000)
    const where = {
      or: [
        { stage: { in: SHOWN.filter((stage) => stage !== 'SHIPPED') } },
        { stage: { eq: 'SHIPPED' }, updatedAt: { range: { gte: since.toISOString() } } },
      ],
    }
    return follow(BOARD, { where }, ({ orderUpdates: it }) => ({ ...it, id: it.orderId, value: it.order }), setLive)
  }, [round])
  const query = place.value.query
  const only = query.get('due')
  const kiosk = query.get('kiosk') === '1'
  const chosen = query.get('stage') ?? 'STAGED'
  const move = (columns: number, rows: number) => {
    const all = [...document.querySelectorAll<HTMLElement>('.column')].map((column) => [
      ...column.querySelectorAll<HTMLElement>('.card'),
    ])
    const filled = all.filter((cards) => cards.length > 0)
    const at = filled.findIndex((cards) => cards.includes(document.activeElement as HTMLElement))
    if (at < 0) return filled[0]?.[0]?.focus()
    const row = filled[at]!.indexOf(document.activeElement as HTMLElement)
    const column = filled[Math.min(filled.length - 1, Math.max(0, at + columns))]!
    column[Math.min(column.length - 1, Math.max(0, row + rows))]?.focus()
  }
  useKeys('Board', {
    h: () => move(-1, 0),
    l: () => move(1, 0),
    j: () => move(0, 1),
    k: () => move(0, -1),
    Enter: () => (document.activeElement as HTMLElement | null)?.click(),
    f: () => filter({ kiosk: kiosk ? null : '1' }),
  })
  if (!may('ORDERS_READ')) return <NoPermission scope="ORDERS_READ" />
  if (live.state === 'failed') return <Failure message={live.message} retry={() => setRound(round + 1)} />
  const leaving = live.rows.filter((card) => card.stage !== 'SHIPPED')
  const late = leaving.filter((card) => urgency(card.dispatchBy, now.value) === 'late')
  const soon = leaving.filter((card) => urgency(card.dispatchBy, now.value) === 'soon')
  const shown = only === 'late' ? late : only === 'soon' ? soon : live.rows
  const said = (stage: string) => stages.value?.stages.find((it) => it.stage === stage)
  return (
    <div class="board">
      <h1 class="quiet">Board</h1>
      <section class="tiles" aria-label="Figures">
        <Tile name="open" value={leaving.length} href="/" />
        <Tile name="late" value={late.length} tone="late" href="/?due=late" />
        <Tile name="due in 2 h" value={soon.length} tone="soon" href="/?due=soon" />
        <Tile name="exceptions" value={waiting.value} tone="soon" href="/exceptions" />
        <Tile name="shipped, 24 h" value={live.rows.length - leaving.length} href="/?stage=SHIPPED" />
        {only && (
          <p class="filtered">
            Only what is {only === 'late' ? 'late' : 'due within two hours'}.{' '}
            <button type="button" class="link" onClick={() => filter({ due: null })}>Clear the filter</button>
          </p>
        )}
      </section>
      {live.state === 'loading' ? (
        <Skeleton rows={10} />
      ) : live.rows.length === 0 ? (
        <Empty title="No orders yet">
          <p>Orders come over the API, from files, or from a storefront. To see some come in:</p>
          <pre>OMS_KEY=… oms simulate --rate 2 --minutes 1</pre>
        </Empty>
      ) : shown.length === 0 ? (
        <Empty title={only === 'late' ? 'Nothing is late' : 'Nothing is due within two hours'}>
          <button type="button" onClick={() => filter({ due: null })}>Show all {count(live.rows.length, 'order')}</button>
        </Empty>
      ) : (
        <>
          <label class="picker">
            Stage{' '}
            <select value={chosen} onChange={(event) => filter({ stage: event.currentTarget.value })}>
              {SHOWN.map((stage) => (
                <option key={stage} value={stage}>
                  {words(stage)} ({shown.filter((card) => card.stage === stage).length})
                </option>
              ))}
            </select>
          </label>
          <div class="columns">
            {SHOWN.map((stage) => {
              const cards = shown.filter((card) => card.stage === stage).sort(order)
              const risk = said(stage)?.slaAtRisk ?? 0
              return (
                <section key={stage} class={`column ${stage === chosen ? 'chosen' : ''}`} aria-label={words(stage)}>
                  <h2>
                    {stage === 'SHIPPED' ? 'Shipped, 24 h' : words(stage)} <span class="pill">{cards.length}</span>
                    {risk > 0 && <span class="risk" title={`${risk} late or soon to be`}>△ {risk}</span>}
                  </h2>
                  {cards.slice(0, MOST).map((card) => (
                    <OrderCard key={card.id} card={card} fresh={live.changed.has(card.id)} leaves={stage !== 'SHIPPED'} />
                  ))}
                  {cards.length > MOST && (
                    <button type="button" class="link" onClick={() => go(`/orders?q=${encodeURIComponent(`stage:${stage.toLowerCase()}`)}`)}>
                      {cards.length - MOST} more
                    </button>
                  )}
                </section>
              )
            })}
          </div>
        </>
      )}
    </div>
  )
}
