/** What the house has agreed on: rules, channels, keys, gateways. Read, and the plain edits. */

import { type ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { ask, now } from './api'
import { count, moment, money, span, words } from './format'
import { graphql, type ResultOf, type VariablesOf } from './graphql'
import { useKeys } from './keys'
import { Ask, Badge, Dialog, Empty, Failure, NoPermission, Skeleton, useLoad } from './parts'
import { filter, place } from './route'
import { may } from './shell'
import { done, failed } from './toasts'

const RULES = graphql(`
  query Rules {
    exceptionRules(first: 250) { nodes { id code name expression severity blocking queue suggestedActions enabled version updatedAt channel { id name } } }
    exceptionRuleFields { name type description fields { name type description } }
  }
`)
const TRY = graphql(`
  query TryRule($expression: String!, $channel: ID) {
    exceptionRuleTest(input: { expression: $expression, channelId: $channel, orders: 200 }) {
      tested matched failed
      matches { order { number customerName total { amount currency } } }
      failures { order { number } reason }
      userErrors { code message }
    }
  }
`)
const SAVE_RULE = graphql(`mutation SaveRule($input: ExceptionRuleUpdateInput!) { exceptionRuleUpdate(input: $input) { userErrors { code message } } }`)
const CHANNELS = graphql(`
  query ChannelPolicies {
    channels(first: 250) { nodes { id code name currency timeZone taxMode active requiresAuthorization reauthorizes failedCheckPolicy dispatchWithinSecs pickupWithinSecs reservationTtlSecs captureRetrySecs completesAfterSecs archivesAfterSecs routing priceTolerance { amount currency } warehouses { code } version } }
  }
`)
const SAVE_CHANNEL = graphql(`mutation SaveChannel($input: ChannelUpdateInput!) { channelUpdate(input: $input) { userErrors { code message } } }`)
const API_KEYS = graphql(`query ApiKeys { apiKeys(first: 250) { nodes { id name role expiresAt revokedAt createdAt channels { id name } } } }`)
const MAKE_KEY = graphql(`mutation MakeKey($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { key userErrors { code message } } }`)
const REVOKE = graphql(`mutation Revoke($id: ID!) { apiKeyRevoke(input: { id: $id }) { userErrors { code message } } }`)
const TERMS = graphql(`query Terms { gatewayTerms { gateway feeRate feeFixed { amount currency } missingAfterDays version } }`)
const SAVE_TERMS = graphql(`mutation SaveTerms($input: GatewayTermsSaveInput!) { gatewayTermsSave(input: $input) { userErrors { code message } } }`)

type Rule = ResultOf<typeof RULES>['exceptionRules']['nodes'][number]
type Channel = ResultOf<typeof CHANNELS>['channels']['nodes'][number]
type Tried = ResultOf<typeof TRY>['exceptionRuleTest']
type Terms = ResultOf<typeof TERMS>['gatewayTerms'][number]
type Role = VariablesOf<typeof MAKE_KEY>['input']['role']
interface Payload { userErrors: { code: string; message: string }[] }

const ROLES: Role[] = ['VIEWER', 'SUPPORT', 'WAREHOUSE', 'OPERATIONS', 'FINANCE', 'PARTNER', 'ADMIN']
const SEVERITIES: Rule['severity'][] = ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL']

/** Sends a change; what is refused is said, and what was typed stays. */
async function save(say: string, call: () => Promise<Payload>): Promise<boolean> {
  try {
    const refusal = (await call()).userErrors[0]
    if (refusal) failed(refusal.message)
    else done(say)
    return !refusal
  } catch (error) {
    failed(error)
    return false
  }
}

/** Why a change cannot be sent; empty if it can. */
const lacks = (scope: string): string => (may(scope) ? '' : `Your key does not have the scope ${scope}`)

function Check({ name, on, set, off }: { name: string; on: boolean; set: (on: boolean) => void; off: boolean }) {
  return <label class="check"><input type="checkbox" checked={on} disabled={off} onChange={(event) => set(event.currentTarget.checked)} /> {name}</label>
}

function RuleForm({ rule, saved }: { rule: Rule; saved: () => void }) {
  const [draft, setDraft] = useState(rule)
  const [tried, setTried] = useState<{ of: string; found: Tried } | null>(null)
  const [busy, setBusy] = useState('')
  const why = lacks('RULES_MANAGE')
  const change = (part: Partial<Rule>) => setDraft({ ...draft, ...part })
  const same = JSON.stringify(draft) === JSON.stringify(rule)
  const run = async () => {
    setBusy('try')
    try {
      setTried({ of: draft.expression, found: (await ask(TRY, { expression: draft.expression, channel: rule.channel?.id ?? null })).exceptionRuleTest })
    } catch (error) {
      failed(error)
    } finally {
      setBusy('')
    }
  }
  useKeys('Settings', { x: () => void run() })
  const send = async () => {
    setBusy('save')
    const { name, expression, severity, blocking, queue, enabled } = draft
    if (await save(`${rule.code}: saved`, async () => (await ask(SAVE_RULE, { input: { id: rule.id, expectedVersion: rule.version, name, expression, severity, blocking, queue, enabled } })).exceptionRuleUpdate)) saved()
    setBusy('')
  }
  const found = tried?.of === draft.expression ? tried.found : null
  const fault = found?.userErrors[0]
  return (
    <form class="pane ask" aria-label={`Rule ${rule.code}`} onSubmit={(event) => { event.preventDefault(); void send() }}>
      <h2>{rule.code}</h2>
      <label>Name<input value={draft.name} disabled={!!why} onInput={(event) => change({ name: event.currentTarget.value })} /></label>
      <label>An order is stopped for a person when<textarea rows={4} class="code" spellcheck={false} value={draft.expression} disabled={!!why} onInput={(event) => change({ expression: event.currentTarget.value })} /></label>
      <div class="row">
        <label>Severity <select value={draft.severity} disabled={!!why} onChange={(event) => change({ severity: event.currentTarget.value as Rule['severity'] })}>{SEVERITIES.map((it) => <option key={it} value={it}>{words(it)}</option>)}</select></label>
        <label>Queue <input class="short" value={draft.queue} disabled={!!why} onInput={(event) => change({ queue: event.currentTarget.value })} /></label>
        <Check name="Stops the order" on={draft.blocking} off={!!why} set={(blocking) => change({ blocking })} />
        <Check name="In force" on={draft.enabled} off={!!why} set={(enabled) => change({ enabled })} />
      </div>
      <p class="muted">{rule.channel ? `Only in ${rule.channel.name}` : 'In every channel'}. Suggests {rule.suggestedActions.map((it) => words(it).toLowerCase()).join(', ') || 'nothing'}. Changed {moment(rule.updatedAt, now.value)}.</p>
      <div class="actions">
        <button type="button" disabled={!!busy} onClick={() => void run()}>{busy === 'try' ? 'Trying…' : 'Try it on the newest orders'} <kbd>X</kbd></button>
        <button type="submit" class="primary" disabled={!!why || same || !!busy} title={why}>Save</button>
        {!same && <button type="button" onClick={() => setDraft(rule)}>Take back</button>}
      </div>
      {why && <p class="muted">{why}.</p>}
      <div role="status">
        {fault ? <p class="due late">{fault.message}</p> : found && (
          <>
            <p><b>{found.matched}</b> of the newest {count(found.tested, 'order')} would be stopped{found.failed > 0 && `; with ${found.failed} it could not be told: ${found.failures[0]?.reason}`}.</p>
            <ul class="matches">
              {found.matches.slice(0, 12).map(({ order }) => <li key={order.number}><p><a href={`/orders/${order.number}`}>{order.number}</a> {order.customerName} <span class="muted">{money(order.total)}</span></p></li>)}
            </ul>
            {found.matches.length > 12 && <p class="muted">and {found.matches.length - 12} more.</p>}
          </>
        )}
      </div>
    </form>
  )
}

function Rules() {
  const { data, error, again } = useLoad(() => ask(RULES), [])
  const query = place.value.query
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  const rules = data.exceptionRules.nodes
  const rule = rules.find((it) => it.code === query.get('rule')) ?? rules[0]
  if (!rule) return <Empty title="No rules yet"><p>A rule stops orders that a person should see first. It is made with <code>exceptionRuleCreate</code>.</p></Empty>
  return (
    <div class="queue">
      <div class="list">
        <ul>
          {rules.map((it) => (
            <li key={it.id}>
              <button type="button" aria-current={it === rule ? 'true' : undefined} onClick={() => filter({ rule: it.code })}>
                <span class="row"><b>{it.name}</b><span class="row">{!it.enabled && <Badge name="OFF" />}<Badge name={it.severity} tone={it.severity === 'HIGH' || it.severity === 'CRITICAL' ? 'late' : it.severity === 'MEDIUM' ? 'soon' : ''} /></span></span>
                <span class="what"><code>{it.expression}</code></span>
              </button>
            </li>
          ))}
        </ul>
      </div>
      <div>
        <RuleForm key={`${rule.id} ${rule.version}`} rule={rule} saved={again} />
        <details class="fields">
          <summary>What a rule can speak of</summary>
          <dl class="facts">
            {data.exceptionRuleFields.flatMap((it) => (it.fields.length > 0 ? it.fields.map((one) => ({ ...one, name: `${it.name}.${one.name}` })) : [it])).map((it) => (
              <><dt><code>{it.name}</code></dt><dd>{it.description} <span class="muted">{it.type}</span></dd></>
            ))}
          </dl>
        </details>
      </div>
    </div>
  )
}

/** The spans of a channel that are plain to change: what they are for, and their unit. */
const SPANS = [
  ['dispatchWithinSecs', 'Leaves the house within', 3600, 'hours'],
  ['pickupWithinSecs', 'Seen by the carrier within', 3600, 'hours'],
  ['reservationTtlSecs', 'Held for an order that is not paid', 60, 'minutes'],
  ['captureRetrySecs', 'Asked for its money again after', 3600, 'hours'],
  ['completesAfterSecs', 'Complete after', 86_400, 'days'],
  ['archivesAfterSecs', 'Put away after', 86_400, 'days'],
] as const

function ChannelForm({ channel, saved, close }: { channel: Channel; saved: () => void; close: () => void }) {
  const [draft, setDraft] = useState(channel)
  const why = lacks('CATALOGUE_MANAGE')
  const send = async () => {
    const { id, name, active, requiresAuthorization, reauthorizes, failedCheckPolicy, version } = draft
    const spans = Object.fromEntries(SPANS.map(([field]) => [field, draft[field]]))
    if (await save(`${channel.name}: saved`, async () => (await ask(SAVE_CHANNEL, { input: { id, expectedVersion: version, name, active, requiresAuthorization, reauthorizes, failedCheckPolicy, ...spans } })).channelUpdate)) {
      close()
      saved()
    }
  }
  return (
    <Dialog label={`Channel ${channel.name}`} close={close}>
      <form class="ask" onSubmit={(event) => { event.preventDefault(); void send() }}>
        <h2>{channel.name} <code>{channel.code}</code></h2>
        <label>Name<input data-first value={draft.name} onInput={(event) => setDraft({ ...draft, name: event.currentTarget.value })} /></label>
        <div class="pairs">
          {SPANS.map(([field, name, unit, called]) => (
            <label key={field}>{name} ({called})<input type="number" min="0" step="any" value={draft[field] / unit} onInput={(event) => setDraft({ ...draft, [field]: Math.round(Number(event.currentTarget.value) * unit) })} /></label>
          ))}
        </div>
        <label>An order that fails a check<select value={draft.failedCheckPolicy} onChange={(event) => setDraft({ ...draft, failedCheckPolicy: event.currentTarget.value as Channel['failedCheckPolicy'] })}><option value="REVIEW">is kept for a person</option><option value="REFUSE">is refused</option></select></label>
        <div class="row">
          <Check name="Takes orders" on={draft.active} off={false} set={(active) => setDraft({ ...draft, active })} />
          <Check name="Only with money set aside" on={draft.requiresAuthorization} off={false} set={(requiresAuthorization) => setDraft({ ...draft, requiresAuthorization })} />
          <Check name="Sets money aside afresh" on={draft.reauthorizes} off={false} set={(reauthorizes) => setDraft({ ...draft, reauthorizes })} />
        </div>
        <div class="row end"><button type="button" onClick={close}>Not now</button><button type="submit" class="primary" disabled={!!why || JSON.stringify(draft) === JSON.stringify(channel)} title={why}>Save</button></div>
      </form>
    </Dialog>
  )
}

/** A table of things, and the word for when there are none. */
function Rows({ label, heads, children }: { label: string; heads: string[]; children: ComponentChildren }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table><thead><tr>{heads.map((head) => <th key={head} scope="col">{head || <span class="quiet">Actions</span>}</th>)}</tr></thead><tbody>{children}</tbody></table>
    </div>
  )
}

