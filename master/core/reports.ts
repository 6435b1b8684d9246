/** What a report is about: the units it names, and what they brought in the payload of its message. */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Brings, GrantReport, Ranges } from '../../shared/protocol/messages.ts';
import type { UnitData } from './records.ts';

/** What listed units brought, by the item that lists them. */
export type Brought = ReadonlyMap<object, UnitData>;

/**
 * Finds what each of the items brought. Copied, since the frame is not to live as long as a record, and into one block
 * for all: a buffer for each unit costs several times its bytes.
 */
export function broughtBy(items: readonly { brings?: Brings }[], payload: UnitBytes): Brought {
  const brought = new Map<object, UnitData>();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const { brings = 0 } of items) {
    for (let i = 0; i < brings; i++) {
      const part = payload.at(parts.length);
      parts.push(part);
      size += part.length;
    }
  }
  if (parts.length === 0) return brought;
  const block = new Uint8Array(size);
  let at = 0;
  const kept = parts.map((part) => {
    block.set(part, at);
    at += part.length;
    return block.subarray(at - part.length, at);
  });
  let next = 0;
  for (const item of items) {
    const { brings = 0 } = item;
    if (brings === 0) continue;
    const [bytes, state] = [kept[next] as Uint8Array, kept[next + 1] as Uint8Array];
    brought.set(item, brings === 1 ? { bytes } : { bytes, state });
    next += brings;
  }
  return brought;
}

export function unitsOf(items: readonly { unit: number }[]): Ranges {
  const set = new IntervalSet();
  for (const { unit } of items) set.add(unit, unit + 1);
  return set.ranges();
}

/** Of several items about one unit only the last. */
export function distinct<T extends { unit: number }>(items: T[]): T[] {
  if (items.every(({ unit }, i) => i === 0 || unit > (items[i - 1] as T).unit)) return items;
  return [...new Map(items.map((item) => [item.unit, item])).values()];
}

export function allUnits(report: GrantReport): Ranges {
  const { ok, skipped, failed, unknown, back, later } = report;
  if (ok && !skipped && !failed && !unknown && !back && !later) return ok;
  const all = new IntervalSet();
  for (const ranges of [ok, skipped, back]) if (ranges) all.addAll(ranges);
  for (const items of [failed, unknown, later]) if (items) all.addAll(unitsOf(items));
  return all.ranges();
}

/** Whether there is a unit from `read` on among these. */
export function reachesBeyond(units: Ranges, read: number): boolean {
  return units.length > 0 && (units[units.length - 1] as number) > read;
}
