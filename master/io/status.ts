/**
 * What readers are told of an epic: durable facts from the ledger of synced records, volatile ones (who
 * holds how much, speed, what it waits for) from the live core. It changes nothing.
 */
import { countOf } from '../../shared/core/intervalSet.ts';
import type { EpicState, EpicStatus, GatherStatus } from '../../shared/protocol/api.ts';
import type { StepCounters } from '../../shared/protocol/messages.ts';
import { deadlineOf, replyToOf } from '../core/ending.ts';
import type { Epic } from '../core/epic.ts';
import { answersOf } from '../core/gathering.ts';
import type { GatherState } from '../core/gatherState.ts';
import type { LiveEpic } from '../core/live.ts';
import type { MasterState } from '../core/state.ts';
import { isComplete } from './gathers.ts';

/** Settled counts over the last seconds, one sample a second. */
const RATE_SAMPLES = 6;

/** How fast each epic settles its units. */
export class Rates {
  readonly #samples = new Map<string, { ms: number; settled: number }[]>();

  sample(epics: Iterable<Epic>, monoMs: number): void {
    for (const epic of epics) {
      if (!epic.active) {
        this.#samples.delete(epic.id);
        continue;
      }
      const samples = this.#samples.get(epic.id) ?? [];
      samples.push({ ms: monoMs, settled: epic.settledCount });
      if (samples.length > RATE_SAMPLES) samples.shift();
      this.#samples.set(epic.id, samples);
    }
  }

  /** Units per second; 0 while unknown. */
  of(epic: Epic, monoMs: number): number {
    const oldest = this.#samples.get(epic.id)?.[0];
    if (!oldest || monoMs <= oldest.ms) return 0;
    return ((epic.settledCount - oldest.settled) * 1_000) / (monoMs - oldest.ms);
  }
}

/** Stands for all sessions that are gone. */
const GONE = '';
/** Sessions that are remembered one by one, at least; beyond it, twice as many as live. */
const SESSIONS_MIN = 64;

/**
 * Step counters by epic, as the sessions tell them since their start; for display. What sessions that are gone told is
 * kept as one sum. A process that was forgotten and comes back is counted as another.
 */
export class StepTotals {
  readonly #epics = new Map<string, Map<string, StepCounters>>();
  readonly #isHere: (session: string) => boolean;
  #sessions = new Set<string>();
  #sessionsMax = SESSIONS_MIN;

  /** `isHere` says whether a session is known. */
  constructor(isHere: (session: string) => boolean) {
    this.#isHere = isHere;
  }