function Channels() {
  const { data, error, again } = useLoad(() => ask(CHANNELS), [])
  const [editing, setEditing] = useState<Channel | null>(null)
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  if (data.channels.nodes.length === 0) return <Empty title="No channels yet"><p>Orders come in through a channel. It is made with <code>channelCreate</code>.</p></Empty>
  const why = lacks('CATALOGUE_MANAGE')
  return (
    <>
      <Rows label="Channels" heads={['Channel', 'State', 'Leaves within', 'Picked up within', 'Unpaid is held', 'Failed check', 'Routing', 'Warehouses', 'Money', '']}>
        {data.channels.nodes.map((it) => (
          <tr key={it.id}>
            <td><b>{it.name}</b> <span class="muted">{it.code}</span></td>
            <td><Badge name={it.active ? 'OPEN' : 'CLOSED'} /></td>
            <td>{span(it.dispatchWithinSecs * 1000)}</td><td>{span(it.pickupWithinSecs * 1000)}</td><td>{span(it.reservationTtlSecs * 1000)}</td>
            <td>{it.failedCheckPolicy === 'REVIEW' ? 'kept for a person' : 'refused'}</td>
            <td class="wrap">{it.routing.map((rule) => words(rule).toLowerCase()).join(', ')}</td>
            <td>{it.warehouses.map((one) => one.code).join(', ') || '–'}</td>
            <td>{it.currency}, {words(it.taxMode).toLowerCase()}</td>
            <td><button type="button" disabled={!!why} title={why} aria-label={`Change ${it.name}`} onClick={() => setEditing(it)}>Change</button></td>
          </tr>
        ))}
      </Rows>
      {why && <p class="muted">{why}.</p>}
      {editing && <ChannelForm channel={editing} saved={again} close={() => setEditing(null)} />}
    </>
  )
}

