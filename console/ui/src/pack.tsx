/** Pick and pack. */
import { Empty } from './parts'
export function Pack() {
  return <Empty title="No work" />
}
