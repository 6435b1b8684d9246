/**
 * Pausing: nothing more of a paused epic is read or granted, and what workers have not begun comes back. What
 * they have begun they end and report.
 */
import { stopReading } from './closing.ts';
import type { LiveEpic } from './live.ts';
import type { Session } from './session.ts';
import type { MasterState } from './state.ts';

/** Pauses a running epic; does nothing when it is paused, closing or over. */
export function pause(s: MasterState, id: string, reason: string): void {
  const live = s.liveOf(id);
  if (!live || live.epic.paused !== undefined || live.epic.closing !== undefined) return;
  s.record({ k: 'paused', epic: id, reason, wallMs: s.now.wallMs });
  s.touched.add(live);
  if (live.epic.source.type === 'named') stopReading(s, live);
  for (const id of new Set([...live.grants].map((grant) => grant.session))) {
    const session = s.sessions.get(id);
    if (session) recallPaused(s, session, live);
  }
}

/** Has a session give back what it has not begun of a paused epic; not before the grants of it that are on their way. */
export function recallPaused(s: MasterState, session: Session, live: LiveEpic): void {
  s.send(session.id, { t: 'recall', term: s.term, count: session.held, epic: live.epic.id }, session.after);
}

/** Pauses what needs this brief, which is missing or damaged: its units would wait on workers for ever. */
export function pauseNeeding(s: MasterState, brief: string, reason: string): void {
  for (const { epic } of [...s.live.values()]) if (epic.brief === brief) pause(s, epic.id, reason);
}

/** Has a paused epic go on, also with what could not be read. */
export function resume(s: MasterState, id: string): void {
  const live = s.liveOf(id);
  if (!live || live.epic.paused === undefined) return;
  s.record({ k: 'resumed', epic: id, wallMs: s.now.wallMs });
  live.readFault = undefined;
  s.touched.add(live);
}
