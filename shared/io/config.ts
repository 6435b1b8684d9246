/**
 * Settings: one table per daemon drives its parser, its help and its checks. Owns reading and judging
 * values; the command line turns rows into options. Flag > environment > default.
 *
 * C1: every fault is reported at once, in one error, each naming where the value came from.
 * C2: a secret is never shown; beside `ENV` it may come from the file that `ENV_FILE` names.
 */
import { readFileSync } from 'node:fs';
import { durationMs } from '../core/duration.ts';
import { GimmeError, unreachable } from '../core/errors.ts';
import { isId } from '../core/ids.ts';
import { LABELS_MAX } from '../core/limits.ts';

export type Listen = { host: string; port: number };

/** What each kind of setting is once read. */
export type Kinds = {
  /** `host:port`; a port of 0 takes any free one. */
  listen: Listen;
  path: string;
  /** Any text, such as a password. */
  text: string;
  count: number;
  /** `250ms`, `30s`, `2m`, or a bare 0; read as milliseconds. */
  duration: number;
  /** `2%` or `0.02`; read as 0 to 1. */
  share: number;
  /** One of `schemes`. */
  url: string;
  /** An id: 1 to 64 of `A-Z a-z 0-9 _ -`. */
  name: string;
  texts: string[];
  /** `k=v`, repeated. */
  labels: Record<string, string>;
  /** One of `choices`. */
  choice: string;
};
export type Kind = keyof Kinds;

/** One row of a table. */
export type Setting<K extends Kind = Kind> = {
  kind: K;
  /** As commander reads it: `--listen <host:port>`. A secret has none: it comes from the environment only. */
  flag?: string;
  env?: string;
  /** As a person would write it; absent where there is none. */
  default?: string;
  required?: boolean;
  secret?: boolean;
  min?: number;
  max?: number;
  choices?: readonly string[];
  schemes?: readonly string[];
  /** What it is, for the help. */
  sentence: string;
};
export type Settings = Record<string, Setting>;

type Given<S extends Setting> = S extends { default: string } | { required: true }
  ? Kinds[S['kind']]
  : Kinds[S['kind']] | undefined;
export type Values<T extends Settings> = { -readonly [N in keyof T]: Given<T[N]> };

type Raw = { text: string | readonly string[]; from: string };

/**
 * Reads a table from parsed flags (by row name) and the environment. An empty environment variable
 * counts as not set. Throws `bad_config` listing every fault.
 */
export function readConfig<const T extends Settings>(
  table: T,
  flags: Record<string, unknown>,
  env: Record<string, string | undefined> = process.env,
): Values<T> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, setting] of Object.entries(table)) {
    try {
      const raw = rawOf(name, setting, flags, env);
      if (raw) values[name] = valueOf(setting, raw);
      else if (setting.required)
        faults.push(`${flagOf(setting)}${setting.env ? ` (or ${setting.env})` : ''} is missing`);
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  if (faults.length > 0) throw new GimmeError('bad_config', faults.join('; '));
  return values as Values<T>;
}

/** Where a setting's value comes from without flags; `value` is absent where there is none, `fault` where it fits. */
export type Explained = { setting: Setting; value?: string; from: string; fault?: string };

/** Tells each row's value as it stands before any flag. Never throws, and never shows a secret (C2). */
export function explain(table: Settings, env: Record<string, string | undefined> = process.env): Explained[] {
  return Object.entries(table).map(([name, setting]) => {
    try {
      const raw = rawOf(name, setting, {}, env);
      if (!raw) return { setting, from: 'not set' };
      const text = typeof raw.text === 'string' ? raw.text : raw.text.join(',');
      const from = raw.from === flagOf(setting) ? 'default' : raw.from;
      const shown = { setting, value: setting.secret ? '(not shown)' : text, from };
      try {
        valueOf(setting, raw);
        return shown;
      } catch (error) {
        return { ...shown, fault: (error as Error).message };
      }
    } catch (error) {
      return { setting, from: `${setting.env}_FILE`, fault: (error as Error).message };
    }
  });
}

/** The bare flag of a row, `--listen`; the variable of one without a flag. */
export function flagOf({ flag, env = '' }: Setting): string {
  return flag?.split(/[ ,]/).find((part) => part.startsWith('--')) ?? env;
}

/** What the help says of a row: its sentence, its bounds and where else it can come from. */
export function describe(setting: Setting): string {
  const notes = [
    ...(setting.choices ? [setting.choices.join('|')] : []),
    ...(setting.default === undefined ? [] : [`default ${setting.default}`]),
    ...(setting.env ? [`env ${setting.env}`] : []),
  ];
  return notes.length > 0 ? `${setting.sentence} (${notes.join('; ')})` : setting.sentence;
}

function rawOf(
  name: string,
  setting: Setting,
  flags: Record<string, unknown>,
  env: Record<string, string | undefined>,
): Raw | undefined {
  const flag = flags[name];
  if (typeof flag === 'string' || Array.isArray(flag)) return { text: flag, from: flagOf(setting) };
  const text = setting.env && env[setting.env];
  if (text) return { text: isList(setting) ? text.split(',') : text, from: setting.env as string };
  const file = setting.secret && setting.env && env[`${setting.env}_FILE`];
  if (file) return { text: secretIn(file, `${setting.env}_FILE`), from: `${setting.env}_FILE` };
  return setting.default === undefined ? undefined : { text: setting.default, from: flagOf(setting) };
}

function isList(setting: Setting): boolean {
  return setting.kind === 'texts' || setting.kind === 'labels';
}

function secretIn(file: string, from: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Error(`${from} names a file that cannot be read (${code})`, { cause });
  }
}

