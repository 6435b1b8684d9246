/** The works of the model: what each effect mode promises is checked on its own epic. */
import type { WorkManifest } from '../../shared/protocol/messages.ts';

export type ModelWork = 'plain' | 'mail' | 'post';
export const MODEL_WORKS: readonly ModelWork[] = ['plain', 'mail', 'post'];

const STEPS: Record<ModelWork, WorkManifest['steps']> = {
  plain: [{ name: 'look', effect: 'none' }],
  mail: [
    { name: 'render', effect: 'none' },
    { name: 'send', effect: 'at-most-once' },
  ],
  post: [{ name: 'call', effect: 'at-least-once' }],
};

/** Another version has another hash: a worker of it gets nothing of an epic that froze this one. */
export function manifest(name: ModelWork, version: number): WorkManifest {
  return { name, hash: `${name}-v${version}`, steps: STEPS[name] };
}
