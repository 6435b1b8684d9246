/** The faults that the simulator injects, by name, and how often each has happened. */

/** Planned ones, each at a moment of its own. */
export const PLANNED_FAULTS = [
  'worker crash',
  'worker crash in a step',
  'worker stall',
  'worker drain',
  'worker drain by operator',
  'master crash',
  'master crash in a step',
  'master crash in an append',
  'master stall',
  'link reset',
  'server away',
  'one-way partition',
  'master link down',
  'slow store',
  'full disk',
] as const;
export type PlannedKind = (typeof PLANNED_FAULTS)[number];

/** Those that chance brings while frames travel, records are appended and sources are read. */
const CHANCE_FAULTS = [
  'drop',
  'duplicate',
  'delay',
  'overtaken on another link',
  'torn append',
  'lost ack',
  'failed append',
  'failed read',
] as const;
export type FaultKind = PlannedKind | (typeof CHANCE_FAULTS)[number];

export const FAULT_KINDS: readonly FaultKind[] = [...PLANNED_FAULTS, ...CHANCE_FAULTS];

export class FaultCounts {
  readonly counts: Record<FaultKind, number>;

  constructor() {
    this.counts = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  }

  add(kind: FaultKind): void {
    this.counts[kind] += 1;
  }
}
