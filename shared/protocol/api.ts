/** Shapes of the HTTP and event interface, shared by the master, the client and the command line. */

/** The parts of the arithmetic: `read` is always the sum of all the others (promise G1). */
export type Totals = {
  read: number;
  succeeded: number;
  failed: number;
  unknown: number;
  skipped: number;
  cancelled: number;
  missing: number;
  outstanding: number;
};

/** A gather that runs is `scattering` until its units are known, and `folding` once it takes no more answers. */
export type EpicState = 'running' | 'scattering' | 'folding' | 'finished' | 'failed' | 'cancelled';

/** Whether an epic in this state has ended. */
export function isOver(state: EpicState): boolean {
  return state === 'finished' || state === 'failed' || state === 'cancelled';
}

/** What a gather has beyond every epic. */
export type GatherStatus = {
  phase: 'scatter' | 'work' | 'fold';
  /** When it stops taking answers. */
  deadlineAt: string;
  /** Units it has in all, once they are known. */
  items?: number;
  /** Answers so far; one that declined has answered. */
  responses: number;
  /** Answers that came after it had stopped taking them: counted, never folded. */
  late: number;
  /** Once it is over: whether every unit has answered. */
  complete?: boolean;
  /** Who is told of its end. */
  replyTo?: string;
};

export type EpicStatus = {
  id: string;
  name: string;
  work: string;
  state: EpicState;
  totals: Totals;
  /** Units in the source; exact once `totalExact`, before that estimated from the bytes read. */
  total: number;
  totalExact: boolean;
  /** Step name → counters, summed over the workers seen; display only, not exact after a crash. */
  steps: Record<string, { done: number; failed: number; retried: number }>;
  /**
   * Outstanding units by the step that they go on at, if whoever has them is lost: exact, their sum is
   * `totals.outstanding`. Absent until a worker has offered the work, and once the epic is over.
   */
  states?: Record<string, number>;
  /** Units granted to workers now, and waiting for a long retry delay. */
  leased: number;
  delayed: number;
  /** Workers that offer this work in the version the epic froze. */
  workers: number;
  /** Settled units per second over the last seconds. */
  rate: number;
  /** Milliseconds to the end at this rate; absent when unknown, and where no worker is there. */
  etaMs?: number;
  /** One sentence on what the epic waits for. */
  bottleneck: string;
  /** Failed and unknown units by code. */
  faults: Record<string, number>;
  /** The first few of them since this master was started; `record` counts from 1. */
  examples?: { record: number; code: string; message: string }[];
  submittedAt: string;
  finishedAt?: string;
  reason?: string;
  /** Why it is paused. */
  paused?: string;
  /** The epic whose failed or unknown units this one tries again. */
  retryOf?: string;
  /** Where it is a gather. */
  gather?: GatherStatus;
  /** When it must end, and who is told of that; a gather says it in `gather`. */
  deadlineAt?: string;
  replyTo?: string;
  /** Why it failed. */
  fault?: { code: string; message: string };
  links: { self: string; result?: string; results?: string };
};

/** What a submit says of the end of its epic. */
export type Ends = {
  /** From submit to its end, such as `10s`: what has no outcome by then is missing. Else a gather's is its work's. */
  deadline?: string;
  /** A webhook, or a NATS subject `gimmework.reply.<id>`, that is told once it is over. */
  replyTo?: string;
};

/** JSON body of `POST /v1/epics`. */
export type SubmitBody = {
  work: string;
  name?: string;
  source:
    | { type: 'range'; from: number; to: number }
    | { type: 'units'; units: unknown[] }
    /** What workers read that offer a source of this name; it is given `args`. */
    | { type: 'named'; name: string; args?: unknown };
  brief?: unknown;
} & Ends;

/** Query of `POST /v1/epics` with a `text/csv` or `application/x-ndjson` body; `brief` is a hash from `POST /v1/briefs`. */
export type SubmitQuery = { work: string; name?: string; brief?: string } & Ends;

/** JSON body of `POST /v1/gathers/{name}`. */
export type GatherBody = {
  /** What its scatter, its steps and its fold are given. */
  input: unknown;
  name?: string;
  /** Answers that end it early. */
  enough?: number;
  /** Least answers for a partial result to be a success. */
  quorum?: number;
} & Ends;

