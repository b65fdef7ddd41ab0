/** Stock by SKU and warehouse, live: what is there, what may be promised, and how far to believe it. */

import { useEffect, useState } from 'preact/hooks'
import { ask, current, follow, now, watch } from './api'
import { count, exact, moment, span, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Dialog, Empty, Failure, NoPermission, Skeleton, useLoad } from './parts'
import { filter, place } from './route'
import { actorName, may } from './shell'
import { done, failed } from './toasts'

const ROW = graphql(`
  fragment Row on Stock {
    variant { id sku title } warehouse { id code name }
    onHand reserved safety available withheld incoming updatedAt
    freshness { stale ageSecs observedAt withheldPercent source { code name } }
  }
`)
const PAGE = graphql(`
  query StockPage($where: StockWhere, $after: String) {
    stock(where: $where, first: 60, after: $after) { totalCount { count capped } pageInfo { hasNextPage endCursor } nodes { ...Row } }
  }
`, [ROW])
const COUNTS = graphql(`
  query StockCounts($low: StockWhere, $out: StockWhere, $stale: StockWhere, $since: DateTime!) {
    all: stock(first: 1) { totalCount { count capped } }
    low: stock(where: $low, first: 1) { totalCount { count capped } }
    out: stock(where: $out, first: 1) { totalCount { count capped } }
    stale: stock(where: $stale, first: 1) { totalCount { count capped } }
    warehouses(first: 100) { nodes { id code name } }
    ghost: stockDrift(where: { foundAt: { range: { gte: $since } } }, first: 250) {
      nodes { id kind stated had difference observedAt foundAt source { code name } variant { id sku title } warehouse { id code name } }
    }
  }
`)
const LEVELS = graphql(`
  subscription Levels($where: StockWhere, $after: String) {
    stockLevels(where: $where, after: $after) { kind cursor seq occurredAt variantId warehouseId stock { ...Row } }
  }
`, [ROW])
const SOURCES = graphql(`
  subscription Sources {
    stockSources {
      at
      sources { id code name kind active budgetSecs receivedAt observedAt changedAt staleSince stillSince withheldPercent missing policy alerts { code summary } warehouses { id code } }
    }
  }
`)
const LEDGER = graphql(`
  query Ledger($variant: ID!, $warehouse: ID!) {
    stockMovements(variantId: $variant, warehouseId: $warehouse, first: 20) {
      totalCount { count capped }
      nodes { id kind deltaOnHand deltaReserved reason document actor occurredAt bin { code } }
    }
    inboundSupplies(where: { variantId: { eq: $variant }, warehouseId: { eq: $warehouse }, status: { in: [EXPECTED, PARTLY_RECEIVED] } }, first: 10) {
      nodes { id quantity received expectedAt supplier reference }
    }
  }
`)
const ADJUST = graphql(`mutation Adjust($variant: ID!, $warehouse: ID!, $delta: Int!, $reason: String!, $key: String) { stockAdjust(input: { variantId: $variant, warehouseId: $warehouse, delta: $delta, reason: $reason, idempotencyKey: $key }) { stock { version } userErrors { code message } } }`)

type Row = ResultOf<typeof ROW>
type Drift = ResultOf<typeof COUNTS>['ghost']['nodes'][number]
type Source = ResultOf<typeof SOURCES>['stockSources']['sources'][number]

const TABS = ['all', 'ghost', 'stale', 'low', 'out'] as const
const NAMES = { all: 'All', ghost: 'Ghost', stale: 'Stale', low: 'Low', out: 'Out' }
/** Fewer than this may be promised: somebody should look. */
const LOW = 10
const DAY = 86_400_000
/** A filter that fits nothing. */
const NOTHING = { variantId: { in: [] as string[] } }

const keyOf = (variant: string | null | undefined, warehouse: string | null | undefined): string => `${variant}/${warehouse}`
const rowKey = (row: Row): string => keyOf(row.variant?.id, row.warehouse?.id)

/** What a feed had fewer of than the books: sold, and perhaps not there. */
const ghostly = (drift: Drift): boolean => drift.kind === 'MISSING' || (drift.difference ?? 0) < 0

