/** Turns tables of settings into commander's options; reading and judging values is `shared/io/config.ts`. */
import { type Command, Option } from 'commander';
import { GimmeError } from '../shared/core/errors.ts';
import { describe, type Setting, type Settings } from '../shared/io/config.ts';
import { NATS } from './natsSettings.ts';
import { CLIENT, LOG } from './settings.ts';

/** Rows that many commands share stand together, behind the command's own. */
const GROUPS: readonly [string, Settings][] = [
  ['Link over NATS:', NATS],
  ['Log:', LOG],
  ['Common:', CLIENT],
];

/**
 * Adds an option for each row; commander keeps the raw text, and the row's name is the option's name. A row
 * without a flag (a secret) is told in the help by its variable.
 */
export function addSettings(command: Command, table: Settings): Command {
  const secrets: [string, string][] = [];
  for (const setting of Object.values(table)) {
    if (setting.flag !== undefined) command.addOption(optionOf(setting, setting.flag));
    else if (setting.env !== undefined) secrets.push([`${setting.env}[_FILE]`, setting.sentence]);
  }
  if (secrets.length === 0) return command;
  const width = Math.max(...secrets.map(([name]) => name.length));
  const lines = secrets.map(([name, sentence]) => `  ${name.padEnd(width)}  ${sentence}`);
  const head = 'Secrets, by the environment only; …_FILE names a file that holds it:';
  return command.addHelpText('after', ['', head, ...lines].join('\n'));
}

/** The values that an option may have, where they are few. */
export const CHOICES = new WeakMap<Option, readonly string[]>();

function optionOf(setting: Setting, flag: string): Option {
  const option = new Option(flag, describe(setting));
  if (setting.choices) CHOICES.set(option, setting.choices);
  const group = GROUPS.find(([, table]) => Object.values(table).includes(setting));
  return group ? option.helpGroup(group[0]) : option;
}

/** Adds a copyable example to a command's help. */
export function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}

/** Refuses options between a command and one below it: they would be the upper one's, and would say nothing. */
export function optionsStandBehind(command: Command): void {
  command.enablePositionalOptions().hook('preSubcommand', (_, subcommand) => {
    if (Object.keys(command.opts()).length === 0) return;
    throw new GimmeError('usage', `options of ${command.name()} ${subcommand.name()} stand after it`);
  });
}
