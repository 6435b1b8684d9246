/** What a test waits for instead of sleeping. Every wait is bounded and says what it waited for. */

export const WAIT_MS = 120_000;

/** Rejects when it takes too long; `what` is called then. */
export async function within<T>(promise: Promise<T>, what: () => string, ms: number = WAIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what()}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Something that happens again and again, and is waited for. */
export class Tally<T> {
  readonly all: T[] = [];
  readonly #what: string;
  #waiting: { ready: (all: readonly T[]) => boolean; resolve: () => void }[] = [];

  constructor(what: string) {
    this.#what = what;
  }

  add(item: T): void {
    this.all.push(item);
    this.#waiting = this.#waiting.filter(({ ready, resolve }) => {
      if (!ready(this.all)) return true;
      resolve();
      return false;
    });
  }

  /** Waits until there are `count` of them, or until `ready` says so. */
  async until(ready: number | ((all: readonly T[]) => boolean)): Promise<readonly T[]> {
    const isReady = typeof ready === 'number' ? (all: readonly T[]) => all.length >= ready : ready;
    if (isReady(this.all)) return this.all;
    const done = new Promise<void>((resolve) => this.#waiting.push({ ready: isReady, resolve }));
    await within(done, () => `${this.#what}; there are ${this.all.length}`);
    return this.all;
  }
}

/** A gate that a step waits at until the test opens it. */
export class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}
