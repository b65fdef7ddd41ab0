/** One order: everything about it on one page, and what may be done with it. */

import { useEffect, useState } from 'preact/hooks'
import { ask, current, follow, now } from './api'
import { clock, dayName, exact, moment, money, size, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Ask, Badge, Due, Empty, Failure, Skeleton, useLoad } from './parts'
import { actorName, may } from './shell'
import { fold, say } from './timeline'
import { done, failed } from './toasts'

const ORDER = graphql(`
  query Order($number: String!) {
    order(by: { number: $number }) {
      id number version stage status paymentStatus fulfillmentStatus dispatchBy placedAt
      customerName email phone serviceLevel paymentMethod tags externalReference
      subtotal { amount currency } discount { amount currency } shippingCharge { amount currency }
      tax { amount currency } total { amount currency }
      shippingAddress { name organisation line1 line2 postalCode city country verdict }
      lines { id sku title quantity reserved allocated backordered picked packed shipped cancelled unitPrice { amount currency } gross { amount currency } }
      holds { id reason placedBy placedAt releasedAt }
      exceptions { id code summary status blocking }
      notes { id body author createdAt }
      messages { id kind state createdAt }
      payment {
        authorized { amount currency } captured { amount currency } refunded { amount currency }
        transactions { id kind state declineCode createdAt amount { amount currency } }
      }
      shipments {
        id number status trackingStatus carrier service dispatchedAt
        packages { id trackingNumber trackingUrl }
      }
      timeline { id seq event actor details occurredAt correlationId }
      availableActions { action enabled disabledReason }
    }
  }
`)
const DOCUMENTS = graphql(`query Documents($id: ID!) { documents(orderId: $id, first: 50) { nodes { id kind format fileName size createdAt voidedAt url } } }`)
const FOLLOW = graphql(`
  subscription Follow($where: OrderWhere, $after: String) {
    orderUpdates(where: $where, after: $after) { kind cursor seq occurredAt orderId order { id version } }
  }
`)
const HOLD = graphql(`mutation Hold($id: ID!, $text: String!, $version: Int, $key: String) { orderHold(input: { id: $id, reason: $text, expectedVersion: $version, idempotencyKey: $key }) { userErrors { code message } } }`)
const RELEASE = graphql(`mutation Release($id: ID!, $hold: ID!, $key: String) { orderReleaseHold(input: { id: $id, holdId: $hold, idempotencyKey: $key }) { userErrors { code message } } }`)
const CANCEL = graphql(`mutation Cancel($id: ID!, $text: String!, $version: Int, $key: String) { orderCancel(input: { id: $id, reason: $text, expectedVersion: $version, idempotencyKey: $key }) { userErrors { code message } } }`)
const REJECT = graphql(`mutation Reject($id: ID!, $text: String!, $version: Int, $key: String) { orderReject(input: { id: $id, reason: $text, expectedVersion: $version, idempotencyKey: $key }) { userErrors { code message } } }`)
const NOTE = graphql(`mutation Note($id: ID!, $text: String!, $key: String) { orderAddNote(input: { id: $id, body: $text, idempotencyKey: $key }) { userErrors { code message } } }`)
const TAG = graphql(`mutation Tag($id: ID!, $tags: [String!]!, $key: String) { orderAddTags(input: { id: $id, tags: $tags, idempotencyKey: $key }) { userErrors { code message } } }`)
const CAPTURE = graphql(`mutation CaptureOrder($id: ID!, $key: String) { paymentCapture(input: { id: $id, idempotencyKey: $key }) { userErrors { code message } } }`)
const REAUTHORIZE = graphql(`mutation ReauthorizeOrder($id: ID!, $key: String) { paymentReauthorize(input: { id: $id, idempotencyKey: $key }) { userErrors { code message } } }`)
const REFUND = graphql(`mutation RetryRefundOrder($id: ID!, $key: String) { orderRetryRefund(input: { id: $id, idempotencyKey: $key }) { userErrors { code message } } }`)

type Shown = NonNullable<ResultOf<typeof ORDER>['order']>
interface Payload { userErrors: { code: string; message: string }[] }

