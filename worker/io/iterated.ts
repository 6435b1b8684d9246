/** What users' code gives one by one, at once or in time. */
export type Iterated = {
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>;
  return?(): unknown;
};

/** The iterator of an array, an iterable or an async iterable; undefined for anything else. */
export function iteratorOf(given: unknown): Iterated | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  const items = given as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
  return items[Symbol.asyncIterator]?.() ?? items[Symbol.iterator]?.();
}
