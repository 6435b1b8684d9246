/**
 * Pausing: nothing more of a paused epic is read or granted, and what workers have not begun comes back. What
 * they have begun they end and report.
 */
import type { MasterState } from './state.ts';

/** Pauses a running epic; does nothing when it is paused, closing or over. */
export function pause(s: MasterState, id: string, reason: string): void {
  const live = s.liveOf(id);
  if (!live || live.epic.paused !== undefined || live.epic.closing !== undefined) return;
  s.record({ k: 'paused', epic: id, reason, wallMs: s.now.wallMs });
  s.touched.add(live);
  for (const session of new Set([...live.grants].map((grant) => grant.session))) {
    const held = s.sessions.get(session)?.held ?? 0;
    s.send(
      session,
      { t: 'recall', term: s.term, count: held, epic: id },
      s.sessions.get(session)?.after ?? 0,
    );
  }
}

/** Has a paused epic go on, also with what could not be read. */
export function resume(s: MasterState, id: string): void {
  const live = s.liveOf(id);
  if (!live || live.epic.paused === undefined) return;
  s.record({ k: 'resumed', epic: id, wallMs: s.now.wallMs });
  live.readFault = undefined;
  s.touched.add(live);
}