/** What the page can do of what the server allows: how it is called, and what it asks first. */
const CAN: Record<string, { label: string; field?: string; detail?: string }> = {
  HOLD: { label: 'Hold', field: 'Why?', detail: 'It stays where it is until somebody releases it.' },
  RETRY_CAPTURE: { label: 'Capture again' },
  REAUTHORIZE: { label: 'Authorise again' },
  RETRY_REFUND: { label: 'Give back again' },
  TAG: { label: 'Tag', field: 'Tags, with commas between' },
  ADD_NOTE: { label: 'Note', field: 'Note' },
  CANCEL: { label: 'Cancel', field: 'Why?', detail: 'It ends, what it holds goes back, and the card is let go. This cannot be undone.' },
  REJECT: { label: 'Reject', field: 'Why?', detail: 'It is refused for good. This cannot be undone.' },
}

function group(event: string): string {
  if (/payment|capture|void|refund/.test(event)) return 'Money'
  if (/shipment|pack|tracking|pick|rout|work/.test(event)) return 'Parcels'
  return 'Orders'
}

function Timeline({ order }: { order: Shown }) {
  const [only, setOnly] = useState('All')
  const told = fold(order.timeline).filter(({ entry }) => only === 'All' || group(entry.event) === only)
  const days = [...new Set(told.map(({ entry }) => dayName(entry.occurredAt, now.value)))]
  return (
    <section class="timeline" aria-label="Timeline">
      <div class="row">
        <h2>Timeline</h2>
        <span class="views">
          {['All', 'Orders', 'Money', 'Parcels'].map((name) => (
            <button key={name} type="button" class={name === only ? '' : 'link'} aria-pressed={name === only} onClick={() => setOnly(name)}>{name}</button>
          ))}
        </span>
      </div>
      {told.length === 0 && <p class="muted">Nothing of that kind has happened.</p>}
      {days.map((day) => (
        <div key={day}>
          <h3>{day}</h3>
          <ol>
            {told.filter(({ entry }) => dayName(entry.occurredAt, now.value) === day).map(({ entry, before }) => (
              <li key={entry.id}>
                <time dateTime={entry.occurredAt} title={exact(entry.occurredAt)} class="muted">{clock(entry.occurredAt)}</time>
                <details>
                  <summary>
                    <b>{words(entry.event.replace(/^order\./, ''))}</b> {say(entry, now.value)}
                    {before.length > 0 && `, ${before.length + 1} tries since ${moment(before.at(-1)!.occurredAt, now.value)}`}{' '}
                    <span class="muted">· {actorName(entry.actor)}</span>
                  </summary>
                  {before.length > 0 && <p class="muted">Before: {before.map((one) => moment(one.occurredAt, now.value)).join(', ')}</p>}
                  <pre>{JSON.stringify(entry.details, null, 2)}{entry.correlationId && `\nrequest ${entry.correlationId}`}</pre>
                </details>
              </li>
            ))}
          </ol>
        </div>
      ))}
    </section>
  )
}

