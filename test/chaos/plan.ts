/** Which faults a run of chaos makes, and when: decided by a seed before it begins. */
import { seededRng } from '../../shared/core/rng.ts';

export type Whom = 'master' | 'worker' | 'nats';
export type Counts = Record<Whom, number>;

/** A fault to make once this share of the mails is out, and a moment more. */
export type Fault = {
  what: 'kill' | 'stop';
  whom: Whom;
  share: number;
  afterMs: number;
  /** Which worker, from 0 to 1. */
  lot: number;
  /** The master is killed while it starts after the kill before. */
  early: boolean;
  /** How long it stands still, or a killed nats-server is away; other processes are started again at once. */
  awayMs: number;
};

/** The rest of the mails is left for what the last fault does. */
const FIRST_SHARE = 0.02;
const LAST_SHARE = 0.85;
const AFTER_MS = 60;
const EARLY_SHARE = 0.2;
const START_MS = 1_500;
const SERVER_AWAY_MS = 2_000;

/** The faults in the order in which they are made; the same seed gives the same. */
export function planOf(seed: number, kills: Counts, stops: Counts, leaseMs: number): Fault[] {
  const random = seededRng(seed);
  const faults: Fault[] = [];
  const add = (what: Fault['what'], whom: Whom, count: number): void => {
    for (let i = 0; i < count; i++) {
      const share = FIRST_SHARE + random() * (LAST_SHARE - FIRST_SHARE);
      const fault = { what, whom, share, afterMs: random() * AFTER_MS, lot: random(), early: false };
      const stillMs = (0.2 + random() * 1.6) * leaseMs;
      const goneMs = whom === 'nats' ? random() * SERVER_AWAY_MS : 0;
      faults.push({ ...fault, awayMs: what === 'stop' ? stillMs : goneMs });
      if (what === 'stop' || whom !== 'master' || i + 1 === count || random() >= EARLY_SHARE) continue;
      i += 1;
      faults.push({ ...fault, afterMs: random() * START_MS, early: true, awayMs: 0 });
    }
  };
  for (const whom of ['master', 'worker', 'nats'] as const) {
    add('kill', whom, kills[whom]);
    add('stop', whom, stops[whom]);
  }
  return faults.sort((a, b) => a.share - b.share);
}
