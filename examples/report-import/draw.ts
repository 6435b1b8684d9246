/** What is left to chance here: the same for the same names, whatever came before and whoever asks. */
import { type Rng, seededRng } from '../../shared/core/rng.ts';

/** A sequence that depends on these alone. */
export function drawOf(...names: readonly (string | number)[]): Rng {
  return seededRng(hashOf(names.join(' ')));
}

/** FNV-1a, 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