function NewKey({ close, made }: { close: () => void; made: (key: string) => void }) {
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('VIEWER')
  const [days, setDays] = useState('90')
  const channels = useLoad(() => (may('CATALOGUE_READ') ? ask(CHANNELS) : Promise.resolve(null)), [])
  const [chosen, setChosen] = useState<string[]>([])
  const send = async () => {
    let secret = ''
    const input = { name: name.trim(), role, expiresAt: days ? new Date(now.value + Number(days) * 86_400_000).toISOString() : null, channelIds: chosen.length > 0 ? chosen : null }
    if (await save(`${name.trim()}: made`, async () => {
      const payload = (await ask(MAKE_KEY, { input })).apiKeyCreate
      secret = payload.key ?? ''
      return payload
    })) made(secret)
  }
  return (
    <Dialog label="Make a key" close={close}>
      <form class="ask" onSubmit={(event) => { event.preventDefault(); void send() }}>
        <h2>Make a key</h2>
        <label>For whom or what<input data-first value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
        <label>Role<select value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>{ROLES.map((it) => <option key={it} value={it}>{words(it)}</option>)}</select></label>
        <label>Ends<select value={days} onChange={(event) => setDays(event.currentTarget.value)}><option value="30">after 30 days</option><option value="90">after 90 days</option><option value="365">after a year</option><option value="">never</option></select></label>
        {channels.data && (
          <fieldset><legend>Only these channels; none chosen is all</legend>
            {channels.data.channels.nodes.map((it) => <Check key={it.id} name={it.name} on={chosen.includes(it.id)} off={false} set={(on) => setChosen(on ? [...chosen, it.id] : chosen.filter((id) => id !== it.id))} />)}
          </fieldset>
        )}
        <div class="row end"><button type="button" onClick={close}>Not now</button><button type="submit" class="primary" disabled={!name.trim()}>Make it</button></div>
      </form>
    </Dialog>
  )
}

