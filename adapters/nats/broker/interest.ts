/** Who listens to which subjects: a trie of tokens, with the answers for recent subjects kept beside it. */

export interface Group<T> {
  readonly queue: string
  readonly members: Array<T>
  /** Whose turn it is: members take turns, so that a run repeats exactly. */
  turn: number
}

export interface Match<T> {
  readonly each: ReadonlyArray<T>
  readonly groups: ReadonlyArray<Group<T>>
}

/** Enough for the subjects of a busy moment. */
const answersMax = 4096

/** A queue group as it stands at one pattern. */
interface Crowd<T> {
  readonly members: Set<T>
  turn: number
}

class Node<T> {
  readonly next = new Map<string, Node<T>>()
  /** A set, because one subject may have a hundred thousand listeners that come and go. */
  readonly each = new Set<T>()
  readonly groups = new Map<string, Crowd<T>>()
  isEmpty(): boolean {
    return this.next.size === 0 && this.each.size === 0 && this.groups.size === 0
  }
}

export class Interest<T> {
  readonly #root = new Node<T>()
  #recent = new Map<string, Match<T>>()
  #older = new Map<string, Match<T>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** A listener is added once for a pattern: it is told apart from others by its identity. */
  add(pattern: string, queue: string | undefined, listener: T): void {
    this.#forget()
    this.#size++
    let node = this.#root
    for (const token of pattern.split(".")) {
      let next = node.next.get(token)
      if (next === undefined) {
        next = new Node<T>()
        node.next.set(token, next)
      }
      node = next
    }
    if (queue === undefined) {
      node.each.add(listener)
      return
    }
    const group = node.groups.get(queue)
    if (group === undefined) node.groups.set(queue, { members: new Set([listener]), turn: 0 })
    else group.members.add(listener)
  }

  remove(pattern: string, queue: string | undefined, listener: T): boolean {
    const path: Array<Node<T>> = [this.#root]
    const tokens = pattern.split(".")
    for (const token of tokens) {
      const next = path[path.length - 1]?.next.get(token)
      if (next === undefined) return false
      path.push(next)
    }
    if (!takeOut(path[path.length - 1] as Node<T>, queue, listener)) return false
    this.#forget()
    this.#size--
    for (let depth = tokens.length; depth > 0 && (path[depth] as Node<T>).isEmpty(); depth--)
      (path[depth - 1] as Node<T>).next.delete(tokens[depth - 1] as string)
    return true
  }

  /** The listeners of a subject. It stays true until the next `add` or `remove`, and is not changed by them. */
  match(subject: string): Match<T> {
    // A reply subject is used once: to keep its answer would only drive out those that are asked for again.
    if (subject.startsWith("_INBOX.")) return this.#find(subject)
    const known = this.#recent.get(subject)
    if (known !== undefined) return known
    const found = this.#older.get(subject) ?? this.#find(subject)
    if (this.#recent.size >= answersMax) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(subject, found)
    return found
  }

  #forget(): void {
    if (this.#recent.size > 0) this.#recent = new Map()
    if (this.#older.size > 0) this.#older = new Map()
  }

  #find(subject: string): Match<T> {
    const each: Array<T> = []
    const groups: Array<Group<T>> = []
    collect(this.#root, subject.split("."), 0, each, groups)
    return { each, groups }
  }
}

const takeOut = <T>(node: Node<T>, queue: string | undefined, listener: T): boolean => {
  if (queue === undefined) return node.each.delete(listener)
  const group = node.groups.get(queue)
  if (group?.members.delete(listener) !== true) return false
  if (group.members.size === 0) node.groups.delete(queue)
  return true
}

const collect = <T>(
  node: Node<T>,
  tokens: ReadonlyArray<string>,
  depth: number,
  each: Array<T>,
  groups: Array<Group<T>>
): void => {
  if (depth === tokens.length) {
    take(node, each, groups)
    return
  }
  const rest = node.next.get(">")
  if (rest !== undefined) take(rest, each, groups)
  const any = node.next.get("*")
  if (any !== undefined) collect(any, tokens, depth + 1, each, groups)
  const token = tokens[depth] as string
  // A subject that is published to holds no wildcard; one that did would only meet the listeners twice.
  if (token === "*" || token === ">") return
  const exact = node.next.get(token)
  if (exact !== undefined) collect(exact, tokens, depth + 1, each, groups)
}

const take = <T>(node: Node<T>, each: Array<T>, groups: Array<Group<T>>): void => {
  for (const listener of node.each) each.push(listener)
  for (const [queue, crowd] of node.groups) {
    // A queue group is one group by its name, even when its members listen to different patterns.
    const same = groups.find((other) => other.queue === queue)
    if (same === undefined) groups.push({ queue, members: [...crowd.members], turn: crowd.turn++ })
    else for (const member of crowd.members) same.members.push(member)
  }
}

/** The member whose turn it is; the turn passes on. */
export const nextOf = <T>(group: Group<T>): T => {
  const member = group.members[group.turn % group.members.length] as T
  group.turn++
  return member
}
