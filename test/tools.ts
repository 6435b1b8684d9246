/**
 * The programs that tests start beside Node: which ones, where they are found, and how they are got where
 * they are missing. `test/run.ts` calls `provideTools` before the tests; a test asks for a path.
 *
 * A program is taken from PATH or /usr/sbin if its version fits, else from `.cache/tools`. On Debian
 * `provideTools` unpacks it there; elsewhere it says in one line how to get it. The system is not changed.
 *
 * `GIMMEWORK_NATS_SERVERS=path:path` names the nats-servers to test with instead: each of them, and no other.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDebian, unpack } from './tools/debian.ts';

export const NATS_SERVERS_VARIABLE = 'GIMMEWORK_NATS_SERVERS';

export type FoundTool = { version: string; path: string };

type Tool = {
  program: string;
  /** Where Debian's package of it puts it, in which suite, under which name. */
  inPackage: string;
  suite: string;
  debianPackage: string;
  /** Versions that this row stands for. */
  fits: RegExp;
};

const TOOLS: readonly Tool[] = [
  natsServer('bookworm', /^2\.9\./),
  natsServer('trixie', /^2\.10\./),
  prometheus('prometheus'),
  prometheus('promtool'),
  {
    program: 'docker-compose',
    inPackage: 'usr/bin/docker-compose',
    suite: 'trixie',
    debianPackage: 'docker-compose',
    fits: /^[2-9]\./,
  },
];

function natsServer(suite: string, fits: RegExp): Tool {
  const inPackage = 'usr/sbin/nats-server';
  return { program: 'nats-server', inPackage, suite, debianPackage: 'nats-server', fits };
}

function prometheus(program: string): Tool {
  const inPackage = `usr/bin/${program}`;
  return { program, inPackage, suite: 'bookworm', debianPackage: 'prometheus', fits: /^[23]\./ };
}

const CACHE = resolve(fileURLToPath(import.meta.url), '../../.cache/tools');

/** Makes every tool available, or throws an error of one line that says what to do. */
export async function provideTools(): Promise<void> {
  for (const { path } of namedNatsServers()) assertRuns(path);
  for (const tool of TOOLS) {
    const isNamed = tool.program === 'nats-server' && namedNatsServers().length > 0;
    if (isNamed || existsSync(cached(tool)) || installed(tool) !== undefined) continue;
    if (isDebian()) await unpackTool(tool);
    else if (anyInstalled(tool.program) === undefined) throw new Error(howToGet(tool.program));
  }
}

/** The nats-servers to test with, the oldest first. */
export function natsServers(): FoundTool[] {
  const named = namedNatsServers();
  if (named.length > 0) return named;
  const found = TOOLS.filter((tool) => tool.program === 'nats-server').flatMap((tool) => find(tool) ?? []);
  const other = anyInstalled('nats-server');
  if (other && !found.some(({ version }) => version === other.version)) found.push(other);
  if (found.length === 0) throw new Error('no nats-server is here yet; `npm test` gets it');
  return found;
}

/** Where a program other than nats-server is. */
export function toolPath(program: 'prometheus' | 'promtool' | 'docker-compose'): string {
  const tool = TOOLS.find((row) => row.program === program);
  const path = (tool && find(tool)?.path) ?? anyInstalled(program)?.path;
  if (path === undefined) throw new Error(`${program} is not here yet; \`npm test\` gets it`);
  return path;
}

function find(tool: Tool): FoundTool | undefined {
  const path = cached(tool);
  return installed(tool) ?? (existsSync(path) ? { path, version: versionOf(path) ?? 'unknown' } : undefined);
}

function cached(tool: Tool): string {
  return join(CACHE, `${tool.debianPackage}-${tool.suite}`, tool.inPackage);
}

async function unpackTool(tool: Tool): Promise<void> {
  const { debianPackage, suite } = tool;
  console.error(`test/tools.ts: unpacking ${debianPackage} of Debian ${suite} into .cache/tools`);
  try {
    await unpack(debianPackage, suite, join(CACHE, `${debianPackage}-${suite}`));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const why = /^E: .*$/m.exec(text)?.[0] ?? text.split('\n')[0];
    throw new Error(`${howToGet(tool.program)} (it could not be unpacked here: ${why})`, { cause: error });
  }
}

function howToGet(program: string): string {
  return (
    {
      'nats-server':
        'tests need nats-server: `sudo apt-get install nats-server` or `brew install nats-server` gets it, ' +
        `or name one by ${NATS_SERVERS_VARIABLE}=/path/to/nats-server`,
      'docker-compose':
        'tests need docker-compose 2: `brew install docker-compose` gets it, or https://github.com/docker/compose',
    }[program] ??
    `tests need ${program}: \`sudo apt-get install prometheus\` or \`brew install prometheus\` gets it`
  );
}

function namedNatsServers(): FoundTool[] {
  const paths = (process.env[NATS_SERVERS_VARIABLE] ?? '').split(delimiter).filter((path) => path !== '');
  return paths.map((path) => ({ path, version: versionOf(path) ?? 'unknown' }));
}

function assertRuns(path: string): void {
  if (versionOf(path) !== undefined) return;
  throw new Error(`${NATS_SERVERS_VARIABLE} names ${path}, which does not run as a nats-server`);
}

function installed(tool: Tool): FoundTool | undefined {
  const found = anyInstalled(tool.program);
  return found !== undefined && tool.fits.test(found.version) ? found : undefined;
}

/** The program of this name that the machine has, whatever its version. */
function anyInstalled(program: string): FoundTool | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].filter((name) => name !== '');
  for (const folder of folders) {
    const path = join(folder, program);
    if (!isExecutable(path)) continue;
    const version = versionOf(path);
    if (version !== undefined) return { path, version };
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const versions = new Map<string, string | undefined>();

/** The version a program says it has; nothing if it does not run. */
function versionOf(path: string): string | undefined {
  if (!versions.has(path)) versions.set(path, askVersion(path));
  return versions.get(path);
}

function askVersion(path: string): string | undefined {
  try {
    const text = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return /\bv?(\d+\.\d+\.\d+)/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}
