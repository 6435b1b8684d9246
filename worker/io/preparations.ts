/** Briefs on this worker: put together from their parts, checked by hash, and prepared once per work. */
import { createHash } from 'node:crypto';
import { BRIEF_BYTES_MAX } from '../../shared/core/limits.ts';
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { BriefEnvelope } from '../../shared/protocol/api.ts';
import { createUnitParser, type UnitParser } from './unitParser.ts';

/** A brief ready for use, or why it never will be. Its envelope is kept for works that have steps in threads. */
export type Prepared =
  | { ok: true; brief: unknown; parser: UnitParser; envelope: SharedArrayBuffer }
  | { ok: false; message: string };

const NOT_SHARED = new SharedArrayBuffer(0);

type Assembly = { parts: (Uint8Array | undefined)[]; missing: number };

export class Preparations {
  readonly #ready = new Map<string, Prepared>();
  readonly #bytes = new Map<string, Assembly>();

  get(work: string, hash: string): Prepared {
    return this.#ready.get(`${work} ${hash}`) ?? { ok: false, message: `brief ${hash} is not here` };
  }

  /** Takes one part; returns the whole once it is complete, undefined before. A doubled part changes nothing. */
  take(hash: string, part: number, parts: number, bytes: Uint8Array): Buffer | undefined {
    const assembly = this.#bytes.get(hash) ?? {
      parts: new Array<Uint8Array | undefined>(parts),
      missing: parts,
    };
    if (assembly.parts.length !== parts || part >= parts || assembly.parts[part]) return undefined;
    this.#bytes.set(hash, assembly);
    assembly.parts[part] = bytes;
    assembly.missing -= 1;
    if (assembly.missing > 0) return undefined;
    this.#bytes.delete(hash);
    const whole = Buffer.concat(assembly.parts as Uint8Array[]);
    const right =
      whole.length <= BRIEF_BYTES_MAX && createHash('sha256').update(whole).digest('hex') === hash;
    return right ? whole : undefined;
  }

  /** Prepares a brief for a work; never throws: a refusal becomes the outcome of its units. */
  async prepare(work: WorkDefinition, hash: string, bytes: Buffer): Promise<void> {
    this.#ready.set(`${work.name} ${hash}`, await prepared(work, bytes));
  }

  /** Drops what was prepared under `<work> <hash>`; the brief is asked for again when it is needed. */
  forget(key: string): void {
    this.#ready.delete(key);
  }
}

async function prepared(work: WorkDefinition, bytes: Buffer): Promise<Prepared> {
  try {
    const { brief, format } = JSON.parse(bytes.toString()) as BriefEnvelope;
    const { prepare } = work.options;
    return {
      ok: true,
      brief: prepare ? await prepare(brief) : brief,
      parser: createUnitParser(format),
      envelope: work.steps.some((step) => step.thread) ? shared(bytes) : NOT_SHARED,
    };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/** A copy that threads read without a copy of their own. */
function shared(bytes: Buffer): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  return memory;
}
