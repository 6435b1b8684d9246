/** `gimme ask`: asks a gather, waits, and prints what it came to. Ctrl-C leaves; the gather goes on. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type Ask, Client, type Epic, type EpicStatus, type GatherAnswer } from '../../client/index.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { countOf } from '../../shared/core/intervalSet.ts';
import { DEADLINE_MS_MAX } from '../../shared/core/limits.ts';
import { readConfig, type Settings, type Values } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, exitCodeOf, type Output, print, say, story } from '../output.ts';
import { followToEnd } from '../progress.ts';
import { CLIENT } from '../settings.ts';

const TABLE = {
  input: {
    kind: 'text',
    flag: '--input <json>',
    required: true,
    sentence: 'what is asked, as JSON; @file reads a file',
  },
  deadline: {
    kind: 'duration',
    flag: '--deadline <duration>',
    min: 1,
    max: DEADLINE_MS_MAX,
    sentence: 'how long answers are taken; else as the gather says',
  },
  enough: { kind: 'count', flag: '--enough <n>', min: 1, sentence: 'answers that end it early' },
  quorum: {
    kind: 'count',
    flag: '--quorum <n>',
    sentence: 'least answers for a partial result to be a success',
  },
  name: { kind: 'name', flag: '--name <name>', sentence: 'name that people see' },
  replyTo: {
    kind: 'text',
    flag: '--reply-to <address>',
    sentence: 'a webhook, or gimmework.reply.<id> over NATS, that is told once it is over',
  },
  idempotencyKey: {
    kind: 'text',
    flag: '--idempotency-key <key>',
    sentence: 'asks only once, however often the command is run with this key',
  },
  ...CLIENT,
} as const satisfies Settings;

export function addAsk(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('ask <gather>')
    .summary('ask a gather and print its result, whole or partial')
    .description('Asks a gather, waits for it and prints its result; exits 6 where the result is partial.');
  addSettings(command, TABLE);
  example(command, `gimme ask fleet-report --input '{"fleet": 7}' --deadline 10s`);
  command.action(async (gather: string, flags: Record<string, unknown>) => ended(await ask(gather, flags)));
}

async function ask(gather: string, flags: Record<string, unknown>): Promise<number> {
  const settings = readConfig(TABLE, flags);
  const { master, output, input } = settings;
  const client = new Client({ master });
  const epic = await client.gather(gather, await inputOf(input), askOf(settings));
  if (epic.first.workers === 0)
    say(`notice: no worker offers \`${gather}\` yet; it waits for one until its deadline`);
  const last = await followToEnd(epic);
  if (last.state !== 'finished') return failed(last);
  tell(epic, await epic.result(), output as Output);
  return exitCodeOf(last);
}

function askOf({ deadline, enough, quorum, name, replyTo, idempotencyKey }: Values<typeof TABLE>): Ask {
  return {
    ...(deadline !== undefined && { deadline }),
    ...(enough !== undefined && { enough }),
    ...(quorum !== undefined && { quorum }),
    ...(name !== undefined && { name }),
    ...(replyTo !== undefined && { replyTo }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  };
}

async function inputOf(given: string): Promise<unknown> {
  const path = given.startsWith('@') ? given.slice(1) : undefined;
  const where = path === undefined ? '--input' : `--input ${given}`;
  try {
    return JSON.parse(path === undefined ? given : await readFile(path, 'utf8'));
  } catch (cause) {
    const why =
      cause instanceof SyntaxError
        ? `is not JSON: ${cause.message}`
        : `cannot be read: ${(cause as Error).message}`;
    throw new GimmeError('usage', `${where} ${why}`, { cause });
  }
}

function failed(last: EpicStatus): number {
  for (const line of story(last)) say(line);
  if (last.gather && last.gather.responses > 0) say(`Next: gimme epic results ${last.id}`);
  return exitCodeOf(last);
}

/** The value is data; how whole it is stands beside it. */
function tell(epic: Epic, answer: GatherAnswer, output: Output): void {
  const { complete, value, missing, failed: failures } = answer;
  if (output === 'text') print(typeof value === 'string' ? value : JSON.stringify(value, null, 2));
  else print(JSON.stringify(answer));
  if (complete) return;
  const units = `${count(countOf(missing))} did not answer in time, ${count(failures)} failed`;
  say(`partial: of ${epic.name} ${units}`);
  say(`Next: gimme epic get ${epic.id}`);
}
