/** Memory of a process as the kernel counts it. */
import { readFileSync } from 'node:fs';

const MB = 1024 * 1024;

/** Resident memory of a process now, in megabytes. */
export function rssMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kb) * 1024) / MB;
}

/** Watches the resident memory of a process; `peak` is the most that was seen since the last `reset`. */
export function watchRss(pid: number): { peak(): number; reset(): void; stop(): void } {
  let most = rssMb(pid);
  const look = (): void => {
    most = Math.max(most, rssMb(pid));
  };
  const timer = setInterval(look, 10);
  return {
    peak() {
      look();
      return most;
    },
    reset() {
      most = 0;
    },
    stop: () => clearInterval(timer),
  };
}
