/** `gimme epic submit`: checks what can be checked here, uploads, and says what to do next. */
import type { Command } from 'commander';
import { Client, type Epic, isOver, type Source } from '../../client/index.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { isId } from '../../shared/core/ids.ts';
import { DEADLINE_MS_MAX } from '../../shared/core/limits.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { readBrief } from '../brief.ts';
import { addSettings, example } from '../options.ts';
import { count, exitCodeOf, type Output, print, say } from '../output.ts';
import { watchEpic } from '../progress.ts';
import { CLIENT } from '../settings.ts';
import { sourceOf } from '../sourceArgument.ts';
import { withCheckedHead } from '../sourceHead.ts';

type Flags = {
  source: string;
  format?: string;
  brief?: string;
  name?: string;
  strict?: boolean;
  dryRun?: boolean;
  idempotencyKey?: string;
  watch?: boolean;
};

const TABLE = {
  deadline: {
    kind: 'duration',
    flag: '--deadline <duration>',
    min: 1,
    max: DEADLINE_MS_MAX,
    sentence: 'how long it may run; what has no outcome by then is missing',
  },
  replyTo: {
    kind: 'text',
    flag: '--reply-to <address>',
    sentence: 'a webhook, or gimmework.reply.<id> over NATS, that is told once it is over',
  },
  ...CLIENT,
} as const satisfies Settings;

export function addSubmit(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('submit <work>')
    .summary('submit units of a work, from a file, stdin or a range')
    .description('Submits an epic: uploads its units and its brief to a master, which hands them to workers.')
    .requiredOption(
      '--source <file>',
      'a .csv, .ndjson or .jsonl file, - for stdin, range:A-B (B not included), or source:NAME?field=value of workers',
    )
    .option('--format <format>', 'csv or ndjson, where the source does not say')
    .option('--brief <file>', 'JSON file; a text "@file" in it is replaced by that file')
    .option('--name <name>', 'name that people see')
    .option('--idempotency-key <key>', 'submit only once, however often it is run with this key')
    .option('--strict', 'refuse if no worker offers the work now')
    .option('--dry-run', 'check brief and source, read the source to its end, and submit nothing')
    .option('--watch', 'follow the epic to its end');
  addSettings(command, TABLE);
  example(command, 'gimme epic submit newsletter --source recipients.csv --brief brief.json --watch');
  command.action(async (work: string, flags: Flags) => ended(await submit(work, flags)));
}

async function submit(work: string, flags: Flags): Promise<number> {
  const { master, output, deadline, replyTo } = readConfig(TABLE, flags);
  if (!isId(work))
    throw new GimmeError('usage', `work ${JSON.stringify(work)} must be 1 to 64 of A-Z a-z 0-9 _ -`);
  if (flags.name !== undefined && !isId(flags.name)) {
    throw new GimmeError('usage', `--name ${JSON.stringify(flags.name)} must be 1 to 64 of A-Z a-z 0-9 _ -`);
  }
  let source = sourceOf(flags.source, flags.format);
  const brief = flags.brief === undefined ? undefined : await readBrief(flags.brief);
  if (work === 'newsletter') {
    await checkNewsletter(brief, flags.brief);
    source = await checkedList(source, flags.source);
  }

  const client = new Client({ master });
  if (flags.strict) await mustBeOffered(client, work);
  if (flags.dryRun) return checked(work, { source, from: flags.source }, output as Output);
  const { name, idempotencyKey } = flags;
  const epic = await client.submit({
    ...{ work, source },
    ...(name !== undefined && { name }),
    ...(deadline !== undefined && { deadline }),
    ...(replyTo !== undefined && { replyTo }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(brief !== undefined && { brief }),
  });
  const { state, workers } = epic.first;
  if (!isOver(state) && workers === 0)
    say(`notice: no worker offers \`${work}\` yet; the epic waits for one`);
  else if (!isOver(state) && / offers the source /.test(epic.first.bottleneck))
    say(`notice: ${epic.first.bottleneck}; the epic waits for one`);
  if (flags.watch) return exitCodeOf(await watchEpic(epic, output as Output));
  answer(epic, output as Output);
  return 0;
}

function answer(epic: Epic, output: Output): void {
  if (output !== 'text') return print(JSON.stringify(epic.first));
  print(`submitted ${epic.name} as ${epic.id}`);
  if (isOver(epic.first.state)) return say('It has no units, so it is finished.');
  say(`Next: gimme epic watch ${epic.id}`);
}

/** Says what would be submitted. Nothing has been sent. */
async function checked(
  work: string,
  { source, from }: { source: Source; from: string },
  output: Output,
): Promise<number> {
  const size: { bytes?: number } = {};
  if (source.type === 'stream') {
    size.bytes = 0;
    for await (const chunk of await source.open()) size.bytes += chunk.length;
  }
  if (output !== 'text') print(JSON.stringify({ dryRun: true, work, source: from, ...size }));
  else
    print(`would submit ${from} to ${work}${size.bytes === undefined ? '' : `, ${count(size.bytes)} bytes`}`);
  say('Nothing was submitted (--dry-run). The rows are checked by workers.');
  return 0;
}

async function checkNewsletter(brief: unknown, file: string | undefined): Promise<void> {
  if (file === undefined)
    throw new GimmeError('usage', 'work newsletter needs --brief with from, subject and html');
  const { checkBrief } = await import('../../works/newsletter/main.ts');
  try {
    checkBrief(brief);
  } catch (error) {
    if (!(error instanceof GimmeError)) throw error;
    throw new GimmeError(error.code, `${file}: ${error.message}`, { cause: error });
  }
}

/** A list without addresses would fail row by row; the master cannot know, it runs no user code. */
async function checkedList(source: Source, file: string): Promise<Source> {
  if (source.type !== 'stream' || source.format !== 'csv') return source;
  const { checkColumns } = await import('../../works/newsletter/main.ts');
  const name = file === '-' ? 'standard input' : file;
  return withCheckedHead(source, (head) => checkColumns(head, name));
}

async function mustBeOffered(client: Client, work: string): Promise<void> {
  const workers = await client.workers();
  if (workers.some((worker) => worker.works.includes(work))) return;
  throw new GimmeError('no_worker_offers', `no worker offers \`${work}\`; start one, or leave out --strict`);
}
