/** Waiting for a state that can only be asked for: asks again and again until it holds, never longer than patience. */
import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS } from './process.ts';

const ASK_EVERY_MS = 20;

/** Resolves with the first answer that holds; fails with the last one after `withinMs`. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  holds: (answer: Awaited<T>) => boolean,
  withinMs = PATIENCE_MS,
): Promise<Awaited<T>> {
  const startedMs = performance.now();
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (performance.now() - startedMs > withinMs) {
      throw new Error(`waited ${withinMs} ms until ${what}; it is ${JSON.stringify(answer)}`);
    }
    await pause(ASK_EVERY_MS);
  }
}
