/** The options of `npm run chaos`: which there are, their bounds, and what a wrong one gets. */
import { parseArgs } from 'node:util';
import { GimmeError } from '../../shared/core/errors.ts';
import type { Counts, Whom } from './plan.ts';

export type ChaosEffect = 'at-most-once' | 'at-least-once';

export type ChaosOptions = {
  kills: Counts;
  stops: Counts;
  /** Of each newsletter. */
  units: number;
  /** One newsletter for each. */
  effects: ChaosEffect[];
  seed: number;
  workers: number;
  leaseMs: number;
  /** Longest wait of a mail that was deferred; one over 10 s goes back to the master. */
  retryFirstMs: number;
  link: 'ws' | 'nats';
};

export const USAGE = `npm run chaos -- [options]
  --kills WHOM:N,…   processes ended by kill -9 and started again (master:3,worker:3)
  --stops WHOM:N,…   processes stopped by SIGSTOP for a while (none)
  --units N          mails of the newsletter (5,000)
  --effect KIND      at-most-once (default), at-least-once or both, a newsletter each
  --seed S           moments and victims (drawn)
  --workers N        worker processes (4)
  --lease MS         lease of a worker (6,000)
  --retry-first MS   longest wait of a deferred mail (200)
  --link ws|nats     link between master and workers (ws); with nats there is a nats:N to kill and stop, too`;

const EFFECTS: Record<string, ChaosEffect[]> = {
  'at-most-once': ['at-most-once'],
  'at-least-once': ['at-least-once'],
  both: ['at-most-once', 'at-least-once'],
};
const COUNT_MAX = 10_000_000;

/** Reads the arguments; throws `usage`. Nothing unknown is ignored. */
export function readOptions(args: readonly string[]): ChaosOptions {
  const values = parsed(args);
  const { effect, link } = values;
  const effects = EFFECTS[effect];
  if (!effects) throw wrong(`--effect ${effect} is not at-most-once, at-least-once or both`);
  if (link !== 'ws' && link !== 'nats') throw wrong(`--link ${link} is not ws or nats`);
  const kills = counts('kills', values.kills);
  const stops = counts('stops', values.stops);
  if (link === 'ws' && kills.nats + stops.nats > 0)
    throw wrong('there is no nats to hurt without --link nats');
  return {
    kills,
    stops,
    units: count('units', values.units),
    effects,
    seed: values.seed === undefined ? Date.now() % 1_000_000 : count('seed', values.seed),
    workers: count('workers', values.workers),
    leaseMs: count('lease', values.lease),
    retryFirstMs: count('retry-first', values['retry-first']),
    link,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        kills: { type: 'string', default: 'master:3,worker:3' },
        stops: { type: 'string', default: '' },
        units: { type: 'string', default: '5000' },
        effect: { type: 'string', default: 'at-most-once' },
        seed: { type: 'string' },
        workers: { type: 'string', default: '4' },
        'retry-first': { type: 'string', default: '200' },
        lease: { type: 'string', default: '6000' },
        link: { type: 'string', default: 'ws' },
      },
    }).values;
  } catch (cause) {
    throw wrong((cause as Error).message);
  }
}

function counts(name: string, text: string): Counts {
  const found: Counts = { master: 0, worker: 0, nats: 0 };
  for (const part of text.split(',').filter((it) => it !== '')) {
    const [, whom, n] = /^(master|worker|nats):(\d+)$/.exec(part) ?? [];
    if (whom === undefined || n === undefined) throw wrong(`--${name} ${text} is not like master:3,worker:3`);
    found[whom as Whom] = Number(n);
  }
  return found;
}

function count(name: string, text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > COUNT_MAX)
    throw wrong(`--${name} ${text} is not a whole number from 1 to ${COUNT_MAX}`);
  return n;
}

function wrong(message: string): GimmeError {
  return new GimmeError('usage', `${message}\n${USAGE}`);
}
