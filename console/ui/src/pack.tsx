/**
 * Pick and pack with a scanner: a field that keeps the focus, and half of the screen for what the
 * last scan came to. No letter does anything here; a scan that was not answered is never green.
 */

import { useEffect, useRef, useState } from 'preact/hooks'
import { ask, link, now, Refused } from './api'
import { count, span, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { useKeys } from './keys'
import { Badge, Dialog, Empty, Failure, NoPermission, Skeleton, useLoad } from './parts'
import { filter, place } from './route'
import { actorName, may, viewer } from './shell'
import { done, failed } from './toasts'

const WORK = graphql(`
  query Work {
    pickLists(where: { status: { in: [OPEN, PICKING] } }, first: 50) { nodes { id number name status picker createdAt warehouse { code } tasks { quantity picked status } } }
    shipments(where: { status: { in: [PENDING, PICKED] } }, first: 50) { nodes { id number status warehouse { code } order { number serviceLevel dispatchBy lines { id quantity picked packed shipped } } packages { id position status packer } } }
  }
`)
const LIST = graphql(`
  query PickOf($id: ID!) { pickList(id: $id) { id number name status picker warehouse { code } tasks { id position slot quantity picked status bin { id code } variant { id sku title } fulfillmentOrder { order { number } } } } }
`)
const BOX = graphql(`
  query BoxOf($id: ID!) { shipment(id: $id) { id number status order { number } packages { id position status carton expectedGrams lines { expected packed variant { sku title } } } } }
`)
const CLAIM = graphql(`mutation Claim($id: ID!, $key: String) { pickListClaim(input: { id: $id, idempotencyKey: $key }) { userErrors { code message } } }`)
const PICK = graphql(`mutation PickScan($list: ID!, $code: String!, $key: String) { pickScan(input: { pickListId: $list, code: $code, device: "console", idempotencyKey: $key }) { scan { accepted sku title units left slots { slot units } } userErrors { code message } } }`)
const PACK = graphql(`mutation PackScan($box: ID!, $code: String!, $key: String) { packScan(input: { packageId: $box, code: $code, device: "console", idempotencyKey: $key }) { scan { accepted sku title units left slots { slot units } } userErrors { code message } } }`)
const SHORT = graphql(`mutation Short($list: ID!, $bin: ID!, $variant: ID!, $found: Int!, $key: String) { pickShort(input: { pickListId: $list, binId: $bin, variantId: $variant, found: $found, idempotencyKey: $key }) { short elsewhere userErrors { code message } } }`)
const OPEN = graphql(`mutation OpenBox($shipment: ID!, $key: String) { packageOpen(input: { shipmentId: $shipment, idempotencyKey: $key }) { package { id } userErrors { code message } } }`)
const CLOSE = graphql(`mutation CloseBox($id: ID!, $key: String) { packageClose(input: { id: $id, idempotencyKey: $key }) { userErrors { code message } } }`)

type Scan = NonNullable<ResultOf<typeof PICK>['pickScan']['scan']>
interface Answer { scan: Scan | null; userErrors: { code: string; message: string }[] }
interface Said { tone: 'good' | 'wrong' | 'over' | 'idle'; head: string; text: string }

const READY: Said = { tone: 'idle', head: 'Scan', text: 'Nothing was scanned yet.' }
let sound: AudioContext | null = null

/** A sound for each kind of answer, for who does not look. */
function beep(tone: Said['tone']): void {
  if (localStorage.getItem('oms.mute')) return
  sound ??= new AudioContext()
  const voice = sound.createOscillator()
  voice.frequency.value = tone === 'good' ? 880 : tone === 'over' ? 440 : 180
  voice.connect(sound.destination)
  voice.start()
  voice.stop(sound.currentTime + (tone === 'good' ? 0.08 : 0.35))
  if (tone !== 'good') navigator.vibrate?.(200)
}

function judge({ scan, userErrors }: Answer, code: string): Said {
  const refusal = userErrors[0]
  const what = scan?.sku ? `${scan.sku} ${scan.title ?? ''}` : code
  if (scan?.accepted) return { tone: 'good', head: scan.left === 0 ? 'OK, that was the last' : `OK, ${scan.left} left`, text: `${scan.units} × ${what}${scan.slots.length > 0 ? ` into slot ${scan.slots.map((it) => it.slot).join(', ')}` : ''}` }
  return { tone: refusal?.code === 'SCAN_OVER' ? 'over' : 'wrong', head: refusal?.code === 'SCAN_OVER' ? 'One too many' : refusal ? words(refusal.code.replace('SCAN_', '')) : 'Not counted', text: `${what}: ${refusal?.message ?? 'it did not count'}` }
}

/** Scans, sent one after another under their own names until the server has answered each. */
function useScans(send: (code: string, key: string) => Promise<Answer>, after: () => void) {
  const [said, setSaid] = useState<Said>(READY)
  const [open, setOpen] = useState(0)
  const queue = useRef<{ code: string; key: string }[]>([])
  const busy = useRef(false)
  const work = async () => {
    if (busy.current) return
    busy.current = true
    for (let next = queue.current[0]; next; next = queue.current[0]) {
      try {
        const answer = judge(await send(next.code, next.key), next.code)
        setSaid(answer)
        beep(answer.tone)
      } catch (error) {
        if (error instanceof Refused && error.code === 'OFFLINE') {
          setSaid({ tone: 'over', head: 'Not sent yet', text: 'The server does not answer. The scan waits here, and counts once.' })
          await new Promise((again) => setTimeout(again, 1500))
          continue
        }
        setSaid({ tone: 'wrong', head: 'Not counted', text: (error as Error).message })
        beep('wrong')
      }
      queue.current.shift()
      setOpen(queue.current.length)
      after()
    }
    busy.current = false
  }
  const scan = (code: string) => {
    queue.current.push({ code, key: crypto.randomUUID() })
    setOpen(queue.current.length)
    void work()
  }
  return { said, open, scan, say: setSaid }
}

/** Where a scanner types: it keeps the focus, and Enter or Tab ends a scan. */
function Field({ label, scan }: { label: string; scan: (code: string) => void }) {
  const field = useRef<HTMLInputElement>(null)
  const [keyboard, setKeyboard] = useState(false)
  useEffect(() => {
    const back = () => setTimeout(() => (document.activeElement === document.body || document.activeElement === null) && field.current?.focus(), 50)
    field.current?.focus()
    addEventListener('focusout', back)
    return () => removeEventListener('focusout', back)
  }, [])
  useKeys('Pick and pack', { F2: () => field.current?.focus() })
  return (
    <div class="row">
      <label class="grow">{label} <kbd>F2</kbd>
        <input ref={field} id="scan" class="scan" autocomplete="off" autocapitalize="characters" spellcheck={false} inputMode={keyboard ? 'text' : 'none'}
          onKeyDown={(event) => {
            const code = event.currentTarget.value.trim()
            if ((event.key !== 'Enter' && event.key !== 'Tab') || !code) return
            event.preventDefault()
            event.currentTarget.value = ''
            scan(code)
          }} />
      </label>
      <button type="button" aria-pressed={keyboard} onClick={() => { setKeyboard(!keyboard); field.current?.focus() }}>Keyboard</button>
    </div>
  )
}

function Result({ said, open }: { said: Said; open: number }) {
  const [mute, setMute] = useState(!!localStorage.getItem('oms.mute'))
  const change = () => {
    if (mute) localStorage.removeItem('oms.mute')
    else localStorage.setItem('oms.mute', '1')
    setMute(!mute)
  }
  return (
    <div class={`result ${said.tone}`} role="status" data-result={said.tone}>
      <p class="head"><span aria-hidden="true">{{ good: '✓', wrong: '✕', over: '!', idle: '▯' }[said.tone]}</span> {said.head}</p>
      <p>{said.text}</p>
      <p class="row">
        {open > 0 && <b>{count(open, 'scan')} not answered yet</b>}
        {link.value !== 'live' && <b>{words(link.value)}</b>}
        <span class="grow" />
        <button type="button" aria-pressed={mute} onClick={change}>{mute ? 'Sound is off' : 'Sound is on'}</button>
      </p>
    </div>
  )
}

function Picking({ id }: { id: string }) {
  const { data, error, again } = useLoad(() => ask(LIST, { id }), [id])
  const { said, open, scan } = useScans(async (code, key) => (await ask(PICK, { list: id, code, key })).pickScan, again)
  const [short, setShort] = useState(false)
  const list = data?.pickList
  const left = (list?.tasks ?? []).filter((it) => it.status === 'OPEN')
  const next = left[0]
  useKeys('Pick and pack', { F4: () => next && setShort(true), F8: () => filter({ list: null }) })
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  if (!list) return <Empty title="There is no such list"><button type="button" onClick={() => filter({ list: null })}>All work</button></Empty>
  const mine = list.picker === viewer.value?.actor
  const units = next ? left.filter((it) => it.bin?.id === next.bin?.id && it.variant?.id === next.variant?.id).reduce((sum, it) => sum + it.quantity - it.picked, 0) : 0
  const found = async (number: number) => {
    if (!next?.bin || !next.variant) return
    setShort(false)
    try {
      const payload = (await ask(SHORT, { list: id, bin: next.bin.id, variant: next.variant.id, found: number, key: crypto.randomUUID() })).pickShort
      if (payload.userErrors[0]) failed(payload.userErrors[0].message)
      else done(`${payload.short} short, ${payload.elsewhere} from other bins`)
      again()
    } catch (problem) {
      failed(problem)
    }
  }
  return (
    <div class="station">
      <Result said={said} open={open} />
      <div class="panel">
        <header class="row"><h1>{list.number}</h1><span class="muted">{list.name} {list.warehouse?.code}</span><span class="grow" /><button type="button" onClick={() => filter({ list: null })}>All work <kbd>F8</kbd></button></header>
        {next && !mine ? <p class="due soon">{list.picker ? `${actorName(list.picker)} has it.` : 'Nobody has it: take it first.'}</p> : next ? (
          <>
            <p class="next" data-next={next.variant?.sku}><b>{next.bin?.code}</b> {next.variant?.sku} <span>{units} to pick</span></p>
            <p class="muted">{next.variant?.title}, slot {next.slot}, order {next.fulfillmentOrder?.order?.number}</p>
            <Field label="Unit" scan={scan} />
            <div class="actions"><button type="button" onClick={() => setShort(true)}>Too few here <kbd>F4</kbd></button></div>
          </>
        ) : <p class="next">Everything is picked.</p>}
        <ol class="tasks">
          {list.tasks.map((it) => (
            <li key={it.id} class={it.status === 'OPEN' ? '' : 'muted'}><span aria-hidden="true">{it.status === 'DONE' ? '✓' : it.status === 'OPEN' ? '○' : '✕'}</span> <code>{it.bin?.code}</code> {it.variant?.sku} <b>{it.picked} of {it.quantity}</b>{it.status === 'SHORT' && ' short'}</li>
          ))}
        </ol>
      </div>
      {short && next && (
        <Dialog label="Too few" close={() => setShort(false)}>
          <form class="ask" onSubmit={(event) => { event.preventDefault(); const text = (new FormData(event.currentTarget).get('found') as string).trim(); if (/^\d+$/.test(text)) void found(Number(text)) }}>
            <h2>{next.variant?.sku} in {next.bin?.code}</h2>
            <label>Units that lie there, apart from what was scanned<input data-first name="found" inputMode="numeric" defaultValue="0" /></label>
            <div class="row end"><button type="button" onClick={() => setShort(false)}>Not now</button><button type="submit" class="primary">Book it</button></div>
          </form>
        </Dialog>
      )}
    </div>
  )
}

function Packing({ id }: { id: string }) {
  const { data, error, again } = useLoad(() => ask(BOX, { id }), [id])
  const box = data?.shipment?.packages.find((it) => it.status === 'OPEN')
  const [busy, setBusy] = useState(false)
  const act = async (say: string, call: () => Promise<{ userErrors: { message: string }[] }>) => {
    if (busy) return
    setBusy(true)
    try {
      const refusal = (await call()).userErrors[0]
      if (refusal) failed(refusal.message)
      else done(say)
    } catch (problem) {
      failed(problem)
    } finally {
      setBusy(false)
      again()
    }
  }
  const { said, open, scan } = useScans(async (code, key) => (await ask(PACK, { box: box?.id ?? '', code, key })).packScan, again)
  const complete = !!box && box.lines.every((it) => it.packed === it.expected)
  const close = () => box && complete && open === 0 && void act('The parcel is closed', async () => (await ask(CLOSE, { id: box.id, key: crypto.randomUUID() })).packageClose)
  // A label on the wall does what its key does.
  const read = (code: string) => (code.toUpperCase() === 'OMS:CLOSE' ? close() : code.toUpperCase() === 'OMS:NEXT' ? filter({ shipment: null }) : scan(code))
  useKeys('Pick and pack', { F9: () => close(), F8: () => filter({ shipment: null }) })
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  const shipment = data.shipment
  if (!shipment) return <Empty title="There is no such shipment"><button type="button" onClick={() => filter({ shipment: null })}>All work</button></Empty>
  const why = !complete ? 'Not everything is in it' : open > 0 ? 'A scan is not answered yet' : ''
  return (
    <div class="station">
      <Result said={said} open={open} />
      <div class="panel">
        <header class="row"><h1>{shipment.number}</h1><span>Order <a href={`/orders/${shipment.order?.number}`}>{shipment.order?.number}</a></span><Badge name={shipment.status} /><span class="grow" /><button type="button" onClick={() => filter({ shipment: null })}>All work <kbd>F8</kbd></button></header>
        {!box ? (
          ['PENDING', 'PICKED'].includes(shipment.status)
            ? <button type="button" class="primary" disabled={busy} onClick={() => void act('A parcel is open', async () => (await ask(OPEN, { shipment: id, key: crypto.randomUUID() })).packageOpen)}>Open a parcel</button>
            : <p class="next">Packed. Its label is made by itself, or on the order’s page.</p>
        ) : (
          <>
            <p class="muted">Parcel {box.position} {box.carton && `in ${box.carton}`}, {box.expectedGrams} g</p>
            <Field label="Unit, or OMS:CLOSE" scan={read} />
            <ol class="tasks">{box.lines.map((it, index) => <li key={index}><span aria-hidden="true">{it.packed === it.expected ? '✓' : '○'}</span> {it.variant?.sku} <span class="muted">{it.variant?.title}</span> <b>{it.packed} of {it.expected}</b></li>)}</ol>
            <div class="actions"><button type="button" class="primary" disabled={!!why || busy} title={why} onClick={close}>{busy ? 'In progress…' : 'Close the parcel'} <kbd>F9</kbd></button>{why && <span class="muted">{why}.</span>}</div>
          </>
        )}
      </div>
    </div>
  )
}

function Work() {
  const { data, error, again } = useLoad(() => ask(WORK), [document.hidden ? 0 : Math.floor(now.value / 10_000)])
  const take = async (id: string) => {
    try {
      const refusal = (await ask(CLAIM, { id, key: crypto.randomUUID() })).pickListClaim.userErrors[0]
      if (refusal) return failed(refusal.message)
      filter({ list: id })
    } catch (problem) {
      failed(problem)
    }
  }
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  const lists = data.pickLists.nodes
  // Only what was picked can be packed.
  const ready = data.shipments.nodes.filter((it) => it.order?.lines.some((line) => line.picked > line.packed))
  const find = (code: string) => {
    const list = lists.find((it) => it.number === code.toUpperCase())
    const shipment = ready.find((it) => it.number === code || it.order?.number === code)
    if (list) void take(list.id)
    else if (shipment) filter({ shipment: shipment.id })
    else failed(`Nothing here is called ${code}.`)
  }
  const why = may('FULFILLMENT_WORK') ? '' : 'Your key does not have the scope FULFILLMENT_WORK'
  return (
    <>
      <div class="searchbar"><h1>Pick and pack</h1></div>
      {lists.length === 0 && ready.length === 0 ? (
        <Empty title="No work">
          <p>Pick lists come from waves, with <code>waveRelease</code> or <code>pickListCreate</code>.</p>
          <p><a href={`/orders?q=${encodeURIComponent('stage:staged')}`}>Orders that are to be picked</a></p>
        </Empty>
      ) : (
        <div class="stack">
          {!why && <Field label="A list, a shipment or an order" scan={find} />}
          {why && <p class="muted">{why}.</p>}
          <section class="panel" aria-label="To pick">
            <h2>To pick <span class="pill">{lists.length}</span></h2>
            {lists.length === 0 && <p class="muted">Nothing is to be picked.</p>}
            <ul class="work">
              {lists.map((it) => {
                const units = it.tasks.filter((task) => task.status === 'OPEN').reduce((sum, task) => sum + task.quantity - task.picked, 0)
                const theirs = it.picker && it.picker !== viewer.value?.actor
                return <li key={it.id}><button type="button" data-list={it.number} disabled={!!theirs || !!why} title={why || (theirs ? `${actorName(it.picker)} has it` : '')} onClick={() => void take(it.id)}><b>{it.number}</b> {it.name} <span class="muted">{it.warehouse?.code}, {count(units, 'unit')}, for {span(now.value - Date.parse(it.createdAt))}{it.picker && `, ${actorName(it.picker)}`}</span></button></li>
              })}
            </ul>
          </section>
          <section class="panel" aria-label="To pack">
            <h2>To pack <span class="pill">{ready.length}</span></h2>
            {ready.length === 0 && <p class="muted">Nothing that was picked waits for its parcel.</p>}
            <ul class="work">
              {ready.map((it) => <li key={it.id}><button type="button" data-shipment={it.number} disabled={!!why} title={why} onClick={() => filter({ shipment: it.id })}><b>{it.number}</b> <span class="muted">{it.warehouse?.code}, {words(it.order?.serviceLevel ?? '').toLowerCase()}, {count(it.order?.lines.reduce((sum, line) => sum + line.picked - line.packed, 0) ?? 0, 'unit')}{it.packages.some((box) => box.status === 'OPEN') && ', a parcel is open'}</span></button></li>)}
            </ul>
          </section>
        </div>
      )}
    </>
  )
}

export function Pack() {
  const query = place.value.query
  const list = query.get('list')
  const shipment = query.get('shipment')
  if (!may('FULFILLMENT_READ')) return <NoPermission scope="FULFILLMENT_READ" />
  return list ? <Picking key={list} id={list} /> : shipment ? <Packing key={shipment} id={shipment} /> : <Work />
}
