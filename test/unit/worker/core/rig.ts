/** A worker's core and a hand on its inputs: what the tests of the core are written with. */
import assert from 'node:assert/strict';
import { frameNumbers } from '../../../../master/core/framer.ts';
import {
  decodeWorkerMessage,
  encodeFrame,
  prefixed,
  type UnitBytes,
  unitsOf,
} from '../../../../shared/protocol/codec.ts';
import type {
  GrantReport,
  MasterMessage,
  Ranges,
  StepManifest,
  Work,
  WorkerMessage,
} from '../../../../shared/protocol/messages.ts';
import type { Run } from '../../../../worker/core/held.ts';
import type { Outcome } from '../../../../worker/core/outcomes.ts';
import type { WorkerOutput } from '../../../../worker/core/output.ts';
import { Worker, type WorkerInput } from '../../../../worker/core/worker.ts';

export const BEAT_MS = 1_000;
const EMPTY = unitsOf(new Uint8Array(0));
const ONE_STEP: StepManifest[] = [{ name: 's0', effect: 'none' }];

export type RigOptions = { steps?: StepManifest[]; keyOf?: (run: Run) => string | undefined };

export class Rig {
  readonly core: Worker;
  nowMs = 100;
  /** Messages since the last `clear`, newest last. */
  said: WorkerMessage[] = [];
  out: WorkerOutput;
  /** What came in the payload of each message. */
  readonly #payloads = new Map<WorkerMessage, UnitBytes>();

  constructor(slots = 2, { steps = ONE_STEP, keyOf }: RigOptions = {}) {
    const works = [{ name: 'job', hash: 'h', steps }];
    const identity = { name: 'w', works, labels: {}, slots, version: '0' };
    const more = keyOf && { keyOf };
    this.core = new Worker({ identity, random: () => 0.5, heartbeatMs: BEAT_MS, ...more });
    this.out = this.core.step({ type: 'tick' }, this.nowMs);
  }

  /** A worker that a master knows, and to which the brief `b` is ready. */
  static known(slots = 2, options?: RigOptions): Rig {
    const rig = new Rig(slots, options);
    rig.step({ type: 'up' });
    rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: [] });
    rig.step({ type: 'brief-ready', work: 'job', hash: 'b' });
    rig.pass(BEAT_MS);
    rig.clear();
    return rig;
  }

  step(input: WorkerInput): WorkerOutput {
    this.out = this.core.step(input, this.nowMs);
    for (const { message, payload } of this.out.messages) {
      this.said.push(message);
      this.#payloads.set(message, decodeWorkerMessage(encodeFrame(message, payload)).units);
    }
    return this.out;
  }

  take(message: MasterMessage): WorkerOutput {
    return this.step({ type: 'message', message, units: EMPTY });
  }

  /** Time goes by, with a tick whenever it asks for one. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, Math.max(this.nowMs + 1, this.out.wakeAt));
      this.step({ type: 'tick' });
    }
  }

  /** What the units that a message lists brought, in their order. */
  brought(message: WorkerMessage | undefined): string[] {
    const items = message && this.#payloads.get(message);
    assert.ok(items, 'the message was sent');
    return Array.from({ length: items.count }, (_, i) => Buffer.from(items.at(i)).toString());
  }

  work(n: number, units: Ranges, more: Partial<Work> = {}, states: readonly string[] = []): WorkerOutput {
    const own = { epic: 'e', work: 'job', brief: 'b', units, seal: `seal-${n}` };
    const message: Work = { t: 'work', term: 1, n, ...own, ...more };
    let count = 0;
    for (let i = 0; i < units.length; i += 2) count += (units[i + 1] as number) - (units[i] as number);
    const { framed } = frameNumbers(units[0] ?? 0, count);
    const payload = Buffer.concat([framed, ...states.map((state) => prefixed(Buffer.from(state)))]);
    return this.step({ type: 'message', message, units: unitsOf(payload) });
  }

  settled(n: number, units: Ranges, term = 1): WorkerOutput {
    return this.take({ t: 'settled', term, grants: [{ n, units }] });
  }

  proceed(n: number, at: number, go: Ranges, skip: Ranges = []): WorkerOutput {
    return this.take({ t: 'proceed', term: 1, n, at, go, skip });
  }

  /** Starts the next run, which must be there. */
  start(): Run {
    const run = this.core.next();
    assert.ok(run, 'there is a unit to start');
    return run;
  }

  /** Ends a run and lets the shell's step follow. */
  finish(run: Run, outcome: Outcome = { kind: 'ok' }): void {
    this.core.finish(run, outcome);
    this.step({ type: 'ran' });
  }

  clear(): void {
    this.said = [];
    this.#payloads.clear();
  }

  all<T extends WorkerMessage['t']>(t: T): Extract<WorkerMessage, { t: T }>[] {
    return this.said.filter((message): message is Extract<WorkerMessage, { t: T }> => message.t === t);
  }

  /** Reports of all messages since the last `clear`. */
  reports(): GrantReport[] {
    return this.all('gimme').flatMap(({ reports }) => reports);
  }

  /** What the last message that carries demand says. */
  stand(): { lastGrant: number; level: number } {
    const last = this.said.findLast((message) => 'level' in message);
    assert.ok(last && 'level' in last, 'it said where it stands');
    return { lastGrant: last.lastGrant, level: last.level };
  }
}

export function retry(delayMs: number, attempt = 2, step = 0): Outcome {
  return { kind: 'retry', step, attempt, delayMs, code: 'x' };
}
