/** How the house has worked over a period, and files of what is behind it. */

import { useEffect, useState } from 'preact/hooks'
import { ask, now } from './api'
import { Bars, Columns } from './charts'
import { count, dayOf, moment, money, percent, size, span, words } from './format'
import { graphql, type VariablesOf } from './graphql'
import { useKeys } from './keys'
import { Badge, Dialog, Empty, Failure, NoPermission, Skeleton, useLoad } from './parts'
import { filter, place } from './route'
import { actorName, may } from './shell'
import { done, failed } from './toasts'

const LINE = graphql(`
  fragment Line on OperationsReportLine {
    start channel { id name } ordersReceived orderValue { amount currency } unitsOrdered fillRate
    stages { stage entered left { count p50Secs p95Secs } }
    exceptions { code opened settled { count p50Secs p95Secs } }
    unitsPicked unitsPacked unitsShort misScans misScansByCode { code count } misScansPerThousand
    shipmentsDispatched dispatchedLate onTimeRate deliveries { count p50Secs p95Secs }
  }
`)
const REPORT = graphql(`
  query Report($days: OperationsReportInput!, $total: OperationsReportInput!, $channels: OperationsReportInput!) {
    days: operationsReport(input: $days) { report { lines { ...Line } } userErrors { message } }
    total: operationsReport(input: $total) { report { lines { ...Line } } userErrors { message } }
    channels: operationsReport(input: $channels) { report { lines { ...Line } } userErrors { message } }
  }
`, [LINE])
const EXPORTS = graphql(`query Exports { exports(first: 20) { nodes { id kind format state rowsDone rowsTotal bytes from to createdBy createdAt expiresAt url failure } } }`)
const CREATE = graphql(`mutation CreateExport($input: ExportCreateInput!) { exportCreate(input: $input) { export { id } userErrors { code message } } }`)
const STOP = graphql(`mutation CancelExport($id: ID!) { exportCancel(input: { id: $id }) { export { id } userErrors { code message } } }`)
type ExportInput = VariablesOf<typeof CREATE>['input']

const PERIODS = [
  { name: 'Today', days: 1 },
  { name: '7 days', days: 7 },
  { name: '30 days', days: 30 },
]
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone
const KINDS: [ExportInput['kind'], string][] = [
  ['ORDERS', 'ORDERS_READ'], ['ORDER_LINES', 'ORDERS_READ'], ['SHIPMENTS', 'FULFILLMENT_READ'], ['EXCEPTIONS', 'ORDERS_READ'], ['STOCK', 'STOCK_READ'], ['STOCK_MOVEMENTS', 'STOCK_READ'], ['INVOICES', 'FINANCE_READ'], ['INVOICE_LINES', 'FINANCE_READ'], ['LEDGER_ENTRIES', 'FINANCE_READ'],
]
const secs = (value: number | null | undefined): string => (value === null || value === undefined ? '–' : span(value * 1000))

/** What a period is made into: rows of what happened in it. */
function NewFile({ from, to, close, made }: { from: string; to: string; close: () => void; made: () => void }) {
  const kinds = KINDS.filter(([, scope]) => may(scope))
  const [kind, setKind] = useState(kinds[0]?.[0] ?? 'ORDERS')
  const [format, setFormat] = useState<ExportInput['format']>('CSV')
  const send = async () => {
    close()
    // Stock is what it is now: it has no period.
    const period = kind === 'STOCK' ? {} : { from: new Date(`${from}T00:00`).toISOString(), to: new Date(Math.min(Date.parse(`${to}T00:00`) + 86_400_000, now.value)).toISOString() }
    try {
      const { exportCreate } = await ask(CREATE, { input: { kind, format, timeZone: ZONE, ...period } })
      if (exportCreate.userErrors[0]) failed(exportCreate.userErrors[0].message)
      else done('The file is being made')
      made()
    } catch (error) {
      failed(error)
    }
  }
  return (
    <Dialog label="Make a file" close={close}>
      <form class="ask" onSubmit={(event) => { event.preventDefault(); void send() }}>
        <h2>Make a file</h2>
        <p class="muted">{kind === 'STOCK' ? 'As it is now' : `From ${dayOf(from)} to the end of ${dayOf(to)}`}, with what your key may see.</p>
        <label>What<select data-first value={kind} onChange={(event) => setKind(event.currentTarget.value as ExportInput['kind'])}>{kinds.map(([name]) => <option key={name} value={name}>{words(name)}</option>)}</select></label>
        <label>As<select value={format} onChange={(event) => setFormat(event.currentTarget.value as ExportInput['format'])}><option value="CSV">CSV, for spreadsheets</option><option value="JSONL">JSON lines, for programs</option></select></label>
        <div class="row end"><button type="button" onClick={close}>Not now</button><button type="submit" class="primary">Make it</button></div>
      </form>
    </Dialog>
  )
}

