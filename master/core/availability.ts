/**
 * Telling workers: WorkAvailable is a hint that is coalesced and may be lost; Recall moves units that
 * were granted but not started to workers that starve at the end of an epic.
 */
import { WORKS_MAX } from '../../shared/core/limits.ts';
import { PROTOCOL_VERSION, type WorkAvailable } from '../../shared/protocol/messages.ts';
import type { LiveEpic } from './live.ts';
import { isDue } from './parking.ts';
import type { Session } from './session.ts';
import type { MasterState } from './state.ts';

/** When WorkAvailable was last broadcast, and for which works. */
export class Availability {
  #toldMs = Number.NEGATIVE_INFINITY;
  #told = '';
  #dirty = false;

  /** Something became ready: tell, soon. */
  mark(): void {
    this.#dirty = true;
  }

  /** Broadcasts the hint when it is due; returns the listening time at which it will be. */
  tell(s: MasterState): number | undefined {
    const sinceMs = s.listenedMs - this.#toldMs;
    const again = sinceMs >= s.settings.heartbeatMs;
    if (!this.#dirty && !again) return undefined;
    if (sinceMs < s.settings.availableGapMs) return this.#toldMs + s.settings.availableGapMs;
    const works = worksWanting(s);
    const key = works.join(' ');
    this.#dirty = false;
    if (works.length === 0 || (key === this.#told && !again)) {
      this.#told = key;
      return undefined;
    }
    this.#told = key;
    this.#toldMs = s.listenedMs;
    announce(s, works);
    return undefined;
  }
}

/** Broadcasts the hint: one round. */
export function announce(s: MasterState, works: string[]): void {
  s.counters.rounds += 1;
  s.broadcast(available(s, works));
}

/** The hint for one session: also the answer to its Hello. */
export function available(s: MasterState, works: string[]): WorkAvailable {
  return { t: 'available', v: PROTOCOL_VERSION, master: s.id, term: s.term, works };
}

/** Works that have units nobody has asked for. */
export function worksWanting(s: MasterState): string[] {
  const works = new Set<string>();
  for (const live of s.live.values()) {
    const { closing, paused, drained, work } = live.epic;
    const isOpen = closing === undefined && paused === undefined;
    // What is parked and due is looked up only for a worker that offers the work: it must be told.
    if (isOpen && (!drained || live.readyCount > 0 || isDue(s, live))) works.add(work);
  }
  // A hint may leave works out: a worker that is told of any asks for all.
  return [...works].sort().slice(0, WORKS_MAX);
}

/** Recalls unstarted units of fully granted epics for sessions that have nothing to do. */
export function recall(s: MasterState): void {
  if (s.hungry.size === 0) return;
  for (const live of s.live.values()) {
    const { drained, closing, paused } = live.epic;
    if (!drained || live.readyCount > 0 || live.leased === 0 || live.epic.gather?.to.size) continue;
    if (closing !== undefined || paused !== undefined) continue;
    const idle = [...s.hungry].filter((session) => session.grants.size === 0 && s.offers(session, live));
    if (idle.length > 0) recallFor(s, live, idle);
  }
}

/** Has a worker give back what it has not begun and end. */
export function drainSession(s: MasterState, id: string): void {
  const session = s.sessions.get(id);
  if (!session || session.expired) return;
  session.endWanted = true;
  session.draining = true;
  s.weigh(session);
  askToEnd(s, session);
}

/** Asks a worker to end; again as long as it shows by its demand that it has not heard. */
export function askToEnd(s: MasterState, session: Session): void {
  s.send(session.id, { t: 'recall', term: s.term, count: session.held, next: 'end' });
}

/** Takes from the fullest: as much as leaves it its slots, no more than the idle ones want. */
function recallFor(s: MasterState, live: LiveEpic, idle: Session[]): void {
  const holders = new Set([...live.grants].map((grant) => grant.session));
  let wanted = idle.reduce((sum, session) => sum + session.credit, 0);
  for (const id of holders) {
    const session = s.sessions.get(id);
    if (!session || wanted <= 0 || s.listenedMs - session.recalledMs < s.settings.recallAfterMs) continue;
    const spare = session.held - session.slots;
    const count = Math.min(wanted, Math.ceil(spare / 2));
    if (spare <= 0) continue;
    session.recalledMs = s.listenedMs;
    wanted -= count;
    s.counters.recalls += 1;
    s.send(id, { t: 'recall', term: s.term, count });
  }
}
