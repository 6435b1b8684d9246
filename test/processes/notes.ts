/** What workers of the fixture `recoveryWorks.ts` wrote down: which unit ran when, in which process. */
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

export type Note = { unit: number; atMs: number; pid: number };

/** Notes as far as they are written. */
export function readNotes(path: string): Note[] {
  if (!existsSync(path)) return [];
  const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => {
    const [unit, atMs, pid] = line.split(' ').map(Number) as [number, number, number];
    return { unit, atMs, pid };
  });
}

/** Units that ran more than once, ascending. */
export function twice(notes: readonly Note[]): number[] {
  const seen = new Set<number>();
  const again = new Set<number>();
  for (const { unit } of notes) (seen.has(unit) ? again : seen).add(unit);
  return [...again].sort((a, b) => a - b);
}

/** Writes the units 0 to `count` as NDJSON, each of about this many bytes. */
export async function writeRows(path: string, count: number, bytes: number): Promise<string> {
  const pad = 'x'.repeat(bytes);
  let text = '';
  for (let n = 0; n < count; n++) text += `${JSON.stringify({ n, pad: pad.slice(String(n).length) })}\n`;
  await writeFile(path, text);
  return path;
}
