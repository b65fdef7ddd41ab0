/** Whether the server is well: the first place to look at when a wall screen has stopped. */

import { useEffect, useState } from 'preact/hooks'
import { ask, heardAt, link, now, reconnect, watch } from './api'
import { clock, count, exact, span, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Badge, Failure, Skeleton, useLoad } from './parts'
import { may, stages, viewer } from './shell'

const STATE = graphql(`
  query SystemState { exceptionStats { openCount overdueCount oldestAgeSecs } exports(first: 50) { nodes { id state } } }
`)
const FEEDS = graphql(`subscription Feeds { stockSources { at sources { id name active staleSince receivedAt alerts { summary } } } }`)
const BOOKS = graphql(`query Books { integrityReport { checks differences { invariant rule subject } } }`)
const MESSAGES = graphql(`query Stuck { messages(where: { state: [FAILED, UNDELIVERABLE] }, first: 1) { totalCount { count capped } } }`)

interface Ready {
  status: 'ready' | 'degraded' | 'unready'
  reasons: string[]
  /** How long it took to say so. */
  took: number
}

/** Asks the server itself, not its API: it answers without a key, and while the database is away. */
async function readiness(): Promise<Ready> {
  const began = performance.now()
  const answer = await fetch('/readyz', { headers: { accept: 'application/json' } }).catch(() => null)
  const body = (await answer?.json().catch(() => null)) as Partial<Ready> | null | undefined
  if (!body?.status) throw new Error('The server does not say how it is.')
  return { status: body.status, reasons: body.reasons ?? [], took: Math.round(performance.now() - began) }
}

