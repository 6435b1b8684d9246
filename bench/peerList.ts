/** Which peers there are, what each runs on, and the tunings that are tried; docs/BENCHMARKS.md says what they mean. */

export type ServerKind = 'redis' | 'postgres' | 'rabbitmq' | 'jetstream';
/** What is tried; docs/BENCHMARKS.md says what it means for each. */
export type Tuning = Readonly<Record<string, number | string | boolean>>;

export type Peer = {
  name: string;
  /** The module in bench/peers. */
  script: string;
  server: ServerKind;
  /** Of one run: some seconds of work. */
  units: number;
  /** Each is tried once, shortly; the fastest is measured. */
  tunings: readonly Tuning[];
};

const BULK = 1_000;

export const PEERS: readonly Peer[] = [
  {
    name: 'bullmq',
    script: 'bullmq',
    server: 'redis',
    units: 40_000,
    tunings: [25, 50, 100].map((concurrency) => ({ bulk: BULK, concurrency })),
  },
  {
    name: 'bee-queue',
    script: 'beeQueue',
    server: 'redis',
    units: 80_000,
    tunings: [50, 200, 500].map((concurrency) => ({ bulk: BULK, concurrency })),
  },
  {
    name: 'pg-boss',
    script: 'pgBoss',
    server: 'postgres',
    units: 80_000,
    tunings: [
      { bulk: BULK, concurrency: 1, batch: 1_000 },
      { bulk: BULK, concurrency: 2, batch: 1_000 },
      { bulk: BULK, concurrency: 1, batch: 4_000 },
    ],
  },
  {
    name: 'graphile-worker',
    script: 'graphile',
    server: 'postgres',
    units: 80_000,
    tunings: [
      { bulk: BULK, concurrency: 24, localQueue: 500 },
      { bulk: BULK, concurrency: 50, localQueue: 1_000 },
      { bulk: BULK, concurrency: 200, localQueue: 2_000 },
    ],
  },
  {
    name: 'rabbitmq quorum',
    script: 'rabbitmq',
    server: 'rabbitmq',
    units: 120_000,
    tunings: [
      { window: 1_000, prefetch: 500 },
      { window: 2_000, prefetch: 2_000 },
      { window: 5_000, prefetch: 2_000 },
    ],
  },
  {
    name: 'jetstream stock',
    script: 'jetstream',
    server: 'jetstream',
    units: 80_000,
    tunings: [100, 500, 1_000].map((window) => ({ kind: 'stock', ackAll: false, pending: 1_000, window })),
  },
  {
    name: 'jetstream expert',
    script: 'jetstream',
    server: 'jetstream',
    units: 200_000,
    tunings: [
      { kind: 'expert', ackAll: false, pending: 20_000, window: 2_000, batch: 2_000 },
      { kind: 'expert', ackAll: true, pending: 20_000, window: 2_000, batch: 2_000 },
      { kind: 'expert', ackAll: true, pending: 50_000, window: 8_000, batch: 5_000 },
    ],
  },
];
