/**
 * How V8 keeps the heap of a process that is a master. Nearly all that a busy master leaves behind are buffers and
 * records on their way to the store, which die young; what lives for long are about 15 MB, whatever runs.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * V8 collects young buffers when there are 32 MB of them, but counts them to the old generation as well, and so marked
 * the whole heap of 15 MB every 5 MB: with 200 sessions that was a third of a master's CPU time. Three and a half times
 * what lives is beyond those 32 MB. Much more only lets what has died among the old lie for longer: 8 MB a minute.
 */
const OLD_GROWTH = '--heap-growing-percent=250';

/**
 * V8 doubles the young part, up to 32 MB, once as much as it holds has outlived a collection, which with enough in
 * flight comes at some time: 20 MB more of memory, and no less CPU time. It grows up to this and no further; with half
 * of it more of what is in flight grows old, which costs more than it saves.
 */
const YOUNG_BYTES = 16 * 1024 * 1024;
const LOOK_EVERY_MS = 1_000;

/** Sets it up; from then on the young part is held down as long as the process lives. */
export function keepHeapSmall(): void {
  setFlagsFromString(OLD_GROWTH);
  // Again and again, since V8 gives the young part back while nothing happens, and must let it grow after that.
  setInterval(holdYoung, LOOK_EVERY_MS).unref();
}

function holdYoung(): void {
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  letYoungGrow(young !== undefined && young.space_size < YOUNG_BYTES);
}

function letYoungGrow(may: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);
}
