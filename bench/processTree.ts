/** CPU time of a process and of all that it started: servers that work in many processes are counted as one. */
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts CPU time for its readers in hundredths of a second, whatever the kernel was built with. */
const MS_PER_TICK = 10;

type Stat = { pid: number; parent: number; ticks: number };

/** User and system time so far, all threads, to 10 ms; what ended is in it once its parent has waited for it. */
export function treeCpuMs(root: number): number {
  const children = new Map<number, Stat[]>();
  for (const stat of readdirSync('/proc').filter(isNumber).flatMap(statOf)) {
    const siblings = children.get(stat.parent);
    if (siblings) siblings.push(stat);
    else children.set(stat.parent, [stat]);
  }
  let ticks = 0;
  const open = statOf(String(root));
  for (let stat = open.pop(); stat; stat = open.pop()) {
    ticks += stat.ticks;
    open.push(...(children.get(stat.pid) ?? []));
  }
  return ticks * MS_PER_TICK;
}

function isNumber(name: string): boolean {
  return /^\d+$/.test(name);
}

/** Nothing for one that has ended meanwhile. */
function statOf(pid: string): Stat[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return [];
  }
  // proc(5): its name, which may hold anything, is in brackets; then state, parent; from the 12th on utime, stime,
  // and the two of the children that it has waited for.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0);
  return [{ pid: Number(pid), parent: Number(fields[1]), ticks }];
}
