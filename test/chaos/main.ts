/**
 * `npm run chaos`: kills and stops real processes while a newsletter goes out, and has the history judged. Exit
 * 0 when every promise held, 1 when one broke, 2 for a wrong command, 130 when it was interrupted.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onStop, type Stop } from '../../cli/signals.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { Cluster } from '../processes/cluster.ts';
import { provideTools } from '../tools.ts';
import { judge, type Verdict } from './checker.ts';
import { type ChaosOptions, readOptions } from './options.ts';
import { play } from './play.ts';

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  const given = args.filter((arg, i) => !arg.startsWith('--seed') && args[i - 1] !== '--seed').join(' ');
  console.error(`replay: npm run chaos -- ${given} --seed ${options.seed}`);
  if (options.link === 'nats') await provideTools();
  const cluster = new Cluster(await mkdtemp(join(tmpdir(), 'gimmework-chaos-')));
  let whole = false;
  try {
    const played = play(cluster, options, (line) => console.error(line));
    const interrupted = new Promise<Stop>((resolve) => {
      onStop(resolve);
    });
    const stories = await Promise.race([played, interrupted]);
    if (typeof stories === 'string')
      throw new GimmeError('detached', `stopped by ${stories}; nothing is left`);
    const verdicts = stories.map((story) => ({ effect: story.effect, ...judge(story) }));
    for (const verdict of verdicts) print(options, verdict);
    whole = verdicts.every(({ broken }) => broken.length === 0);
    return whole ? 0 : 1;
  } finally {
    await cluster.close(!whole);
    await rm(cluster.dir, { recursive: true, force: true });
  }
}

function print({ seed, link }: ChaosOptions, { effect, rows, broken }: Verdict & { effect: string }): void {
  console.log(`chaos, ${effect}, link ${link}, seed ${seed}`);
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
  for (const line of broken) console.log(`✗ ${line}`);
  console.log(broken.length === 0 ? '✓ every promise held' : `✗ ${broken.length} findings`);
}

function exitCodeOf(error: unknown): number {
  console.error(`chaos: ${error instanceof Error ? error.message : String(error)}`);
  return error instanceof GimmeError ? error.exitCode : 1;
}

process.exit(await main(process.argv.slice(2)).catch(exitCodeOf));
