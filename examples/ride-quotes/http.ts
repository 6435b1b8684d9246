/** Calls as a customer makes them: by the curl of this machine, or by `fetch` where it has none. Follows no redirect. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

export type Answer = { status: number; headers: Headers; body: unknown };
export type Http = {
  by: 'curl' | 'fetch';
  /** GET without a body, POST of JSON with one. */
  call: (url: string, body?: unknown) => Promise<Answer>;
};

const SECONDS_MAX = 60;
const run = promisify(execFile);

export function http(by: Http['by'] = hasCurl() ? 'curl' : 'fetch'): Http {
  return { by, call: by === 'curl' ? byCurl : byFetch };
}

function hasCurl(): boolean {
  return spawnSync('curl', ['--version'], { stdio: 'ignore' }).status === 0;
}

async function byCurl(url: string, body?: unknown): Promise<Answer> {
  // Neither settings of whoever runs it nor a proxy: it is on loopback.
  const how = ['-q', '-sS', '-i', '--noproxy', '*', '--max-time', String(SECONDS_MAX)];
  const data = ['-H', 'content-type: application/json', '--data-binary', JSON.stringify(body)];
  const { stdout } = await run('curl', [...how, ...(body === undefined ? [] : data), url]);
  const [head = '', ...rest] = stdout.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  const headers = new Headers(lines.map((line) => pairOf(line)));
  return { status: Number(first.split(' ')[1]), headers, body: parsed(rest.join('\r\n\r\n')) };
}

async function byFetch(url: string, body?: unknown): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const post = body !== undefined && { method: 'POST', headers, body: JSON.stringify(body) };
  const signal = AbortSignal.timeout(SECONDS_MAX * 1_000);
  const response = await fetch(url, { ...post, signal, redirect: 'manual' });
  return { status: response.status, headers: response.headers, body: parsed(await response.text()) };
}

function pairOf(line: string): [string, string] {
  const at = line.indexOf(':');
  return [line.slice(0, at), line.slice(at + 1).trim()];
}

function parsed(text: string): unknown {
  return text === '' ? undefined : JSON.parse(text);
}
