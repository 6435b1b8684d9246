/** An epic as one record, and back: what a checkpoint of the journal is made of. */
import type { Epic } from './epic.ts';
import { GatherState } from './gatherState.ts';
import type { EpicCheckpoint } from './records.ts';

/** The whole of an epic as one record. */
export function checkpointOf(epic: Epic): EpicCheckpoint {
  const { id, name, work, source, brief, submittedWallMs, state, manifest, read, offset, drained } = epic;
  const { closing, closingAs, fault, gather, paused, finishedWallMs, retryOf, absent, cursor, ends } = epic;
  const { delivered } = epic;
  return {
    k: 'epic-checkpoint',
    epic: id,
    name,
    work,
    source,
    brief,
    wallMs: submittedWallMs,
    state,
    ...(manifest && { manifest }),
    read,
    offset,
    ...(cursor !== undefined && { cursor }),
    drained,
    extents: [...epic.extents],
    ...(closing !== undefined && { closing }),
    ...(closingAs === 'missing' && { closingAs }),
    ...(fault && { fault }),
    ...(gather && { gather: gather.checkpoint() }),
    ...(ends && { ends }),
    ...(delivered && { delivered }),
    ...(paused !== undefined && { paused }),
    ...(finishedWallMs !== undefined && { finishedWallMs }),
    ...(retryOf && { retryOf }),
    passed: epic.passed.ranges(),
    parked: epic.parked.ranges(),
    absent,
    counts: { ...epic.counts },
    faults: [...epic.faults],
    begun: [...epic.begun],
    resume: [...epic.resume],
    stages: epic.stages.entries(),
    unknownBy: [...epic.unknownBy],
  };
}

/** Gives a new epic what the record says of it. */
export function restore(epic: Epic, record: EpicCheckpoint): void {
  epic.state = record.state;
  epic.manifest = record.manifest;
  epic.read = record.read;
  epic.offset = record.offset;
  epic.cursor = record.cursor;
  epic.drained = record.drained;
  epic.closing = record.closing;
  epic.closingAs = record.closingAs ?? 'cancelled';
  epic.fault = record.fault;
  epic.gather = record.gather && GatherState.from(record.gather, record.wallMs);
  epic.gather?.freeze(record.manifest?.gather);
  epic.delivered = record.delivered ?? false;
  epic.paused = record.paused;
  epic.finishedWallMs = record.finishedWallMs;
  epic.extents.push(...record.extents);
  epic.passed.addAll(record.passed);
  epic.parked.addAll(record.parked);
  epic.absent = record.absent;
  Object.assign(epic.counts, record.counts);
  for (const [code, count] of record.faults) epic.faults.set(code, count);
  for (const [unit, by] of record.begun) epic.begun.set(unit, by);
  for (const [unit, resume] of record.resume) epic.resume.set(unit, resume);
  epic.stages.restore(record.stages ?? []);
  for (const [unit, unknown] of record.unknownBy) epic.unknownBy.set(unit, unknown);
}