function ApiKeys() {
  const { data, error, again } = useLoad(() => ask(API_KEYS), [])
  const [making, setMaking] = useState(false)
  const [secret, setSecret] = useState('')
  const [ending, setEnding] = useState<{ id: string; name: string } | null>(null)
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  const state = (it: (typeof data.apiKeys.nodes)[number]) => (it.revokedAt ? 'REVOKED' : it.expiresAt && Date.parse(it.expiresAt) < now.value ? 'EXPIRED' : 'IN_FORCE')
  return (
    <>
      <div class="searchbar"><span class="muted grow">A key is shown once, when it is made. What it may do is its role’s.</span><button type="button" class="primary" onClick={() => setMaking(true)}>Make a key</button></div>
      <Rows label="Keys" heads={['Name', 'Role', 'State', 'Channels', 'Made', 'Ends', '']}>
        {data.apiKeys.nodes.map((it) => (
          <tr key={it.id} data-key={it.name}>
            <td><b>{it.name}</b></td><td>{words(it.role)}</td><td><Badge name={state(it)} tone={state(it) === 'IN_FORCE' ? '' : 'soon'} /></td>
            <td>{it.channels ? it.channels.map((one) => one.name).join(', ') : 'all'}</td>
            <td>{moment(it.createdAt, now.value)}</td><td>{it.revokedAt ? `revoked ${moment(it.revokedAt, now.value)}` : it.expiresAt ? moment(it.expiresAt, now.value) : 'never'}</td>
            <td>{state(it) === 'IN_FORCE' && <button type="button" aria-label={`Revoke ${it.name}`} onClick={() => setEnding(it)}>Revoke</button>}</td>
          </tr>
        ))}
      </Rows>
      {making && <NewKey close={() => setMaking(false)} made={(key) => { setMaking(false); setSecret(key); again() }} />}
      {secret && (
        <Dialog label="The key" close={() => setSecret('')}>
          <div class="ask">
            <h2>This is the key</h2>
            <p class="muted">It is not kept in a way that it could be read again. Copy it now.</p>
            <pre data-secret>{secret}</pre>
            <div class="row end">
              <button type="button" data-first onClick={() => void navigator.clipboard?.writeText(secret).then(() => done('Copied'))}>Copy</button>
              <button type="button" class="primary" onClick={() => setSecret('')}>I have it</button>
            </div>
          </div>
        </Dialog>
      )}
      {ending && (
        <Dialog label={`Revoke ${ending.name}`} close={() => setEnding(null)}>
          <div class="ask">
            <h2>Revoke {ending.name}?</h2>
            <p class="muted">Whoever uses it is refused from now on, and what is open over it is closed. This cannot be undone.</p>
            <div class="row end">
              <button type="button" data-first onClick={() => setEnding(null)}>Not now</button>
              <button type="button" class="primary" onClick={() => { const { id, name } = ending; setEnding(null); void save(`${name}: revoked`, async () => (await ask(REVOKE, { id })).apiKeyRevoke).then(again) }}>Revoke</button>
            </div>
          </div>
        </Dialog>
      )}
    </>
  )
}

