/**
 * Reads a V8 CPU profile and says where the time went: self time by function and file, within a window.
 *
 * F1: a sample counts until the next one. F2: idle time is no cost: shares are of the busy time.
 */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fixed, percent, table } from './table.ts';

type Frame = { functionName: string; url: string; lineNumber: number; columnNumber: number };
export type CpuProfile = {
  nodes: { id: number; callFrame: Frame }[];
  startTime: number;
  samples: number[];
  timeDeltas: number[];
};
export type Window = { fromUs: number; toUs: number };
export type Cost = { name: string; where: string; selfUs: number };
export type Costs = { windowUs: number; busyUs: number; top: Cost[] };

const TOP = 20;

/** The costs of a window of a profile, highest first. `build` is the folder that built files are shown from. */
export function costsOf(profile: CpuProfile, window: Window, build: string): Costs {
  const places = new Places(build);
  const nameOf = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const costs = new Map<string, Cost>();
  let idleUs = 0;
  let atUs = profile.startTime + (profile.timeDeltas[0] ?? 0);
  for (let i = 0; i < profile.samples.length; i++) {
    const nextUs = atUs + (profile.timeDeltas[i + 1] ?? 0);
    const selfUs = Math.min(nextUs, window.toUs) - Math.max(atUs, window.fromUs); // F1
    atUs = nextUs;
    const frame = nameOf.get(profile.samples[i] as number);
    if (selfUs <= 0 || !frame) continue;
    if (frame.functionName === '(idle)') {
      idleUs += selfUs; // F2
      continue;
    }
    const name = frame.functionName || '(anonymous)';
    const where = places.of(frame);
    const key = `${name} ${where}`;
    const cost = costs.get(key);
    if (cost) cost.selfUs += selfUs;
    else costs.set(key, { name, where, selfUs });
  }
  const windowUs = Math.min(atUs, window.toUs) - Math.max(profile.startTime, window.fromUs);
  const top = [...costs.values()].sort((a, b) => b.selfUs - a.selfUs);
  return { windowUs, busyUs: windowUs - idleUs, top };
}

/** The top costs in a profile file as lines to print. */
export function profileLines(
  file: string,
  title: string,
  window: Window,
  units: number,
  build: string,
): string[] {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const { windowUs, busyUs, top } = costsOf(profile, window, build);
  const rows = top
    .slice(0, TOP)
    .map(({ name, where, selfUs }) => [
      name,
      fixed(selfUs / 1_000, 1),
      percent(selfUs / busyUs),
      fixed(selfUs / units, 3),
      where,
    ]);
  const busy = `busy ${percent(busyUs / windowUs)} of ${fixed(windowUs / 1_000, 0)} ms`;
  return [`${title}: ${busy}`, ...table(['function', 'self ms', 'of busy', 'µs/unit', 'where'], rows)];
}

/** Where functions are, in the sources: `file:line` from the root. */
class Places {
  readonly #build: string;
  readonly #maps = new Map<string, SourceMap | undefined>();

  constructor(build: string) {
    this.#build = build;
  }

  of({ url, lineNumber, columnNumber }: Frame): string {
    if (!url.startsWith('file:')) return url === '' ? 'native' : url;
    const path = fileURLToPath(url);
    const package_ = /node_modules\/((?:@[^/]+\/)?[^/]+\/.*)$/.exec(path)?.[1];
    if (package_ !== undefined) return `${package_}:${lineNumber + 1}`;
    const line = this.#mapOf(path)?.findEntry(lineNumber, columnNumber);
    const at = line && 'originalLine' in line ? line.originalLine : lineNumber;
    return `${relative(this.#build, path).replace(/\.js$/, '.ts')}:${at + 1}`;
  }

  #mapOf(path: string): SourceMap | undefined {
    if (this.#maps.has(path)) return this.#maps.get(path);
    let map: SourceMap | undefined;
    try {
      map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8')));
    } catch {
      // Not a built file of ours: its own lines will do.
    }
    this.#maps.set(path, map);
    return map;
  }
}
