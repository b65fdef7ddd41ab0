/** Where we are: the address is the only place that knows. */

import { signal } from '@preact/signals'

interface Place {
  path: string
  query: URLSearchParams
}

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) })

export const place = signal<Place>(here())

addEventListener('popstate', () => {
  place.value = here()
})

/** Goes to an address of the console. */
export function go(to: string): void {
  if (to === location.pathname + location.search) return
  history.pushState(null, '', to)
  place.value = here()
  scrollTo(0, 0)
}

/** Changes filters in place; an empty value takes one away. */
export function filter(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value)
    else query.delete(name)
  }
  const text = query.toString()
  history.pushState(null, '', location.pathname + (text ? `?${text}` : ''))
  place.value = here()
}

/** Whether a click is ours to follow: not one that asks for a new tab. */
function plain(event: MouseEvent): boolean {
  return !(event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
}

document.addEventListener('click', (event) => {
  const link = (event.target as Element | null)?.closest?.('a[href]')
  if (!(link instanceof HTMLAnchorElement) || !plain(event) || event.defaultPrevented) return
  if (link.origin !== location.origin || link.target || /^\/(documents|exports)\//.test(link.pathname)) return
  event.preventDefault()
  go(link.pathname + link.search)
})
