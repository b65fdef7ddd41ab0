/** Who waits for stock: a queue for each SKU, oldest first, and what is on its way to it. */

import { useEffect, useState } from 'preact/hooks'
import { ask, follow, type Live, now } from './api'
import { count, exact, moment, span, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Empty, Failure, NoPermission, Skeleton, useLoad } from './parts'
import { filter, go, place } from './route'
import { may } from './shell'

const WAITING = graphql(`
  subscription Waiting($where: OrderWhere, $after: String) {
    orderUpdates(where: $where, after: $after) {
      kind cursor seq occurredAt orderId
      order {
        id number stage customerName serviceLevel
        lines { id sku title backordered }
        backorders { id lineId variantId position quantity status answer expectedAt createdAt }
      }
    }
  }
`)
const COMING = graphql(`
  query Coming($variants: [ID!]) {
    inboundSupplies(where: { variantId: { in: $variants }, status: { in: [EXPECTED, PARTLY_RECEIVED] } }, first: 250) {
      nodes { id quantity received expectedAt supplier reference warehouse { code } variant { id } }
    }
  }
`)
type Order = NonNullable<ResultOf<typeof WAITING>['orderUpdates']['order']>

/** An order can wait for stock while it is held for something else. */
const STAGES = ['VALIDATING', 'ON_HOLD', 'BACKORDERED'] as const

