/** `gimme worker drain`: has one worker finish what it has begun, hand back the rest and end. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { DRAIN_MS } from '../../shared/core/limits.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, oneLine, print, say, span } from '../output.ts';
import { CLIENT } from '../settings.ts';

const ASK_EVERY_MS = 200;
const DRAIN = {
  timeout: {
    kind: 'duration',
    flag: '--timeout <duration>',
    default: '60s',
    min: 1,
    max: 2_147_483_647,
    sentence: 'how long --wait waits',
  },
  ...CLIENT,
} as const satisfies Settings;

export function addWorkerDrain(worker: Command, ended: (exitCode: number) => void): void {
  const command = worker
    .command('drain <worker>')
    .summary('have a worker (by id or name) end without losing anything')
    .description(
      'The worker takes nothing more, ends what it has begun, hands the rest back to the master and exits 0.',
    )
    .option('--wait', 'wait until it is gone; exits 3 at the timeout');
  addSettings(command, DRAIN);
  example(command, 'gimme worker drain mail-3 --wait');
  command.action(async (idOrName: string, flags: Record<string, unknown>) =>
    ended(await drain(idOrName, flags)),
  );
}

async function drain(idOrName: string, flags: Record<string, unknown>): Promise<number> {
  const { master, output, timeout } = readConfig(DRAIN, flags);
  const client = new Client({ master });
  const worker = await client.drainWorker(idOrName);
  const name = oneLine(worker.name);
  if (output !== 'text') print(JSON.stringify(worker));
  else print(`worker ${name} (${worker.id}) drains: it held ${count(worker.held)} units`);
  if (flags['wait'] !== true) {
    say(`It ends what it has begun, for at most ${span(DRAIN_MS)}, hands back the rest and exits.`);
    say('Next: gimme worker ls');
    return 0;
  }
  await gone(client, worker.id, name, timeout);
  say(`worker ${name} is gone`);
  return 0;
}

async function gone(client: Client, id: string, name: string, timeoutMs: number): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const worker = (await client.workers()).find((known) => known.id === id);
    if (!worker) return;
    if (performance.now() >= untilMs) {
      const holds = `worker ${name} still drains after ${span(timeoutMs)} and holds ${count(worker.held)} units`;
      throw new GimmeError('wait_timeout', `${holds}; its log says which steps it waits for`);
    }
    await pause(Math.min(ASK_EVERY_MS, Math.max(1, untilMs - performance.now())));
  }
}
