/** A binary min-heap: the least of many by a comparison, for what is due next. Equal items come in any order. */

export class Heap<T> {
  readonly #compare: (a: T, b: T) => number;
  /** H1: no item is less than its parent, which is at `(i − 1) >> 1`. */
  readonly #items: T[] = [];

  /** `compare` is negative where `a` comes before `b`, as for `Array.sort`. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The least item, left in place; nothing when empty. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] as T;
      if (this.#compare(item, above) >= 0) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  /** Removes and returns the least item; nothing when empty. */
  pop(): T | undefined {
    const items = this.#items;
    const least = items[0];
    const moved = items.pop();
    if (items.length > 0) this.#sink(moved as T);
    return least;
  }

  /** Puts `item` in the free root and lets it sink to its place (H1). */
  #sink(item: T): void {
    const items = this.#items;
    const firstLeaf = items.length >> 1;
    let at = 0;
    while (at < firstLeaf) {
      let child = 2 * at + 1;
      const right = child + 1;
      if (right < items.length && this.#compare(items[right] as T, items[child] as T) < 0) child = right;
      const below = items[child] as T;
      if (this.#compare(item, below) <= 0) break;
      items[at] = below;
      at = child;
    }
    items[at] = item;
  }
}
