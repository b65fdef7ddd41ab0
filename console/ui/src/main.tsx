/** The console: who we are, where we are, and the screen for it. */

import { effect } from '@preact/signals'
import { render } from 'preact'
import { Board } from './board'
import { Exceptions } from './exceptions'
import { Order } from './order'
import { Orders } from './orders'
import { Empty } from './parts'
import { place } from './route'
import { session, start } from './session'
import { Shell } from './shell'
import { SignIn } from './signin'
import './style.css'

function Screen() {
  const path = place.value.path
  const order = /^\/orders\/([^/]+)$/.exec(path)?.[1]
  if (order) return <Order key={order} number={decodeURIComponent(order)} />
  switch (path) {
    case '/':
      return <Board />
    case '/exceptions':
      return <Exceptions />
    case '/orders':
      return <Orders />
    default:
      return (
        <Empty title="There is no such page">
          <h1 class="quiet">Not found</h1>
          <p>
            Nothing is at <code>{path}</code>. <a href="/">Go to the board</a>
          </p>
        </Empty>
      )
  }
}

function Console() {
  const who = session.value
  if (who.state === 'starting') return null
  if (who.state === 'out') return <SignIn reason={who.reason} />
  return (
    <Shell key={who.key}>
      <Screen />
    </Shell>
  )
}

effect(() => {
  const names: Record<string, string> = { '/': 'Board', '/exceptions': 'Exceptions', '/orders': 'Orders' }
  const { path } = place.value
  document.title = `${names[path] ?? path.split('/').pop()} · OMS`
})

const root = document.getElementById('console')
if (root) render(<Console />, root)
void start()
