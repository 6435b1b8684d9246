/**
 * Frames: how a message and its unit bytes become one piece of bytes, and back. Owns the layout and the
 * checks across fields; what each message has is `shapes.ts`. The format is told in docs/PROTOCOL.md.
 *
 *   uint32 header length · header (JSON, UTF-8) · { uint32 length · bytes } for each unit   (big endian)
 *
 * F1: decoding throws nothing but GimmeError bad_message or too_large, whatever the bytes, and takes time
 *     in proportion to them.
 * F2: a side decodes only the other side's messages: a worker cannot pass for a master.
 * F3: units are views of the frame, not copies; the frame lives as long as one of them does.
 */
import { GimmeError, unreachable } from '../core/errors.ts';
import { countOf } from '../core/intervalSet.ts';
import { BRIEF_PART_BYTES, MESSAGE_BYTES_MAX, UNIT_BYTES_MAX } from '../core/limits.ts';
import { type Check, fieldsOf, Misfit, type Shape } from './check.ts';
import type { Brings, GrantReport, MasterMessage, Message, WorkerMessage } from './messages.ts';
import { MASTER_SHAPES, WORKER_SHAPES } from './shapes.ts';

/** A message, its payload as it came, and what was found in it (nothing but in Work, Brief, GimmeWork and Begin). */
export type Decoded<M extends Message = Message> = { message: M; payload: Uint8Array; units: UnitBytes };

const LENGTH_BYTES = 4;

/**
 * Makes the frame of a message. `payload` holds units already with their lengths before them (`prefixed`,
 * or slices of what a source framed). Throws too_large over MESSAGE_BYTES_MAX.
 */
export function encodeFrame(message: Message, payload: readonly Uint8Array[] = []): Uint8Array {
  const header = JSON.stringify(message);
  const headerBytes = Buffer.byteLength(header);
  let bytes = LENGTH_BYTES + headerBytes;
  for (const chunk of payload) bytes += chunk.length;
  if (bytes > MESSAGE_BYTES_MAX) {
    throw new GimmeError(
      'too_large',
      `a ${message.t} message of ${bytes} bytes is over ${MESSAGE_BYTES_MAX}`,
    );
  }
  const frame = Buffer.allocUnsafe(bytes);
  frame.writeUInt32BE(headerBytes, 0);
  frame.write(header, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  for (const chunk of payload) {
    frame.set(chunk, at);
    at += chunk.length;
  }
  return frame;
}

/** Puts the length of one unit's bytes before them, as a payload wants it. */
export function prefixed(bytes: Uint8Array): Uint8Array {
  const unit = Buffer.allocUnsafe(LENGTH_BYTES + bytes.length);
  unit.writeUInt32BE(bytes.length, 0);
  unit.set(bytes, LENGTH_BYTES);
  return unit;
}

/** Reads a frame of either side. Throws bad_message, which names the field, or too_large. */
export function decodeFrame(frame: Uint8Array): Decoded {
  return decode(frame, ANY_SIDE);
}

/** Reads a frame that came from a worker; a master's message is a bad one (F2). */
export function decodeWorkerMessage(frame: Uint8Array): Decoded<WorkerMessage> {
  return decode(frame, FROM_WORKER);
}

/** Reads a frame that came from a master; a worker's message is a bad one (F2). */
export function decodeMasterMessage(frame: Uint8Array): Decoded<MasterMessage> {
  return decode(frame, FROM_MASTER);
}

/** The units of a payload, each as a view of it (F3). */
export class UnitBytes {
  readonly count: number;
  readonly #payload: Buffer;
  /** Where each unit's bytes start, and where those of a unit after the last would. */
  readonly #starts: Uint32Array;

  /** `starts` come from `unitsOf`, which checks them. */
  constructor(payload: Uint8Array, starts: Uint32Array) {
    this.#payload = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    this.#starts = starts;
    this.count = starts.length - 1;
  }

  /** The bytes of unit `i` of this payload, counted from 0. */
  at(i: number): Uint8Array {
    return this.#payload.subarray(this.#startOf(i), this.#endOf(i));
  }

  /** The same as text, with U+FFFD where it is not UTF-8: a third cheaper than from a view, since none is made. */
  text(i: number): string {
    return this.#payload.toString('utf8', this.#startOf(i), this.#endOf(i));
  }

  #startOf(i: number): number {
    if (i >= 0 && i < this.count) return this.#starts[i] as number;
    throw new RangeError(`no unit ${i} among ${this.count}`);
  }

  #endOf(i: number): number {
    return (this.#starts[i + 1] as number) - LENGTH_BYTES;
  }
}

/** Finds the units of a payload. Throws bad_message where their lengths do not add up to it. */
export function unitsOf(payload: Uint8Array, unitBytesMax: number = UNIT_BYTES_MAX): UnitBytes {
  const count = countUnits(payload, unitBytesMax);
  const starts = new Uint32Array(count + 1);
  let at = LENGTH_BYTES;
  for (let i = 0; i < count; i++) {
    starts[i] = at;
    at += lengthAt(payload, at - LENGTH_BYTES) + LENGTH_BYTES;
  }
  starts[count] = at;
  return new UnitBytes(payload, starts);
}

