/** `gimme epic results`: the answers of a gather, as far as they are there, as a stream on stdout. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { CLIENT } from '../settings.ts';

const TABLE = {
  format: {
    kind: 'choice',
    flag: '--format <format>',
    default: 'ndjson',
    choices: ['ndjson', 'csv'],
    sentence: 'how each answer is written',
  },
  master: CLIENT.master,
} as const satisfies Settings;

export function addResults(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('results <epic>')
    .summary('print the answers of a gather, one on each line')
    .description('Prints the answers of the units of a gather: those that are there, also while it runs.');
  addSettings(command, TABLE);
  example(command, 'gimme epic results weekly-report --format csv > answers.csv');
  command.action(async (idOrName: string, flags: Record<string, unknown>) => {
    const { master, format } = readConfig(TABLE, flags);
    const bytes = new Client({ master }).resultBytes(idOrName, format as 'ndjson' | 'csv');
    await pipeline(Readable.from(bytes, { objectMode: false }), process.stdout, { end: false });
    ended(0);
  });
}
