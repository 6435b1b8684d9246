/**
 * What a scatter gives: items, cut into the parts in which they are sent, or labels. Owns the refusal of what no part
 * can carry; when a part is sent is its reader's business, who asks for one after the other.
 */
import { isId } from '../../shared/core/ids.ts';
import {
  GATHER_ADDRESSED_MAX,
  GATHER_SCATTER_BYTES_MAX,
  GRANT_BYTES_MAX,
  GRANT_UNITS_MAX,
  LABELS_MAX,
  UNIT_BYTES_MAX,
} from '../../shared/core/limits.ts';
import { PermanentError } from '../../shared/core/work.ts';
import { TEXT_CHARS_MAX } from '../../shared/protocol/check.ts';
import type { Given } from '../core/exchanges.ts';
import { iteratorOf } from './iterated.ts';
import { jsonOf } from './json.ts';

type Item = { bytes: Uint8Array; to: string };
/** Settles as a promise does, or fails when that takes too long. */
export type Wait = <T>(given: T | PromiseLike<T>) => Promise<T>;

/** Bytes of a part that an item costs beside its own: its length, and quotes and comma of its name. */
const ITEM_BYTES = 8;

/** The labels that a broadcast gives. Throws bad_scatter for what is none. */
export function labelsFrom(given: unknown): Given {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw bad('the broadcast must give an object of labels, such as { area: "north" }');
  const labels = Object.entries(given as Record<string, unknown>);
  if (labels.length > LABELS_MAX) throw bad(`the broadcast gives more than ${LABELS_MAX} labels`);
  for (const [name, value] of labels) {
    if (!isId(name)) throw bad(`label ${shown(name)} of the broadcast must match [A-Za-z0-9_-]{1,64}`);
    if (typeof value !== 'string' || value.length > TEXT_CHARS_MAX)
      throw bad(`label ${name} of the broadcast must be a text of at most ${TEXT_CHARS_MAX} characters`);
  }
  return { items: [], last: true, labels: Object.fromEntries(labels) as Record<string, string> };
}

/** Cuts what a scatter gives into parts, the last of which may be empty. Throws bad_scatter, naming the item. */
export async function* partsFrom(given: unknown, wait: Wait): AsyncGenerator<Given> {
  let part: Item[] = [];
  let bytes = 0;
  let count = 0;
  let addressed = 0;
  let sum = 0;
  const items = iteratorOf(given);
  if (!items) throw bad('the scatter must give an array, an iterable or an async iterable of items');
  let isDone = false;
  try {
    for (;;) {
      const step = items.next();
      // What is there at once costs no turn of the loop.
      const next = 'then' in step ? await wait(step) : step;
      isDone = next.done === true;
      if (isDone) break;
      const item = itemFrom(next.value, count++);
      if (item.to !== '' && ++addressed > GATHER_ADDRESSED_MAX)
        throw bad(`it gives more than ${GATHER_ADDRESSED_MAX} items that are for one responder each`);
      sum += item.bytes.length;
      if (sum > GATHER_SCATTER_BYTES_MAX)
        throw bad(`its first ${count} items have more than ${GATHER_SCATTER_BYTES_MAX} bytes as JSON`);
      const costs = item.bytes.length + item.to.length + ITEM_BYTES;
      if (part.length >= GRANT_UNITS_MAX || bytes + costs > GRANT_BYTES_MAX) {
        yield givenOf(part, false);
        part = [];
        bytes = 0;
      }
      part.push(item);
      bytes += costs;
    }
    yield givenOf(part, true);
  } finally {
    // Its own cleaning up is not waited for, and what goes wrong there changes nothing.
    const end = async (): Promise<void> => void (await items.return?.());
    if (!isDone) end().catch(() => {});
  }
}

function itemFrom(given: unknown, index: number): Item {
  const { data, to } = addressed(given);
  if (to !== undefined && !isId(to))
    throw bad(`item ${index} is for ${shown(to)}; the name of a responder must match [A-Za-z0-9_-]{1,64}`);
  const json = jsonOf(data);
  if (!json.ok) throw bad(`item ${index} cannot be written as JSON: it ${json.why}`);
  const { bytes } = json;
  if (bytes.length > UNIT_BYTES_MAX)
    throw bad(
      `item ${index} has ${bytes.length} bytes as JSON, over ${UNIT_BYTES_MAX}; give where larger data is`,
    );
  return { bytes, to: to ?? '' };
}

/** An object with exactly `data`, or `data` and `to`, says whom its data is for; anything else is the item itself. */
function addressed(given: unknown): { data: unknown; to?: unknown } {
  if (typeof given !== 'object' || given === null || !Object.hasOwn(given, 'data')) return { data: given };
  const isItem = Object.keys(given).every((key) => key === 'data' || key === 'to');
  return isItem ? (given as { data: unknown; to?: unknown }) : { data: given };
}

function givenOf(items: readonly Item[], last: boolean): Given {
  const to = items.some((item) => item.to !== '') ? { to: items.map((item) => item.to) } : {};
  return { items: items.map(({ bytes }) => bytes), last, ...to };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : `a ${typeof value}`;
}

function bad(message: string): PermanentError {
  return new PermanentError(message, { code: 'bad_scatter' });
}