function countUnits(payload: Uint8Array, unitBytesMax: number): number {
  let count = 0;
  let at = 0;
  while (at < payload.length) {
    if (at + LENGTH_BYTES > payload.length) throw bad('the payload ends inside the length of a unit');
    const length = lengthAt(payload, at);
    if (length > unitBytesMax) throw bad(`a unit of the payload has ${length} bytes, over ${unitBytesMax}`);
    at += LENGTH_BYTES + length;
    if (at > payload.length) throw bad('the payload ends inside a unit');
    count += 1;
  }
  return count;
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return high * 0x10000 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
}

type Checks<M extends Message> = ReadonlyMap<unknown, Check<M>>;

/** A map, not an object: a tag such as `constructor` finds nothing in it. */
function checksOf<M extends Message>(shapes: Readonly<Record<string, unknown>>): Checks<M> {
  return new Map(Object.entries(shapes).map(([tag, shape]) => [tag, fieldsOf(shape as Shape<M>)]));
}

const FROM_WORKER = checksOf<WorkerMessage>(WORKER_SHAPES);
const FROM_MASTER = checksOf<MasterMessage>(MASTER_SHAPES);
const ANY_SIDE: Checks<Message> = new Map<unknown, Check<Message>>([...FROM_WORKER, ...FROM_MASTER]);
const NO_UNITS = unitsOf(new Uint8Array(0));

function decode<M extends Message>(frame: Uint8Array, checks: Checks<M>): Decoded<M> {
  if (frame.length > MESSAGE_BYTES_MAX) {
    throw new GimmeError('too_large', `a frame of ${frame.length} bytes is over ${MESSAGE_BYTES_MAX}`);
  }
  if (frame.length < LENGTH_BYTES) throw bad('the frame ends inside the length of its header');
  const headerEnd = LENGTH_BYTES + lengthAt(frame, 0);
  if (headerEnd > frame.length) throw bad('the frame ends inside its header');
  const message = checked(headerOf(frame.subarray(LENGTH_BYTES, headerEnd)), checks);
  const payload = frame.subarray(headerEnd);
  return { message, payload, units: unitsFor(message, payload) };
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function headerOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(bytes));
  } catch (cause) {
    throw new GimmeError('bad_message', 'the header is not JSON in UTF-8', { cause });
  }
}

function checked<M extends Message>(header: unknown, checks: Checks<M>): M {
  const tag: unknown =
    typeof header === 'object' && header !== null ? (header as { t?: unknown }).t : undefined;
  const check = checks.get(tag);
  if (!check) throw bad('t must be the tag of a message that the sender may send');
  try {
    return check(header);
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    throw new GimmeError('bad_message', `${String(tag)}${error.path} ${error.message}`, { cause: error });
  }
}

/** Finds the units of a message and checks what no field can tell alone. */
function unitsFor(message: Message, payload: Uint8Array): UnitBytes {
  switch (message.t) {
    case 'work': {
      const units = unitsOf(payload);
      const named = countOf(message.units);
      const states = message.again?.filter((item) => item.state).length ?? 0;
      if (units.count !== named + states) {
        const told = states === 0 ? `${named} units` : `${named} units and ${states} states`;
        throw bad(`work.units names ${told}, the payload has ${units.count}`);
      }
      if (named > 0 && message.brief === '' && message.control !== 'read')
        throw bad('work.brief must be the hash of a brief where there are units');
      return units;
    }
    case 'brief': {
      if (message.part >= message.parts) throw bad('brief.part must be below brief.parts');
      const units = unitsOf(payload, BRIEF_PART_BYTES);
      if (units.count !== 1) throw bad(`brief must have one part as its payload, not ${units.count}`);
      return units;
    }
    case 'gimme':
      return itemsOf(
        message.t,
        payload,
        message.reports.reduce((sum, report) => sum + broughtBy(report), 0),
      );
    case 'part': {
      const parts = payload.length === 0 ? NO_UNITS : unitsOf(payload);
      if (message.to && message.to.length !== parts.count) throw bad('part.to must name one for each item');
      if (message.bad?.some(({ item }) => item >= parts.count)) throw bad('part.bad must name items of it');
      return parts;
    }
    case 'answers':
      return itemsOf(message.t, payload, countOf(message.units));
    case 'begin':
      return itemsOf(message.t, payload, sumOf(message.saved));
    case 'hello':
    case 'heartbeat':
    case 'want-brief':
    case 'bye':
    case 'available':
    case 'proceed':
    case 'want-answers':
    case 'took':
    case 'settled':
    case 'recall':
    case 'abort':
    case 'refused':
      if (payload.length > 0) throw bad(`${message.t} must have no payload`);
      return NO_UNITS;
    default:
      return unreachable(message);
  }
}

/** Payload items that the listed units of a report bring, in their order: failed, unknown, later, answers. */
export function broughtBy({ failed, unknown, later, answers }: GrantReport): number {
  return sumOf(failed) + sumOf(unknown) + sumOf(later) + sumOf(answers);
}

function sumOf(items: readonly { brings?: Brings }[] | undefined): number {
  return items?.reduce((sum, { brings = 0 }) => sum + brings, 0) ?? 0;
}

function itemsOf(tag: string, payload: Uint8Array, named: number): UnitBytes {
  const items = payload.length === 0 ? NO_UNITS : unitsOf(payload);
  if (items.count !== named)
    throw bad(`${tag} says that ${named} items are in its payload, not ${items.count}`);
  return items;
}

function bad(text: string): GimmeError {
  return new GimmeError('bad_message', text);
}
