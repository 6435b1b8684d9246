/** How a submit becomes an epic's first record: its brief is made durable, then the epic. */
import type { BriefEnvelope, EpicStatus } from '../../shared/protocol/api.ts';
import type { EndsAsked, GatherAsked } from '../core/records.ts';
import { formatOf } from '../core/source.ts';
import type { MasterState } from '../core/state.ts';
import type { GatherRequest, SubmitRequest } from './api.ts';
import type { Briefs } from './briefs.ts';
import { checkSame } from './idempotency.ts';
import type { Ahead, Lookups } from './lookups.ts';
import type { Submission } from './retries.ts';
import type { Spool } from './spool.ts';

/** One without a name has its id for it, one without an id a new one. */
export type Unnamed = Omit<Submission, 'name'> & { id?: string; name?: string; ahead?: Ahead };

export type SubmissionParts = {
  briefs: Pick<Briefs, 'put'>;
  spool: Pick<Spool, 'remove'>;
  lookups: Pick<Lookups, 'ahead'>;
  /** Of the core: it knows an epic before it is durable. */
  state: Pick<MasterState, 'ledger'>;
  /** Resolves once the epic is durable. */
  submit: (submission: Unnamed) => Promise<EpicStatus>;
  /** Resolves with how an epic stands once all of it so far is durable. */
  standing: (id: string) => Promise<EpicStatus>;
};

export class Submissions {
  readonly #parts: SubmissionParts;

  constructor(parts: SubmissionParts) {
    this.#parts = parts;
  }

  async submit({ id, work, name, source, brief = null, ...asked }: SubmitRequest): Promise<EpicStatus> {
    const [hash, ahead] = await Promise.all([
      this.#put({ brief, format: formatOf(source) }),
      this.#parts.lookups.ahead(work, source),
    ]);
    const of = { ...(id && { id }), work, source, brief: hash, ...(name !== undefined && { name }) };
    const ends = endsOf(asked);
    return this.#enter({ ...of, ...(Object.keys(ends).length > 0 && { ends }), ...(ahead && { ahead }) });
  }

  /** The input of a gather is its brief. */
  async gather({ id, work, name, input, ...asked }: GatherRequest): Promise<EpicStatus> {
    const brief = await this.#put({ brief: input ?? null, format: { type: 'json' } });
    const { enough, quorum } = asked;
    const gather: GatherAsked = {
      ...endsOf(asked),
      ...(enough !== undefined && { enough }),
      ...(quorum !== undefined && { quorum }),
    };
    const of = { ...(id && { id }), work, brief, gather, ...(name !== undefined && { name }) };
    return this.#enter({ ...of, source: { type: 'scatter' } });
  }

  /** No await lies between the look and the submit: two of one id at once make one epic. */
  async #enter(submission: Unnamed): Promise<EpicStatus> {
    const { id } = submission;
    const known = id === undefined ? undefined : this.#parts.state.ledger.epics.get(id);
    if (!known) return this.#parts.submit(submission);
    const { name = known.id } = submission;
    const { work, source, brief, gather, ends } = known;
    const asked = { ...(gather && { gather: gather.asked }), ...(ends && { ends }) };
    checkSame({ id: known.id, name: known.name, work, source, brief, ...asked }, { ...submission, name });
    // The upload came again with it, and the epic has its own.
    if (submission.source.type === 'spool') await this.#parts.spool.remove(submission.source.id);
    return this.#parts.standing(known.id);
  }

  #put(envelope: BriefEnvelope): Promise<string> {
    return this.#parts.briefs.put(Buffer.from(JSON.stringify(envelope)));
  }
}

function endsOf({ deadlineMs, replyTo }: EndsAsked): EndsAsked {
  return { ...(deadlineMs !== undefined && { deadlineMs }), ...(replyTo !== undefined && { replyTo }) };
}
