/** Failed and unknown units by code; works make codes up, so those beyond FAULT_CODES_MAX are one: `other`. */
import { FAULT_CODES_MAX } from '../../shared/core/limits.ts';

/** Counts one; returns the code that it is counted under. */
export function countFault(faults: Map<string, number>, told: string): string {
  const code = faults.has(told) || faults.size < FAULT_CODES_MAX ? told : 'other';
  faults.set(code, (faults.get(code) ?? 0) + 1);
  return code;
}

/** Takes one back. */
export function uncountFault(faults: Map<string, number>, code: string): void {
  const left = (faults.get(code) ?? 1) - 1;
  if (left > 0) faults.set(code, left);
  else faults.delete(code);
}
