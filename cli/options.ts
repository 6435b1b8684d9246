/** Turns tables of settings into commander's options; reading and judging values is `shared/io/config.ts`. */
import { type Command, Option } from 'commander';
import { describe, type Settings } from '../shared/io/config.ts';

/**
 * Adds an option for each row; commander keeps the raw text, and the row's name is the option's name. A row
 * without a flag (a secret) is told in the help by its variable.
 */
export function addSettings(command: Command, table: Settings): Command {
  const secrets: [string, string][] = [];
  for (const setting of Object.values(table)) {
    if (setting.flag !== undefined) command.addOption(new Option(setting.flag, describe(setting)));
    else if (setting.env !== undefined) secrets.push([`${setting.env}[_FILE]`, setting.sentence]);
  }
  if (secrets.length === 0) return command;
  const width = Math.max(...secrets.map(([name]) => name.length));
  const lines = secrets.map(([name, sentence]) => `  ${name.padEnd(width)}  ${sentence}`);
  const head = 'Secrets, by the environment only; …_FILE names a file that holds it:';
  return command.addHelpText('after', ['', head, ...lines].join('\n'));
}

/** Adds a copyable example to a command's help. */
export function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}
