/** `gimme epic why`: what an epic waits for and what went wrong in it; or the story of one unit. */
import type { Command } from 'commander';
import { Client, type EpicStatus, type FailureGroup, isOver, type UnitStory } from '../../client/index.ts';
import { ERRORS } from '../../shared/core/errors.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, details, oneLine, print, say } from '../output.ts';
import { CLIENT } from '../settings.ts';
import { failureHint } from '../unitWords.ts';
import { failureLines } from './epic-failures.ts';

export function addWhy(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('why <epic> [unit]')
    .summary('say what an epic waits for, or tell the story of one unit, by number or key')
    .description(
      'Says what an epic waits for, or tells the story of one unit: by its number, from 0, or by its key where it waits, failed or is unknown.',
    );
  addSettings(command, CLIENT);
  example(command, 'gimme epic why weekly-47 someone@example.com');
  command.action(async (idOrName: string, unit: string | undefined, flags: Record<string, unknown>) => {
    const { master, output } = readConfig(CLIENT, flags);
    const client = new Client({ master });
    if (unit === undefined) await whyEpic(client, idOrName, output);
    else await whyUnit(client, idOrName, unit, output);
    ended(0);
  });
}

async function whyEpic(client: Client, idOrName: string, output: string): Promise<void> {
  const epic = await client.status(idOrName);
  const failures = await client.failures(epic.id);
  if (output !== 'text') return print(JSON.stringify({ epic, failures }));
  for (const line of details({ ...epic, faults: {}, examples: [] })) print(line);
  for (const line of failureLines(failures)) print(`  ${line}`);
  for (const line of advice(failures)) print(`  ${line}`);
  say(`Next: ${nextSteps(epic, failures)}`);
}

/** What to do about each code that is Gimmework's own; a work's own codes are its author's. */
function advice(failures: readonly FailureGroup[]): string[] {
  return failures.flatMap(({ code }) =>
    Object.hasOwn(ERRORS, code) ? [`${code}: ${ERRORS[code as keyof typeof ERRORS].next}`] : [],
  );
}

function nextSteps(epic: EpicStatus, failures: readonly FailureGroup[]): string {
  const { id, state, paused } = epic;
  if (failures.length > 0) return failureHint(epic, failures);
  if (isOver(state)) return `gimme epic get ${id}`;
  return paused === undefined ? `gimme epic watch ${id}` : `gimme epic resume ${id}`;
}

async function whyUnit(client: Client, idOrName: string, unit: string, output: string): Promise<void> {
  const told = await client.story(idOrName, unitOf(unit));
  if (output !== 'text') return print(JSON.stringify(told));
  for (const line of unitLines(told)) print(line);
}

/** A number is a unit's; anything else its key. */
function unitOf(text: string): number | { key: string } {
  if (/^\d{1,16}$/.test(text)) return Number(text);
  return { key: text.startsWith('key:') ? text.slice(4) : text };
}

function unitLines({ unit, record, state, standing, view, events }: UnitStory): string[] {
  const key = view?.key === undefined ? '' : `, ${oneLine(view.key)}`;
  return [
    `unit ${unit} (record ${count(record)}${key}) is ${state}: ${oneLine(standing)}`,
    ...(view?.data === undefined ? [] : [`  data  ${oneLine(view.data)}`]),
    ...events.map(({ at, what }) => `  ${at}  ${oneLine(what)}`),
  ];
}
