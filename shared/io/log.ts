/**
 * The log: one line per event, to stderr (stdout is for data). Owns the two formats: text for a person,
 * JSON for a collector. It does not decide what is worth a line.
 *
 * L1: a log call never throws, whatever it is given and whatever became of stderr.
 * L2: one event is one line; nothing that was logged can move the terminal's cursor or forge a line.
 */
import { GimmeError, unreachable } from '../core/errors.ts';
import { LOG_VALUE_CHARS_MAX } from '../core/limits.ts';
import { type Clock, systemClock } from './clock.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'text' | 'json';
export type LogFields = Record<string, unknown>;
type LogCall = (message: string, fields?: LogFields) => void;
export type Log = Record<LogLevel, LogCall>;

export type LogOptions = {
  /** The least level that is written. */
  level: LogLevel;
  format: LogFormat;
  /** Takes one line with its line feed. Defaults to stderr. */
  write?: (line: string) => void;
  clock?: Pick<Clock, 'wallMs'>;
};

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Makes a log. Fields are written in the order given; an `Error` among them keeps its code and cause. */
export function createLog(options: LogOptions): Log {
  const write = options.write ?? toStderr;
  const clock = options.clock ?? systemClock;
  const call =
    (level: LogLevel): LogCall =>
    (message, fields = {}) => {
      if (RANK[level] < RANK[options.level]) return;
      try {
        const time = `${new Date(clock.wallMs()).toISOString().slice(0, 19)}Z`;
        write(`${line(options.format, time, level, message, fields)}\n`);
      } catch {
        // L1: losing a line is better than losing what was being logged about.
      }
    };
  return { debug: call('debug'), info: call('info'), warn: call('warn'), error: call('error') };
}

/** A log that writes nothing: for those who are given none. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function line(format: LogFormat, time: string, level: LogLevel, message: string, fields: LogFields): string {
  switch (format) {
    case 'text': {
      const parts = Object.keys(fields).map((key) => `${escaped(key)}=${quoted(textOf(fields, key))}`);
      return [time, level, escaped(cut(String(message))), ...parts].join(' ');
    }
    case 'json': {
      const shown: LogFields = { time, level, message: cut(String(message)) };
      // A field cannot take the place of the line's own members; it is kept beside them.
      for (const key of Object.keys(fields)) shown[key in shown ? `${key}_` : key] = jsonOf(fields, key);
      return escaped(JSON.stringify(shown));
    }
    default:
      return unreachable(format);
  }
}

function textOf(fields: LogFields, key: string): string {
  const value = jsonOf(fields, key);
  return cut(typeof value === 'string' ? value : JSON.stringify(value));
}

/** The field as something that JSON can hold: a plain value, or a text of what it is. */
function jsonOf(fields: LogFields, key: string): unknown {
  try {
    const value = fields[key];
    if (value instanceof Error) return cut(storyOf(value));
    switch (typeof value) {
      case 'string':
        return cut(value);
      case 'boolean':
        return value;
      case 'number':
        return Number.isFinite(value) ? value : String(value);
      case 'object': {
        const text = JSON.stringify(value);
        return text.length > LOG_VALUE_CHARS_MAX ? cut(text) : JSON.parse(text);
      }
      case 'bigint':
      case 'symbol':
      case 'undefined':
      case 'function':
        return cut(String(value));
      default:
        return unreachable(value as never);
    }
  } catch {
    return '(not printable)';
  }
}

/** An operating error is its code and message; any other error is a fault in the code and shows where. */
function storyOf(error: Error): string {
  const own =
    error instanceof GimmeError ? `${error.code}: ${error.message}` : (error.stack ?? String(error));
  return error.cause instanceof Error ? `${own} (because ${error.cause.message})` : own;
}

const cut = (text: string): string =>
  text.length > LOG_VALUE_CHARS_MAX ? `${text.slice(0, LOG_VALUE_CHARS_MAX)}…` : text;

const quoted = (text: string): string =>
  /^[^\s"=]+$/.test(text) ? escaped(text) : `"${escaped(text, true)}"`;

/** Control characters (C0, DEL, C1), line separators and marks that turn the direction of writing. */
const UNSAFE = /[\p{Cc}\u2028\u2029\p{Bidi_Control}]/gu;

/** L2: unsafe characters as JSON would write them; in quotes also the quote and the backslash. */
function escaped(text: string, inQuotes = false): string {
  const body = inQuotes ? text.replace(/["\\]/g, '\\$&') : text;
  return body.replace(UNSAFE, (char) => {
    if (char === '\n') return '\\n';
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

let stderrIsGuarded = false;

function toStderr(text: string): void {
  if (!stderrIsGuarded) {
    stderrIsGuarded = true;
    // L1: a closed terminal or pipe comes as an event, which would end the process if nobody listened.
    process.stderr.on('error', () => {});
  }
  process.stderr.write(text);
}