export function Order({ number }: { number: string }) {
  const { data, error, again } = useLoad(() => ask(ORDER, { number }), [number])
  const id = data?.order?.id
  const [asking, setAsking] = useState<string | null>(null)
  const [busy, setBusy] = useState('')
  const documents = useLoad(() => (id ? ask(DOCUMENTS, { id }) : Promise.resolve(null)), [id, data?.order?.version])
  useEffect(() => {
    if (!id) return
    // Each change of the order is a reason to read it anew; its first showing is not.
    return follow(FOLLOW, { where: { id: { eq: id } } }, ({ orderUpdates: it }) => ({ ...it, id: it.orderId, value: it.order }), (live) => {
      if (live.changed.size > 0) again()
    })
  }, [id])
  useKeys('Order', { n: () => setAsking('ADD_NOTE') })
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  const order = data.order
  if (!order) {
    return (
      <Empty title={`There is no order ${number}`}>
        <h1 class="quiet">Not found</h1>
        <p>Or your key does not show it. <a href="/orders">All orders</a></p>
      </Empty>
    )
  }
  const run = async (say: string, name: string, call: (key: string) => Promise<Payload>) => {
    setBusy(name)
    try {
      const refusal = (await call(crypto.randomUUID())).userErrors[0]
      if (!refusal) done(say)
      else failed(refusal.code === 'STALE_VERSION' ? `${refusal.message}. It is shown as it is now.` : refusal.message)
      again()
    } catch (problem) {
      failed(problem)
    } finally {
      setBusy('')
    }
  }
  const perform = (action: string, text = '') => {
    const about = { id: order.id, text, version: order.version }
    switch (action) {
      case 'HOLD': return run('Held', action, async (key) => (await ask(HOLD, { ...about, key })).orderHold)
      case 'CANCEL': return run('Cancelled', action, async (key) => (await ask(CANCEL, { ...about, key })).orderCancel)
      case 'REJECT': return run('Rejected', action, async (key) => (await ask(REJECT, { ...about, key })).orderReject)
      case 'ADD_NOTE': return run('Noted', action, async (key) => (await ask(NOTE, { id: order.id, text, key })).orderAddNote)
      case 'TAG': return run('Tagged', action, async (key) => (await ask(TAG, { id: order.id, tags: text.split(',').map((tag) => tag.trim()).filter(Boolean), key })).orderAddTags)
      case 'RETRY_CAPTURE': return run('The provider was asked', action, async (key) => (await ask(CAPTURE, { id: order.id, key })).paymentCapture)
      case 'RETRY_REFUND': return run('The provider was asked', action, async (key) => (await ask(REFUND, { id: order.id, key })).orderRetryRefund)
      case 'REAUTHORIZE': return run('The provider was asked', action, async (key) => (await ask(REAUTHORIZE, { id: order.id, key })).paymentReauthorize)
    }
  }
  const holds = order.holds.filter((hold) => !hold.releasedAt)
  const open = order.exceptions.filter((it) => it.status === 'OPEN' || it.status === 'ASSIGNED')
  const left = ['SHIPPED', 'DELIVERED', 'COMPLETED', 'CANCELLED'].includes(order.stage)
  const address = order.shippingAddress
  const units = (line: Shown['lines'][number]) =>
    ([['reserved', line.allocated], ['waiting for stock', line.backordered], ['picked', line.picked], ['packed', line.packed], ['shipped', line.shipped], ['cancelled', line.cancelled]] as const)
      .filter(([, quantity]) => quantity > 0).map(([name, quantity]) => `${quantity} ${name}`).join(', ')
  return (
    <div class="detail">
      <header>
        <h1>Order {order.number}</h1>
        <button type="button" class="link" aria-label="Copy the number" onClick={() => void navigator.clipboard?.writeText(order.number).then(() => done('Copied'))}>Copy</button>
        <Badge name={order.stage} tone={order.stage === 'ON_HOLD' ? 'soon' : ''} />
        <Badge name={order.paymentStatus} />
        <Badge name={order.fulfillmentStatus} />
        {!left && <Due at={order.dispatchBy} />}
        {order.tags.map((tag) => <span key={tag} class="badge">{tag}</span>)}
        <span class="grow" />
        <div class="actions">
          {order.availableActions.filter((one) => CAN[one.action]).map((one) => {
            const about = CAN[one.action]!
            const why = !current() ? 'The link to the server is not live' : one.disabledReason
            return (
              <button key={one.action} type="button" disabled={!one.enabled || !current() || !!busy} title={why ?? ''} onClick={() => (about.field ? setAsking(one.action) : void perform(one.action))}>
                {busy === one.action ? `${about.label}: in progress…` : about.label}
              </button>
            )
          })}
        </div>
      </header>
      <div>
        {(holds.length > 0 || open.length > 0) && (
          <section aria-label="What stops it">
            <h2>What stops it</h2>
            <ul>
              {holds.map((hold) => (
                <li key={hold.id} class="row">
                  <Badge name="ON_HOLD" tone="soon" /> {hold.reason} <span class="muted">by {actorName(hold.placedBy)}</span>
                  <button type="button" disabled={!current() || !may('ORDERS_MANAGE')} onClick={() => void run('Released', 'RELEASE', async (key) => (await ask(RELEASE, { id: order.id, hold: hold.id, key })).orderReleaseHold)}>Release</button>
                </li>
              ))}
              {open.map((it) => (
                <li key={it.id}><p><a href={`/exceptions?id=${encodeURIComponent(it.id)}`}>{words(it.code)}</a>: {it.summary}{!it.blocking && ' (does not stop it)'}</p></li>
              ))}
            </ul>
          </section>
        )}
        <section class="tables">
          <h2>Lines</h2>
          <div class="scroll" tabIndex={0} role="region" aria-label="Lines">
            <table>
              <thead><tr><th scope="col">SKU</th><th scope="col">Title</th><th scope="col" class="number">Units</th><th scope="col">Where they are</th><th scope="col" class="number">Each</th><th scope="col" class="number">Sum</th></tr></thead>
              <tbody>
                {order.lines.map((line) => (
                  <tr key={line.id}><td>{line.sku}</td><td class="wrap">{line.title}</td><td class="number">{line.quantity}</td><td>{units(line) || '–'}</td><td class="number">{money(line.unitPrice)}</td><td class="number">{money(line.gross)}</td></tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
        {(order.shipments ?? []).length > 0 && (
          <section class="tables">
            <h2>Shipments</h2>
            <div class="scroll" tabIndex={0} role="region" aria-label="Shipments">
              <table>
                <thead><tr><th scope="col">Shipment</th><th scope="col">With us</th><th scope="col">At the carrier</th><th scope="col">Carrier</th><th scope="col">Tracking</th></tr></thead>
                <tbody>
                  {(order.shipments ?? []).map((it) => (
                    <tr key={it.id}><td>{it.number}</td><td><Badge name={it.status} /></td><td><Badge name={it.trackingStatus} /></td><td>{[it.carrier, it.service].filter(Boolean).join(' ') || '–'}</td><td>{it.packages.map((parcel) => parcel.trackingNumber ?? 'no label').join(', ')}</td></tr>
                  ))}
                </tbody>
              </table>
            </div>
          </section>
        )}
        {order.payment && (
          <section class="tables">
            <h2>Payment</h2>
            <div class="scroll" tabIndex={0} role="region" aria-label="Payment">
              <table>
                <thead><tr><th scope="col">What</th><th scope="col">State</th><th scope="col">When</th><th scope="col" class="number">Amount</th></tr></thead>
                <tbody>
                  {order.payment.transactions.map((it) => (
                    <tr key={it.id}><td>{words(it.kind)}</td><td><Badge name={it.state} tone={it.state === 'DECLINED' ? 'late' : it.state === 'UNKNOWN' ? 'soon' : ''} /> {it.declineCode ? words(it.declineCode).toLowerCase() : (it.state === 'UNKNOWN' ? 'asking the provider' : '')}</td><td>{exact(it.createdAt)}</td><td class="number">{money(it.amount)}</td></tr>
                  ))}
                </tbody>
              </table>
            </div>
          </section>
        )}
        <Timeline order={order} />
      </div>
      <aside aria-label="About the order">
        <section>
          <h2>Sum</h2>
          <dl class="facts">
            <dt>Lines</dt><dd>{money(order.subtotal)}</dd>
            <dt>Discount</dt><dd>{money(order.discount)}</dd>
            <dt>Shipping</dt><dd>{money(order.shippingCharge)}</dd>
            <dt>Tax</dt><dd>{money(order.tax)}</dd>
            <dt>Total</dt><dd><b>{money(order.total)}</b></dd>
            {order.payment && <><dt>Captured</dt><dd>{money(order.payment.captured)}</dd></>}
          </dl>
        </section>
        <section>
          <h2>Customer</h2>
          <p>{order.customerName ?? 'Not shown to your key'}</p>
          {order.email && <p class="muted">{order.email}</p>}
          {address && (
            <>
              <address>{[address.name, address.organisation, address.line1, address.line2, `${address.postalCode ?? ''} ${address.city}`, address.country].filter(Boolean).join('\n')}</address>
              <p><Badge name={address.verdict} tone={address.verdict === 'INVALID' ? 'late' : ''} /></p>
            </>
          )}
        </section>
        <section>
          <h2>Documents</h2>
          {documents.data?.documents.nodes.length ? (
            <ul>
              {documents.data.documents.nodes.map((it) => (
                <li key={it.id}><p>{it.url ? <a href={it.url} target="_blank" rel="noreferrer">{words(it.kind)} {it.format}</a> : `${words(it.kind)} ${it.format}`} <span class="muted">{size(it.size)}{it.voidedAt && ', void'}</span></p></li>
              ))}
            </ul>
          ) : <p class="muted">Nothing was printed yet.</p>}
        </section>
        <section>
          <h2>Notes</h2>
          {(order.notes ?? []).map((note) => (
            <p key={note.id}>{note.body} <span class="muted">· {actorName(note.author)}, {exact(note.createdAt)}</span></p>
          ))}
          {!order.notes?.length && <p class="muted">None. <kbd>N</kbd> writes one.</p>}
        </section>
        <section>
          <h2>Notices</h2>
          {order.messages.length ? <ul>{order.messages.map((it) => <li key={it.id}>{words(it.kind)} <Badge name={it.state} /></li>)}</ul> : <p class="muted">None were sent.</p>}
        </section>
      </aside>
      {asking && (
        <Ask title={`${CAN[asking]!.label}: order ${order.number}`} {...(CAN[asking]!.detail ? { detail: CAN[asking]!.detail } : {})} field={CAN[asking]!.field ?? 'Text'} go={CAN[asking]!.label} close={() => setAsking(null)} run={(text) => void perform(asking, text)} />
      )}
    </div>
  )
}
