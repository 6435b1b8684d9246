/**
 * The script that completes `gimme` in a shell, made from the tree of commands: it holds all words itself and
 * asks nothing at run time. Owns the script only.
 *
 * C1: what is not known here (a file, a name) is left to the shell, which completes files.
 */
import type { Command } from 'commander';
import { CHOICES } from './options.ts';

export type Shell = 'bash' | 'zsh';

type Words = {
  /** Commands and flags that may follow, by path; the path of `gimme epic ls` is ` epic ls`. */
  after: [string, string[]][];
  /** Values of a flag, by path and flag. */
  values: [string, string[]][];
};

export function completionScript(program: Command, shell: Shell): string {
  const words = wordsOf(program);
  const start = shell === 'zsh' ? ['autoload -U +X compinit && compinit', ZSH_BASHCOMPINIT] : [];
  return [
    `# Completes gimme. Load it with: eval "$(gimme completion ${shell})"`,
    ...start,
    '_gimme() {',
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" path="" words="" word',
    '  for word in "${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do',
    '    case "$path $word" in',
    `      ${words.after
      .slice(1)
      .map(([path]) => quoted(path))
      .join('|')}) path="$path $word" ;;`,
    '    esac',
    '  done',
    '  case "$path" in',
    ...words.after.map(([path, list]) => `    ${quoted(path)}) words=${quoted(list.join(' '))} ;;`),
    '  esac',
    '  case "$path $prev" in',
    ...words.values.map(([path, list]) => `    ${quoted(path)}) words=${quoted(list.join(' '))} ;;`),
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
    '}',
    'complete -o default -F _gimme gimme',
  ].join('\n');
}

const ZSH_BASHCOMPINIT = 'autoload -U +X bashcompinit && bashcompinit';

function wordsOf(command: Command, path = ''): Words {
  const options = command.options.flatMap(({ long, short, hidden }) => (hidden ? [] : [long ?? short ?? '']));
  const here: Words = {
    after: [[path, [...command.commands.map((child) => child.name()), ...options, '--help']]],
    values: command.options.flatMap((option) => {
      const choices = CHOICES.get(option);
      const flags = [option.long, option.short].filter((flag) => flag !== undefined);
      return choices ? flags.map((flag): [string, string[]] => [`${path} ${flag}`, [...choices]]) : [];
    }),
  };
  for (const child of command.commands) {
    const below = wordsOf(child, `${path} ${child.name()}`);
    here.after.push(...below.after);
    here.values.push(...below.values);
  }
  return here;
}

function quoted(text: string): string {
  return `'${text}'`;
}
