/**
 * `gimme dev`: a master and workers of one works module, in one command, with the workers started again whenever
 * its code changes. The master stays: epics go on where they were.
 *
 * V1: workers that are replaced drain for a moment; what they had not begun goes back to the master.
 * V2: a module that does not load ends nothing: its fault is shown, and the next change tried.
 */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { GimmeError } from '../../shared/core/errors.ts';
import { type Listen, readConfig, type Settings } from '../../shared/io/config.ts';
import { createLog } from '../../shared/io/log.ts';
import { Child } from '../children.ts';
import { addSettings, example } from '../options.ts';
import { oneLine, print, say, storeWords } from '../output.ts';
import { DEMO, MASTER, WORKER } from '../settings.ts';
import { stopped } from '../signals.ts';
import { watchSources } from '../sourceWatch.ts';

const STOP_PATIENCE_MS = 5_000;
const DEV = {
  workers: { ...DEMO.workers, sentence: 'worker processes' },
  slots: WORKER.slots,
  listen: MASTER.listen,
  data: MASTER.data,
} as const satisfies Settings;

type DevSettings = { workers: number; slots: number; listen: Listen; data: string };

export function addDev(program: Command, entry: string, ended: (exitCode: number) => void): void {
  const command = program
    .command('dev <works>')
    .summary('run a master and workers of a works module; workers restart when it changes')
    .description(
      'Runs a master and workers in one command, and starts the workers again when the code changes.',
    );
  addSettings(command, DEV);
  example(command, 'gimme dev works.ts --workers 2');
  command.action(async (works: string, flags: Record<string, unknown>) => {
    const settings = readConfig(DEV, flags);
    if (!existsSync(works)) throw new GimmeError('bad_works', `works module ${works} does not exist`);
    await dev(entry, works, settings);
    ended(0);
  });
}

async function dev(
  entry: string,
  works: string,
  { workers, slots, listen, data }: DevSettings,
): Promise<void> {
  const stop = stopped();
  const { startMaster } = await import('../../master/main.ts');
  const log = createLog({ level: 'info', format: 'text' });
  const master = await startMaster({ ...listen, dataDir: data, log });
  const url = master.url.replace(/^http/, 'ws').replace('//0.0.0.0:', '//127.0.0.1:');
  print(`master   ${master.url}   store ${storeWords(master.store)}   link ${master.link}`);
  say('Next: gimme epic submit <work> --source <file> --watch');
  const crew = new Crew(
    Array.from({ length: workers }, (_, i) => {
      const args = ['worker', '--works', works, '--master', url, '--slots', String(slots)];
      const name = `dev-${i + 1}`;
      return () => new Child(name, entry, [...args, '--name', name], {}, (line) => say(`${name}  ${line}`));
    }),
  );
  const leave = (): void => crew.kill();
  process.once('exit', leave);
  crew.start();
  let unwatch = (): void => {};
  const watchAgain = (): void => {
    unwatch();
    unwatch = watchSources(works, (file) => {
      say(`${oneLine(file)} changed: the workers start again`);
      watchAgain();
      void crew.replace();
    });
  };
  watchAgain();
  await stop;
  unwatch();
  await crew.stop();
  await master.stop();
  process.off('exit', leave);
}

/** The workers of now. Replacing is done one after the other, however often it is asked for. */
class Crew {
  readonly #make: readonly (() => Child)[];
  #members: Child[] = [];
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(make: readonly (() => Child)[]) {
    this.#make = make;
  }

  start(): void {
    if (this.#isOver) return;
    this.#members = this.#make.map((make) => make());
    const started = this.#members;
    for (const member of started) {
      void member.ended.then((code) => {
        const isWanted = !this.#isOver && this.#members === started;
        if (isWanted && code !== 0)
          say(`${member.name}  ended with ${code}; it starts again at the next change`); // V2
      });
    }
  }

  replace(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const before = this.#members;
      this.#members = [];
      await Promise.all(before.map((member) => member.stop(STOP_PATIENCE_MS))); // V1
      this.start();
    });
    return this.#turn;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#turn;
    await Promise.all(this.#members.map((member) => member.stop(STOP_PATIENCE_MS)));
  }

  kill(): void {
    for (const member of this.#members) member.kill();
  }
}
