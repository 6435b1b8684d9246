/**
 * The NATS server of a trial: one that runs already, or one started for it. Owns where a nats-server is looked
 * for, and the process that it starts.
 *
 * S1: a server that was started ends with its parent, however that ends: it is watched by a shell that waits for
 *     the end of its input, which the system closes with the parent.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { GimmeError } from '../shared/core/errors.ts';
import { answers, natsAddresses, shown } from '../shared/io/bus/natsServers.ts';

const PROGRAM = 'nats-server';
const USUAL_URL = 'nats://127.0.0.1:4222';
const ANSWER_MS = 1_000;
const READY_MS = 10_000;
const LINES_KEPT = 3;
/** S1: `$0` is the program, `$@` its arguments. */
const WATCHED = `exec 3<&0
"$0" "$@" 3<&- &
server=$!
{ cat <&3; kill "$server"; } >/dev/null 2>&1 &
exec 3<&-
wait "$server"`;

export type TrialNats = {
  url: string;
  /** Whether it was started for the trial. */
  isOwn: boolean;
  /** Ends it if it was started for the trial. */
  stop(): Promise<void>;
};

/**
 * The server that `given` names (nobody has asked it yet), else the one that answers at the usual address, else one
 * that is found in `folders` and started on a free port of loopback. Throws nats_unreachable, which says how to
 * get one.
 */
export async function trialNats(
  given: string | undefined,
  { usual = USUAL_URL, folders = programFolders() } = {},
): Promise<TrialNats> {
  const running = given ?? (await answering(usual));
  if (running !== undefined) return { url: running, isOwn: false, stop: () => Promise.resolve() };
  const program = foundNatsServer(folders);
  if (program === undefined) {
    const cure = '`apt-get install nats-server` or `brew install nats-server` gets one';
    throw new GimmeError(
      'nats_unreachable',
      `no NATS server answers at ${usual} and no nats-server is on this machine; ${cure}`,
    );
  }
  return startNatsServer(program);
}

async function answering(url: string): Promise<string | undefined> {
  for (const address of natsAddresses(url)) {
    const is = await answers(address, AbortSignal.timeout(ANSWER_MS)).then(
      () => true,
      () => false,
    );
    if (is) return `nats://${shown(address)}`;
  }
  return undefined;
}

/** The nats-server on this machine, if there is one. */
export function foundNatsServer(folders = programFolders()): string | undefined {
  return folders.map((folder) => join(folder, PROGRAM)).find(isExecutable);
}

/** Where a nats-server may be: PATH, where systems put servers, and what this project's tests have fetched. */
export function programFolders(path = process.env['PATH'] ?? ''): string[] {
  const here = [...path.split(delimiter).filter((folder) => folder !== ''), '/usr/sbin', '/usr/local/sbin'];
  const caches = ['..', '../..'].map((up) => fileURLToPath(new URL(`${up}/.cache/tools`, import.meta.url)));
  const fetched = caches.filter(existsSync).flatMap((cache) =>
    readdirSync(cache)
      .filter((name) => name.startsWith(PROGRAM))
      .sort()
      .reverse()
      .map((name) => join(cache, name, 'usr/sbin')),
  );
  return [...here, ...fetched];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function startNatsServer(program: string): Promise<TrialNats> {
  const child = spawn('/bin/sh', ['-c', WATCHED, program, '-a', '127.0.0.1', '-p', '-1'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    // Ctrl-C reaches the parent only, which ends the server last.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  child.stdin?.on('error', () => {});
  const stop = async (): Promise<void> => {
    child.stdin?.end(); // S1
    await ended;
  };
  try {
    return { url: `nats://127.0.0.1:${await portOf(child, program)}`, isOwn: true, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The port on which it listens, once it is ready. */
function portOf(child: ChildProcess, program: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const last: string[] = [];
    let port = '';
    const fail = (what: string): void => {
      const message = `${program} ${what}: ${last.join(' | ') || 'it said nothing'}`;
      reject(new GimmeError('nats_unreachable', message));
    };
    const timer = setTimeout(() => fail(`is not ready within ${READY_MS} ms`), READY_MS);
    child.once('error', (error) => fail(`does not start (${error.message})`));
    child.once('close', () => {
      clearTimeout(timer);
      fail('ended');
    });
    // It is read to its end, or the server would stand still when the pipe is full.
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      last.push(line);
      if (last.length > LINES_KEPT) last.shift();
      port = /client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? port;
      if (!line.includes('Server is ready')) return;
      clearTimeout(timer);
      resolve(port);
    });
  });
}
