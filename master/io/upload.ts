/**
 * What came of one control grant so far: the lines of a scatter's items and whom they are for, or the pieces of a
 * fold's value. Owns what of it cannot be taken; when a part counts is `gathers.ts`.
 *
 * U1: what is over a limit is refused with the part that goes over it, so memory never holds more.
 * U2: it costs its bytes: items are kept as the lines they become, whatever their number.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { appendRange } from '../../shared/core/intervalSet.ts';
import { BRIEF_BYTES_MAX, GATHER_ADDRESSED_MAX, GATHER_SCATTER_BYTES_MAX } from '../../shared/core/limits.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Control, Part } from '../../shared/protocol/messages.ts';
import type { Addresses } from '../core/records.ts';

const LINE_END = 0x0a;

export class Upload {
  readonly kind: Control;
  /** Number of the part that is to come. */
  next = 0;
  /** `ending` while what came is made durable, `over` once it is. */
  state: 'open' | 'ending' | 'over' = 'open';
  items = 0;
  /** Of items or pieces, without the ends of lines. */
  bytes = 0;
  chunks: Uint8Array[] = [];
  /** Units by the responder that they are for; those for anybody under ''. */
  #to = new Map<string, number[]>();
  #addressed = 0;
  #isAsked = false;

  constructor(kind: Control) {
    this.kind = kind;
  }

  /** Whom its items are for; undefined where anybody may take any. */
  get to(): Addresses | undefined {
    return this.#addressed > 0 || this.#isAsked ? [...this.#to] : undefined;
  }

  /** Takes the next part. Throws bad_scatter or fold_failed for what cannot be taken (U1). */
  add(part: Part, units: UnitBytes): void {
    this.next += 1;
    for (let i = 0; i < units.count; i++) this.bytes += units.at(i).length;
    if (this.kind === 'fold') this.#addPieces(units);
    else this.#addItems(part, units);
  }

  /** Has each of these responders asked the same, instead of what came. Throws bad_scatter. */
  ask(names: readonly string[], item: Uint8Array): void {
    this.#isAsked = true;
    this.items = names.length;
    this.bytes = names.length * item.length;
    this.#check();
    const line = new Uint8Array(item.length + 1);
    line.set(item);
    line[item.length] = LINE_END;
    this.chunks = names.map(() => line);
    this.#to = new Map(names.map((name, unit) => [name, [unit, unit + 1]]));
  }

  /** What came is durable elsewhere. */
  end(): void {
    this.state = 'over';
    this.chunks = [];
    this.#to.clear();
    this.bytes = 0;
  }

  #addPieces(units: UnitBytes): void {
    if (this.bytes > BRIEF_BYTES_MAX)
      throw new GimmeError('fold_failed', `its value has over ${BRIEF_BYTES_MAX} bytes`);
    this.#keep(units, 0);
  }

  #addItems({ to }: Part, units: UnitBytes): void {
    for (let i = 0; i < units.count; i++) {
      const item = units.at(i);
      if (isNoLine(item)) throw new GimmeError('bad_scatter', 'an item is no JSON value on one line');
      const name = to?.[i] ?? '';
      if (name !== '') this.#addressed += 1;
      const own = this.#to.get(name) ?? [];
      appendRange(own, this.items, this.items + 1);
      this.#to.set(name, own);
      this.items += 1;
    }
    this.#check();
    this.#keep(units, 1);
  }

  /** Copies what a part brought as one piece, a line end after each where `ends` is 1: the frame is not to live on. */
  #keep(units: UnitBytes, ends: 0 | 1): void {
    let bytes = 0;
    for (let i = 0; i < units.count; i++) bytes += units.at(i).length + ends;
    if (bytes === 0) return;
    const chunk = new Uint8Array(bytes).fill(LINE_END);
    for (let i = 0, at = 0; i < units.count; i++) {
      const item = units.at(i);
      chunk.set(item, at);
      at += item.length + ends;
    }
    this.chunks.push(chunk);
  }

  #check(): void {
    if (this.bytes > GATHER_SCATTER_BYTES_MAX)
      throw new GimmeError('bad_scatter', `its items have over ${GATHER_SCATTER_BYTES_MAX} bytes`);
    if (this.#addressed > GATHER_ADDRESSED_MAX)
      throw new GimmeError('bad_scatter', `over ${GATHER_ADDRESSED_MAX} of its items are addressed`);
  }
}

function isNoLine(item: Uint8Array): boolean {
  return item.length === 0 || item.includes(LINE_END) || item.includes(0x0d);
}
