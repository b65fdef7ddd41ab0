/** Figures as pictures: each is a table as well, since a picture alone tells some people nothing. */

import { useEffect, useRef, useState } from 'preact/hooks'
import { graphDay } from './format'

export interface Series {
  name: string
  /** The class of its marks. */
  tone: 'one' | 'two' | 'bad'
}

const HEIGHT = 120

/** Columns for each period, beside one another; from zero, so that heights can be compared. */
export function Columns({ title, says, series, periods, values }: { title: string; says: string; series: Series[]; periods: string[]; values: number[][] }) {
  const figure = useRef<HTMLElement>(null)
  // Drawn as wide as it is shown, so that its letters are as large as all others.
  const [full, setFull] = useState(600)
  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => entry && setFull(Math.max(240, Math.floor(entry.contentRect.width))))
    if (figure.current) seen.observe(figure.current)
    return () => seen.disconnect()
  }, [])
  const WIDTH = full - 40
  const most = Math.max(1, ...values.flat())
  const step = WIDTH / Math.max(1, periods.length)
  const wide = Math.min(28, (step * 0.7) / series.length)
  const every = Math.ceil(periods.length / Math.floor(WIDTH / 56))
  return (
    <figure class="chart" ref={figure}>
      <figcaption><h2>{title}</h2><p class="muted">{says}</p></figcaption>
      <ul class="legend" aria-hidden="true">{series.map((one) => <li key={one.name}><i class={one.tone} /> {one.name}</li>)}</ul>
      <svg viewBox={`0 0 ${WIDTH + 40} ${HEIGHT + 28}`} role="img" aria-label={`${title}. ${says}`}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <line x1="36" x2={WIDTH + 36} y1={HEIGHT + 6 - part * HEIGHT} y2={HEIGHT + 6 - part * HEIGHT} class="grid" />
            {(part !== 0.5 || most > 1) && <text x="30" y={HEIGHT + 10 - part * HEIGHT} text-anchor="end">{Math.round(most * part)}</text>}
          </g>
        ))}
        {periods.map((period, place) => (
          <g key={period}>
            {series.map((one, row) => {
              const high = ((values[row]?.[place] ?? 0) / most) * HEIGHT
              return <rect key={one.name} class={one.tone} x={36 + step * (place + 0.5) - (wide * series.length) / 2 + wide * row} y={HEIGHT + 6 - high} width={wide - 1} height={high}><title>{`${graphDay(period)}: ${values[row]?.[place] ?? 0} ${one.name}`}</title></rect>
            })}
            {place % every === 0 && <text x={36 + step * (place + 0.5)} y={HEIGHT + 24} text-anchor="middle">{graphDay(period)}</text>}
          </g>
        ))}
      </svg>
      <details>
        <summary>Show as table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={title}>
          <table>
            <thead><tr><th scope="col">Day</th>{series.map((one) => <th key={one.name} scope="col" class="number">{one.name}</th>)}</tr></thead>
            <tbody>{periods.map((period, place) => <tr key={period}><td>{graphDay(period)}</td>{series.map((one, row) => <td key={one.name} class="number">{values[row]?.[place] ?? 0}</td>)}</tr>)}</tbody>
          </table>
        </div>
      </details>
    </figure>
  )
}

export interface Bar {
  name: string
  href?: string
  /** How long its bar is; the longest fills the cell. */
  length: number
  /** A second, fainter bar behind it. */
  behind?: number
  cells: string[]
}

/** A table whose rows have a bar: what is compared is seen, what it is can be read. */
export function Bars({ title, says, columns, rows, nothing }: { title: string; says: string; columns: string[]; rows: Bar[]; nothing: string }) {
  const most = Math.max(1, ...rows.flatMap((row) => [row.length, row.behind ?? 0]))
  return (
    <section class="chart" aria-label={title}>
      <h2>{title}</h2>
      <p class="muted">{rows.length > 0 ? says : nothing}</p>
      {rows.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, figures`}>
          <table>
            <thead><tr>{columns.map((name, place) => <th key={name} scope="col" class={place > 0 ? 'number' : ''}>{name}</th>)}<td aria-hidden="true" /></tr></thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.name}>
                  <td>{row.href ? <a href={row.href}>{row.name}</a> : row.name}</td>
                  {row.cells.map((cell, place) => <td key={place} class="number">{cell}</td>)}
                  <td class="bar" aria-hidden="true">
                    <svg viewBox="0 0 100 10" preserveAspectRatio="none">
                      {row.behind !== undefined && <rect class="faint" width={(row.behind / most) * 100} height="10" />}
                      <rect class="one" y={row.behind === undefined ? 0 : 2} width={(row.length / most) * 100} height={row.behind === undefined ? 10 : 6} />
                    </svg>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}
