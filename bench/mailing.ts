/**
 * One newsletter into one mail server, by us and by BullMQ with nodemailer's pool: the sample brief (mails of some
 * 8 KB of HTML), the same list from a CSV file, rendered, sent and settled.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createReadStream, createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readBrief } from '../cli/brief.ts';
import { stdin } from '../client/index.ts';
import { generateRecipients, samplePaths } from '../works/newsletter/main.ts';
import { Cluster, type EpicRun } from './cluster.ts';
import type { BenchOptions } from './options.ts';
import { type PeerRun, runPeer } from './peer.ts';
import type { Peer, Tuning } from './peerList.ts';
import type { Place } from './place.ts';
import { type Stub, startSink, stopStub } from './stub.ts';

/** BullMQ and nodemailer's pool; see bench/peers/newsletter.mjs. */
export const MAIL_PEER: Peer = {
  name: 'bullmq + nodemailer pool',
  script: 'newsletter',
  server: 'redis',
  units: 20_000,
  tunings: [
    { bulk: 1_000, concurrency: 20, connections: 20 },
    { bulk: 1_000, concurrency: 50, connections: 20 },
    { bulk: 1_000, concurrency: 50, connections: 50 },
  ],
};

/** Slots of each of our workers: as many mails at once as BullMQ is given. Sessions are 20, as they are by default. */
export const MAIL_SLOTS = 50;
/** What is tried of ours beside a peer. */
export const MAIL_TUNINGS: readonly Tuning[] = [16, MAIL_SLOTS, 100].map((slots) => ({ slots }));

export type Mailing = { recipients: string; mails: number; brief: unknown };

/** Writes a list of so many recipients. */
export async function mailing(place: Place, mails: number): Promise<Mailing> {
  const recipients = join(place.newFolder(), 'recipients.csv');
  await pipeline(Readable.from(generateRecipients(mails)), createWriteStream(recipients));
  return { recipients, mails, brief: await readBrief(samplePaths().brief) };
}

/** Sends it by a master and workers. */
export async function sendOurs(
  place: Place,
  { workers }: Pick<BenchOptions, 'workers'>,
  { recipients, mails, brief }: Mailing,
  tuning: Tuning,
): Promise<EpicRun> {
  return withStub(place, mails, async (stub) => {
    const workerArgs = ['--smtp', stub.url];
    const slots = Number(tuning['slots']);
    const options = { workers, slots, link: 'nats', works: 'newsletter', workerArgs } as const;
    const cluster = await Cluster.start(place, options);
    const before = stub.child.cpuMs();
    const source = stdin('csv', createReadStream(recipients));
    const run = await cluster.run({ work: 'newsletter', source, brief }, mails);
    const cpuMs = { ...run.cpuMs, sink: stub.child.cpuMs() - before };
    await cluster.stop();
    return { ...run, cpuMs };
  });
}

/** Options of a worker that signs, with a key made for it. */
export function signing(place: Place): string[] {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const file = join(place.newFolder(), 'dkim.pem');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return ['--dkim-domain', 'example.com', '--dkim-selector', 'bench', '--dkim-key-file', file];
}

/** Sends it by the peer. */
export async function sendTheirs(
  place: Place,
  { workers: consumers = 2 }: Pick<BenchOptions, 'workers'>,
  { recipients, mails, brief }: Mailing,
  tuning: Tuning,
): Promise<PeerRun> {
  return withStub(place, mails, async (stub) => {
    const more = { recipients, brief, smtp: stub.url };
    const { cpuMs, ...run } = await runPeer(place, MAIL_PEER, { units: mails, consumers, tuning, more }, [
      stub.child,
    ]);
    const { sink = 0, ...others } = cpuMs;
    return { ...run, cpuMs: { ...others, sink } };
  });
}

/** Both get an empty mail server, which has to have each mail once in the end. */
async function withStub<T>(place: Place, mails: number, send: (stub: Stub) => Promise<T>): Promise<T> {
  const stub = await startSink(place);
  const sent = await Promise.race([send(stub), stub.child.failed]);
  await stopStub(stub, mails);
  return sent;
}
