/**
 * Debian packages without installing them: fetched by `apt-get download` and unpacked by `dpkg -x` into a
 * folder of the project. Owns where apt keeps its state for this (a folder that is removed afterwards), and
 * the reading of the machine's own apt sources: which mirror is used is the machine's choice, not ours.
 *
 * P1: nothing outside the given folder is written, so it works as root and as an ordinary user.
 * P2: a folder is there as a whole or not at all: it is filled under another name and then renamed, so two
 *     runs at once do no harm.
 */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const RUN_MS = 300_000;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Where a mirror is, and the keys that sign it. */
export type Mirror = { uri: string; signedBy: string };

export function isDebian(release = readIfThere('/etc/os-release')): boolean {
  return /^ID="?debian"?$/m.test(release) && existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg');
}

/** Unpacks the package as a suite has it into `folder`, which is not there yet. */
export async function unpack(name: string, suite: string, folder: string): Promise<void> {
  const mirror = machineMirror();
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(join(dirname(folder), `.${basename(folder)}-`));
  try {
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'root']) {
      mkdirSync(join(work, part), { recursive: true });
    }
    const sources = join(work, 'debian.sources');
    writeFileSync(
      sources,
      `Types: deb\nURIs: ${mirror.uri}\nSuites: ${suite}\nComponents: main\nSigned-By: ${mirror.signedBy}\n`,
    );
    const apt = (...args: string[]): Promise<unknown> =>
      run('apt-get', [...aptOptions(work, sources), '-q', ...args], { cwd: work, timeout: RUN_MS });
    await apt('update');
    await apt('download', name);
    const deb = readdirSync(work).find((file) => file.endsWith('.deb'));
    if (deb === undefined) throw new Error(`apt-get download ${name} left no package`);
    await run('dpkg', ['-x', join(work, deb), join(work, 'root')], { timeout: RUN_MS });
    moveInto(join(work, 'root'), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** P1. The machine's own configuration still holds where it says how to reach a mirror (a proxy). */
function aptOptions(work: string, sources: string): string[] {
  const options = {
    'Dir::State': join(work, 'state'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(work, 'cache'),
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::preferencesparts': '-',
    // As root apt would fetch as another user, who may not write here.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    // Otherwise a mirror that cannot be reached is only a warning.
    'APT::Update::Error-Mode': 'any',
  };
  return Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

/** P2: who comes second leaves what the first one put there. */
function moveInto(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

function machineMirror(): Mirror {
  const parts = '/etc/apt/sources.list.d';
  const names = existsSync(parts) ? readdirSync(parts).sort() : [];
  const texts = (ending: string): string[] =>
    names.filter((name) => name.endsWith(ending)).map((name) => readIfThere(join(parts, name)));
  const mirror = mirrorIn(texts('.sources'), [readIfThere('/etc/apt/sources.list'), ...texts('.list')]);
  if (mirror === undefined) throw new Error('no Debian mirror is named in /etc/apt/sources.list(.d)');
  return mirror;
}

/** The first mirror of Debian itself in apt's sources, of both formats (sources.list(5)). */
export function mirrorIn(deb822: string[], classic: string[]): Mirror | undefined {
  for (const stanza of deb822.flatMap((text) => text.split(/\n[ \t]*\n/))) {
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:[ \\t]*(\\S+)`, 'im').exec(stanza)?.[1];
    const uri = field('URIs');
    if (uri === undefined || !isDebianItself(uri) || /^Enabled:[ \t]*no/im.test(stanza)) continue;
    if (!/^Types:.*\bdeb\b(?!-)/im.test(stanza)) continue;
    return { uri, signedBy: field('Signed-By') ?? KEYRING };
  }
  for (const line of classic.flatMap((text) => text.split('\n'))) {
    const [, options = '', uri] = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s/.exec(line.trim()) ?? [];
    if (uri === undefined || !isDebianItself(uri)) continue;
    return { uri, signedBy: /signed-by=(\S+)/.exec(options)?.[1] ?? KEYRING };
  }
  return undefined;
}

/** Debian's archive, not its security updates nor another publisher's: its path ends in `debian`. */
const isDebianItself = (uri: string): boolean => /\/debian\/?$/.test(uri);

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
