/**
 * What must hold inside a master's core after every step; the history checker sees it only from outside.
 *
 * N1: each unit that was read is in exactly one place.
 * N2: a replay of the records, from any checkpoint, gives the ledger of the live core.
 * N3: each outstanding unit is counted at the step that it goes on at, and no other unit is.
 */
import { Ledger } from '../../master/core/ledger.ts';
import type { LiveEpic } from '../../master/core/live.ts';
import type { EpicRecord } from '../../master/core/records.ts';
import type { MasterState } from '../../master/core/state.ts';
import { assert } from '../../shared/core/errors.ts';
import { countOf, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';

const REPLAY_EVERY_STEPS = 60;

export class Insides {
  readonly #state: MasterState;
  readonly #records: EpicRecord[];
  #checkpoint: { at: number; json: string } = { at: 0, json: '[]' };
  #steps = 0;

  /** Of a master that found these records. */
  constructor(state: MasterState, found: readonly EpicRecord[]) {
    this.#state = state;
    this.#records = [...found];
    this.replay();
  }

  stepped(records: readonly EpicRecord[]): void {
    this.#records.push(...records);
    for (const live of this.#state.live.values()) {
      this.#places(live);
      this.#stages(live);
    }
    this.#steps += 1;
    if (this.#steps % REPLAY_EVERY_STEPS === 0) this.replay();
  }

  /** N2 */
  replay(): void {
    const ledger = new Ledger();
    for (const record of JSON.parse(this.#checkpoint.json) as EpicRecord[]) ledger.apply(record);
    for (const record of this.#records.slice(this.#checkpoint.at)) ledger.apply(record);
    const json = JSON.stringify(this.#state.ledger.checkpoint());
    assert(JSON.stringify(ledger.checkpoint()) === json, 'a replay gives another ledger');
    this.#checkpoint = { at: this.#records.length, json };
  }

  /** N3, but for parked ones: at which step they are only the store knows. */
  #stages({ epic }: LiveEpic): void {
    const counted: [number, number][] = [];
    for (const [step, units] of epic.stages.entries()) {
      assert(
        epic.unsettledAmong(units).join() === units.join(),
        `${epic.id} counts settled units as waiting`,
      );
      eachOf(
        IntervalSet.of(epic.parked.ranges()).missingFrom(units),
        (unit) => void counted.push([unit, step]),
      );
    }
    const going = [...epic.resume].filter(([, { step }]) => step > 0);
    const told = going
      .map(([unit, { step }]) => [unit, step])
      .sort(byUnit)
      .join(' ');
    assert(
      counted.sort(byUnit).join(' ') === told,
      `${epic.id} counts ${counted.join(' ')}, there are ${told}`,
    );
  }

  /** N1 */
  #places(live: LiveEpic): void {
    const { epic } = live;
    const all = IntervalSet.of(epic.passed.ranges());
    const put = (units: Ranges, where: string): void => {
      const isNew = all.addAll(units) === countOf(units);
      assert(isNew, `${epic.id} has units in ${where} and elsewhere: ${units.join()}`);
    };
    put(live.ready.ranges(), 'ready');
    let leased = 0;
    for (const grant of live.grants) {
      put(grant.units.ranges(), `grant ${grant.n} of ${grant.session}`);
      leased += grant.units.count;
      const ofSession = this.#state.sessions.get(grant.session)?.grants.values() ?? [];
      assert([...ofSession].includes(grant), 'a grant is on no session');
    }
    put(live.heldBack.ranges(), 'what is held back');
    const hidden = live.readyCount - live.ready.count;
    const places = all.count + hidden;
    assert(places === epic.read, `${epic.id}: ${places} of ${epic.read} units have a place`);
    assert(leased === live.leased, `${epic.id} counts ${live.leased} leased, there are ${leased}`);
  }
}

function byUnit([a = 0]: number[], [b = 0]: number[]): number {
  return a - b;
}
