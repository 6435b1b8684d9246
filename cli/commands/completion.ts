/** `gimme completion`: prints the script that completes this command in a shell. */
import { Argument, type Command } from 'commander';
import { completionScript, type Shell } from '../completion.ts';
import { example } from '../options.ts';
import { print } from '../output.ts';

export function addCompletion(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('completion')
    .summary('print a script that completes this command in bash or zsh')
    .description(
      'Prints a script that a shell loads: append it to its startup file, such as ~/.bashrc or ~/.zshrc.',
    )
    .addArgument(new Argument('<shell>', 'bash or zsh').choices(['bash', 'zsh']));
  example(command, 'gimme completion bash >> ~/.bashrc');
  command.action((shell: Shell) => {
    print(completionScript(program, shell));
    ended(0);
  });
}
