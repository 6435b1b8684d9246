/**
 * The tree of commands. Owns what stands in it, in which group it is shown, and what every help has in common;
 * what a command does is in `commands/`.
 */
import { Command } from 'commander';
import { VERSION } from '../shared/io/version.ts';
import { addAsk } from './commands/ask.ts';
import { addCompletion } from './commands/completion.ts';
import { addConfig } from './commands/config-print.ts';
import { addDemo } from './commands/demo.ts';
import { addDev } from './commands/dev.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEpic } from './commands/epic.ts';
import { addInit } from './commands/init.ts';
import { addMaster } from './commands/master.ts';
import { addOpenapi } from './commands/openapi.ts';
import { addSmtpStub } from './commands/smtp-stub.ts';
import { addStatus } from './commands/status.ts';
import { addTop } from './commands/top.ts';
import { addWorker } from './commands/worker.ts';
import { example } from './options.ts';

const EXIT_CODES = `
Exit codes:
  0  ok                            5    the epic failed or was cancelled
  1  error                         6    finished with failed, unknown or missing units
  2  usage or bad configuration    7    not found
  3  wait timed out                8    not in a state that allows it
  4  credentials refused           130  detached by Ctrl-C; the epic runs on`;

/** Builds all commands; `entry` is the command's own file, `ended` is told the exit code. */
export function buildProgram(entry: string, ended: (exitCode: number) => void): Command {
  const program = new Command('gimme')
    .description(
      'Gimmework: a million things done by many machines, each ending in exactly one recorded outcome.',
    )
    .usage('<command> [options]')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this; `gimme <command> --help` has options and an example')
    .helpCommand(false)
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(true)
    .addHelpText('after', EXIT_CODES);
  program.commandsGroup('Start here:');
  addDemo(program, entry, ended);
  addInit(program, ended);
  addDev(program, entry, ended);
  addDoctor(program, ended);
  program.commandsGroup('Nodes:');
  addMaster(program, ended);
  addWorker(program, ended);
  program.commandsGroup('Epics:');
  addEpic(program, ended);
  program.commandsGroup('Scatter:');
  addAsk(program, ended);
  program.commandsGroup('Mail:');
  addSmtpStub(program, ended);
  program.commandsGroup('Cluster:');
  addStatus(program, ended);
  addTop(program, ended);
  program.commandsGroup('Setup:');
  addConfig(program, ended);
  addOpenapi(program, ended);
  addCompletion(program, ended);
  example(program, 'gimme demo');
  describeAll(program);
  return program;
}

/** A command's help begins with what it is for, also where its summary says it all. */
function describeAll(parent: Command): void {
  for (const command of parent.commands) {
    const summary = command.summary();
    if (command.description() === '') command.description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`);
    command.helpCommand(false).helpOption('-h, --help', 'show this');
    describeAll(command);
  }
}