/** What a gather came to. `missing` are flat half-open ranges of the units that did not answer. */
export type GatherAnswer<Value = unknown> = {
  complete: boolean;
  missing: number[];
  failed: number;
  value: Value;
};

/** One line of `GET /v1/epics/{id}/results`. */
export type UnitResult = { unit: number; answer: unknown };

/** What `replyTo` is told. */
export type Reply = {
  type: `${'gather' | 'epic'}.${'finished' | 'failed' | 'cancelled'}`;
  timestamp: string;
  data: {
    id: string;
    name: string;
    work: string;
    state: EpicState;
    totals: Totals;
    /** Of a gather: whether every unit has answered. */
    complete?: boolean;
    fault?: { code: string; message: string };
    links: { self: string; result?: string; results?: string };
  };
};

export type EpicPage = { epics: EpicStatus[]; next?: string };

/** RFC 9457 problem document. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  retryable: boolean;
};

/** What `/v1/events` sends: a snapshot first, then the epics that changed. */
export type EventMessage =
  | { type: 'snapshot'; epics: EpicStatus[] }
  | { type: 'changed'; epics: EpicStatus[] };

/** What is the same for every unit of an epic, and how its units' bytes are to be parsed. Stored and sent as one brief. */
export type BriefEnvelope = { brief: unknown; format: UnitFormat };

/** How the bytes of a unit are to be parsed by the worker. */
export type UnitFormat = { type: 'json' } | { type: 'csv'; columns: string[]; delimiter: string };

/** A unit that is kept one by one: it waits for a retry, is being tried again, has failed or is unknown. */
export type UnitView = {
  unit: number;
  /** Its place in the source, from 1. */
  record: number;
  state: 'parked' | 'running' | 'failed' | 'unknown' | 'answered';
  code: string;
  message: string;
  /** Name of the step where it ended, or that is next; absent before the first. */
  step?: string;
  attempt: number;
  key?: string;
  /** When a parked one is tried again. */
  dueAt?: string;
  /** Its bytes as text, where they are kept: a CSV record or a JSON value, cut at UNIT_SHOWN_CHARS_MAX. */
  data?: string;
};
export type UnitPage = { units: UnitView[]; next?: string };

/** Failed and unknown units of one code; `example` is the first of them. */
export type FailureGroup = { code: string; count: number; example?: UnitView };

/** What happened to one unit, oldest first, and how it stands. */
export type UnitStory = {
  unit: number;
  record: number;
  /** `settled`: it has an outcome that no longer can be told, since the history of that time is gone. */
  state:
    | 'unread'
    | 'ready'
    | 'leased'
    | UnitView['state']
    | 'succeeded'
    | 'skipped'
    | 'cancelled'
    | 'missing'
    | 'settled';
  /** One sentence on how it stands. */
  standing: string;
  view?: UnitView;
  events: { at: string; what: string }[];
};

/** Body of `PATCH /v1/epics/{id}`. */
export type SteerBody = { paused: boolean; reason?: string };

/** Body of `POST /v1/epics/{id}/retry`: which failed and unknown units a new epic is to try again. */
export type RetryBody = {
  /** Defaults to failed ones only. */
  states?: ('failed' | 'unknown')[];
  code?: string;
  /** Needed for unknown ones, since it may do them twice: the name of the epic. */
  confirm?: string;
  /** Only counts them. */
  dryRun?: boolean;
};
export type RetryAnswer = {
  count: number;
  /** Units that would be tried again, but that another epic tries or has tried already, and not in vain. */
  leftOut: number;
  /** Units beyond what one retry takes, where there are any: another retry takes them, also at once. */
  rest?: number;
  /** The epic that tries them. */
  epic?: EpicStatus;
};

/** A session of a worker. */
export type WorkerView = {
  id: string;
  name: string;
  works: string[];
  labels: Record<string, string>;
  slots: number;
  version: string;
  state: 'ready' | 'draining' | 'suspect';
  held: number;
  lastHeardMs: number;
};

/** A master, as it shows itself. */
export type MasterView = {
  id: string;
  term: number;
  store: string;
  link: string;
  /** Epics not yet finished. */
  epics: number;
  /** Every queue: how full it is, was at most, and may be (promise G6). */
  queues: Record<string, { depth: number; max: number; limit: number }>;
};
