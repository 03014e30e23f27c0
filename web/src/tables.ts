/** Each cell knows the name of its column: where a table is narrow, its rows are stacked (tables.css). */

const STACKED = '.table:not(.live-rows, .chart-rows) > table'

export function nameCells(root: Element): void {
  const inside = root.closest<HTMLTableElement>(STACKED)
  const tables = [...root.querySelectorAll<HTMLTableElement>(STACKED)]
  if (inside !== null) tables.push(inside)
  for (const table of tables) {
    const names = [...(table.tHead?.rows[0]?.cells ?? [])].map(shownIn)
    if (names.length === 0) continue
    table.classList.add('stacks')
    for (const body of table.tBodies) for (const row of body.rows) nameRow(row, names)
  }
}

/** Nothing of what is for screen readers alone: such columns have buttons, which say what they do. */
function shownIn(head: HTMLTableCellElement): string {
  return head.querySelector('.visually-hidden') === null ? head.textContent.trim() : ''
}

function nameRow(row: HTMLTableRowElement, names: string[]): void {
  for (const cell of row.cells) {
    const name = names[cell.cellIndex] ?? ''
    if (cell.textContent.trim() === '' && cell.querySelector('svg, input, button') === null) cell.classList.add('is-empty')
    else if (name !== '') cell.dataset.label = name
    else if (cell.querySelector('input[type=checkbox]') !== null) cell.classList.add('with-box')
  }
}
