/** Everything that can be done or found, from one field. */

import { useEffect, useRef, useState } from 'preact/hooks'
import { ask } from './api'
import { money, words } from './format'
import { graphql, type ResultOf } from './graphql'
import { commands } from './keys'
import { Dialog } from './parts'
import { go } from './route'
import { may } from './shell'

const FIND = graphql(`
  query Find($query: String!) {
    orders(query: $query, first: 7) { nodes { id number externalReference stage customerName total { amount currency } } }
  }
`)
type Found = ResultOf<typeof FIND>['orders']['nodes']

interface Choice {
  id: string
  group: string
  text: string
  hint: string
  keys?: string
  run: () => void
}

/** Whether every word is in the text. */
const fits = (text: string, typed: string): boolean =>
  typed.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word))

export function Palette({ close }: { close: () => void }) {
  // What was there when it was opened: below a dialog no key is heard.
  const [known] = useState(commands)
  const [typed, setTyped] = useState('')
  const [found, setFound] = useState<{ of: string; orders: Found; failed: string }>({ of: '', orders: [], failed: '' })
  const [at, setAt] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  const text = typed.trim()
  useEffect(() => {
    setAt(0)
    if (!text || !may('ORDERS_READ')) return
    let over = false
    const timer = setTimeout(() => {
      ask(FIND, { query: text }).then(
        (data) => !over && setFound({ of: text, orders: data.orders.nodes, failed: '' }),
        (error: Error) => !over && setFound({ of: text, orders: [], failed: error.message }),
      )
    }, 120)
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [text])
  const here = known.filter(({ key }) => key.scope !== 'Everywhere')
  const elsewhere = known.filter(({ key }) => key.scope === 'Everywhere')
  const command = (group: string) => ({ key, run }: (typeof known)[number]): Choice => ({ id: `${key.scope}-${key.key}`.replaceAll(/\W/g, '-'), group, text: key.does, hint: '', keys: key.key, run })
  const choices: Choice[] = [
    ...(text ? found.orders : []).map((order): Choice => ({
      id: `order-${order.number}`,
      group: 'Orders',
      text: `${order.number} ${order.customerName ?? ''}`,
      hint: [order.externalReference, words(order.stage), money(order.total)].filter(Boolean).join(' · '),
      run: () => go(`/orders/${order.number}`),
    })),
    ...here.map(command('On this screen')),
    ...elsewhere.map(command('Everywhere')),
    ...(text ? [{ id: 'search', group: 'Search', text: `Orders that fit “${text}”`, hint: '', run: () => go(`/orders?q=${encodeURIComponent(text)}`) }] : []),
  ].filter((one) => one.group === 'Orders' || one.group === 'Search' || !text || fits(one.text, text))
  const chosen = choices[Math.min(at, choices.length - 1)]
  useEffect(() => list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }), [at, text])
  const run = (choice: Choice | undefined) => {
    if (!choice) return
    close()
    // The dialog gives the focus back first.
    requestAnimationFrame(choice.run)
  }
  const groups = [...new Set(choices.map((choice) => choice.group))]
  return (
    <Dialog label="Do or find" close={close}>
      <input
        data-first
        class="palette"
        type="text"
        role="combobox"
        aria-label="Do or find"
        aria-expanded="true"
        aria-controls="choices"
        aria-autocomplete="list"
        aria-activedescendant={chosen?.id}
        autocomplete="off"
        spellcheck={false}
        placeholder="A screen, an action, an order's number, reference or e-mail"
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onKeyDown={(event) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
          if (step) {
            event.preventDefault()
            setAt((Math.min(at, choices.length - 1) + step + choices.length) % Math.max(1, choices.length))
          } else if (event.key === 'Enter') {
            event.preventDefault()
            run(chosen)
          }
        }}
      />
      <div id="choices" class="choices" role="listbox" aria-label="Choices" ref={list}>
        {groups.map((group) => (
          <div key={group} role="group" aria-label={group}>
            <h3 aria-hidden="true">{group}</h3>
            {choices.filter((choice) => choice.group === group).map((choice) => (
              // The field keeps the focus, so the keys are heard there.
              <div key={choice.id} id={choice.id} role="option" aria-selected={choice === chosen} class="choice" onClick={() => run(choice)}>
                <span>{choice.text}</span>
                <span class="muted">{choice.hint}</span>
                {choice.keys && <span>{choice.keys.split(' ').map((part) => <kbd key={part}>{part.toUpperCase()}</kbd>)}</span>}
              </div>
            ))}
          </div>
        ))}
      </div>
      <p class="muted" role="status">
        {!text ? 'Arrows choose, Enter does it.' : found.of !== text ? 'Looking…' : found.failed || (found.orders.length === 0 ? 'No order fits.' : '')}
      </p>
    </Dialog>
  )
}
