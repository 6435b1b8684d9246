/** How a submit becomes an epic's first record: its brief is made durable, then the epic. */
import type { BriefEnvelope, EpicStatus } from '../../shared/protocol/api.ts';
import type { GatherAsked } from '../core/records.ts';
import { formatOf } from '../core/source.ts';
import type { GatherRequest, SubmitRequest } from './api.ts';
import type { Briefs } from './briefs.ts';
import type { Submission } from './retries.ts';

/** One without a name has its id for it. */
export type Unnamed = Omit<Submission, 'name'> & { name?: string };

export type SubmissionParts = {
  briefs: Pick<Briefs, 'put'>;
  /** Resolves once the epic is durable. */
  submit: (submission: Unnamed) => Promise<EpicStatus>;
};

export class Submissions {
  readonly #parts: SubmissionParts;

  constructor(parts: SubmissionParts) {
    this.#parts = parts;
  }

  async submit({ work, name, source, brief = null }: SubmitRequest): Promise<EpicStatus> {
    const hash = await this.#put({ brief, format: formatOf(source) });
    return this.#parts.submit({ work, source, brief: hash, ...(name !== undefined && { name }) });
  }

  /** The input of a gather is its brief. */
  async gather({ work, name, input, deadlineMs, enough, quorum }: GatherRequest): Promise<EpicStatus> {
    const brief = await this.#put({ brief: input ?? null, format: { type: 'json' } });
    const gather: GatherAsked = {
      ...(deadlineMs !== undefined && { deadlineMs }),
      ...(enough !== undefined && { enough }),
      ...(quorum !== undefined && { quorum }),
    };
    const source = { type: 'scatter' } as const;
    return this.#parts.submit({ work, source, brief, gather, ...(name !== undefined && { name }) });
  }

  #put(envelope: BriefEnvelope): Promise<string> {
    return this.#parts.briefs.put(Buffer.from(JSON.stringify(envelope)));
  }
}
