/**
 * `gimme top`: a master, its epics and workers, drawn again and again. On a terminal it has the screen to itself
 * until q; elsewhere it writes a line (or, with -o, a JSON document) for each look.
 *
 * T1: however it ends, the terminal is as it was before.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { print, say } from '../output.ts';
import { CLIENT } from '../settings.ts';
import { onStop } from '../signals.ts';
import { topLine, topLines } from '../topScreen.ts';
import { type Look, lookAt } from './status.ts';

const EPICS_MAX = 100;
const TOP = {
  every: {
    kind: 'duration',
    flag: '--every <duration>',
    default: '1s',
    min: 100,
    max: 3_600_000,
    sentence: 'how often to look',
  },
  ...CLIENT,
} as const satisfies Settings;

type Keys = Pick<NodeJS.ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'>;
type Screen = Pick<NodeJS.WriteStream, 'isTTY' | 'write' | 'columns' | 'rows'>;
type View = { show(look: Look): void; note(line: string): void; end(): void };

export function addTop(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('top')
    .summary('watch a master, its epics and workers live; q quits')
    .description(
      'Shows a master, its running epics and its workers, live, until q or Ctrl-C. Changes nothing.',
    );
  addSettings(command, TOP);
  example(command, 'gimme top --every 2s');
  command.action(async (flags: Record<string, unknown>) => {
    const { master, output, every } = readConfig(TOP, flags);
    const stop = new AbortController();
    const release = onStop(() => stop.abort());
    const isScreen = output === 'text' && process.stdout.isTTY && process.stdin.isTTY;
    const view = isScreen
      ? screenView(process.stdout, process.stdin, () => stop.abort())
      : linesView(output === 'text');
    try {
      await top(new Client({ master }), view, every, stop.signal);
    } finally {
      view.end(); // T1
      release();
    }
    ended(0);
  });
}

/** Looks until `signal` fires. A master absent at first is thrown; one that goes away later is waited for. */
export async function top(client: Client, view: View, everyMs: number, signal: AbortSignal): Promise<void> {
  view.show(await lookAt(client, EPICS_MAX));
  let isGone = false;
  for (;;) {
    await pause(everyMs, undefined, { signal }).catch(() => {}); // Ended early by the signal.
    if (signal.aborted) return;
    try {
      const look = await lookAt(client, EPICS_MAX);
      if (isGone) view.note('master is back');
      isGone = false;
      if (!signal.aborted) view.show(look);
    } catch (error) {
      if (!(error instanceof GimmeError) || error.code !== 'master_unreachable') throw error;
      if (!isGone) view.note('master is gone, trying again');
      isGone = true;
    }
  }
}

/** The whole screen of a terminal, and its keys. */
export function screenView(screen: Screen, keys: Keys, quit: () => void): View {
  const onKey = (data: Buffer): void => {
    if (['q', 'Q', '\u0003', '\u001b'].includes(data.toString())) quit();
  };
  keys.setRawMode(true);
  keys.on('data', onKey);
  keys.resume();
  screen.write('\u001b[?1049h\u001b[?25l'); // the other screen, without a cursor
  const draw = (lines: string[]): void => {
    screen.write(`\u001b[H${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
  };
  let last: string[] = [];
  return {
    show(look) {
      last = topLines(look, screen.columns || 80, screen.rows || 24);
      draw(last);
    },
    note: (line) => draw([...last.slice(0, -1), line]),
    end() {
      screen.write('\u001b[?25h\u001b[?1049l');
      keys.off('data', onKey);
      keys.setRawMode(false);
      keys.pause();
    },
  };
}

function linesView(isText: boolean): View {
  return {
    show: (look) => print(isText ? topLine(look) : JSON.stringify(look)),
    note: say,
    end() {},
  };
}
