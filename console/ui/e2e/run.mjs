/**
 * The console in a browser, against the built binary. Each test has a server and a database of its
 * own; every process is ended by its own id. Pictures of every screen are left in `shots`.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const here = dirname(fileURLToPath(import.meta.url))
const binary = process.env.OMS_BINARY ?? join(here, '../../../target/debug/oms')
const folder = mkdtempSync(join(tmpdir(), 'oms-console-'))
const shots = join(here, 'shots')
mkdirSync(shots, { recursive: true })
const running = new Set()
const axe = readFileSync(join(here, '../node_modules/axe-core/axe.min.js'), 'utf8')

async function command(database, args, env = {}) {
  const child = spawn(binary, args, { env: { ...process.env, OMS__DATABASE__URL: `sqlite:${database}`, OMS__DATABASE__SQLITE_SYNCHRONOUS: 'off', ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const part of child.stdout) text += part
  return text
}

/** Starts a server; port 0 is any. */
async function serve(database, { env = {}, port = 0 } = {}) {
  const child = spawn(binary, ['serve'], {
    env: { ...process.env, OMS__DATABASE__URL: `sqlite:${database}`, OMS__DATABASE__SQLITE_SYNCHRONOUS: 'off', OMS__SERVER__LISTEN: `127.0.0.1:${port}`, OMS__LOG__FILTER: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.add(child)
  const gone = once(child, 'exit').finally(() => running.delete(child))
  let text = ''
  for await (const part of child.stdout) {
    text += part
    const found = /GraphQL API: (http:\/\/[^/\s]+)/.exec(text)
    if (found) {
      child.stdout.resume()
      const base = found[1]
      return { base, port: Number(base.split(':').pop()), end: (signal = 'SIGTERM') => { child.kill(signal); return gone }, signal: (signal) => child.kill(signal) }
    }
  }
  throw new Error(`the server did not start: ${text}`)
}

async function gql(base, query, variables = {}, key) {
  const bearer = key ?? (await (await fetch(`${base}/console/session`)).json()).key
  const answer = await fetch(`${base}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` }, body: JSON.stringify({ query, variables }) })
  const body = await answer.json()
  if (body.errors) throw new Error(JSON.stringify(body.errors))
  return body.data
}

const SUBMIT = `mutation($i: OrderSubmitInput!) { orderSubmit(input: $i) { order { id number stage } userErrors { code message } } }`
let reference = 0
async function submit(base) {
  reference += 1
  const i = { channel: 'web', externalReference: `E2E-${reference}`, customer: { name: 'Ada Berger', email: 'ada@mail.example' }, shippingAddress: { line1: 'Ringstraße 1', city: 'Wien', postalCode: '1010', country: 'AT' }, lines: [{ sku: 'ESP-250', quantity: 1 }], payment: { method: 'CARD', token: 'tok_approve' } }
  return (await gql(base, SUBMIT, { i })).orderSubmit.order
}

function check(truth, words) {
  if (!truth) throw new Error(words)
}
function same(found, wanted, words) {
  check(JSON.stringify(found) === JSON.stringify(wanted), `${words}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`)
}

let browser
const template = join(folder, 'demo.db')
let copies = 0
/** A copy of the demo as it is on its first day. */
function demo() {
  copies += 1
  const database = join(folder, `${copies}.db`)
  copyFileSync(template, database)
  // What the ended server had not yet moved into the file.
  if (existsSync(`${template}-wal`)) copyFileSync(`${template}-wal`, `${database}-wal`)
  return database
}

/** A page that remembers what it must not do: report errors, or ask anybody else. */
async function open(base, path = '/', more = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', timezoneId: 'Europe/Vienna', ...more })
  const page = await context.newPage()
  page.faults = []
  page.away = []
  page.on('pageerror', (error) => page.faults.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && !/ERR_CONNECTION|WebSocket|Failed to load resource/.test(message.text()) && page.faults.push(message.text()))
  page.on('request', (request) => new URL(request.url()).host !== new URL(base).host && page.away.push(request.url()))
  page.setDefaultTimeout(10_000)
  await page.goto(base + path)
  return page
}
const numbers = (page) => page.locator('[data-exception]').evaluateAll((rows) => rows.map((row) => row.id))

const tests = {
  async 'an empty database shows how orders come in, on every screen'() {
    const database = join(folder, 'empty.db')
    await command(database, ['seed'])
    const server = await serve(database)
    const page = await open(server.base)
    await page.getByText('No orders yet').waitFor()
    await page.screenshot({ path: join(shots, 'board-empty.png') })
    await page.getByRole('link', { name: 'Exceptions', exact: true }).click()
    await page.getByText('Nothing needs a person').waitFor()
    await page.getByRole('link', { name: 'Orders', exact: true }).click()
    await page.getByText('No orders yet').waitFor()
    for (const [name, path, text] of [['stock-ghost', '/stock?show=ghost', 'No ghost stock'], ['backorders', '/backorders', 'Nobody waits for stock'], ['pack', '/pack', 'No work'], ['reports', '/reports', 'Nothing happened in that time'], ['reports-new', '/reports?days=30', 'Nothing to report yet'], ['gateways', '/settings?of=gateways', 'No terms yet'], ['stock-filtered', '/stock?q=NOWHERE', 'No stock fits']]) {
      await page.goto(server.base + path)
      await page.getByRole('heading', { name: text }).waitFor()
      await page.screenshot({ path: join(shots, `${name}-empty.png`) })
    }
    same(page.faults, [], 'errors')
    await server.end()
  },

  async 'the demo has orders at every stage and exceptions of many kinds'() {
    const server = await serve(demo())
    const page = await open(server.base)
    await page.locator('.card').first().waitFor()
    for (const stage of ['On hold', 'Backordered', 'Staged', 'Picking', 'Packing', 'Ready', 'Shipped']) {
      check((await page.locator(`section[aria-label="${stage}"] .card`).count()) > 0, `no order is ${stage}`)
    }
    await page.goto(`${server.base}/exceptions`)
    await page.locator('[data-exception]').first().waitFor()
    const kinds = await page.locator('.list section').evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')))
    check(kinds.length >= 6, `only ${kinds}`)
    await server.end()
  },

  async 'an order that comes in is on the open board at once, and moves when its stage does'() {
    const server = await serve(demo())
    const page = await open(server.base)
    await page.locator('.card').first().waitFor()
    const order = await submit(server.base)
    const card = page.locator(`[data-card="${order.number}"]`)
    await card.waitFor()
    await card.focus()
    await gql(server.base, `mutation($id: ID!) { orderHold(input: { id: $id, reason: "a word with the customer" }) { userErrors { code } } }`, { id: order.id })
    await page.locator(`section[aria-label="On hold"] [data-card="${order.number}"]`).waitFor()
    check((await card.count()) === 1, 'the order is there twice')
    await server.end()
  },

  async 'a killed server is missed at once, and what happened meanwhile is there afterwards, once'() {
    const database = demo()
    const first = await serve(database)
    const page = await open(first.base)
    await page.locator('.card').first().waitFor()
    const before = await page.locator('.card').count()
    await first.end('SIGKILL')
    await page.locator('.link-badge.reconnecting').waitFor({ timeout: 3000 })
    await page.screenshot({ path: join(shots, 'board-reconnecting.png') })
    // What happens while nobody looks: another process, another port.
    const between = await serve(database)
    const order = await submit(between.base)
    await between.end()
    const second = await serve(database, { port: first.port })
    await page.locator('.link-badge.live').waitFor({ timeout: 20_000 })
    await page.locator(`[data-card="${order.number}"]`).waitFor()
    check((await page.locator('.card').count()) === before + 1, 'the board is not what it was, and one more')
    await second.end()
  },

  async 'an exception is settled by keys, and the next one has the focus'() {
    const server = await serve(demo())
    const page = await open(server.base, '/exceptions')
    await page.locator('[data-exception]').first().waitFor()
    const all = await page.locator('[data-exception]').evaluateAll((rows) => rows.map((row) => [row.id, row.textContent]))
    const place = all.findIndex(([, text]) => text.includes('High value'))
    const [id] = all[place]
    await page.locator(`[id="${id}"]`).click()
    await page.keyboard.press('1')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Control+Enter')
    await page.locator(`[id="${id}"]`).waitFor({ state: 'detached' })
    const focused = await page.evaluate(() => document.activeElement?.id)
    check(focused && focused !== id && (await numbers(page)).includes(focused), 'nothing has the focus')
    await page.locator('.toast').getByText('let it pass').waitFor()
    await page.keyboard.press('z')
    await page.locator('.toast').getByText('Opened again').waitFor()
    await server.end()
  },

  async 'two people at the same exception: who comes later sees who has it'() {
    const database = demo()
    const key = (await command(database, ['key', '--name', 'Lena'])).trim().split('\n').pop()
    const server = await serve(database)
    const one = await open(server.base, '/exceptions')
    const other = await open(server.base, '/exceptions')
    await other.evaluate((key) => sessionStorage.setItem('oms.key', key), key)
    await other.reload()
    await other.locator('[data-exception]').first().waitFor()
    await one.locator('[data-exception]').first().waitFor()
    await other.locator('[data-exception]').first().click()
    await other.keyboard.press('m')
    await other.getByText('It is yours').waitFor()
    await one.locator('[data-exception]').first().click()
    await one.getByText('Taken by Lena').waitFor()
    await one.keyboard.press('m')
    await one.locator('.toast.failed').waitFor()
    await server.end()
  },

  async 'a scan with the focus on the page changes nothing'() {
    const server = await serve(demo())
    const page = await open(server.base, '/exceptions')
    await page.locator('[data-exception]').first().waitFor()
    const before = await numbers(page)
    let changes = 0
    page.on('request', (request) => (request.postData() ?? '').includes('mutation') && (changes += 1))
    await page.keyboard.type('SKU-A12M34S', { delay: 8 })
    await page.keyboard.press('Tab')
    await page.waitForTimeout(400)
    same(await numbers(page), before, 'exceptions')
    check(changes === 0, 'a scan has sent a mutation')
    check((await page.getByRole('dialog').count()) === 0, 'a scan has opened a dialog')
    await server.end()
  },

  async 'searches and filters survive a reload and going back'() {
    const server = await serve(demo())
    const page = await open(server.base, '/orders')
    await page.locator('tbody tr').first().waitFor()
    await page.keyboard.press('/')
    await page.getByLabel('Search orders').fill('stage:on_hold')
    await page.keyboard.press('Enter')
    await page.waitForURL(/q=stage/)
    await page.reload()
    check((await page.getByLabel('Search orders').inputValue()) === 'stage:on_hold', 'the search is gone')
    await page.locator('tbody a').first().click()
    await page.locator('.detail h1').waitFor()
    await page.goBack()
    await page.waitForURL(/q=stage/)
    await page.getByLabel('Search orders').fill('stage:nowhere')
    await page.keyboard.press('Enter')
    await page.getByText('could not be read').or(page.getByText('cannot be read')).first().waitFor()
    await server.end()
  },

  async 'the stock moves while one looks, and a row says what has moved it'() {
    const server = await serve(demo())
    const page = await open(server.base, '/stock')
    const row = page.locator('[data-stock="ESP-250@VIE"]')
    await row.waitFor()
    for (const name of ['Low', 'Out']) check(Number(await page.getByRole('link', { name }).locator('.pill').textContent()) > 0, `nothing is ${name}`)
    const stock = (await gql(server.base, `{ stock(where: { sku: { eq: "ESP-250" } }) { nodes { onHand available variant { id } warehouse { id code } } } }`)).stock.nodes.find((it) => it.warehouse.code === 'VIE')
    await gql(server.base, `mutation($v: ID!, $w: ID!) { stockAdjust(input: { variantId: $v, warehouseId: $w, delta: -7, reason: "dropped", idempotencyKey: "dropped" }) { userErrors { code } } }`, { v: stock.variant.id, w: stock.warehouse.id })
    await row.getByText(String(stock.onHand - 7), { exact: true }).waitFor({ timeout: 3000 })
    await row.getByText(String(stock.available - 7), { exact: true }).waitFor()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').getByText('dropped').waitFor()
    await page.screenshot({ path: join(shots, 'stock-ledger.png') })
    await page.keyboard.press('Escape')
    await page.keyboard.press('c')
    await page.getByLabel('Units that are there').fill(String(stock.onHand))
    await page.getByLabel('Why').fill('found again')
    await page.keyboard.press('Enter')
    await row.getByText(String(stock.onHand), { exact: true }).waitFor()
    await page.keyboard.press('5')
    await page.locator('[data-stock="GLASS-L@VIE"]').waitFor()
    check(new URL(page.url()).searchParams.get('show') === 'out', 'the tab is not in the address')
    await page.reload()
    await page.locator('[data-stock="GLASS-L@VIE"]').waitFor()
    same(page.faults, [], 'errors')
    await server.end()
  },

  async 'a feed that counts less than the books makes ghosts, and one that is silent makes stock stale'() {
    const server = await serve(demo())
    const page = await open(server.base, '/stock')
    await page.locator('.chip').getByText('not listened to').waitFor()
    const source = (await gql(server.base, '{ stockSources { nodes { id code } } }')).stockSources.nodes[0]
    await gql(server.base, `mutation($id: ID!) { stockSourceUpdate(input: { id: $id, active: true, budgetSecs: 900 }) { userErrors { code message } } }`, { id: source.id })
    const old = new Date(Date.now() - 3_600_000).toISOString()
    const fed = await gql(server.base, `mutation($i: InventorySyncInput!) { inventorySync(input: $i) { userErrors { code message } } }`, { i: { source: source.code, observedAt: old, full: false, idempotencyKey: 'fed', rows: [{ sku: 'ESP-250', warehouse: 'BER', onHand: 140 }] } })
    same(fed.inventorySync.userErrors, [], 'the feed')
    await page.locator('.chip.late').getByText(/stale for/).waitFor({ timeout: 10_000 })
    await page.goto(`${server.base}/stock?show=ghost`)
    await page.locator('[data-stock="ESP-250@BER"]').getByText('had 140, books 150').waitFor()
    await page.screenshot({ path: join(shots, 'stock-ghost.png') })
    await page.goto(`${server.base}/stock?show=stale`)
    await page.locator('[data-stock="ESP-250@BER"] .badge.late').getByText('Stale').waitFor()
    check((await page.locator('[data-stock$="@VIE"]').count()) === 0, 'what no feed speaks for is stale')
    await server.end()
  },

  async 'anything is done or found from one field'() {
    const server = await serve(demo())
    const page = await open(server.base)
    await page.locator('.card').first().waitFor()
    const wanted = (await gql(server.base, '{ orders(first: 1) { nodes { number email externalReference } } }')).orders.nodes[0]
    for (const text of [wanted.number, wanted.email, wanted.externalReference].filter(Boolean)) {
      await page.keyboard.press('Control+k')
      await page.getByRole('combobox', { name: 'Do or find' }).fill(text)
      await page.getByRole('option', { name: new RegExp(`^${wanted.number}`) }).waitFor()
      if (text === wanted.email) await page.screenshot({ path: join(shots, 'palette.png') })
      await page.getByRole('option', { name: new RegExp(`^${wanted.number}`) }).click()
      await page.getByRole('heading', { name: `Order ${wanted.number}` }).waitFor()
      await page.goto(server.base)
      await page.locator('.card').first().waitFor()
    }
    await page.keyboard.press('/')
    await page.getByRole('combobox', { name: 'Do or find' }).fill('reports')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Reports' }).waitFor()
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Do or find' }).fill('make a file')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'Make a file' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Find' }).focus()
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Do or find' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('combobox', { name: 'Do or find' }).waitFor({ state: 'detached' })
    check(await page.evaluate(() => document.activeElement?.classList.contains('finder')), 'the focus is not where it was')
    same(page.faults, [], 'errors')
    await server.end()
  },

  async 'a timeline is told in words, and tries that failed alike are one'() {
    const server = await serve(demo())
    const page = await open(server.base, '/orders/1001')
    const failed = page.locator('.timeline summary', { has: page.getByText('Capture failed', { exact: true }) })
    await failed.first().waitFor()
    same(await failed.count(), 1, (await failed.allTextContents()).join(' | '))
    check(/next try (\d\d? \w+ )?\d\d:\d\d, \d+ tries since/.test(await failed.textContent()), await failed.textContent())
    const all = (await page.locator('.timeline summary').allTextContents()).join(' ')
    check(!/\d{4}-\d\d-\d\dT|\btrue\b|\bfalse\b|[a-z]_[a-z]/.test(all), all)
    await server.end()
  },

  async 'the report says what the API says, and its rows become a file'() {
    const server = await serve(demo())
    const page = await open(server.base, '/reports')
    await page.locator('.report').waitFor()
    const day = (back) => new Date(Date.now() - back * 86_400_000 + 3_600_000).toISOString().slice(0, 10)
    const total = (await gql(server.base, `query($i: OperationsReportInput!) { operationsReport(input: $i) { report { lines { ordersReceived shipmentsDispatched } } } }`, { i: { from: day(6), to: day(0), timeZone: 'Europe/Vienna', interval: 'TOTAL' } })).operationsReport.report.lines[0]
    await page.locator('.tile').filter({ hasText: 'orders in' }).getByText(String(total.ordersReceived), { exact: true }).waitFor()
    await page.locator('.tile').filter({ hasText: 'shipments out' }).getByText(String(total.shipmentsDispatched), { exact: true }).waitFor()
    await page.getByText('Show as table').first().click()
    const sums = await page.locator('figure').first().locator('tbody td:nth-child(2)').allTextContents()
    same(sums.reduce((sum, text) => sum + Number(text), 0), total.ordersReceived, 'the days')
    await page.getByRole('link', { name: 'Web shop' }).click()
    await page.waitForURL(/channel=/)
    await page.reload()
    await page.locator('.report').waitFor()
    check((await page.getByLabel("Channel", { exact: true }).inputValue()) !== '', 'the channel is gone')
    await page.keyboard.press('e')
    await page.getByRole('dialog').getByLabel('What').selectOption('ORDERS')
    await page.getByRole('button', { name: 'Make it' }).click()
    const link = page.locator('[data-export="ORDERS"] a')
    await link.waitFor({ timeout: 20_000 })
    const coming = page.waitForEvent('download')
    await link.click()
    const text = readFileSync(await (await coming).path(), 'utf8')
    check(text.trim().split('\n').length > 10, `a file of ${text.length} characters`)
    same(page.faults, [], 'errors')
    await server.end()
  },

  async 'who waits for stock has a place, and who comes later is behind'() {
    const server = await serve(demo())
    const page = await open(server.base, '/backorders')
    const queue = page.locator('[data-queue="GLASS-L"]')
    await queue.getByText('Nothing on its way').waitFor()
    const before = await queue.locator('tbody tr').count()
    reference += 1
    const i = { channel: 'web', externalReference: `E2E-${reference}`, customer: { name: 'Ada Berger', email: 'ada@mail.example' }, shippingAddress: { line1: 'Ringstraße 1', city: 'Wien', postalCode: '1010', country: 'AT' }, lines: [{ sku: 'GLASS-L', quantity: 2 }], payment: { method: 'CARD', token: 'tok_approve' } }
    const { order, userErrors } = (await gql(server.base, SUBMIT, { i })).orderSubmit
    same(userErrors, [], 'the order')
    await queue.locator('tbody tr').nth(before).getByText(order.number).waitFor()
    const stock = (await gql(server.base, `{ stock(where: { sku: { eq: "GLASS-L" } }) { nodes { variant { id } warehouse { id code } } } }`)).stock.nodes[0]
    await gql(server.base, `mutation($v: ID!, $w: ID!) { stockReceive(input: { variantId: $v, warehouseId: $w, quantity: 100, idempotencyKey: "came" }) { userErrors { code } } }`, { v: stock.variant.id, w: stock.warehouse.id })
    await page.getByText('Nobody waits for stock').waitFor()
    await server.end()
  },

  async 'a rule is tried before it is saved, a key is shown once, and a key that may only read sees why'() {
    const server = await serve(demo())
    const page = await open(server.base, '/settings')
    const rule = page.getByLabel('An order is stopped for a person when')
    await rule.fill('order.total >= 1')
    await page.getByRole('button', { name: 'Try it' }).click()
    await page.getByText(/of the newest \d+ orders would be stopped/).waitFor()
    await rule.fill('order.total >=')
    await page.getByRole('button', { name: 'Try it' }).click()
    await page.locator('form .due.late').waitFor()
    await rule.fill('order.total >= 300')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.locator('.toast').getByText('saved').waitFor()
    await page.reload()
    check((await rule.inputValue()) === 'order.total >= 300', 'the rule is as it was')
    await page.goto(`${server.base}/settings?of=channels`)
    await page.getByRole('button', { name: 'Change Web shop' }).click()
    await page.getByLabel('Leaves the house within (hours)').fill('36')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('1 d 12 h').waitFor()
    await page.goto(`${server.base}/settings?of=keys`)
    await page.getByRole('button', { name: 'Make a key' }).click()
    await page.getByLabel('For whom or what').fill('Lookout')
    await page.getByRole('button', { name: 'Make it' }).click()
    const secret = await page.locator('[data-secret]').textContent()
    await page.getByRole('button', { name: 'I have it' }).click()
    check(!(await page.content()).includes(secret), 'the key is still there')
    const other = await open(server.base, '/settings?of=keys')
    await other.evaluate((key) => sessionStorage.setItem('oms.key', key), secret)
    await other.reload()
    await other.getByText('Your key does not show this').waitFor()
    await other.screenshot({ path: join(shots, 'settings-no-permission.png') })
    await other.goto(`${server.base}/stock`)
    await other.locator('[data-stock]').first().getByRole('button').click()
    const correct = other.getByRole('button', { name: 'Correct the count' })
    await correct.waitFor()
    check((await correct.isDisabled()) && (await correct.getAttribute('title')).includes('STOCK_MANAGE'), 'who may only read can correct a count, or is not told why not')
    await page.getByRole('button', { name: 'Revoke Lookout' }).click()
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await page.locator('[data-key="Lookout"] .badge').getByText('Revoked').waitFor()
    await other.getByText('does not accept this key').waitFor({ timeout: 15_000 })
    await server.end()
  },

  async 'the system says whether it is well, and when it is not there'() {
    const server = await serve(demo())
    const page = await open(server.base, '/system')
    await page.getByText('Ready', { exact: true }).waitFor()
    await page.keyboard.press('v')
    await page.getByText(/\d+ checks, no difference/).waitFor({ timeout: 20_000 })
    await server.end('SIGKILL')
    await page.getByText('No answer', { exact: true }).waitFor({ timeout: 15_000 })
    await page.screenshot({ path: join(shots, 'system-gone.png') })
  },

  async 'a parcel holds what was scanned: the wrong, the one too many and the right'() {
    const server = await serve(demo())
    const page = await open(server.base, '/pack', { viewport: { width: 390, height: 844 } })
    await page.locator('[data-shipment="1046-S1"]').click()
    await page.getByRole('button', { name: 'Open a parcel' }).click()
    await page.locator('#scan').waitFor()
    const lines = (await gql(server.base, '{ order(by: { number: "1046" }) { lines { sku quantity } } }')).order.lines
    const scan = async (code, tone) => {
      await page.keyboard.type(code)
      await page.keyboard.press('Enter')
      await page.locator(`[data-result="${tone}"]`).getByText(code).waitFor()
    }
    await scan('NOT-A-SKU', 'wrong')
    await page.screenshot({ path: join(shots, 'pack-wrong-phone.png') })
    check(await page.getByRole('button', { name: 'Close the parcel' }).isDisabled(), 'an empty parcel can be closed')
    for (const { sku, quantity } of lines) for (let unit = 0; unit < quantity; unit += 1) await scan(sku, 'good')
    await page.locator('button.primary:enabled', { hasText: 'Close the parcel' }).waitFor()
    await page.screenshot({ path: join(shots, 'pack-good-phone.png') })
    await scan(lines[0].sku, 'over')
    await page.keyboard.press('F9')
    await page.getByText(/^Packed/).waitFor()
    const status = (await gql(server.base, '{ order(by: { number: "1046" }) { shipments { status } } }')).order.shipments[0].status
    check(['PACKED', 'LABELED'].includes(status), `the shipment is ${status}`)
    same(page.faults, [], 'errors')
    await server.end()
  },

  async 'a list is taken and walked bin by bin, and a bin with too few is said to be'() {
    const server = await serve(demo())
    const house = (await gql(server.base, '{ warehouses { nodes { id code } } }')).warehouses.nodes.find((it) => it.code === 'VIE')
    const wave = (await gql(server.base, `mutation($w: ID!) { waveCreate(input: { warehouseId: $w, idempotencyKey: "wave" }) { wave { id } userErrors { code message } } }`, { w: house.id })).waveCreate
    same(wave.userErrors, [], 'the wave')
    same((await gql(server.base, `mutation($id: ID!) { waveRelease(input: { id: $id, idempotencyKey: "go" }) { userErrors { code message } } }`, { id: wave.wave.id })).waveRelease.userErrors, [], 'its release')
    const page = await open(server.base, '/pack')
    await page.locator('[data-list]:enabled').first().click()
    const next = page.locator('[data-next]')
    await next.waitFor()
    const sku = await next.getAttribute('data-next')
    await page.keyboard.type('NOT-A-SKU')
    await page.keyboard.press('Enter')
    await page.locator('[data-result="wrong"]').waitFor()
    await page.keyboard.type(sku)
    await page.keyboard.press('Tab')
    await page.locator('[data-result="good"]').getByText(sku).getByText(/into slot/).waitFor()
    await page.screenshot({ path: join(shots, 'pick.png') })
    await page.keyboard.press('F4')
    await page.getByRole('dialog', { name: 'Too few' }).waitFor()
    await page.getByRole('button', { name: 'Book it' }).click()
    await page.locator('.toast').getByText(/short/).waitFor()
    await page.keyboard.press('F8')
    await page.getByRole('heading', { name: 'Pick and pack' }).waitFor()
    same(page.faults, [], 'errors')
    await server.end()
  },

  async 'a scan that is not answered waits, is never green, and counts once'() {
    const server = await serve(demo())
    const page = await open(server.base, '/pack')
    await page.locator('[data-shipment="1045-S1"]').click()
    await page.getByRole('button', { name: 'Open a parcel' }).click()
    await page.locator('#scan').waitFor()
    const [line] = (await gql(server.base, '{ order(by: { number: "1045" }) { lines { sku quantity } } }')).order.lines
    // The first answer is lost on its way, after the server has counted.
    let lost = 0
    await page.route('**/graphql', async (route) => {
      if (lost > 0 || !(route.request().postData() ?? '').includes('packScan')) return route.continue()
      lost += 1
      await route.fetch()
      await route.abort()
    })
    await page.keyboard.type(line.sku)
    await page.keyboard.press('Enter')
    await page.locator('[data-result="over"]').getByText('Not sent yet').waitFor()
    await page.locator('[data-result="good"]').getByText(line.sku).waitFor({ timeout: 15_000 })
    const boxes = (await gql(server.base, '{ order(by: { number: "1045" }) { shipments { packages { lines { packed variant { sku } } } } } }')).order.shipments[0].packages
    same(boxes[0].lines.find((it) => it.variant.sku === line.sku).packed, 1, 'units')
    await server.end()
  },

  async 'the keys do what the help says, and none of them inside a field'() {
    const server = await serve(demo())
    const page = await open(server.base)
    await page.locator('.card').first().waitFor()
    await page.getByRole('button', { name: 'Keys' }).focus()
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.screenshot({ path: join(shots, 'keys.png') })
    await page.keyboard.press('Escape')
    check(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') === 'Keys'), 'the focus is not where it was')
    for (const [keys, path] of [['ge', '/exceptions'], ['gs', '/stock'], ['gw', '/backorders'], ['gk', '/reports'], ['g,', '/settings'], ['gy', '/system'], ['go', '/orders'], ['gb', '/']]) {
      await page.keyboard.type(keys, { delay: 20 })
      await page.waitForURL(server.base + path)
    }
    await page.locator('.card').first().waitFor()
    await page.keyboard.press('j')
    const first = await page.evaluate(() => document.activeElement?.dataset.card)
    check(first, 'no card has the focus')
    await page.keyboard.press('l')
    check((await page.evaluate(() => document.activeElement?.dataset.card)) !== first, 'the column is the same')
    await page.keyboard.press('Enter')
    await page.locator('.detail h1').waitFor()
    await page.keyboard.press('n')
    await page.getByLabel('Note', { exact: true }).fill('gbt? a note')
    await page.keyboard.press('Control+Enter')
    await page.getByText('gbt? a note').first().waitFor()
    await page.reload()
    await page.getByText('gbt? a note').first().waitFor()
    await page.keyboard.press('t')
    const theme = await page.evaluate(() => document.documentElement.dataset.theme)
    check(theme === 'dark', 'the theme is the same')
    await server.end()
  },

  async 'no screen has a fault that axe finds, in light and dark, nor scrolls sideways on a phone'() {
    const server = await serve(demo())
    for (const colorScheme of ['light', 'dark']) {
      const page = await open(server.base, '/', { colorScheme })
      for (const [name, path, ready] of [['board', '/', '.card'], ['exceptions', '/exceptions', '[data-exception]'], ['orders', '/orders', 'tbody tr'], ['order', '/orders/1001', '.detail h1'], ['stock', '/stock', '[data-stock]'], ['backorders', '/backorders', '[data-queue]'], ['pack', '/pack', '[data-shipment]'], ['reports', '/reports', '.report'], ['settings', '/settings', '.queue'], ['channels', '/settings?of=channels', 'tbody tr'], ['keys-settings', '/settings?of=keys', 'tbody tr'], ['system', '/system', '.fact-box'], ['missing', '/nowhere', '.empty']]) {
        await page.setViewportSize({ width: 1440, height: 900 })
        await page.goto(server.base + path)
        await page.locator(ready).first().waitFor()
        await page.waitForTimeout(200)
        await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true })
        await page.evaluate(axe)
        const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
        same(found.violations.map((one) => [one.id, one.nodes[0].html.slice(0, 120)]), [], `${name} in ${colorScheme}`)
        await page.setViewportSize({ width: 390, height: 844 })
        await page.waitForTimeout(150)
        if (colorScheme === 'light') await page.screenshot({ path: join(shots, `${name}-phone.png`) })
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        check(over <= 0, `${name} is ${over} px too wide for a phone`)
      }
      same(page.faults, [], 'errors')
      same(page.away, [], 'requests to others')
    }
    await server.end()
  },

  async 'the pages are small, kept as long as they may be, and load nothing from elsewhere'() {
    const server = await serve(demo())
    const page = await fetch(server.base, { headers: { accept: 'text/html' } })
    check(page.headers.get('content-security-policy')?.startsWith("default-src 'self'"), 'no policy')
    same(page.headers.get('cache-control'), 'no-cache', 'keeping')
    const html = await page.text()
    check(!/<script(?![^>]*src=)/.test(html), 'there is a script in the page')
    const again = await fetch(server.base, { headers: { accept: 'text/html', 'if-none-match': page.headers.get('etag') } })
    same(again.status, 304, 'the same page')
    const script = /src="(\/assets\/[^"]+)"/.exec(html)[1]
    const packed = await fetch(server.base + script, { headers: { 'accept-encoding': 'gzip' } })
    check(packed.headers.get('cache-control').includes('immutable'), 'the script is not kept')
    const { gzipSync } = await import('node:zlib')
    // The script that comes at once names all others.
    const first = Buffer.from(await packed.arrayBuffer())
    const others = [...new Set([...first.toString().matchAll(/[\w-]+-[\w-]{8}\.js/g)].map(([name]) => name))].filter((name) => !script.endsWith(name))
    check(others.length >= 8, `only ${others}`)
    let size = gzipSync(first).length
    for (const name of others) size += gzipSync(Buffer.from(await (await fetch(`${server.base}/assets/${name}`)).arrayBuffer())).length
    console.log(`        ${size} bytes of script, ${gzipSync(first).length} at once`)
    check(size <= 60_000, `${size} bytes of script`)
    same((await fetch(`${server.base}/assets/none.js`)).status, 404, 'a script that is not there')
    same((await fetch(`${server.base}/nowhere`, { headers: { accept: 'application/json' } })).status, 404, 'nothing for a program')
    same((await (await fetch(`${server.base}/console/session`, { headers: { 'x-forwarded-for': '203.0.113.9' } })).json()).key, null, 'a key through a proxy')
    await server.end()
  },

  async 'where it is meant seriously, a key is asked for, and one that is wrong is said to be'() {
    const database = demo()
    const env = { OMS__ACCESS__PEPPER: 'a long and random secret' }
    const key = (await command(database, ['key', '--name', 'Nina'], env)).trim().split('\n').pop()
    const server = await serve(database, { env })
    const page = await open(server.base)
    await page.getByLabel('API key').fill('oms_dev_nobody_nothing')
    await page.keyboard.press('Enter')
    await page.getByText('does not accept this key').waitFor()
    await page.screenshot({ path: join(shots, 'signin.png') })
    await page.getByLabel('API key').fill(key)
    await page.keyboard.press('Enter')
    await page.locator('.card').first().waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('API key').waitFor()
    await server.end()
  },
}

let passed = 0
let failed = 0
try {
  const seeding = await serve(template)
  await seeding.end()
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
  const wanted = process.argv[2] ?? ''
  for (const [name, test] of Object.entries(tests).filter(([name]) => name.includes(wanted))) {
    const began = Date.now()
    try {
      await test()
      passed += 1
      console.log(`ok      ${name} (${Date.now() - began} ms)`)
    } catch (error) {
      failed += 1
      console.log(`FAILED  ${name}\n        ${error.message.split('\n').slice(0, 6).join('\n        ')}`)
      for (const context of browser.contexts()) for (const page of context.pages()) await page.screenshot({ path: join(shots, `failed-${failed}.png`) }).catch(() => {})
    }
    for (const context of browser.contexts()) await context.close()
    for (const child of running) child.kill('SIGKILL')
  }
} finally {
  await browser?.close()
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
