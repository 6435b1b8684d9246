/**
 * The story of one unit: what happened to it (`storyTeller.ts`), and how it stands now by the ledger, its row in the
 * store and the live grants.
 */
import { GimmeError, unreachable } from '../../shared/core/errors.ts';
import { countOf } from '../../shared/core/intervalSet.ts';
import type { UnitStory, UnitView } from '../../shared/protocol/api.ts';
import type { Epic } from '../core/epic.ts';
import type { Ledger } from '../core/ledger.ts';
import type { MasterState } from '../core/state.ts';
import { pastOf } from './history.ts';
import type { Store } from './store.ts';
import { StoryTeller } from './storyTeller.ts';
import { unitView } from './unitViews.ts';

export type StoryParts = {
  store: Pick<Store, 'units' | 'history'>;
  /** Of synced records. */
  ledger: Ledger;
  core: MasterState;
};
/** A unit as it is asked for: by its number, or by the key it has in the store. */
export type UnitName = number | { key: string };

/** Units of one key that an error names. */
const NAMED_MAX = 10;

/** Throws not_found and, where several units have the key, ambiguous_name. */
export async function storyOf(parts: StoryParts, epic: Epic, name: UnitName): Promise<UnitStory> {
  const { store, ledger, core } = parts;
  const unit = typeof name === 'number' ? name : await unitOfKey(store, epic, name.key);
  checkIsOf(epic, unit);
  const nameOf = (session: string): string => workerWords(core, session);
  // Looked up first: what is settled now is in the history that is read then.
  const isSettled = epic.passed.has(unit);
  const teller = new StoryTeller(epic, unit, nameOf);
  await pastOf(store, epic, (happened) => teller.take(happened));
  const [row] = await store.units({ epic: epic.id, after: unit - 1, limit: 1 });
  const view = row?.unit === unit ? unitView(epic, row) : undefined;
  const { events, outcome } = teller;
  const holder = holderOf(core, epic, unit);
  const ended = isSettled ? (outcome ?? settledOf(epic)) : undefined;
  const state = view ? stateOfRow(view, holder) : (ended ?? stateOfOpen(epic, unit, holder));
  const standing = standingOf(state, view, { epic, holder: holder && nameOf(holder) });
  const again = [...ledger.epics.values()].filter(
    ({ retryOf, only }) => retryOf?.epic === epic.id && only?.has(unit),
  );
  for (const { id, name: called, submittedWallMs } of again) {
    const at = new Date(submittedWallMs).toISOString();
    events.push({ at, what: `it was given to epic ${called} (${id}) to be tried again` });
  }
  const tries = again.length === 0 ? '' : `; ${again.at(-1)?.name} (${again.at(-1)?.id}) tries it again`;
  return { unit, record: unit + 1, state, standing: standing + tries, ...(view && { view }), events };
}

async function unitOfKey(store: Pick<Store, 'units'>, epic: Epic, key: string): Promise<number> {
  const rows = await store.units({ epic: epic.id, key, limit: NAMED_MAX });
  const [row] = rows;
  if (!row) {
    const why = 'only units that wait, have failed or are unknown are known by key; name others by number';
    throw new GimmeError('not_found', `no unit of epic ${epic.name} is kept under the key ${key}: ${why}`);
  }
  if (rows.length === 1) return row.unit;
  const units = `${rows.map(({ unit }) => unit).join(', ')}${rows.length === NAMED_MAX ? ', …' : ''}`;
  throw new GimmeError('ambiguous_name', `several units have the key ${key}: name one by number: ${units}`);
}

/** A number beyond the source, or one that an epic of second tries leaves out, is no unit of it. */
function checkIsOf(epic: Epic, unit: number): void {
  const { drained, read, source, retryOf, only } = epic;
  if (only && !only.has(unit)) {
    const count = countOf(retryOf?.only ?? []);
    const text = `epic ${epic.name} tries ${count} of the units of ${retryOf?.epic} again; ${unit} is not among them`;
    throw new GimmeError('not_found', text);
  }
  const size = source.type === 'range' ? source.to - source.from : drained ? read : Number.POSITIVE_INFINITY;
  if (unit < size) return;
  const last = size === 0 ? 'it has none' : `they are 0 to ${size - 1}`;
  throw new GimmeError('not_found', `epic ${epic.name} has no unit ${unit}: ${last}`);
}

function stateOfRow({ state }: UnitView, holder: string | undefined): UnitStory['state'] {
  return state === 'running' && holder !== undefined ? 'leased' : state;
}

function stateOfOpen({ read }: Epic, unit: number, holder: string | undefined): UnitStory['state'] {
  if (unit >= read) return 'unread';
  return holder === undefined ? 'ready' : 'leased';
}

/** The outcome of a settled unit without a row and without history, where only one is possible. */
function settledOf({ counts }: Epic): UnitStory['state'] {
  const ended = (['succeeded', 'skipped', 'cancelled', 'missing'] as const).filter(
    (outcome) => counts[outcome] > 0,
  );
  return ended.length === 1 && ended[0] ? ended[0] : 'settled';
}

function standingOf(
  state: UnitStory['state'],
  view: UnitView | undefined,
  { epic, holder }: { epic: Epic; holder: string | undefined },
): string {
  const why = view
    ? `${view.step === undefined ? '' : `at step ${view.step}: `}${view.code}, ${view.message}`
    : '';
  const paused = epic.paused === undefined ? '' : `; the epic is paused: ${epic.paused}`;
  switch (state) {
    case 'unread':
      return `it has not been read from the source yet${paused}`;
    case 'ready':
    case 'running':
      return `it is to be given to a worker${paused}`;
    case 'leased':
      return `${holder} has it${paused}`;
    case 'parked':
      return `it waits in the store for attempt ${view?.attempt}, until ${view?.dueAt}${paused}`;
    case 'failed':
      return `it failed ${why}`;
    case 'unknown':
      return `nobody knows whether its effect happened: a person decides; ${why}`;
    case 'succeeded':
      return 'it succeeded';
    case 'skipped':
      return 'it was skipped: it needs nothing more';
    case 'cancelled':
      return 'it was cancelled';
    case 'missing':
      return 'it had not answered when intake ended';
    case 'answered':
      return 'it answered';
    case 'settled':
      return 'it is settled and did not fail; how it ended is no longer kept';
    default:
      return unreachable(state);
  }
}

/** The session that holds a unit now. */
function holderOf(core: MasterState, epic: Epic, unit: number): string | undefined {
  for (const grant of core.live.get(epic.id)?.grants ?? []) if (grant.units.has(unit)) return grant.session;
  return undefined;
}

function workerWords({ sessions }: MasterState, session: string): string {
  const known = sessions.get(session);
  return known ? `worker ${known.name} (${session})` : `worker ${session}`;
}
