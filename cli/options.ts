/** Turns tables of settings into commander's options; reading and judging values is `shared/io/config.ts`. */
import { type Command, Option } from 'commander';
import { describe, type Settings } from '../shared/io/config.ts';

/** Adds an option for each row. Commander keeps the raw text; the row's name is the option's name. */
export function addSettings(command: Command, table: Settings): Command {
  for (const setting of Object.values(table)) command.addOption(new Option(setting.flag, describe(setting)));
  return command;
}

/** Adds a copyable example to a command's help. */
export function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}
