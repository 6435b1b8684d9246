/** Counts the lines of a file that grows, reading each byte once. */
import { closeSync, openSync, readSync } from 'node:fs';

const LF = 10;

export class LineCount {
  readonly #path: string;
  readonly #buffer = Buffer.alloc(256 * 1024);
  #at = 0;
  #lines = 0;

  constructor(path: string) {
    this.#path = path;
  }

  count(): number {
    const file = openSync(this.#path, 'r');
    for (;;) {
      const bytes = readSync(file, this.#buffer, 0, this.#buffer.length, this.#at);
      if (bytes === 0) break;
      this.#at += bytes;
      for (let i = 0; i < bytes; i++) if (this.#buffer[i] === LF) this.#lines += 1;
    }
    closeSync(file);
    return this.#lines;
  }
}