function Chip({ source }: { source: Source }) {
  const age = source.receivedAt ? span(now.value - Date.parse(source.receivedAt)) : null
  const tone = !source.active ? '' : source.staleSince ? 'late' : source.alerts.length > 0 ? 'soon' : ''
  const glyph = !source.active ? '○' : tone === 'late' ? '▲' : tone === 'soon' ? '△' : '●'
  return (
    <li class={`chip ${tone}`}>
      <b><span aria-hidden="true">{glyph}</span> {source.name}</b>
      <span>{!source.active ? 'not listened to' : age ? `heard ${age} ago` : 'never heard'}, may be {span(source.budgetSecs * 1000)}</span>
      {source.active && source.staleSince && <span>stale for {span(now.value - Date.parse(source.staleSince))}{source.withheldPercent > 0 && `, ${source.withheldPercent} % kept back`}</span>}
      {source.stillSince && <span>says it is well, but nothing changed for {span(now.value - Date.parse(source.changedAt ?? source.stillSince))}</span>}
      {source.missing > 0 && <span>left {count(source.missing, 'SKU')} out</span>}
    </li>
  )
}

function Marks({ row, ghost }: { row: Row; ghost: boolean }) {
  return (
    <span class="row">
      {ghost && <span class="badge late"><span aria-hidden="true">✕</span> Ghost</span>}
      {row.freshness?.stale && <span class="badge late"><span aria-hidden="true">▲</span> Stale</span>}
      {row.available <= 0 ? <span class="badge late"><span aria-hidden="true">○</span> Out</span> : row.available < LOW ? <span class="badge soon"><span aria-hidden="true">◔</span> Low</span> : null}
    </span>
  )
}

