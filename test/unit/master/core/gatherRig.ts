/** A hand on the inputs of a gather: what the tests of gathers are written with. */
import assert from 'node:assert/strict';
import type { ControlToken } from '../../../../master/core/control.ts';
import type { Addresses, GatherAsked } from '../../../../master/core/records.ts';
import type { SourceSpec } from '../../../../master/core/source.ts';
import {
  CONTROL_UNIT,
  type Effect,
  type GatherManifest,
  type GrantReport,
  type WorkManifest,
} from '../../../../shared/protocol/messages.ts';
import { type Rig, work } from './rig.ts';

export const DEADLINE_MS = 10_000;

export function gather(more: Partial<GatherManifest> = {}, effect: Effect = 'none'): WorkManifest {
  return { ...work('ask', [effect]), gather: { scatter: 'items', deadlineMs: DEADLINE_MS, ...more } };
}

/** A gather whose scatter gave this many items, read; returns the token of the scatter. */
export function scattered(
  rig: Rig,
  items: number,
  {
    manifest = gather(),
    asked = {},
    to,
  }: { manifest?: WorkManifest; asked?: GatherAsked; to?: Addresses } = {},
): ControlToken {
  const source: SourceSpec = { type: 'scatter' };
  rig.step({
    type: 'submit',
    epic: { epic: 'g', name: 'g', work: 'ask', source, brief: 'b', gather: asked },
  });
  rig.hello('w', [manifest], 100);
  const token = controlOf(rig, 'w');
  const range: SourceSpec = { type: 'range', from: 0, to: items };
  rig.step({ type: 'scattered', token, source: range, items, ...(to && { to }) });
  if (items > 0) rig.read();
  return token;
}

/** The control grant that was just sent to this session. */
export function controlOf(rig: Rig, session: string): ControlToken {
  const [grant] = rig.sent('work', session).filter(({ control }) => control);
  assert.ok(grant, 'a control grant was sent');
  assert.deepEqual(grant.units, [CONTROL_UNIT, CONTROL_UNIT + 1]);
  return { session, epic: 'g', term: 7, n: grant.n };
}

export function answers(units: number[], n: number): GrantReport {
  const ok = units.flatMap((unit) => [unit, unit + 1]);
  return { epic: 'g', term: 7, n, ok, answers: units.map((unit) => ({ unit, brings: 1 })) };
}

/** Reports these units of the newest grant with units as answered. */
export function answer(rig: Rig, session: string, units: number[], n: number): void {
  rig.gimme(session, n, 100, [answers(units, n)]);
}

export function done(rig: Rig, { session, n }: ControlToken): void {
  rig.gimme(session, n, 100, [{ epic: 'g', term: 7, n, ok: [CONTROL_UNIT, CONTROL_UNIT + 1] }]);
}
