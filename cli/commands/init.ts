/** `gimme init`: a project with one work and one sample file, ready to run. It overwrites nothing. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { GimmeError } from '../../shared/core/errors.ts';
import { example } from '../options.ts';
import { oneLine, print, say } from '../output.ts';
import { projectFiles } from '../project.ts';

export function addInit(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('init <dir>')
    .summary('make a project with one work and one sample file, ready to run')
    .description(
      'Makes a folder with a work of your own, a sample file for it and a README; needs no npm install.',
    );
  example(command, 'gimme init my-works');
  command.action(async (dir: string) => {
    await make(dir);
    ended(0);
  });
}

async function make(dir: string): Promise<void> {
  const name = basename(resolve(dir))
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const files = projectFiles(name || 'my-works');
  try {
    await mkdir(dir).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
    if ((await readdir(dir)).length > 0) {
      throw new GimmeError('usage', `${dir} is not empty; name a folder that is new or empty`);
    }
    for (const [file, text] of Object.entries(files)) await writeFile(join(dir, file), text, { flag: 'wx' });
  } catch (cause) {
    if (cause instanceof GimmeError) throw cause;
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new GimmeError('usage', `cannot make a project in ${dir} (${why}); name another folder`, { cause });
  }
  print(`made ${oneLine(dir)}: ${Object.keys(files).join(', ')}`);
  const quoted = /^[\w./-]+$/.test(dir) ? dir : `'${oneLine(dir).replaceAll("'", "'\\''")}'`;
  say(`Next: cd ${quoted} && gimme dev works.ts`);
}
