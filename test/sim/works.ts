/** The works of the simulation: what each effect promises is checked on epics of its own. */
import type { Effect, GatherManifest, WorkManifest } from '../../shared/protocol/messages.ts';

const STEPS = {
  plain: [{ name: 'look', effect: 'none' }],
  mail: [
    { name: 'render', effect: 'none' },
    { name: 'send', effect: 'at-most-once' },
  ],
  post: [{ name: 'call', effect: 'at-least-once' }],
  order: [
    { name: 'price', effect: 'none' },
    { name: 'charge', effect: 'at-most-once' },
    { name: 'ship', effect: 'at-least-once' },
    { name: 'file', effect: 'none' },
  ],
  import: [
    { name: 'fetch', effect: 'none' },
    { name: 'convert', effect: 'none' },
    { name: 'store', effect: 'at-least-once' },
    { name: 'check', effect: 'none' },
  ],
  report: [
    { name: 'download', effect: 'none' },
    { name: 'convert', effect: 'none' },
    { name: 'upload', effect: 'at-least-once' },
  ],
  invoice: [
    { name: 'reserve', effect: 'at-most-once' },
    { name: 'print', effect: 'none' },
    { name: 'send', effect: 'at-most-once' },
  ],
  ask: [{ name: 'answer', effect: 'none' }],
  survey: [
    { name: 'think', effect: 'none' },
    { name: 'tell', effect: 'none' },
  ],
  bid: [
    { name: 'look', effect: 'none' },
    { name: 'offer', effect: 'at-most-once' },
  ],
  poll: [{ name: 'reply', effect: 'at-least-once' }],
} as const satisfies Record<string, WorkManifest['steps'] | readonly WorkManifest['steps'][number][]>;

export type SimWork = keyof typeof STEPS;
export const SIM_WORKS = Object.keys(STEPS) as readonly SimWork[];

/** Those that are gathers. */
const GATHERS: Partial<Record<SimWork, GatherManifest>> = {
  ask: { scatter: 'items', deadlineMs: 15_000, reissueAfterMs: 2_000 },
  survey: { scatter: 'items', deadlineMs: 10_000, enough: 40 },
  bid: { scatter: 'items', deadlineMs: 20_000, quorum: 2 },
  poll: { scatter: 'labels', deadlineMs: 15_000 },
};

/** Steps after which the state of a unit is kept. */
const CHECKPOINTS: Partial<Record<SimWork, readonly number[]>> = {
  import: [2],
  report: [0, 1],
  invoice: [0, 1],
};

/** Another version has another hash: a worker of it gets nothing of an epic that froze this one. */
export function manifest(name: SimWork, version: number): WorkManifest {
  const gather = GATHERS[name];
  return { name, hash: `${name}-v${version}`, steps: [...STEPS[name]], ...(gather && { gather }) };
}

/** What the steps of a work promise on their effects. */
export function effectsOf(work: string): Effect[] {
  return (STEPS[work as SimWork] as WorkManifest['steps']).map(({ effect }) => effect);
}

export function hasCheckpoint(work: string, step: number): boolean {
  return CHECKPOINTS[work as SimWork]?.includes(step) ?? false;
}

/** What a step of a unit returns. */
export function outputOf(unit: number, step: number): string {
  return `step ${step} of ${unit}`;
}

/** How a work gathers, where it does. */
export function gatherOf(work: string): GatherManifest | undefined {
  return GATHERS[work as SimWork];
}
