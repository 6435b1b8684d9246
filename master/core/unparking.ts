/** Unparking: what waits in the store and is settled all the same, without being granted before. */
import { eachOf } from '../../shared/core/intervalSet.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { LiveEpic } from './live.ts';
import type { MasterState } from './state.ts';

/** Takes parked units out of the store's hands: they are about to be settled. */
export function unpark(s: MasterState, live: LiveEpic, units: Ranges): void {
  const parked = live.epic.parked.intersect(units);
  if (parked.length === 0) return;
  const resume: number[] = [];
  eachOf(parked, (unit) => void resume.push(unit, 1, 0));
  s.record({ k: 'unparked', epic: live.epic.id, units: parked, resume });
}
