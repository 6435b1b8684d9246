/** `gimme epic retry`: has failed or unknown units of an epic that is over tried again, as a new epic. */
import type { Command } from 'commander';
import { Client, Epic, type RetryAnswer, type RetryBody } from '../../client/index.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, exitCodeOf, type Output, print, say } from '../output.ts';
import { watchEpic } from '../progress.ts';
import { CLIENT } from '../settings.ts';

const WHICH = {
  state: {
    kind: 'choice',
    flag: '--state <state>',
    default: 'failed',
    choices: ['failed', 'unknown'],
    sentence: 'which units',
  },
  code: { kind: 'text', flag: '--code <code>', sentence: 'only units of this code' },
  confirm: {
    kind: 'name',
    flag: '--confirm <name>',
    sentence: 'name of the epic; needed for unknown units, which may have been done already',
  },
} as const satisfies Settings;
const TABLE = { ...WHICH, ...CLIENT };

export function addRetry(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('retry <epic>')
    .summary('try failed or unknown units again, as a new epic')
    .description(
      'Tries units of an epic that is over again, as a new epic. Its own totals stay, and what a retry before has done is left out.',
    )
    .option('--dry-run', 'only count them')
    .option('--watch', 'follow the new epic to its end');
  addSettings(command, TABLE);
  example(command, 'gimme epic retry weekly-47 --code smtp_rejected --watch');
  command.action(async (idOrName: string, flags: Record<string, unknown>) =>
    ended(await retry(idOrName, flags)),
  );
}

async function retry(idOrName: string, flags: Record<string, unknown>): Promise<number> {
  const { master, output, state, code, confirm } = readConfig(TABLE, flags);
  const body: RetryBody = { states: [state as 'failed' | 'unknown'] };
  if (code !== undefined) body.code = code;
  if (confirm !== undefined) body.confirm = confirm;
  if (flags['dryRun'] === true) body.dryRun = true;
  const client = new Client({ master });
  const answer = await client.retry(idOrName, body);
  const { epic } = answer;
  if (!epic) {
    print(output === 'text' ? `would try again ${words(answer)}` : JSON.stringify(answer));
    return 0;
  }
  if (flags['watch'] !== true) {
    print(
      output === 'text' ? `submitted ${epic.name} as ${epic.id}: ${words(answer)}` : JSON.stringify(answer),
    );
    if (output === 'text') say(`Next: gimme epic watch ${epic.id}`);
    return 0;
  }
  say(`submitted ${epic.name} as ${epic.id}: ${words(answer)}`);
  return exitCodeOf(await watchEpic(new Epic(client, epic), output as Output));
}

function words({ count: units, leftOut, rest = 0 }: RetryAnswer): string {
  const left =
    leftOut === 0 ? '' : `; ${count(leftOut)} are left out: a retry before has done them or is at it`;
  const more = rest === 0 ? '' : `; ${count(rest)} more are for another retry, at once or later`;
  return `${count(units)} ${units === 1 ? 'unit' : 'units'}${left}${more}`;
}