export function Backorders() {
  const [live, setLive] = useState<Live<Order>>({ rows: [], state: 'loading', message: '', changed: new Set() })
  const [round, setRound] = useState(0)
  const [at, setAt] = useState(0)
  useEffect(
    () => follow(WAITING, { where: { stage: { in: [...STAGES] } } }, ({ orderUpdates: it }) => ({ ...it, id: it.orderId, value: it.order }), setLive),
    [round],
  )
  const places = live.rows
    .flatMap((order) => order.backorders.filter((it) => it.status === 'WAITING').map((it) => ({ order, it, line: order.lines.find((line) => line.id === it.lineId) })))
    .sort((one, other) => one.it.position - other.it.position || one.it.createdAt.localeCompare(other.it.createdAt))
  const variants = [...new Set(places.map(({ it }) => it.variantId))].sort()
  const coming = useLoad(
    () => (variants.length > 0 && may('STOCK_READ') ? ask(COMING, { variants }) : Promise.resolve(null)),
    [variants.join(), Math.floor(now.value / 60_000)],
  )
  const text = place.value.query.get('q') ?? ''
  const queues = variants
    .map((variant) => {
      const waits = places.filter(({ it }) => it.variantId === variant)
      return { variant, waits, sku: waits[0]?.line?.sku ?? '', title: waits[0]?.line?.title ?? '', units: waits.reduce((sum, { it }) => sum + it.quantity, 0), since: waits.reduce((least, { it }) => (it.createdAt < least ? it.createdAt : least), waits[0]!.it.createdAt) }
    })
    .sort((one, other) => one.since.localeCompare(other.since))
  const shown = queues.filter((queue) => queue.sku.includes(text))
  const cards = shown.flatMap((queue) => queue.waits)
  useKeys('Lists', {
    j: () => setAt(Math.min(cards.length - 1, at + 1)),
    k: () => setAt(Math.max(0, at - 1)),
    Enter: () => cards[at] && go(`/orders/${cards[at].order.number}`),
  })
  useEffect(() => document.querySelector('tr[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }), [at])
  if (!may('ORDERS_READ')) return <NoPermission scope="ORDERS_READ" />
  if (live.state === 'failed') return <Failure message={live.message} retry={() => setRound(round + 1)} />
  if (live.state === 'loading') return <Skeleton />
  const supplies = (variant: string) => coming.data?.inboundSupplies.nodes.filter((it) => it.variant?.id === variant) ?? []
  const unknown = queues.filter((queue) => supplies(queue.variant).length === 0).length
  return (
    <>
      <div class="searchbar">
        <h1>Backorders</h1>
        <input id="search" class="narrow" type="search" aria-label="Search SKUs" placeholder="A part of the SKU" value={text} onInput={(event) => filter({ q: event.currentTarget.value.trim().toUpperCase() })} />
        <span class="muted" role="status">
          {queues.length > 0 && `${count(places.length, 'place')} in ${count(queues.length, 'queue')}${unknown > 0 ? `, ${unknown} with nothing on its way` : ''}`}
        </span>
      </div>
      {queues.length === 0 ? (
        <Empty title="Nobody waits for stock">
          <p>An order for more units than can be promised waits here, where its SKU may be backordered. Stock that comes in goes to whoever is first.</p>
          <p><a href="/stock?show=out">What is out of stock</a></p>
        </Empty>
      ) : shown.length === 0 ? (
        <Empty title="No queue fits">
          <p>Nobody waits for a SKU with <code>{text}</code> in it.</p>
          <button type="button" onClick={() => filter({ q: null })}>Show all {count(queues.length, 'queue')}</button>
        </Empty>
      ) : (
        <div class="stack">
          {shown.map((queue) => {
            const next = supplies(queue.variant)
            const units = next.reduce((sum, it) => sum + it.quantity - it.received, 0)
            return (
              <section key={queue.variant} class="panel" aria-label={queue.sku} data-queue={queue.sku}>
                <header class="row">
                  <h2><a href={`/stock?q=${encodeURIComponent(queue.sku)}`}>{queue.sku}</a></h2>
                  <span class="muted">{queue.title}</span>
                  <span class="grow" />
                  <span><b>{queue.units}</b> units wait, the first for {span(now.value - Date.parse(queue.since))}</span>
                  {!may('STOCK_READ') ? null : units >= queue.units ? <span class="badge"><span aria-hidden="true">◐</span> Enough is on its way</span> : units > 0 ? <span class="badge soon"><span aria-hidden="true">△</span> {queue.units - units} more than comes</span> : <span class="badge late"><span aria-hidden="true">▲</span> Nothing on its way</span>}
                </header>
                {next.length > 0 && (
                  <p class="muted">
                    On its way: {next.map((it) => `${it.quantity - it.received} to ${it.warehouse?.code}, ${moment(it.expectedAt, now.value)}${it.supplier ? ` from ${it.supplier}` : ''}`).join('; ')}
                  </p>
                )}
                <div class="scroll" tabIndex={0} role="region" aria-label={`Who waits for ${queue.sku}`}>
                  <table>
                    <thead><tr><th scope="col" class="number">Place</th><th scope="col">Order</th><th scope="col">Customer</th><th scope="col" class="number">Units</th><th scope="col">Waits</th><th scope="col">Expected</th><th scope="col">The customer said</th></tr></thead>
                    <tbody>
                      {queue.waits.map(({ order, it }, index) => (
                        <tr key={it.id} aria-selected={cards[at]?.it === it} class={live.changed.has(order.id) ? 'fresh' : ''}>
                          <td class="number">{index + 1}</td>
                          <td><a href={`/orders/${order.number}`}>{order.number}</a>{order.stage !== 'BACKORDERED' && <span class="muted"> {words(order.stage).toLowerCase()}</span>}</td>
                          <td>{order.customerName ?? words(order.serviceLevel)}</td>
                          <td class="number">{it.quantity}</td>
                          <td><time dateTime={it.createdAt} title={exact(it.createdAt)}>{span(now.value - Date.parse(it.createdAt))}</time></td>
                          <td>{it.expectedAt ? moment(it.expectedAt, now.value) : <span class="muted">nobody knows</span>}</td>
                          <td>{it.answer === 'NONE' ? <span class="muted">nothing yet</span> : words(it.answer)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              </section>
            )
          })}
        </div>
      )}
    </>
  )
}
