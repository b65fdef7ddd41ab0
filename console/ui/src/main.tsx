/** The console: who we are, where we are, and the screen for it. */

import { effect } from '@preact/signals'
import { type ComponentType, render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Board } from './board'
import { loadOrder, PAGES } from './pages'
import { Empty, Failure, Skeleton } from './parts'
import { place } from './route'
import { session, start } from './session'
import { Shell } from './shell'
import { SignIn } from './signin'
import './style.css'

/** A screen whose code comes when it is first gone to. */
function Coming<P extends object>({ load, props }: { load: () => Promise<ComponentType<P>>; props: P }) {
  const [screen, setScreen] = useState<{ of: ComponentType<P> } | null>(null)
  const [lost, setLost] = useState(false)
  useEffect(() => {
    load().then((of) => setScreen({ of }), () => setLost(true))
  }, [])
  // A server that was renewed has this screen under another name: the page as a whole is asked for.
  if (lost) return <Failure message="This screen did not come. The server may have been renewed." retry={() => location.reload()} />
  if (!screen) return <Skeleton />
  return <screen.of {...props} />
}

function Screen() {
  const path = place.value.path
  if (path === '/') return <Board />
  const order = /^\/orders\/([^/]+)$/.exec(path)?.[1]
  if (order) return <Coming key={path} load={loadOrder} props={{ number: decodeURIComponent(order) }} />
  const page = PAGES.find((it) => it.path === path)
  if (page) return <Coming key={path} load={page.load} props={{}} />
  return (
    <Empty title="There is no such page">
      <h1 class="quiet">Not found</h1>
      <p>
        Nothing is at <code>{path}</code>. <a href="/">Go to the board</a>
      </p>
    </Empty>
  )
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
  const { path } = place.value
  document.title = `${PAGES.find((it) => it.path === path)?.name ?? path.split('/').pop()} · OMS`
})

const root = document.getElementById('console')
if (root) render(<Console />, root)
void start()
