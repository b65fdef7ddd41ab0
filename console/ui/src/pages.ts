/** Every screen once: its address, its name, and where its code is. Only the board comes at once. */

import type { ComponentType } from 'preact'
import { Board } from './board'

export interface Page {
  path: string
  name: string
  /** The key behind `g`. */
  key: string
  load: () => Promise<ComponentType>
}

export const PAGES: readonly Page[] = [
  { path: '/', name: 'Board', key: 'b', load: async () => Board },
  { path: '/exceptions', name: 'Exceptions', key: 'e', load: async () => (await import('./exceptions')).Exceptions },
  { path: '/orders', name: 'Orders', key: 'o', load: async () => (await import('./orders')).Orders },
  { path: '/stock', name: 'Stock', key: 's', load: async () => (await import('./stock')).StockList },
  { path: '/backorders', name: 'Backorders', key: 'w', load: async () => (await import('./backorders')).Backorders },
  { path: '/pack', name: 'Pick and pack', key: 'p', load: async () => (await import('./pack')).Pack },
  { path: '/reports', name: 'Reports', key: 'k', load: async () => (await import('./reports')).Reports },
  { path: '/settings', name: 'Settings', key: ',', load: async () => (await import('./settings')).Settings },
  { path: '/system', name: 'System', key: 'y', load: async () => (await import('./system')).System },
]

export const loadOrder = async (): Promise<ComponentType<{ number: string }>> => (await import('./order')).Order
