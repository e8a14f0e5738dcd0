/** A place in the sources, and what is to stand there instead. */
export interface Mutant {
  readonly name: string
  readonly file: string
  /** Stands exactly once in the file. */
  readonly from: string
  readonly to: string
  /** The test that notices, where no world does. */
  readonly test?: string
}
