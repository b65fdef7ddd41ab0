import { expect, test } from 'vitest'
import { fold, say } from './timeline'

const entry = (id: string, event: string, details: unknown) => ({ id, event, details, actor: 'worker:payments', occurredAt: `2026-11-22T1${id}:00:00Z` })
const failed = (id: string, reason = 'capture_declined') =>
  entry(id, 'order.capture_failed', { transactionId: id, shipmentId: 's', amount: 3760, reason, nextTryAt: null })

test('tries that failed alike are one, and a request is told by its answer', () => {
  const told = fold([entry('0', 'order.capture_requested', { transactionId: '1', shipmentId: 's' }), failed('1'), failed('2'), failed('3', 'expired')])
  expect(told.map((one) => [one.entry.id, one.before.map((older) => older.id)])).toEqual([['3', []], ['2', ['1']]])
})

test('what went well in between ends the row', () => {
  const told = fold([failed('1'), entry('2', 'order.payment_captured', { transactionId: '2', shipmentId: 's' }), failed('3')])
  expect(told.map((one) => one.entry.id)).toEqual(['3', '2', '1'])
})

test('a request without an answer is told', () => {
  expect(fold([entry('1', 'order.capture_requested', { transactionId: '1' })])).toHaveLength(1)
})

test('moments and switches are said, not printed', () => {
  const now = Date.parse('2026-11-22T12:00:00Z')
  const at = new Date(2026, 10, 22, 6, 23).toISOString()
  expect(say(entry('1', 'order.capture_failed', { nextTryAt: at, reason: 'capture_declined' }), now)).toBe('capture declined, next try 06:23')
  expect(say(entry('1', 'order.exception_opened', { blocking: false, code: 'CAPTURE_FAILED' }), now)).toBe('capture failed')
  expect(say(entry('1', 'order.picked', { left: 1, units: 2, lineId: 'x' }), now)).toBe('2 units, 1 left')
})
