/** The trace of a simulation: all that happened, in order. Its hash tells whether two runs were the same. */
import { createHash } from 'node:crypto';
import { at } from './story.ts';

export class Trace {
  lines = 0;
  readonly #hash = createHash('sha256');
  readonly #nowMs: () => number;
  readonly #print: ((line: string) => void) | undefined;

  constructor(nowMs: () => number, print: ((line: string) => void) | undefined) {
    this.#nowMs = nowMs;
    this.#print = print;
  }

  /** Something happened that is no message. */
  note(what: string): void {
    this.#line(what);
  }

  /** A message leaves. */
  message(from: string, to: string, message: { t: string }): void {
    this.#line(`${from} > ${to} ${JSON.stringify(message)}`);
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  #line(what: string): void {
    this.lines += 1;
    const nowMs = this.#nowMs();
    this.#hash.update(`${nowMs} ${what}\n`);
    this.#print?.(`${at(nowMs)}  ${readable(what)}`);
  }
}

/** `w0-1 > m1 {"t":"gimme","at":3}` becomes `w0-1 > m1  gimme at:3`. */
function readable(what: string): string {
  return what.replace(/ \{"t":"([a-z-]+)",?(.*)\}$/, '  $1 $2').replaceAll('"', '');
}
