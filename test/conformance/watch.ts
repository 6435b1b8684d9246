/** What a test of a bus waits with: for handlers that run, and for things that no handler tells. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import type { Bus, BusHandlers } from '../../shared/io/bus.ts';

const SOON_MS = 60_000;

/** Handlers that keep what they are told, and wait for it. */
export class Watch implements BusHandlers {
  readonly frames: { from: string; frame: Uint8Array }[] = [];
  readonly downs: string[] = [];
  ups = 0;
  #waiting: { isMet: () => boolean; resolve: () => void }[] = [];

  onFrame(from: string, frame: Uint8Array): void {
    this.frames.push({ from, frame });
    this.#look();
  }

  onUp(): void {
    this.ups += 1;
    this.#look();
  }

  onDown(reason: string): void {
    this.downs.push(reason);
    this.#look();
  }

  /** Texts of the frames so far. */
  texts(): string[] {
    return this.frames.map(({ frame }) => Buffer.from(frame).toString());
  }

  /** Calls of any handler so far. */
  calls(): number {
    return this.frames.length + this.downs.length + this.ups;
  }

  /** Resolves as soon as the condition is met, now or after a handler ran. */
  until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ isMet, resolve });
      this.#look();
    });
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ isMet, resolve }) => {
      if (!isMet()) return true;
      resolve();
      return false;
    });
  }
}

/** Opens a bus and gives what it was told. */
export async function opened(bus: Bus): Promise<Watch> {
  const watch = new Watch();
  await bus.open(watch);
  return watch;
}

export const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Waits until the condition is met, looking once in each turn of the event loop. Fails when it never is. */
export async function soon(isMet: () => boolean): Promise<void> {
  const endMs = performance.now() + SOON_MS;
  while (!isMet()) {
    assert.ok(performance.now() < endMs, `not within ${SOON_MS} ms: ${String(isMet)}`);
    await turn();
  }
}
