/** The package's entry: define works, submit epics, follow them. */

export { ERRORS, type ErrorCode, GimmeError } from '../shared/core/errors.ts';
export {
  defineGather,
  type FoldContext,
  type GatherDefinition,
  type GatherOptions,
  type ScatterContext,
} from '../shared/core/gather.ts';
export {
  defineSource,
  type ReadContext,
  type SourceDefinition,
  type SourceItem,
  type SourceOptions,
} from '../shared/core/userSource.ts';
export {
  defineWork,
  PermanentError,
  RetryableError,
  type Skip,
  type StandardSchema,
  type StepContext,
  type StepOptions,
  skip,
  UnknownOutcomeError,
  WorkDefinition,
  type WorkOptions,
} from '../shared/core/work.ts';
export {
  type EpicPage,
  type EpicState,
  type EpicStatus,
  type FailureGroup,
  type GatherAnswer,
  type GatherStatus,
  isOver,
  type MasterView as Master,
  type Reply,
  type RetryAnswer,
  type RetryBody,
  type Totals,
  type UnitPage,
  type UnitResult,
  type UnitStory,
  type UnitView,
  type WorkerView as Worker,
} from '../shared/protocol/api.ts';
export {
  type Ask,
  Client,
  type ClientOptions,
  DEFAULT_MASTER,
  type EpicFilter,
  type Readiness,
  type Submit,
  type UnitFilter,
} from './client.ts';
export { Epic } from './epic.ts';
export {
  csv,
  type Format,
  fromSource,
  ndjson,
  range,
  type Source,
  type StreamSource,
  stdin,
  units,
} from './source.ts';
