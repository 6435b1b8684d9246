/**
 * The sources of the simulation: what each unit is, told apart from how the core and the framer read it.
 * A read is answered as the spool does, with the real framer; the same stretch is always cut in the same way.
 */
import { cut, frameNumbers } from '../../master/core/framer.ts';
import { type BadUnit, type Batch, rereadOf, type SourceSpec } from '../../master/core/source.ts';
import type { ReadWanted } from '../../master/core/state.ts';
import { assert } from '../../shared/core/errors.ts';
import type { Dice } from './dice.ts';

/** The name under which workers of the simulation offer a source. */
export const FEED = 'feed';
/** What a block costs beside its units. */
const BLOCK_BYTES = 16;

/** A batch of a named source as it is kept. */
export type Block = Pick<Batch, 'count' | 'framed' | 'starts' | 'next'> & { bad: readonly number[] };

export class Source {
  readonly spec: SourceSpec;
  /** What each unit is, as text. */
  readonly units: readonly string[];
  /** Of this many units one is bad; 0 is none. */
  readonly #badEvery: number;
  readonly #bytes: Uint8Array;
  /** Of a named source, by their offsets: what outlives the process. */
  #blocks = new Map<number, Block>();

  constructor(spec: SourceSpec, units: readonly string[], badEvery: number, bytes: Uint8Array) {
    this.spec = spec;
    this.units = units;
    this.#badEvery = badEvery;
    this.#bytes = bytes;
  }

  /** The spool of what a scatter gave. */
  static ofLines(id: string, units: readonly string[]): Source {
    const bytes = new TextEncoder().encode(units.map((unit) => `${unit}\n`).join(''));
    const spec = { type: 'spool', id, format: 'ndjson', bytes: bytes.length, hash: '', body: 0 } as const;
    return new Source(spec, units, 0, bytes);
  }

  /** The same where it was read up to this offset, for a second try. */
  reread(offset: number): Source {
    const again = new Source(rereadOf(this.spec, offset), this.units, this.#badEvery, this.#bytes);
    again.#blocks = this.#blocks;
    return again;
  }

  /** Keeps a batch at this offset, in the place of what lay there and behind; returns where the next one goes. */
  append(offset: number, block: Omit<Block, 'next'>): number {
    for (const at of this.#blocks.keys()) if (at >= offset) this.#blocks.delete(at);
    const next = offset + BLOCK_BYTES + block.framed.length;
    this.#blocks.set(offset, { ...block, next });
    return next;
  }

  isBad(unit: number): boolean {
    return this.#badEvery > 0 && unit % this.#badEvery === this.#badEvery - 1;
  }

  /** Reads as much as was wanted, at most `unitsMax` units. */
  read(wanted: ReadWanted, unitsMax: number): Batch {
    const { offset, first } = wanted;
    const units = Math.min(wanted.units, unitsMax);
    if (this.spec.type === 'named' || this.spec.type === 'blocks') return this.#block(offset, first);
    const part = this.spec.type === 'range' ? this.#numbers(offset, units) : this.#records(wanted, units);
    const bad: BadUnit[] = [];
    for (let unit = first; unit < first + part.count; unit++) {
      if (this.isBad(unit)) bad.push({ unit, code: 'invalid_unit', message: 'bad' });
    }
    return { first, bad, offset, ...part };
  }

  #block(offset: number, first: number): Batch {
    const size = this.spec.type === 'blocks' ? this.spec.bytes : Number.POSITIVE_INFINITY;
    const block = this.#blocks.get(offset);
    assert(block, `no block of the source begins at ${offset}`);
    const { count, framed, starts, next } = block;
    const bad = block.bad.map((item) => ({ unit: first + item, code: 'invalid_unit', message: 'bad' }));
    return { first, count, framed, starts, bad, offset, next, end: next >= size };
  }

  #numbers(offset: number, units: number): Omit<Batch, 'first' | 'bad' | 'offset'> {
    const count = Math.min(units, this.units.length - offset);
    const next = offset + count;
    const from = this.spec.type === 'range' ? this.spec.from : 0;
    return { count, ...frameNumbers(from + offset, count), next, end: next >= this.units.length };
  }

  #records({ offset, first, bytes }: ReadWanted, units: number): Omit<Batch, 'first' | 'bad' | 'offset'> {
    const isCsv = this.spec.type === 'spool' && this.spec.format === 'csv';
    const format = isCsv ? ({ type: 'csv', delimiter: ',' } as const) : ({ type: 'ndjson' } as const);
    const rest = this.#bytes.subarray(offset);
    const { count, framed, starts, used } = cut(rest, { format, first, units, bytes, last: true });
    const next = offset + used;
    return { count, framed, starts, next, end: next >= this.#bytes.length };
  }
}

/** Draws a source of `count` units. */
export function drawSource(dice: Dice, id: string, count: number): Source {
  const badEvery = dice.pick([0, 0, 3, 17]);
  const kind = dice.pick(['range', 'ndjson', 'csv', 'named'] as const);
  if (kind === 'range') {
    const from = dice.pick([0, 7, -3]);
    const units = Array.from({ length: count }, (_, i) => String(from + i));
    return new Source({ type: 'range', from, to: from + count }, units, badEvery, new Uint8Array());
  }
  if (kind === 'named') {
    const units = Array.from({ length: count }, (_, i) => line(dice, i));
    return new Source({ type: 'named', id, name: FEED, args: 'null' }, units, badEvery, new Uint8Array());
  }
  const isCsv = kind === 'csv';
  const units = Array.from({ length: count }, (_, i) => (isCsv ? row(dice, i) : line(dice, i)));
  const head = isCsv ? 'email,text\n' : '';
  let text = head;
  for (const unit of units) text += unit + (dice.chance(0.1) ? '\r\n\n' : '\n');
  if (dice.chance(0.3)) text = text.trimEnd(); // The last line has no end.
  if (text.length < head.length) text = head;
  const bytes = new TextEncoder().encode(text);
  const spool = {
    type: 'spool',
    id,
    format: kind,
    bytes: bytes.length,
    hash: '',
    body: head.length,
  } as const;
  const spec: SourceSpec = isCsv ? { ...spool, columns: ['email', 'text'], delimiter: ',' } : spool;
  return new Source(spec, units, badEvery, bytes);
}

function line(dice: Dice, i: number): string {
  return `{"email":"p${i}@example.org","text":"${'é'.repeat(dice.whole(0, 60))}"}`;
}

/** Some with a line end inside quotes. */
function row(dice: Dice, i: number): string {
  return dice.chance(0.2)
    ? `p${i}@example.org,"two\nlines, ""quoted"""`
    : `p${i}@example.org,${'x'.repeat(i % 9)}`;
}