function Gateways() {
  const { data, error, again } = useLoad(() => ask(TERMS), [])
  const [editing, setEditing] = useState<Terms | null>(null)
  if (error && !data) return <Failure message={error} retry={again} />
  if (!data) return <Skeleton />
  const why = lacks('FINANCE_MANAGE')
  return (
    <>
      {data.gatewayTerms.length === 0 ? (
        <Empty title="No terms yet">
          <p>What a gateway keeps for itself, and when money that does not come is missed. They are made with <code>gatewayTermsSave</code>, or by the first file of settlements.</p>
        </Empty>
      ) : (
        <Rows label="Gateways" heads={['Gateway', 'Keeps', 'And for each', 'Missed after', '']}>
          {data.gatewayTerms.map((it) => (
            <tr key={it.gateway}>
              <td><b>{it.gateway}</b></td><td>{it.feeRate ? `${Number((Number(it.feeRate) * 100).toFixed(4))} %` : 'not agreed'}</td><td>{it.feeFixed ? money(it.feeFixed) : '–'}</td><td>{count(it.missingAfterDays, 'day')}</td>
              <td><button type="button" disabled={!!why} title={why} onClick={() => setEditing(it)}>Change</button></td>
            </tr>
          ))}
        </Rows>
      )}
      {editing && (
        <Ask title={`${editing.gateway}: when is money missed?`} detail="Days after a capture without a word of it from the gateway." field="Days" initial={String(editing.missingAfterDays)} go="Save" close={() => setEditing(null)}
          run={(text) => void save(`${editing.gateway}: saved`, async () => (await ask(SAVE_TERMS, { input: { gateway: editing.gateway, missingAfterDays: Number(text), expectedVersion: editing.version } })).gatewayTermsSave).then(again)} />
      )}
    </>
  )
}

const PARTS = [
  { of: 'rules', name: 'Exception rules', scope: 'RULES_READ', Part: Rules },
  { of: 'channels', name: 'Channels', scope: 'CATALOGUE_READ', Part: Channels },
  { of: 'keys', name: 'API keys', scope: 'KEYS_MANAGE', Part: ApiKeys },
  { of: 'gateways', name: 'Gateways', scope: 'FINANCE_READ', Part: Gateways },
]

export function Settings() {
  const { of, scope, Part } = PARTS.find((part) => part.of === place.value.query.get('of')) ?? PARTS[0]!
  return (
    <>
      <div class="searchbar">
        <h1>Settings</h1>
        <nav class="views" aria-label="Settings">
          {PARTS.map((part) => <a key={part.of} href={`/settings?of=${part.of}`} aria-current={part.of === of ? 'true' : undefined}>{part.name}</a>)}
        </nav>
      </div>
      {may(scope) ? <Part key={of} /> : <NoPermission scope={scope} />}
    </>
  )
}
