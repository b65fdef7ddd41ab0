import { expect, test } from 'vitest'
import { due, money, size, span, urgency, words } from './format'

test('money keeps the decimals of its currency, however large', () => {
  expect(money({ amount: '1234.50', currency: 'EUR' })).toBe('€1,234.50')
  expect(money({ amount: '1200', currency: 'JPY' })).toBe('JP¥1,200')
  expect(money({ amount: '0.125', currency: 'KWD' })).toMatch(/0\.125$/)
  expect(money({ amount: '90071992547409.93', currency: 'EUR' })).toBe('€90,071,992,547,409.93')
  expect(money(null)).toBe('–')
})

test('a deadline is late only once it has passed', () => {
  const now = Date.parse('2026-11-23T12:00:00Z')
  expect(urgency('2026-11-23T12:00:00Z', now)).toBe('soon')
  expect(urgency('2026-11-23T11:59:59Z', now)).toBe('late')
  expect(urgency('2026-11-23T14:00:01Z', now)).toBe('calm')
  expect(urgency(null, now)).toBe('calm')
  expect(due('2026-11-23T11:25:00Z', now)).toBe('35 min late')
  expect(due('2026-11-23T14:10:00Z', now)).toBe('2 h 10 m left')
})

test('spans, sizes and names are written for people', () => {
  expect([40_000, 720_000, 11_100_000, 187_200_000].map(span)).toEqual(['40 s', '12 min', '3 h 05 m', '2 d 4 h'])
  expect([12, 16_429].map(size)).toEqual(['12 B', '16 kB'])
  expect(['NO_PICKUP_SCAN', 'SKU_UNKNOWN', 'weightGrams'].map(words)).toEqual(['No pickup scan', 'SKU unknown', 'Weight grams'])
})
