/** What is planned of one gather, and the words in which its items and answers are told apart. */
import { createHash } from 'node:crypto';
import type { GatherAsked } from '../../master/core/records.ts';
import type { Dice } from './dice.ts';
import { gatherOf, type SimWork } from './works.ts';

export type PlannedGather = {
  asked: GatherAsked;
  items: number;
  /** Items of one part. */
  partItems: number;
  /** The responder of each item, '' for anybody; undefined where all are for anybody. */
  to: string[] | undefined;
  /** Of a broadcast: who is asked. */
  labels: Record<string, string> | undefined;
};

/** Draws a gather; one of a `calm` plan waits for everybody. */
export function drawGather(
  dice: Dice,
  work: SimWork,
  { names, isCalm }: { names: readonly string[]; isCalm: boolean },
): PlannedGather {
  const items = dice.chance(0.1) ? 0 : dice.whole(1, 80);
  const partItems = dice.pick([1, 7, 100]);
  const area = dice.pick(['north', 'south']);
  const to = Array.from({ length: items }, () => dice.pick([...names, '', isCalm ? '' : 'nobody']));
  const isAddressed = dice.chance(0.4);
  const enough = dice.whole(1, 60);
  const isEnough = dice.chance(0.3) && !isCalm;
  const asked: GatherAsked = {
    ...(dice.chance(0.5) && { deadlineMs: dice.between(1_000, 25_000) }),
    ...(isEnough && { enough }),
    ...(dice.chance(0.35) && { quorum: dice.whole(0, isEnough ? enough : items) }),
  };
  const isBroadcast = gatherOf(work)?.scatter === 'labels';
  return {
    asked: isCalm ? { deadlineMs: 60_000, enough: 1_000, quorum: 0 } : asked,
    items: isBroadcast ? 0 : items,
    partItems,
    to: isAddressed && !isBroadcast ? to : undefined,
    labels: isBroadcast ? { area } : undefined,
  };
}

/** Item number `i` of what a scatter under this token gives. */
export function itemOf(token: string, i: number): string {
  return `{"by":"${token}","i":${i}}`;
}

/** What a unit answers under this token. */
export function answerOf(token: string, unit: number): string {
  return `"${unit} by ${token}"`;
}

/** What a fold makes of these answers. */
export function valueOf(answers: readonly (readonly [number, string])[]): string {
  return JSON.stringify([...answers].sort(([a], [b]) => a - b));
}

export function hashOf(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}
