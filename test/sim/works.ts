/** The works of the simulation: what each effect promises is checked on epics of its own. */
import type { Effect, WorkManifest } from '../../shared/protocol/messages.ts';

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
} as const satisfies Record<string, WorkManifest['steps'] | readonly WorkManifest['steps'][number][]>;

export type SimWork = keyof typeof STEPS;
export const SIM_WORKS = Object.keys(STEPS) as readonly SimWork[];

/** Another version has another hash: a worker of it gets nothing of an epic that froze this one. */
export function manifest(name: SimWork, version: number): WorkManifest {
  return { name, hash: `${name}-v${version}`, steps: [...STEPS[name]] };
}

/** What the steps of a work promise on their effects. */
export function effectsOf(work: string): Effect[] {
  return (STEPS[work as SimWork] as WorkManifest['steps']).map(({ effect }) => effect);
}
