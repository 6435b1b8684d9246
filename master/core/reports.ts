/** What a report is about: the units it names, and what they brought in the payload of its message. */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Brings, GrantReport, Ranges } from '../../shared/protocol/messages.ts';
import type { UnitData } from './records.ts';

/** What listed units brought, by the item that lists them. */
export type Brought = ReadonlyMap<object, UnitData>;

/** Finds what each of the items brought. Copied: the frame is not to live as long as a record. */
export function broughtBy(items: readonly { brings?: Brings }[], payload: UnitBytes): Brought {
  const brought = new Map<object, UnitData>();
  let at = 0;
  for (const item of items) {
    const { brings = 0 } = item;
    if (brings === 0) continue;
    const bytes = new Uint8Array(payload.at(at));
    brought.set(item, brings === 1 ? { bytes } : { bytes, state: new Uint8Array(payload.at(at + 1)) });
    at += brings;
  }
  return brought;
}

export function unitsOf(items: readonly { unit: number }[]): Ranges {
  const set = new IntervalSet();
  for (const { unit } of items) set.add(unit, unit + 1);
  return set.ranges();
}

export function distinct<T extends { unit: number }>(items: T[]): T[] {
  if (items.length < 2) return items;
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

export function reachesBeyond(report: GrantReport, read: number): boolean {
  const units = allUnits(report);
  return units.length > 0 && (units[units.length - 1] as number) > read;
}