function Files({ round }: { round: number }) {
  const { data, error, again } = useLoad(() => ask(EXPORTS), [round])
  const running = data?.exports.nodes.some((it) => it.state === 'RUNNING') ?? false
  useEffect(() => {
    if (!running) return
    const timer = setInterval(() => !document.hidden && again(), 1500)
    return () => clearInterval(timer)
  }, [running])
  const stop = async (id: string) => {
    try {
      const refusal = (await ask(STOP, { id })).exportCancel.userErrors[0]
      if (refusal) failed(refusal.message)
      again()
    } catch (problem) {
      failed(problem)
    }
  }
  return (
    <section class="chart wide" aria-label="Files" id="files">
      <h2>Files</h2>
      {error && !data ? <p class="muted">{error}</p> : !data ? <Skeleton rows={2} /> : data.exports.nodes.length === 0 ? (
        <p class="muted">None yet. “Make a file” turns the period into rows for a spreadsheet or a program.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Files, rows">
          <table>
            <thead><tr><th scope="col">What</th><th scope="col">Period</th><th scope="col">State</th><th scope="col" class="number">Rows</th><th scope="col">Made</th><th scope="col">File</th></tr></thead>
            <tbody>
              {data.exports.nodes.map((it) => (
                <tr key={it.id} data-export={it.kind}>
                  <td>{words(it.kind)} <span class="muted">{it.format}</span></td>
                  <td>{it.from ? `${moment(it.from, now.value)} – ${moment(it.to, now.value)}` : `as of ${moment(it.to, now.value)}`}</td>
                  <td><Badge name={it.state} tone={it.state === 'FAILED' ? 'late' : ''} />{it.failure && ` ${words(it.failure)}`}</td>
                  <td class="number">{it.rowsDone.toLocaleString('en-GB')}{it.state === 'RUNNING' && it.rowsTotal ? ` of ${it.rowsTotal.toLocaleString('en-GB')}` : ''}</td>
                  <td>{moment(it.createdAt, now.value)} <span class="muted">{actorName(it.createdBy)}</span></td>
                  <td>
                    {it.url ? <a href={new URL(it.url, location.origin).pathname + new URL(it.url, location.origin).search} download>Download, {size(it.bytes)}</a>
                      : it.state === 'RUNNING' ? <button type="button" onClick={() => void stop(it.id)}>Stop</button> : '–'}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

export function Reports() {
  const query = place.value.query
  const today = dayOf(new Date(now.value), 'address')
  const back = (days: number) => dayOf(new Date(Date.parse(`${today}T12:00`) - (days - 1) * 86_400_000), 'address')
  const own = query.get('from')
  const days = own ? 0 : Number(query.get('days') ?? 7)
  const from = own ?? back(days)
  const to = query.get('to') ?? today
  const channel = query.get('channel')
  const [making, setMaking] = useState(false)
  const [round, setRound] = useState(0)
  const { data, error, loading, again } = useLoad(() => {
    const input = { from, to, timeZone: ZONE, channelIds: channel ? [channel] : null }
    return ask(REPORT, { days: { ...input, interval: 'DAY' }, total: { ...input, interval: 'TOTAL' }, channels: { from, to, timeZone: ZONE, interval: 'TOTAL', by: 'CHANNEL' } })
  }, [from, to, channel])
  useKeys('Reports', { e: () => setMaking(true) })
  if (!may('ORDERS_READ')) return <NoPermission scope="ORDERS_READ" />
  const refusal = data?.total.userErrors[0] ?? data?.days.userErrors[0]
  const sum = data?.total.report?.lines[0]
  const lines = data?.days.report?.lines ?? []
  const channels = data?.channels.report?.lines ?? []
  const dates = lines.map((line) => line.start)
  const late = sum?.dispatchedLate ?? 0
  const orders = (stage: string) => `/orders?q=${encodeURIComponent(`stage:${stage.toLowerCase()}`)}`
  const passed = sum?.stages.filter((it) => it.entered > 0) ?? []
  const timed = sum?.stages.filter((it) => it.left.count > 0) ?? []
  const slowest = timed.reduce<(typeof timed)[number] | undefined>((most, it) => ((it.left.p95Secs ?? 0) > (most?.left.p95Secs ?? -1) ? it : most), undefined)
  const causes = [...(sum?.exceptions ?? [])].sort((one, other) => other.opened - one.opened)
  const nothing = !!sum && sum.ordersReceived === 0 && sum.shipmentsDispatched === 0 && passed.length === 0 && causes.length === 0
  return (
    <>
      <div class="searchbar">
        <h1>Reports</h1>
        <nav class="views" aria-label="Period">
          {PERIODS.map((one) => <a key={one.days} href={`/reports?days=${one.days}${channel ? `&channel=${encodeURIComponent(channel)}` : ''}`} aria-current={days === one.days ? 'true' : undefined}>{one.name}</a>)}
        </nav>
        <form class="period" aria-label="Own period" onSubmit={(event) => event.preventDefault()}>
          <input type="date" aria-label="From" value={from} max={to} onChange={(event) => event.currentTarget.value && filter({ from: event.currentTarget.value, to, days: null })} />
          <span aria-hidden="true">–</span>
          <input type="date" aria-label="To" value={to} min={from} max={today} onChange={(event) => event.currentTarget.value && filter({ from, to: event.currentTarget.value, days: null })} />
        </form>
        <select aria-label="Channel" value={channel ?? ''} onChange={(event) => filter({ channel: event.currentTarget.value })}>
          <option value="">All channels</option>
          {channels.map((line) => line.channel && <option key={line.channel.id} value={line.channel.id}>{line.channel.name}</option>)}
        </select>
        <span class="grow" />
        <button type="button" onClick={() => setMaking(true)}>Make a file <kbd>E</kbd></button>
      </div>
      {refusal ? (
        <Empty title="There is no report for that"><p>{refusal.message}</p><button type="button" onClick={() => filter({ from: null, to: null, days: null, channel: null })}>The last 7 days</button></Empty>
      ) : error && !data ? <Failure message={error} retry={again} />
        : !data || !sum ? <Skeleton rows={10} />
        : nothing ? (
          channel || own || days !== 30 ? (
            <Empty title="Nothing happened in that time"><p>No order came in or moved{channel && ' in that channel'}.</p><a href="/reports?days=30">The last 30 days</a></Empty>
          ) : (
            <Empty title="Nothing to report yet"><p>Figures begin with the first order. To see some come in:</p><pre>OMS_KEY=… oms simulate --rate 2 --minutes 1</pre></Empty>
          )
        ) : (
          <div class="report" aria-busy={loading}>
            <section class="tiles wide" aria-label="Figures">
              <div class="tile"><b>{sum.ordersReceived}</b><span>orders in, {sum.orderValue.map(money).join(' + ') || '–'}</span></div>
              <div class="tile"><b>{sum.shipmentsDispatched}</b><span>shipments out</span></div>
              <div class={`tile ${late > 0 ? 'late' : ''}`}><b>{sum.onTimeRate === null ? '–' : percent(sum.onTimeRate)}</b><span>on time, {late} late</span></div>
              <div class="tile"><b>{sum.fillRate === null ? '–' : percent(sum.fillRate)}</b><span>of units there at once</span></div>
              <div class="tile"><b>{sum.misScansPerThousand === null ? '–' : Number(sum.misScansPerThousand).toFixed(1)}</b><span>mis-scans per 1,000 units</span></div>
              <div class="tile"><b>{secs(sum.deliveries.p50Secs)}</b><span>under way, {count(sum.deliveries.count, 'parcel')}</span></div>
            </section>
            <Columns
              title="In and out"
              says={`${count(sum.ordersReceived, 'order')} came in and ${count(sum.shipmentsDispatched, 'shipment')} left${dates.length > 1 ? ` in ${dates.length} days` : ''}.`}
              series={[{ name: 'orders in', tone: 'one' }, { name: 'shipments out', tone: 'two' }]}
              periods={dates}
              values={[lines.map((line) => line.ordersReceived), lines.map((line) => line.shipmentsDispatched)]}
            />
            <Columns
              title="Promises"
              says={late > 0 ? `${count(late, 'shipment')} of ${sum.shipmentsDispatched} left late.` : sum.shipmentsDispatched > 0 ? 'Everything left in time.' : 'Nothing has left.'}
              series={[{ name: 'in time', tone: 'two' }, { name: 'late', tone: 'bad' }]}
              periods={dates}
              values={[lines.map((line) => line.shipmentsDispatched - line.dispatchedLate), lines.map((line) => line.dispatchedLate)]}
            />
            <Bars
              title="Through each stage"
              says="How many orders came to it and left it."
              nothing="No order moved."
              columns={['Stage', 'Came', 'Left']}
              rows={passed.map((it) => ({ name: words(it.stage), href: orders(it.stage), length: it.left.count, behind: it.entered, cells: [String(it.entered), String(it.left.count)] }))}
            />
            <Bars
              title="Time in each stage"
              says={slowest ? `${words(slowest.stage)} takes longest: one in twenty stays longer than ${secs(slowest.left.p95Secs)}.` : ''}
              nothing="No order has left a stage: there is no time to tell."
              columns={['Stage', 'Half within', '19 of 20 within']}
              rows={timed.map((it) => ({ name: words(it.stage), length: it.left.p50Secs ?? 0, behind: it.left.p95Secs ?? 0, cells: [secs(it.left.p50Secs), secs(it.left.p95Secs)] }))}
            />
            <Bars
              title="Exceptions by cause"
              says={causes[0] ? `${words(causes[0].code)} is the most common, ${causes[0].opened} times.` : ''}
              nothing="Nothing needed a person."
              columns={['Cause', 'Opened', 'Settled', 'Half within']}
              rows={causes.map((it) => ({ name: words(it.code), href: `/orders?q=${encodeURIComponent(`exception:${it.code.toLowerCase()}`)}`, length: it.opened, cells: [String(it.opened), String(it.settled.count), secs(it.settled.p50Secs)] }))}
            />
            <Bars
              title="Mis-scans"
              says={`${count(sum.misScans, 'scan')} refused, for ${count(sum.unitsPicked + sum.unitsPacked, 'unit')} scanned right.`}
              nothing={sum.unitsPicked + sum.unitsPacked > 0 ? `No scan was refused; ${count(sum.unitsPicked + sum.unitsPacked, 'unit')} were scanned right.` : 'Nothing was scanned.'}
              columns={['What was wrong', 'Scans']}
              rows={sum.misScansByCode.map((it) => ({ name: words(it.code), length: it.count, cells: [String(it.count)] }))}
            />
            <Bars
              title="By channel"
              says="Orders that came in."
              nothing="No channel."
              columns={['Channel', 'Orders', 'Value', 'Shipments', 'On time', 'Exceptions']}
              rows={channels.map((line) => ({
                name: line.channel?.name ?? '–',
                ...(line.channel ? { href: `/reports?${own ? `from=${from}&to=${to}` : `days=${days}`}&channel=${encodeURIComponent(line.channel.id)}` } : {}),
                length: line.ordersReceived,
                cells: [String(line.ordersReceived), line.orderValue.map(money).join(' + ') || '–', String(line.shipmentsDispatched), line.onTimeRate === null ? '–' : percent(line.onTimeRate), String(line.exceptions.reduce((all, it) => all + it.opened, 0))],
              }))}
            />
          </div>
        )}
      <Files round={round} />
      {making && <NewFile from={from} to={to} close={() => setMaking(false)} made={() => setRound(round + 1)} />}
    </>
  )
}
