/** The checks of `gimme doctor` but for NATS (`natsCheck.ts`): each looks at one thing and says what to do about it. */
import { mkdtemp, rmdir, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { Client } from '../client/index.ts';
import { type ErrorCode, GimmeError } from '../shared/core/errors.ts';
import type { Listen } from '../shared/io/config.ts';
import { nextOf, oneLine } from './output.ts';

/** What a check found; `todo` is there unless all is well. */
export type Finding = { level: 'ok' | 'warn' | 'fail'; name: string; what: string; todo?: string };

const NODE_LEAST = [20, 19] as const;
const MB = 1024 * 1024;
/** An upload of a million recipients takes about this much. */
const FREE_WANTED_MB = 1_024;
const FREE_LEAST_MB = 64;

/** `version` is as `process.versions.node` gives it. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isFit = major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1]);
  const what = `Node ${version}`;
  if (isFit) return { level: 'ok', name: 'node', what };
  return { level: 'fail', name: 'node', what, todo: `Install Node ${NODE_LEAST.join('.')} or newer.` };
}

/** The address of a master: free, or a master answers there. */
export async function checkListen(listen: Listen): Promise<Finding> {
  const { host, port } = listen;
  const name = 'listen';
  const shown = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const code = await faultOfListening(listen);
  if (code === undefined) return { level: 'ok', name, what: `${shown} is free for a master` };
  if (code !== 'EADDRINUSE') {
    const todo = 'Choose an address of this machine, and a port that you may use, with --listen.';
    return { level: 'fail', name, what: `${shown} cannot be listened on (${code})`, todo };
  }
  const url = `http://${anyOf(host)}:${port}`;
  try {
    const readiness = await new Client({ master: url }).readiness();
    if (readiness.ready) return { level: 'ok', name, what: `a master answers at ${url}` };
    const what = `the master at ${url} is not ready: ${oneLine(readiness.reason)}`;
    return { level: 'warn', name, what, todo: 'Look into its log, or wait.' };
  } catch {
    const what = `${shown} is taken, and not by a master`;
    return { level: 'fail', name, what, todo: nextOf('port_taken') };
  }
}

/** A folder in which a master can write, or can make its folder, with room. Leaves nothing behind. */
export async function checkData(path: string): Promise<Finding> {
  const name = 'data';
  const full = resolve(path);
  let folder: string;
  try {
    folder = await existing(full);
    await rmdir(await mkdtemp(join(folder, '.gimmework-doctor-')));
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const todo = 'Make a folder that this user may write to and name it with --data.';
    return { level: 'fail', name, what: `${full} cannot be written to (${code})`, todo };
  }
  const { bavail, bsize } = await statfs(folder);
  const freeMb = Math.floor((bavail * bsize) / MB);
  const state = folder === full ? 'can be written to' : 'can be made';
  const what = `${full} ${state}, ${freeMb.toLocaleString('en-US')} MB free`;
  if (freeMb >= FREE_WANTED_MB) return { level: 'ok', name, what };
  const todo = 'Free some space, or name a folder on a larger disk with --data.';
  return { level: freeMb < FREE_LEAST_MB ? 'fail' : 'warn', name, what, todo };
}

/** Talks to the mail server as a worker does at its start: EHLO, TLS and login where they are asked for. */
export async function checkSmtp(smtp: string): Promise<Finding> {
  const name = 'smtp';
  const { newsletter } = await import('../works/newsletter/main.ts');
  try {
    const { options } = newsletter({ smtp });
    await options.start?.();
    await options.stop?.();
    return { level: 'ok', name, what: `the mail server at ${new URL(smtp).host} lets this node in` };
  } catch (error) {
    return failed(name, error, 'smtp_unreachable');
  }
}

/** A finding made of an error; what one says behind its first semicolon is what to do. */
export function failed(name: string, error: unknown, otherwise: ErrorCode): Finding {
  const [, what = '', todo] = /^(.*?)(?:; (.*))?$/.exec(oneLine((error as Error).message)) ?? [];
  const code = error instanceof GimmeError ? error.code : otherwise;
  return { level: 'fail', name, what, todo: todo ?? nextOf(code) };
}

/** The nearest folder of a path that is there. */
async function existing(path: string): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) throw Object.assign(new Error('it is a file'), { code: 'ENOTDIR' });
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    return existing(dirname(path));
  }
}

/** The code of the error that listening gives, if any. */
function faultOfListening({ host, port }: Listen): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code, message }: NodeJS.ErrnoException) => resolve(code ?? message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** A host by which an address that stands for all of them can be reached. */
function anyOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
