/** `gimme config print`: every setting of the nodes and commands, its value and where that comes from. */
import type { Command } from 'commander';
import { GimmeError } from '../../shared/core/errors.ts';
import { type Explained, explain, flagOf, readConfig, type Settings } from '../../shared/io/config.ts';
import { NATS } from '../natsSettings.ts';
import { addSettings, example } from '../options.ts';
import { print, say, table } from '../output.ts';
import { CLIENT, DEMO, LOG, MASTER, SMTP_STUB, WORKER } from '../settings.ts';

/** What several commands share is told once. */
const SHARED = new Set([...Object.values(NATS), ...Object.values(LOG), CLIENT.output]);
const PARTS: readonly [string, Settings][] = [
  ['gimme master', own(MASTER)],
  ['gimme worker', own(WORKER)],
  ['gimme master and worker: the link over NATS', NATS],
  ['gimme master and worker: the log', LOG],
  ['client commands', CLIENT],
  ['gimme smtp-stub', own(SMTP_STUB)],
  ['gimme demo', own(DEMO)],
];
const OPTIONS = { output: CLIENT.output } as const satisfies Settings;

export function addConfig(program: Command, ended: (exitCode: number) => void): void {
  const config = program.command('config').summary('see what the settings are');
  example(config, 'gimme config print');
  const command = config
    .command('print')
    .summary('print every setting, its value and where that comes from')
    .description(
      'Prints every setting as it stands here without flags: from the environment, else its default. Exits 2 if one is bad.',
    );
  addSettings(command, OPTIONS);
  example(command, 'gimme config print -o json');
  command.action((flags: Record<string, unknown>) => {
    const { output } = readConfig(OPTIONS, flags);
    const parts = PARTS.map(([of, settings]) => ({ of, rows: explain(settings) }));
    if (output === 'text') for (const line of parts.flatMap(lines)) print(line);
    else {
      const rows = parts.flatMap(({ of, rows: all }) => all.map((row) => documentOf(of, row)));
      if (output === 'json') print(JSON.stringify({ settings: rows }));
      else for (const row of rows) print(JSON.stringify(row));
    }
    const faults = new Set(parts.flatMap(({ rows }) => rows.flatMap(({ fault }) => fault ?? [])));
    if (faults.size > 0) throw new GimmeError('bad_config', [...faults].join('; '));
    if (output === 'text') say('A flag goes before the environment, the environment before the default.');
    ended(0);
  });
}

function own(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([, row]) => !SHARED.has(row as never)));
}

function lines({ of, rows }: { of: string; rows: Explained[] }): string[] {
  const cells = rows.map(({ setting, value, from, fault }) => [
    setting.flag === undefined ? '' : flagOf(setting),
    setting.env ?? '',
    value ?? '-',
    fault === undefined ? from : `${from}: bad`,
  ]);
  return [of, ...table(['FLAG', 'VARIABLE', 'VALUE', 'FROM'], cells).map((line) => `  ${line}`)];
}

function documentOf(of: string, { setting, value, from, fault }: Explained): Record<string, unknown> {
  const { flag, env } = setting;
  return { of, ...(flag !== undefined && { flag: flagOf(setting) }), env, value, from, fault };
}
