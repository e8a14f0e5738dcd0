/**
 * What one writer knows of its file, cell by cell: what has to be there, and what may be there since something was said
 * to have failed.
 */
export const cellBytes = 16
export const hole = 0

/** A cell is one number, four times: what is torn is seen. */
export const cellOf = (value: number): Buffer => {
  const cell = Buffer.alloc(cellBytes)
  for (let at = 0; at < cellBytes; at += 4) cell.writeUInt32LE(value, at)
  return cell
}

export const cellsOf = (values: ReadonlyArray<number>): Buffer => Buffer.concat(values.map(cellOf))

/** The number of a cell; -1 where it is torn. */
export const numberOf = (bytes: Uint8Array, cell: number): number => {
  const found = Buffer.alloc(cellBytes)
  found.set(bytes.subarray(cell * cellBytes, (cell + 1) * cellBytes))
  const value = found.readUInt32LE(0)
  for (let at = 4; at < cellBytes; at += 4) if (found.readUInt32LE(at) !== value) return -1
  return value
}

interface Cell {
  /** What it may hold if all is lost that was not said to be kept. */
  kept: ReadonlySet<number>
  /** What it was changed to since, in order; a change that may not have been made has what was there before too. */
  changes: Array<ReadonlySet<number>>
}

export class Cells {
  readonly count: number
  private readonly cells: Array<Cell>

  constructor(count: number) {
    this.count = count
    this.cells = Array.from({ length: count }, () => ({ kept: new Set([hole]), changes: [] }))
  }

  private cell(at: number): Cell {
    return this.cells[at] as Cell
  }

  private everything({ kept, changes }: Cell): ReadonlySet<number> {
    return new Set([...kept, ...changes.flatMap((values) => [...values])])
  }

  /** What a reader on the same host sees. */
  now(at: number): ReadonlySet<number> {
    const cell = this.cell(at)
    return cell.changes.at(-1) ?? cell.kept
  }

  change(from: number, values: ReadonlyArray<ReadonlySet<number>>, isSure: boolean): void {
    for (const [index, value] of values.entries()) {
      const cell = this.cell(from + index)
      cell.changes.push(isSure ? value : new Set([...this.everything(cell), ...value]))
    }
  }

  /** A flush succeeded: everything before it is kept. */
  flushed(): void {
    for (const cell of this.cells) {
      const last = cell.changes.at(-1)
      if (last === undefined) continue
      cell.kept = last
      cell.changes = []
    }
  }

  /** Something failed, or the host fell: of what was not kept anything may be there. */
  doubted(): void {
    for (const cell of this.cells) {
      if (cell.changes.length === 0) continue
      cell.kept = this.everything(cell)
      cell.changes = []
    }
  }

  /** The first cell of what was read that cannot be so. `isLost`: accepted bytes may be lost, and nobody was told. */
  fault(bytes: Uint8Array, isLost: boolean, from = 0, count = this.count): string | undefined {
    for (let at = 0; at < count; at++) {
      const cell = this.cell(from + at)
      const found = numberOf(bytes, at)
      const may = isLost ? this.everything(cell) : this.now(from + at)
      if (!may.has(found)) return `cell ${from + at} holds ${found} and not ${[...may].join(" or ")}`
    }
    return undefined
  }

  /** What was read after a flush is what there is. */
  learn(bytes: Uint8Array): void {
    for (const [at, cell] of this.cells.entries())
      if (cell.changes.length === 0) cell.kept = new Set([numberOf(bytes, at)])
  }
}
