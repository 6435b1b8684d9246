/** The options of `npm run bench`: which there are, their bounds, and what a wrong one gets. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { GimmeError } from '../shared/core/errors.ts';
import type { Link } from './cluster.ts';
import { ROOT } from './place.ts';

export type BenchOptions = {
  /** Units of the (larger) run. */
  units: number | undefined;
  /** Repetitions; the median counts. */
  runs: number;
  /** Worker processes, at most. */
  workers: number | undefined;
  /** Of each worker or session. */
  slots: number | undefined;
  link: Link | undefined;
  /** Exit 1 when a promise is not kept. */
  assert: boolean;
  profile: boolean;
  /** Folder that gets the JSON of the run and its CPU profiles. */
  out: string;
  /** peers: units of one run of each peer, which of them, and whether docs/ gets the outcome. */
  peerUnits: number | undefined;
  only: readonly string[] | undefined;
  docs: boolean;
  /** newsletter: mails are signed. */
  dkim: boolean;
  /** memory: units of the smaller run; memory and recovery: where units come from. */
  base: number;
  source: 'upload' | 'range';
  /** sessions: sessions of the larger run, over all processes. */
  sessions: number;
  /** scale: how long the mail server waits before each reply. */
  latencyMs: number;
  /** parked: how long the parked units wait. */
  delayMs: number;
};

export const USAGE = `npm run bench -- [name] [options]   without a name: all but peers, one after another
  costs        what a unit costs the master with 10,000,000 units and with 64 sessions
  dispatch     units that do nothing: the cost of pulling
  peers        the same, and a newsletter, beside other queues (npm run bench:peers)
  formats      dispatch of NDJSON, of CSV, and of CSV with quotes
  latency      from submit, and from durable, to the first doWork of an idle cluster
  limit        the same beside a bare pull loop over the same links, NATS and WebSocket
  memory       a master's memory and queues under 5,000,000 units, beside 50,000
  parked       a master while 100,000 of 2,100,000 units wait two hours, and its restart
  recovery     a master killed at 90 % of 10,000,000 units, and the one that goes on
  newsletter   mails sent by SMTP
  scale        mails per second as workers join and leave during one newsletter
  sessions     a master's cost per unit with 200 worker sessions, beside 2

  --units N        units of the (larger) run
  --runs N         repetitions of costs, dispatch, formats, latency, limit, memory, parked, peers and sessions (3)
  --workers N      worker processes (2; scale and sessions: 8, at most)
  --slots N        slots of each (16; newsletters: 50; scale: 4)
  --link KIND      ws or nats (ws; scale and sessions: nats)
  --assert         exit 1 when a promise is not kept; docs/BENCHMARKS.md names them
  --profile        CPU profiles of the master and one worker: the 20 highest self times (not scale)
  --out DIR        folder for the JSON and the profiles (bench/results)
  --peer-units N   peers: units of one run of a peer (each its own, some seconds of work)
  --only NAMES     peers: only beside these, by comma, such as bullmq,newsletter,waits
  --docs           peers: the tables and the plot go into docs/, too
  --dkim           newsletter: sign each mail, RSA of 2048 bits
  --base N         memory: units of the smaller run (50,000)
  --delay MS       parked: how long they wait (7,200,000); up to 120,000 it is waited for
  --source KIND    memory, recovery: upload (default) or range
  --sessions N     sessions: of the larger run, over all processes (200)
  --latency MS     scale: wait of the mail server before each reply (100)`;

const RESULTS = join(ROOT, 'bench', 'results');
const COUNT_MAX = 1_000_000_000;

/** Reads the arguments; throws `usage`. Nothing unknown is ignored. */
export function readOptions(args: readonly string[]): { name: string | undefined; options: BenchOptions } {
  const { values, positionals } = parsed(args);
  const name = positionals[0];
  if (positionals.length > 1) throw new GimmeError('usage', `give one benchmark\n${USAGE}`);
  if (name === undefined && values.units !== undefined)
    throw new GimmeError('usage', '--units says something else to each benchmark; name one, too');
  const { source, link } = values;
  if (source !== 'upload' && source !== 'range') {
    throw new GimmeError('usage', `--source ${source} is neither upload nor range`);
  }
  if (link !== undefined && link !== 'ws' && link !== 'nats') {
    throw new GimmeError('usage', `--link ${link} is neither ws nor nats`);
  }
  return {
    name,
    options: {
      units: values.units === undefined ? undefined : count('units', values.units),
      runs: count('runs', values.runs),
      workers: values.workers === undefined ? undefined : count('workers', values.workers),
      slots: values.slots === undefined ? undefined : count('slots', values.slots),
      link,
      assert: values.assert,
      profile: values.profile,
      out: resolve(values.out),
      peerUnits: values['peer-units'] === undefined ? undefined : count('peer-units', values['peer-units']),
      only: values.only?.split(','),
      docs: values.docs,
      dkim: values.dkim,
      base: count('base', values.base),
      source,
      sessions: count('sessions', values.sessions),
      latencyMs: count('latency', values.latency),
      delayMs: count('delay', values.delay),
    },
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        units: { type: 'string' },
        runs: { type: 'string', default: '3' },
        workers: { type: 'string' },
        slots: { type: 'string' },
        link: { type: 'string' },
        assert: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        out: { type: 'string', default: RESULTS },
        'peer-units': { type: 'string' },
        only: { type: 'string' },
        docs: { type: 'boolean', default: false },
        dkim: { type: 'boolean', default: false },
        base: { type: 'string', default: '50000' },
        source: { type: 'string', default: 'upload' },
        sessions: { type: 'string', default: '200' },
        latency: { type: 'string', default: '100' },
        delay: { type: 'string', default: '7200000' },
      },
    });
  } catch (cause) {
    throw new GimmeError('usage', (cause as Error).message, { cause });
  }
}

function count(name: string, text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > COUNT_MAX) {
    throw new GimmeError('usage', `--${name} ${text} is not a whole number from 1 to ${COUNT_MAX}`);
  }
  return n;
}
