/** Orders, found by what people type; pages by cursor, filters in the address. */

import { useEffect, useState } from 'preact/hooks'
import { ask, now } from './api'
import { moment, money } from './format'
import { graphql } from './graphql'
import { useKeys } from './keys'
import { Badge, Due, Empty, Failure, NoPermission, Skeleton, useLoad } from './parts'
import { filter, go, place } from './route'
import { may, stages } from './shell'

const ORDERS = graphql(`
  query Orders($query: String, $after: String) {
    orders(query: $query, first: 50, after: $after) {
      totalCount { count capped }
      pageInfo { hasNextPage endCursor }
      nodes {
        id number placedAt customerName stage status paymentStatus fulfillmentStatus dispatchBy tags
        total { amount currency }
        holds { releasedAt }
      }
    }
  }
`)
const VIEWS = graphql(`query Views { savedViews(first: 50) { nodes { id name query } } }`)

const OWN_VIEWS = [
  { name: 'All', query: '' },
  { name: 'On hold', query: 'stage:on_hold' },
  { name: 'To be picked', query: 'stage:staged' },
  { name: 'In the warehouse', query: 'stage:picking,packing,ready' },
  { name: 'Shipped', query: 'stage:shipped,delivered' },
  { name: 'Payment unclear', query: 'payment:unknown' },
]

/** Stages behind which a deadline says nothing any more. */
const LEFT = ['SHIPPED', 'DELIVERED', 'COMPLETED', 'CANCELLED']

export function Orders() {
  const query = place.value.query
  const text = query.get('q') ?? ''
  const after = query.get('after')
  const [typed, setTyped] = useState(text)
  const [at, setAt] = useState(0)
  const [seen, setSeen] = useState(0)
  useEffect(() => setTyped(text), [text])
  useEffect(() => setAt(0), [text, after])
  const { data, error, loading, again } = useLoad(() => ask(ORDERS, { query: text || null, after }), [text, after])
  const views = useLoad(() => ask(VIEWS), [])
  // Rows are not pushed about under the pointer: new ones are said, and come when they are asked for.
  const total = stages.value?.stages.reduce((sum, stage) => sum + stage.count, 0) ?? 0
  useEffect(() => setSeen(total), [data])
  const fresh = seen > 0 && !text && !after ? total - seen : 0
  const rows = data?.orders.nodes ?? []
  useKeys('Lists', {
    j: () => setAt(Math.min(rows.length - 1, at + 1)),
    k: () => setAt(Math.max(0, at - 1)),
    Enter: () => rows[at] && go(`/orders/${rows[at].number}`),
  })
  useEffect(() => document.querySelector('tr[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }), [at])
  if (!may('ORDERS_READ')) return <NoPermission scope="ORDERS_READ" />
  const all = [...OWN_VIEWS, ...(views.data?.savedViews.nodes ?? [])]
  const counted = data?.orders.totalCount
  return (
    <>
      <div class="searchbar">
        <h1>Orders</h1>
        <form
          role="search"
          onSubmit={(event) => {
            event.preventDefault()
            filter({ q: typed.trim(), after: null })
            ;(document.activeElement as HTMLElement | null)?.blur()
          }}
        >
          <input
            id="search"
            type="search"
            aria-label="Search orders"
            placeholder="1042, a name, sku:ESP-250, status:received total:>100"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
          <button type="submit">Search</button>
        </form>
        <span class="muted" role="status">
          {counted ? `${counted.count.toLocaleString('en-GB')}${counted.capped ? '+' : ''} found` : ''}
        </span>
      </div>
      <div class="searchbar">
        <div class="views">
          {all.map((view) => (
            <a
              key={view.name}
              href={view.query ? `/orders?q=${encodeURIComponent(view.query)}` : '/orders'}
              aria-current={view.query === text ? 'true' : undefined}
            >
              {view.name}
            </a>
          ))}
        </div>
        {fresh > 0 && <button type="button" onClick={again}>{fresh} new, show</button>}
      </div>
      {error && !data ? (
        <Failure message={error} retry={again} />
      ) : error ? (
        <Empty title="The search cannot be read">
          <p>{error}</p>
          <button type="button" onClick={() => filter({ q: null, after: null })}>Clear the search</button>
        </Empty>
      ) : !data ? (
        <Skeleton rows={12} />
      ) : rows.length === 0 ? (
        text ? (
          <Empty title="No order fits">
            <p>Nothing is found for <code>{text}</code>.</p>
            <button type="button" onClick={() => filter({ q: null, after: null })}>Clear the search</button>
          </Empty>
        ) : (
          <Empty title="No orders yet"><p>Every order that comes in is listed here.</p></Empty>
        )
      ) : (
        <>
          <div class="scroll" tabIndex={0} role="region" aria-label="Orders" aria-busy={loading}>
            <table>
              <thead>
                <tr>
                  <th scope="col">Order</th><th scope="col">Placed</th><th scope="col">Customer</th>
                  <th scope="col">Stage</th><th scope="col">Payment</th><th scope="col">Due</th>
                  <th scope="col">Tags</th><th scope="col" class="number">Total</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row, index) => (
                  <tr key={row.id} aria-selected={index === at}>
                    <td><a href={`/orders/${row.number}`}>{row.number}</a></td>
                    <td>{moment(row.placedAt, now.value)}</td>
                    <td>{row.customerName ?? '–'}</td>
                    <td><Badge name={row.stage} tone={row.stage === 'ON_HOLD' ? 'soon' : ''} /></td>
                    <td><Badge name={row.paymentStatus} tone={row.paymentStatus === 'UNKNOWN' ? 'soon' : ''} /></td>
                    <td>{LEFT.includes(row.stage) ? <span class="muted">–</span> : <Due at={row.dispatchBy} />}</td>
                    <td>{row.tags.join(', ')}</td>
                    <td class="number">{money(row.total)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <div class="searchbar row end">
            {after && <button type="button" onClick={() => history.back()}>Back</button>}
            {data.orders.pageInfo.hasNextPage && (
              <button type="button" onClick={() => filter({ after: data.orders.pageInfo.endCursor ?? null })}>Next page</button>
            )}
          </div>
        </>
      )}
    </>
  )
}
