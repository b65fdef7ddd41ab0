import { expect, test } from 'vitest'
import { Collection, type Item } from './collection'

const item = (kind: Item<string>['kind'], seq: number, id: string | null = null, value: string | null = null): Item<string> => ({ kind, seq, id, value })

test('a snapshot is seen only when it is whole', () => {
  const list = new Collection<string>()
  list.apply([item('SNAPSHOT', 5, 'a', 'one'), item('SNAPSHOT', 5, 'b', 'two')])
  expect(list.complete).toBe(false)
  expect(list.values()).toEqual([])
  list.apply([item('SNAPSHOT_END', 5)])
  expect(list.values()).toEqual(['one', 'two'])
})

test('what is older than what is there changes nothing', () => {
  const list = new Collection<string>()
  list.apply([item('SNAPSHOT', 5, 'a', 'new'), item('SNAPSHOT_END', 5)])
  expect(list.apply([item('UPSERT', 4, 'a', 'old')]).size).toBe(0)
  expect(list.values()).toEqual(['new'])
  expect([...list.apply([item('UPSERT', 6, 'a', 'newer')])]).toEqual(['a'])
  list.apply([item('REMOVE', 7, 'a')])
  expect(list.values()).toEqual([])
})

test('a resync keeps what is shown until the new snapshot is whole', () => {
  const list = new Collection<string>()
  list.apply([item('SNAPSHOT', 5, 'a', 'one'), item('SNAPSHOT_END', 5), item('RESYNC', 0)])
  expect(list.values()).toEqual(['one'])
  list.apply([item('SNAPSHOT', 2, 'b', 'two'), item('SNAPSHOT_END', 2)])
  expect(list.values()).toEqual(['two'])
})
