/** The package's entry: define works, submit epics, follow them. */
export { Client, DEFAULT_MASTER, type ClientOptions, type EpicFilter, type Submit, type Worker } from './client.ts';
export { Epic } from './epic.ts';
export { csv, ndjson, range, stdin, units, type Format, type Source } from './source.ts';
export {
  defineWork,
  PermanentError,
  RetryableError,
  skip,
  UnknownOutcomeError,
  WorkDefinition,
  type Skip,
  type StandardSchema,
  type StepContext,
  type StepOptions,
  type WorkOptions,
} from '../shared/core/work.ts';
export { ERRORS, GimmeError, type ErrorCode } from '../shared/core/errors.ts';
export type { EpicPage, EpicState, EpicStatus, Totals } from '../shared/protocol/api.ts';
