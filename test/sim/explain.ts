/** What a person is told of a simulation that failed: what broke, the story of the unit, and how to see it again. */
import type { Simulation } from './simulation.ts';
import { Broken } from './story.ts';

/** Lines of a story that are shown: its beginning and its end. */
const HEAD_LINES = 20;
const TAIL_LINES = 40;

export function explain(seed: number, simulation: Simulation, error: unknown): string {
  const lines = [`✗ seed ${seed}: ${error instanceof Error ? error.message : String(error)}`];
  if (error instanceof Broken) lines.push(...shortened(simulation.storyOf(error)).map((line) => `  ${line}`));
  else if (error instanceof Error) lines.push(error.stack ?? '');
  lines.push(`replay: npm run sim -- --seed ${seed}`);
  return lines.join('\n');
}

function shortened(lines: string[]): string[] {
  const left = lines.length - HEAD_LINES - TAIL_LINES;
  if (left <= 0) return lines;
  return [...lines.slice(0, HEAD_LINES), `… ${left} more …`, ...lines.slice(-TAIL_LINES)];
}
