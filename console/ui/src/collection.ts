/**
 * A live list: the items of a stream laid over each other, newest by position.
 *
 * A snapshot replaces everything at its end, so that a list is never seen half; what is older than
 * what is there is dropped, so that a repetition changes nothing.
 */

export interface Item<T> {
  kind: 'SNAPSHOT' | 'SNAPSHOT_END' | 'UPSERT' | 'REMOVE' | 'HEARTBEAT' | 'RESYNC'
  seq: number
  id: string | null
  value: T | null
}

interface Kept<T> {
  seq: number
  value: T
}

export class Collection<T> {
  private kept = new Map<string, Kept<T>>()
  private coming: Map<string, Kept<T>> | null = null
  /** Whether a whole snapshot has been seen. */
  complete = false

  /** Takes items in; the identifiers of those that changed after the first snapshot. */
  apply(items: readonly Item<T>[]): Set<string> {
    const changed = new Set<string>()
    for (const item of items) {
      switch (item.kind) {
        case 'SNAPSHOT':
          this.coming ??= new Map()
          if (item.id && item.value !== null) {
            this.coming.set(item.id, { seq: item.seq, value: item.value })
          }
          break
        case 'SNAPSHOT_END':
          this.kept = this.coming ?? new Map()
          this.coming = null
          this.complete = true
          break
        case 'RESYNC':
          this.coming = new Map()
          break
        case 'UPSERT':
          if (item.id && item.value !== null && this.newer(item.id, item.seq)) {
            this.kept.set(item.id, { seq: item.seq, value: item.value })
            changed.add(item.id)
          }
          break
        case 'REMOVE':
          if (item.id && this.newer(item.id, item.seq) && this.kept.delete(item.id)) {
            changed.add(item.id)
          }
          break
        case 'HEARTBEAT':
          break
      }
    }
    return changed
  }

  /** What is there. */
  values(): T[] {
    return [...this.kept.values()].map((kept) => kept.value)
  }

  private newer(id: string, seq: number): boolean {
    const kept = this.kept.get(id)
    return !kept || seq >= kept.seq
  }
}