function Fact({ name, tone = '', children }: { name: string; tone?: string; children: preact.ComponentChildren }) {
  return (
    <div class={`fact-box ${tone}`}>
      <dt>{tone === 'late' ? '▲ ' : tone === 'soon' ? '△ ' : ''}{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

export function System() {
  const beat = Math.floor(now.value / 5000)
  const ready = useLoad(readiness, [beat])
  const state = useLoad(() => ask(STATE), [Math.floor(beat / 3)])
  const stuck = useLoad(() => (may('ORDERS_READ') ? ask(MESSAGES) : Promise.resolve(null)), [Math.floor(beat / 3)])
  const [feeds, setFeeds] = useState<ResultOf<typeof FEEDS>['stockSources'] | null>(null)
  useEffect(() => (may('STOCK_READ') ? watch(FEEDS, (data) => setFeeds(data.stockSources)) : undefined), [])
  const [books, setBooks] = useState<{ at: number; report: ResultOf<typeof BOOKS>['integrityReport'] } | null>(null)
  const [checking, setChecking] = useState(false)
  const [fault, setFault] = useState('')
  const check = async () => {
    if (checking || !may('INTEGRITY_READ')) return
    setChecking(true)
    setFault('')
    try {
      setBooks({ report: (await ask(BOOKS)).integrityReport, at: now.value })
    } catch (error) {
      setFault((error as Error).message)
    } finally {
      setChecking(false)
    }
  }
  useKeys('System', { v: () => void check() })
  const build = [...document.scripts].map((it) => /\/assets\/index-(.+)\.js$/.exec(it.src)?.[1]).find(Boolean)
  const ill = (feeds?.sources ?? []).filter((it) => it.active && it.alerts.length > 0)
  const said = ready.error ? null : ready.data
  return (
    <>
      <div class="searchbar"><h1>System</h1></div>
      {!ready.data && !ready.error ? <Skeleton rows={4} /> : (
        <dl class="fact-boxes">
          <Fact name="Server" tone={!said ? 'late' : said.status === 'ready' ? '' : said.status === 'degraded' ? 'soon' : 'late'}>
            <b>{said ? words(said.status) : 'No answer'}</b>
            <span>{said ? said.reasons.join('; ') || `the database answers, nothing is degraded; asked in ${said.took} ms` : ready.error} {!said && <button type="button" class="link" onClick={ready.again}>Try again</button>}</span>
          </Fact>
          <Fact name="Link" tone={link.value === 'live' ? '' : 'soon'}>
            <b>{words(link.value)}</b>
            <span>heard {span(now.value - heardAt.value)} ago {link.value !== 'live' && <button type="button" class="link" onClick={reconnect}>Try now</button>}</span>
          </Fact>
          <Fact name="Log">
            <b>{stages.value ? `Position ${stages.value.seq.toLocaleString('en-GB')}` : '–'}</b>
            <span>{stages.value ? `counted on the board as of ${clock(stages.value.at)}` : 'not told yet'}</span>
          </Fact>
          <Fact name="Exceptions" tone={(state.data?.exceptionStats.overdueCount ?? 0) > 0 ? 'soon' : ''}>
            <b>{state.data ? `${state.data.exceptionStats.openCount} open` : '–'}</b>
            <span>{state.error && !state.data ? state.error : state.data ? `${state.data.exceptionStats.overdueCount} overdue${state.data.exceptionStats.oldestAgeSecs ? `, the oldest for ${span(state.data.exceptionStats.oldestAgeSecs * 1000)}` : ''}` : ''}</span>
          </Fact>
          <Fact name="Feeds" tone={ill.length > 0 ? 'soon' : ''}>
            <b>{!may('STOCK_READ') ? 'Not shown' : feeds ? count(feeds.sources.filter((it) => it.active).length, 'source') : '–'}</b>
            <span>{!may('STOCK_READ') ? 'needs STOCK_READ' : ill.length > 0 ? ill.map((it) => `${it.name}: ${it.alerts[0]?.summary}`).join('; ') : 'nothing is wrong with them'} <a href="/stock">Stock</a></span>
          </Fact>
          <Fact name="Notices" tone={(stuck.data?.messages.totalCount.count ?? 0) > 0 ? 'soon' : ''}>
            <b>{stuck.data ? `${stuck.data.messages.totalCount.count} failed` : '–'}</b>
            <span>that customers were not told</span>
          </Fact>
          <Fact name="Files"><b>{state.data ? `${state.data.exports.nodes.filter((it) => it.state === 'RUNNING').length} being made` : '–'}</b><span><a href="/reports#files">Files</a></span></Fact>
          <Fact name="This page"><b>{build ?? 'from its sources'}</b><span>{viewer.value ? `${viewer.value.name}, ${words(viewer.value.role).toLowerCase()}` : ''}</span></Fact>
        </dl>
      )}
      <section class="panel" aria-label="Books">
        <header class="row">
          <h2>Books</h2>
          <span class="muted">Stock, money and orders, held against each other as <code>oms verify</code> does.</span>
          <span class="grow" />
          <button type="button" disabled={checking || !may('INTEGRITY_READ')} title={may('INTEGRITY_READ') ? '' : 'Your key does not have the scope INTEGRITY_READ'} onClick={() => void check()}>{checking ? 'Checking…' : 'Check now'} <kbd>V</kbd></button>
        </header>
        {fault ? <Failure message={fault} retry={() => void check()} /> : !books ? (
          <p class="muted">{may('INTEGRITY_READ') ? 'Not checked since this page was opened.' : 'Your key does not show this: it needs the scope INTEGRITY_READ.'}</p>
        ) : books.report.differences.length === 0 ? (
          <p role="status"><Badge name="VERIFIED" /> {books.report.checks} checks, no difference, <time title={exact(books.at)}>{span(now.value - books.at)} ago</time>.</p>
        ) : (
          <ul role="alert">{books.report.differences.slice(0, 50).map((it) => <li key={it.invariant + it.subject}><Badge name={it.invariant} tone="late" /> {it.rule} <code>{it.subject}</code></li>)}</ul>
        )}
      </section>
    </>
  )
}