/** The ledger of a row: what moved, newest first, and what is on its way. */
function Peek({ row, close, correct }: { row: Row; close: () => void; correct: () => void }) {
  const { data, error, again } = useLoad(() => ask(LEDGER, { variant: row.variant!.id, warehouse: row.warehouse!.id }), [rowKey(row), row.updatedAt])
  const signed = (delta: number) => (delta === 0 ? '–' : delta > 0 ? `+${delta}` : String(delta))
  return (
    <Dialog label={`Ledger of ${row.variant?.sku}`} close={close}>
      <header class="row">
        <h2>{row.variant?.sku} in {row.warehouse?.name}</h2>
        <button type="button" class="icon" data-first aria-label="Close" onClick={close}>×</button>
      </header>
      <p class="muted">{row.variant?.title}</p>
      <dl class="facts across">
        {([['On hand', row.onHand], ['Reserved', row.reserved], ['Never promised', row.safety], ['Kept back', row.withheld], ['Available', row.available], ['Incoming', row.incoming]] as const).map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd><b>{value.toLocaleString('en-GB')}</b></dd></div>
        ))}
      </dl>
      {row.freshness && <p class="muted">Stated by {row.freshness.source.name}, {row.freshness.observedAt ? `${span(now.value - Date.parse(row.freshness.observedAt))} ago` : 'never yet'}{row.freshness.stale && ': stale'}.</p>}
      {error && !data ? <Failure message={error} retry={again} /> : !data ? <Skeleton rows={5} /> : (
        <>
          {data.inboundSupplies.nodes.length > 0 && <h3>On its way</h3>}
          <ul>
            {data.inboundSupplies.nodes.map((it) => (
              <li key={it.id}>{it.quantity - it.received} units, {moment(it.expectedAt, now.value)} <span class="muted">{[it.supplier, it.reference].filter(Boolean).join(', ')}</span></li>
            ))}
          </ul>
          <h3>Movements, newest first</h3>
          {data.stockMovements.nodes.length === 0 ? <p class="muted">Nothing has moved yet.</p> : (
            <div class="scroll" tabIndex={0} role="region" aria-label="Movements">
              <table>
                <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col" class="number">On hand</th><th scope="col" class="number">Reserved</th><th scope="col">Bin</th><th scope="col">By</th></tr></thead>
                <tbody>
                  {data.stockMovements.nodes.map((it) => (
                    <tr key={it.id}>
                      <td><time dateTime={it.occurredAt} title={exact(it.occurredAt)}>{moment(it.occurredAt, now.value)}</time></td>
                      <td class="wrap">{words(it.kind)} <span class="muted">{[it.reason, it.document].filter(Boolean).join(', ')}</span></td>
                      <td class="number">{signed(it.deltaOnHand)}</td><td class="number">{signed(it.deltaReserved)}</td><td>{it.bin?.code ?? '–'}</td><td>{actorName(it.actor)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
      <div class="row end">
        <a href={`/orders?q=${encodeURIComponent(`sku:${row.variant?.sku}`)}`} onClick={close}>Orders with it</a>
        <button type="button" disabled={!may('STOCK_MANAGE') || !current()} title={may('STOCK_MANAGE') ? '' : 'Your key does not have the scope STOCK_MANAGE'} onClick={correct}>Correct the count</button>
      </div>
    </Dialog>
  )
}

/** A count by hand: what differs, and why. */
function Correct({ row, close }: { row: Row; close: () => void }) {
  const [counted, setCounted] = useState(String(row.onHand))
  const [reason, setReason] = useState('')
  const [key] = useState(() => crypto.randomUUID())
  const delta = /^\d{1,9}$/.test(counted.trim()) ? Number(counted) - row.onHand : null
  const send = async () => {
    if (!delta || !reason.trim()) return
    close()
    try {
      const { stockAdjust } = await ask(ADJUST, { variant: row.variant!.id, warehouse: row.warehouse!.id, delta, reason: reason.trim(), key })
      if (stockAdjust.userErrors[0]) failed(stockAdjust.userErrors[0].message)
      else done(`${row.variant?.sku}: ${delta > 0 ? '+' : ''}${delta}`)
    } catch (error) {
      failed(error)
    }
  }
  return (
    <Dialog label="Correct the count" close={close}>
      <form class="ask" onSubmit={(event) => { event.preventDefault(); void send() }}>
        <h2>{row.variant?.sku} in {row.warehouse?.name}</h2>
        <p class="muted">{row.onHand} are in the books. Whoever holds units that are not there goes back to the head of the queue.</p>
        <label>Units that are there<input data-first inputMode="numeric" value={counted} onInput={(event) => setCounted(event.currentTarget.value)} /></label>
        <label>Why<input value={reason} onInput={(event) => setReason(event.currentTarget.value)} /></label>
        <div class="row end">
          <span class="muted grow">{delta === null ? 'A number, please.' : delta === 0 ? 'No difference.' : `${delta > 0 ? '+' : ''}${delta} units`}</span>
          <button type="button" onClick={close}>Not now</button>
          <button type="submit" class="primary" disabled={!delta || !reason.trim()}>Correct</button>
        </div>
      </form>
    </Dialog>
  )
}

export function StockList() {
  const query = place.value.query
  const tab = TABS.find((it) => it === query.get('show')) ?? 'all'
  const text = query.get('q') ?? ''
  const house = query.get('in') ?? ''
  const after = query.get('after')
  const [typed, setTyped] = useState(text)
  useEffect(() => setTyped(text), [text])
  const [sources, setSources] = useState<Source[] | null>(null)
  const [live, setLive] = useState<ReadonlyMap<string, Row>>(new Map())
  const [changed, setChanged] = useState<ReadonlySet<string>>(new Set())
  const [at, setAt] = useState(0)
  const [peek, setPeek] = useState<string | null>(null)
  const [correct, setCorrect] = useState<string | null>(null)
  useEffect(() => watch(SOURCES, (data) => setSources(data.stockSources.sources)), [])
  const staleHouses = (sources ?? []).filter((it) => it.active && it.staleSince).flatMap((it) => it.warehouses.map((one) => one.id))
  const low = { available: { gte: 1, lt: LOW } }
  const out = { available: { lt: 1 } }
  const stale = staleHouses.length > 0 ? { warehouseId: { in: staleHouses } } : NOTHING
  // What the tabs say is asked again four times a minute, while somebody looks.
  const round = document.hidden ? 0 : Math.floor(now.value / 15_000)
  const [since] = useState(() => new Date(Date.now() - DAY).toISOString())
  const counts = useLoad(() => ask(COUNTS, { low, out, stale, since }), [staleHouses.join(), round])
  const found = (counts.data?.ghost.nodes ?? []).filter(ghostly)
  const ghosts = new Set(found.map((it) => keyOf(it.variant?.id, it.warehouse?.id)))
  const where = {
    and: [
      tab === 'low' ? low : tab === 'out' ? out : tab === 'stale' ? stale : tab === 'ghost' ? { variantId: { in: [...new Set(found.map((it) => it.variant?.id ?? ''))] } } : {},
      text ? { sku: { contains: text } } : {},
      house ? { warehouseId: { eq: house } } : {},
    ].filter((it) => Object.keys(it).length > 0),
  }
  const asked = JSON.stringify(where)
  const { data, error, loading, again } = useLoad(() => ask(PAGE, { where: where.and.length > 0 ? where : null, after }), [asked, after])
  const rows = (data?.stock.nodes ?? []).map((row) => live.get(rowKey(row)) ?? row).filter((row) => tab !== 'ghost' || ghosts.has(rowKey(row)))
  const variants = [...new Set((data?.stock.nodes ?? []).map((row) => row.variant?.id ?? ''))].filter(Boolean)
  useEffect(() => {
    setLive(new Map())
    setAt(0)
    if (variants.length === 0) return
    return follow(
      LEVELS,
      { where: { variantId: { in: variants } } },
      ({ stockLevels: it }) => ({ ...it, id: it.variantId && keyOf(it.variantId, it.warehouseId), value: it.stock }),
      (next) => {
        if (next.state !== 'ready') return
        setLive(new Map(next.rows.map((row) => [rowKey(row), row])))
        setChanged(next.changed)
      },
    )
  }, [variants.join()])
  const show = (name: (typeof TABS)[number]) => filter({ show: name === 'all' ? null : name, after: null })
  const chosen = rows[at]
  useKeys('Lists', {
    j: () => setAt(Math.min(rows.length - 1, at + 1)),
    k: () => setAt(Math.max(0, at - 1)),
    Enter: () => chosen && setPeek(rowKey(chosen)),
  })
  useKeys('Stock', {
    '1-9': (_, key) => TABS[Number(key) - 1] && show(TABS[Number(key) - 1]!),
    c: () => chosen && may('STOCK_MANAGE') && current() && setCorrect(rowKey(chosen)),
  })
  useEffect(() => document.querySelector('tr[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }), [at])
  if (!may('STOCK_READ')) return <NoPermission scope="STOCK_READ" />
  const total = (name: (typeof TABS)[number]) => {
    if (!counts.data) return '…'
    if (name === 'ghost') return String(ghosts.size)
    const it = counts.data[name].totalCount
    return `${it.count.toLocaleString('en-GB')}${it.capped ? '+' : ''}`
  }
  const peeked = rows.find((row) => rowKey(row) === peek)
  const corrected = rows.find((row) => rowKey(row) === correct)
  const filtered = !!text || !!house
  return (
    <>
      <div class="searchbar">
        <h1>Stock</h1>
        <form role="search" onSubmit={(event) => { event.preventDefault(); filter({ q: typed.trim().toUpperCase(), after: null }); (document.activeElement as HTMLElement | null)?.blur() }}>
          <input id="search" type="search" aria-label="Search SKUs" placeholder="A part of the SKU" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
          <button type="submit">Search</button>
        </form>
        <select aria-label="Warehouse" value={house} onChange={(event) => filter({ in: event.currentTarget.value, after: null })}>
          <option value="">All warehouses</option>
          {(counts.data?.warehouses.nodes ?? []).map((it) => <option key={it.id} value={it.id}>{it.name}</option>)}
        </select>
      </div>
      {sources && sources.length > 0 && <ul class="strip" aria-label="Feeds">{sources.map((source) => <Chip key={source.id} source={source} />)}</ul>}
      <div class="searchbar">
        <nav class="views" aria-label="Kinds of stock">
          {TABS.map((name) => (
            <a key={name} href={name === 'all' ? '/stock' : `/stock?show=${name}`} aria-current={name === tab ? 'true' : undefined}>
              {NAMES[name]} <span class="pill">{total(name)}</span>
            </a>
          ))}
        </nav>
      </div>
      {error && !data ? <Failure message={error} retry={again} />
        : !data || (tab === 'ghost' && !counts.data) ? <Skeleton rows={12} />
        : rows.length === 0 ? (
          filtered ? (
            <Empty title="No stock fits">
              <p>Nothing is found{text && <> for <code>{text}</code></>}{house && ' in that warehouse'}{tab !== 'all' && ` under ${NAMES[tab]}`}.</p>
              <button type="button" onClick={() => filter({ q: null, in: null, after: null })}>Clear the filters</button>
            </Empty>
          ) : tab === 'all' ? (
            <Empty title="No stock yet">
              <p>Stock comes with <code>stockReceive</code>, or from a feed with <code>inventorySync</code>.</p>
              <pre>{'mutation { stockReceive(input: { … }) { stock { onHand } } }'}</pre>
            </Empty>
          ) : (
            <Empty title={{ ghost: 'No ghost stock', stale: 'No stale stock', low: 'Nothing is low', out: 'Nothing is out' }[tab]}>
              <p>
                {tab === 'ghost' ? 'No feed of the last 24 hours had fewer units than the books, or left a SKU out.'
                  : tab === 'stale' ? 'Every feed that is listened to has spoken within its time.'
                  : tab === 'low' ? `Nowhere fewer than ${LOW} units can be promised.` : 'Everywhere something can be promised.'}{' '}
                Checked {span(now.value - round * 15_000)} ago over {count(counts.data?.all.totalCount.count ?? 0, 'row')}.
              </p>
              <button type="button" onClick={() => show('all')}>Show all stock</button>
            </Empty>
          )
        ) : (
          <>
            <div class="scroll" tabIndex={0} role="region" aria-label="Stock" aria-busy={loading}>
              <table>
                <thead>
                  <tr><th scope="col">SKU</th><th scope="col">Warehouse</th><th scope="col">Marks</th><th scope="col" class="number">On hand</th><th scope="col" class="number">Reserved</th><th scope="col" class="number">Available</th><th scope="col" class="number">Incoming</th>{tab === 'ghost' && <th scope="col">The feed</th>}<th scope="col" class="aside">Title</th></tr>
                </thead>
                <tbody>
                  {rows.map((row, index) => {
                    const drift = found.find((it) => keyOf(it.variant?.id, it.warehouse?.id) === rowKey(row))
                    return (
                      <tr key={rowKey(row)} data-stock={`${row.variant?.sku}@${row.warehouse?.code}`} aria-selected={index === at} class={changed.has(rowKey(row)) ? 'fresh' : ''}>
                        <td><button type="button" class="link" onClick={() => { setAt(index); setPeek(rowKey(row)) }}>{row.variant?.sku}</button></td>
                        <td>{row.warehouse?.code}</td>
                        <td><Marks row={row} ghost={ghosts.has(rowKey(row))} /></td>
                        <td class="number">{row.onHand.toLocaleString('en-GB')}</td>
                        <td class="number">{row.reserved.toLocaleString('en-GB')}</td>
                        <td class="number"><b>{row.available.toLocaleString('en-GB')}</b>{row.withheld > 0 && <span class="muted"> −{row.withheld}</span>}</td>
                        <td class="number">{row.incoming > 0 ? `+${row.incoming.toLocaleString('en-GB')}` : '–'}</td>
                        {tab === 'ghost' && <td>{drift && `${drift.kind === 'MISSING' ? 'left it out' : `had ${drift.stated}, books ${drift.had}`}, ${moment(drift.foundAt, now.value)}`}</td>}
                        <td class="wrap muted aside">{row.variant?.title}</td>
                      </tr>
                    )
                  })}
                </tbody>
              </table>
            </div>
            <div class="searchbar row end">
              {after && <button type="button" onClick={() => history.back()}>Back</button>}
              {data.stock.pageInfo.hasNextPage && <button type="button" onClick={() => filter({ after: data.stock.pageInfo.endCursor ?? null })}>Next page</button>}
            </div>
          </>
        )}
      {peeked && !corrected && <Peek row={peeked} close={() => setPeek(null)} correct={() => { setPeek(null); setCorrect(rowKey(peeked)) }} />}
      {corrected && <Correct row={corrected} close={() => setCorrect(null)} />}
    </>
  )
}
