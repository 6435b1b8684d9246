/**
 * What a gather has beyond every epic: in which phase it is, until when it takes answers, who is asked what, who
 * did not answer. Durable like the epic it belongs to, and changed by its records only.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { GATHER_DEADLINE_MS } from '../../shared/core/limits.ts';
import type { GatherManifest, Ranges } from '../../shared/protocol/messages.ts';
import type { Addresses, GatherAsked, GatherCheckpoint, GatherPhase } from './records.ts';

export class GatherState {
  readonly asked: GatherAsked;
  readonly #submittedWallMs: number;
  phase: GatherPhase = 'scatter';
  /** When intake ends: from submit, by what was asked for or by what its work says. */
  deadlineWallMs: number;
  /** Answers that end it early, and the least for a success; undefined where neither its submit nor its work says so. */
  enough: number | undefined;
  quorum: number | undefined;
  reissueAfterMs: number | undefined;
  /** Units that it has in all, once they are known. */
  items: number | undefined;
  /** Units for one responder each, those for anybody under ''; empty where anybody may take any. */
  readonly to = new Map<string, IntervalSet>();
  /** Units without an answer when intake ended. */
  readonly missing = new IntervalSet();
  /** Those of them that answered too late, and unknown ones that did once its fold had begun. */
  readonly late = new IntervalSet();
  /** Its value, kept like a brief. */
  result: { bytes: number; hash: string } | undefined;
  #addresses: Addresses | undefined;

  constructor(asked: GatherAsked, submittedWallMs: number) {
    this.asked = asked;
    this.#submittedWallMs = submittedWallMs;
    this.deadlineWallMs = submittedWallMs + (asked.deadlineMs ?? GATHER_DEADLINE_MS);
    this.enough = asked.enough;
    this.quorum = asked.quorum;
  }

  static from(record: GatherCheckpoint, submittedWallMs: number): GatherState {
    const gather = new GatherState(record.asked, submittedWallMs);
    gather.phase = record.phase;
    gather.items = record.items;
    gather.result = record.result;
    gather.missing.addAll(record.missing);
    gather.late.addAll(record.late);
    gather.#address(record.to);
    return gather;
  }

  checkpoint(): GatherCheckpoint {
    const { asked, phase, items, result } = this;
    return {
      asked,
      phase,
      missing: this.missing.ranges(),
      late: this.late.ranges(),
      ...(items !== undefined && { items }),
      ...(this.#addresses && { to: this.#addresses }),
      ...(result && { result }),
    };
  }

  /** Its work is known now, which says what its submit did not. */
  freeze(manifest: GatherManifest | undefined): void {
    if (!manifest) return;
    const {
      deadlineMs = manifest.deadlineMs,
      enough = manifest.enough,
      quorum = manifest.quorum,
    } = this.asked;
    this.deadlineWallMs = this.#submittedWallMs + deadlineMs;
    // Fewer answers than the least that it needs are not enough, wherever the two were said.
    this.enough = enough === undefined ? undefined : Math.max(enough, quorum ?? 0);
    this.quorum = quorum;
    this.reissueAfterMs = manifest.reissueAfterMs;
  }

  scattered(items: number, to: Addresses | undefined): void {
    this.phase = 'work';
    this.items = items;
    this.#address(to);
  }

  /** Sets of units that a responder of this name may have; undefined where all may have all. */
  unitsFor(name: string): IntervalSet[] | undefined {
    if (this.to.size === 0) return undefined;
    const sets = name === '' ? [this.to.get('')] : [this.to.get(name), this.to.get('')];
    return sets.filter((units) => units !== undefined);
  }

  /** Notes that these units answered; returns how many of them had been given up before, and not yet answered late. */
  answeredLate(units: Ranges): Ranges {
    if (this.missing.isEmpty) return [];
    return this.late.missingFrom(this.missing.intersect(units));
  }

  #address(to: Addresses | undefined): void {
    this.#addresses = to;
    for (const [name, units] of to ?? []) this.to.set(name, IntervalSet.of(units));
  }
}