  take(
    session: string,
    steps: Readonly<Record<string, StepCounters>>,
    known: (epic: string) => boolean,
  ): void {
    if (!this.#isHere(session)) return;
    for (const [epic, counters] of Object.entries(steps)) {
      if (!known(epic)) continue;
      const sessions = this.#epics.get(epic) ?? new Map<string, StepCounters>();
      sessions.set(session, counters);
      this.#epics.set(epic, sessions);
    }
    this.#sessions.add(session);
    if (this.#sessions.size > this.#sessionsMax) this.#fold();
  }

  of(epic: string): EpicStatus['steps'] {
    const sum: EpicStatus['steps'] = {};
    for (const counters of this.#epics.get(epic)?.values() ?? []) add(sum, counters);
    return sum;
  }

  forget(epic: string): void {
    this.#epics.delete(epic);
  }

  #fold(): void {
    this.#sessions = new Set([...this.#sessions].filter(this.#isHere));
    this.#sessionsMax = Math.max(SESSIONS_MIN, 2 * this.#sessions.size);
    for (const sessions of this.#epics.values()) {
      const gone: StepCounters = {};
      for (const [session, counters] of sessions) {
        if (this.#sessions.has(session)) continue;
        add(gone, counters);
        sessions.delete(session);
      }
      sessions.set(GONE, gone);
    }
  }
}

function add(sum: StepCounters, counters: StepCounters): void {
  for (const [step, { done, failed, retried }] of Object.entries(counters)) {
    sum[step] ??= { done: 0, failed: 0, retried: 0 };
    sum[step].done += done;
    sum[step].failed += failed;
    sum[step].retried += retried;
  }
}

export function statusOf(
  epic: Epic,
  core: MasterState,
  steps: StepTotals,
  perSecond: number,
  examples: EpicStatus['examples'],
): EpicStatus {
  const live = core.live.get(epic.id);
  const { total, exact } = totalOf(epic);
  const settled = epic.settledCount;
  const leased = Math.min(live?.leased ?? 0, epic.outstanding);
  const workers = live ? offering(core, epic).length : 0;
  const isMoving = epic.active && epic.closing === undefined && workers > 0 && perSecond > 0;
  const states = epic.active ? epic.states() : undefined;
  const etaMs = isMoving ? Math.round((Math.max(0, total - settled) * 1_000) / perSecond) : undefined;
  return {
    id: epic.id,
    name: epic.name,
    work: epic.work,
    state: stateOf(epic),
    totals: epic.totals(),
    total,
    totalExact: exact,
    steps: steps.of(epic.id),
    ...(states && { states }),
    // The live core is ahead of what is synced; nobody is told of more units at work than were read.
    leased,
    delayed: Math.min(epic.parked.count, epic.outstanding - leased),
    workers,
    rate: Math.round(perSecond * 10) / 10,
    ...(etaMs !== undefined && { etaMs }),
    bottleneck: bottleneckOf(epic, core),
    faults: Object.fromEntries(epic.faults),
    ...(examples && { examples }),
    submittedAt: new Date(epic.submittedWallMs).toISOString(),
    ...(epic.finishedWallMs !== undefined && { finishedAt: new Date(epic.finishedWallMs).toISOString() }),
    ...(epic.closing !== undefined && { reason: epic.closing }),
    ...(epic.paused !== undefined && { paused: epic.paused }),
    ...(epic.retryOf && { retryOf: epic.retryOf.epic }),
    ...(epic.fault && { fault: epic.fault }),
    ...(epic.gather ? { gather: gatherStatusOf(epic, epic.gather) } : endsOf(epic)),
    links: linksOf(epic),
  };
}

function stateOf({ state, gather }: Epic): EpicState {
  if (state !== 'running' || !gather) return state;
  return gather.phase === 'scatter' ? 'scattering' : gather.phase === 'fold' ? 'folding' : state;
}

function endsOf(epic: Epic): Pick<EpicStatus, 'deadlineAt' | 'replyTo'> {
  const [deadlineMs, replyTo] = [deadlineOf(epic), replyToOf(epic)];
  return {
    ...(deadlineMs !== undefined && { deadlineAt: new Date(deadlineMs).toISOString() }),
    ...(replyTo !== undefined && { replyTo }),
  };
}

function gatherStatusOf(epic: Epic, gather: GatherState): GatherStatus {
  const { phase, deadlineWallMs, items, late } = gather;
  const responses = answersOf(epic);
  return {
    phase,
    deadlineAt: new Date(deadlineWallMs).toISOString(),
    ...(items !== undefined && { items }),
    responses,
    late: late.count,
    ...(gather.asked.replyTo !== undefined && { replyTo: gather.asked.replyTo }),
    ...(!epic.active && { complete: isComplete(epic) }),
  };
}

function linksOf({ id, gather }: Epic): EpicStatus['links'] {
  const self = `/v1/epics/${id}`;
  return gather ? { self, result: `${self}/result`, results: `${self}/results` } : { self };
}

/** Units in the source: known for a range or once it is drained, else judged by the bytes read so far. */
function totalOf(epic: Epic): { total: number; exact: boolean } {
  const { source, read, absent, offset, drained, retryOf, gather, closing, fault } = epic;
  // What nobody read of a named source nobody knows.
  const isCut = source.type === 'named' && (closing !== undefined || fault !== undefined);
  if (drained) return { total: read - absent, exact: !isCut };
  if (retryOf) return { total: countOf(retryOf.only), exact: true };
  if (source.type === 'range') return { total: source.to - source.from, exact: true };
  if (source.type === 'scatter') return { total: 0, exact: false };
  if (source.type !== 'spool') return { total: read, exact: false }; // A named source says nothing of its end.
  if (gather?.items !== undefined) return { total: gather.items, exact: true };
  if (read === 0) return { total: 0, exact: false };
  const perUnit = (offset - source.body) / read;
  return { total: Math.max(read, Math.round((source.bytes - source.body) / perUnit)), exact: false };
}

function offering(core: MasterState, epic: Epic): string[] {
  const live = core.live.get(epic.id);
  if (!live) return [];
  const ids: string[] = [];
  for (const session of core.sessions.values()) {
    if (!session.expired && !session.draining && core.offers(session, live)) ids.push(session.id);
  }
  return ids;
}

/** One sentence on what the epic waits for. */
function bottleneckOf(epic: Epic, core: MasterState): string {
  if (!epic.active) return `it is ${epic.state}`;
  const live = core.live.get(epic.id);
  if (!live) return 'it is being recorded';
  if (epic.closing !== undefined) return `it closes: ${live.leased} units may still report`;
  if (epic.paused !== undefined) return `it is paused: ${epic.paused}`;
  if (live.readFault) return `its source cannot be read: ${live.readFault.message}`;
  if (offering(core, epic).length === 0) return nobody(epic, core);
  const unread = unreadWhy(epic, live, core);
  if (unread !== undefined) return unread;
  if (epic.parked.count >= core.settings.parkedMax)
    return `${epic.parked.count} units wait for a retry: no more is read until there are fewer`;
  if (live.readyCount === 0 && !live.heldBack.isEmpty) {
    return `a restart: ${live.heldBack.count} units wait for the workers that may hold them`;
  }
  if (live.readyCount > 0) return 'workers: all are busy, more of them would make it faster';
  if (live.leased > 0)
    return epic.drained ? 'the last units: workers hold them' : 'its source: workers wait for units';
  if (!epic.parked.isEmpty) return waitingFor(epic.parked.count, live.nextDueWallMs, core.now.wallMs);
  return 'its source: it is being read';
}

/** Why a named source is not read, or not in full, though it may have more. */
function unreadWhy(epic: Epic, { control }: LiveEpic, core: MasterState): string | undefined {
  const { source } = epic;
  if (source.type !== 'named') return undefined;
  if (epic.drained) return epic.fault && `what was read of its source, which failed: ${epic.fault.message}`;
  const isOffered = [...core.sessions.values()].some(
    ({ expired, sources }) => !expired && sources.has(source.name),
  );
  if (!isOffered) return `no worker offers the source \`${source.name}\` yet`;
  const seconds = Math.ceil((control.retryAtMs - core.listenedMs) / 1_000);
  if (control.attempt === 1 || control.grant) return undefined;
  const when = seconds > 0 ? ` in ${seconds} s` : '';
  return `its source \`${source.name}\` failed ${control.attempt - 1} times: it is read again${when}`;
}

function waitingFor(parked: number, nextDueWallMs = 0, nowWallMs: number): string {
  const seconds = Math.ceil((nextDueWallMs - nowWallMs) / 1_000);
  const next = seconds > 0 ? `, the next of them for ${seconds} s` : '';
  return `${parked} units wait for a retry${next}`;
}

function nobody(epic: Epic, core: MasterState): string {
  const others = [...core.sessions.values()].filter(
    (session) => !session.expired && session.works.has(epic.work),
  );
  if (others.length === 0) return `no worker offers \`${epic.work}\` yet`;
  return `the ${others.length} workers that offer \`${epic.work}\` have another version of it or are draining`;
}
