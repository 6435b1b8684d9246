/** A work that does nothing: what is left is the cost of pulling. */
import { defineWork } from '../../shared/core/work.ts';

export const noop = defineWork('noop').step('nothing', () => undefined);