function valueOf(setting: Setting, { text, from }: Raw): Kinds[Kind] {
  const one = typeof text === 'string' ? text : (text.at(-1) ?? '');
  const bad = (must: string): never => {
    const shown = setting.secret ? '(not shown)' : JSON.stringify(one);
    throw new Error(`${from} ${shown} must be ${must}`);
  };
  switch (setting.kind) {
    case 'listen':
      return listenOf(one) ?? bad('host:port with a port of 0 to 65535, such as 127.0.0.1:7171');
    case 'path':
      return one === '' ? bad('a path') : one;
    case 'text':
      return one === '' ? bad('a text that is not empty') : one;
    case 'count':
      return within(setting, /^\d{1,15}$/.test(one) ? Number(one) : Number.NaN, bad);
    case 'duration':
      // A bare number is milliseconds to a program; a person nearly always means seconds.
      if (/^\s*\d+(\.\d+)?\s*$/.test(one) && Number(one) !== 0) {
        throw new Error(`${from} ${one.trim()}: say the unit, such as ${one.trim()}s`);
      }
      return within(setting, msOf(one), bad);
    case 'share':
      return shareOf(one) ?? bad('a share of 0% to 100%, such as 2% or 0.02');
    case 'url':
      return (
        urlOf(one, setting.schemes ?? []) ?? bad(`an address such as ${setting.schemes?.[0]}//host:port`)
      );
    case 'name':
      return isId(one) ? one : bad('1 to 64 of A-Z a-z 0-9 _ -');
    case 'texts':
      return typeof text === 'string' ? [text] : [...text];
    case 'labels':
      return labelsOf(typeof text === 'string' ? [text] : text) ?? bad(`key=value, at most ${LABELS_MAX}`);
    case 'choice':
      return setting.choices?.includes(one) ? one : bad(`one of ${setting.choices?.join(', ')}`);
    default:
      return unreachable(setting.kind);
  }
}

function within(
  { min = 0, max = Number.MAX_SAFE_INTEGER, kind }: Setting,
  n: number,
  bad: (must: string) => never,
): number {
  if (n >= min && n <= max) return n;
  const what = kind === 'duration' ? 'a duration such as 250ms, 30s or 2m' : 'a whole number';
  const unit = kind === 'duration' ? ' ms' : '';
  return bad(
    max === Number.MAX_SAFE_INTEGER
      ? `${what}, at least ${min}${unit}`
      : `${what} from ${min} to ${max}${unit}`,
  );
}

function msOf(text: string): number {
  try {
    return durationMs(text);
  } catch {
    return Number.NaN;
  }
}

/** Reads `host:port`; an IPv6 host stands in brackets. */
export function listenOf(text: string): Listen | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host !== undefined && port <= 65_535 ? { host, port } : undefined;
}

function shareOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim());
  if (!match) return undefined;
  const share = Number(match[1]) / (match[2] ? 100 : 1);
  return share <= 1 ? share : undefined;
}

function urlOf(text: string, schemes: readonly string[]): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return schemes.includes(url.protocol) && url.hostname !== '' ? text : undefined;
}

function labelsOf(texts: readonly string[]): Record<string, string> | undefined {
  const labels = new Map<string, string>();
  for (const text of texts) {
    const [, key, value] = /^([A-Za-z0-9_-]{1,64})=([\x20-\x7e]{0,256})$/.exec(text) ?? [];
    if (key === undefined || value === undefined) return undefined;
    labels.set(key, value);
  }
  return labels.size <= LABELS_MAX ? Object.fromEntries(labels) : undefined;
}
