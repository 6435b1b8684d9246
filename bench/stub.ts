/** The mail server of a benchmark: `gimme smtp-stub` as a process of its own, and what it counted. */
import type { Child } from './child.ts';
import type { Place } from './place.ts';

export type StubCounts = { accepted: number; distinct: number; duplicates: number };

export type Stub = { child: Child; url: string };

/** Starts a stub that takes every mail, each after this wait. */
export async function startStub(place: Place, latencyMs = 0): Promise<Stub> {
  const args = ['--listen', '127.0.0.1:0', '--defer', '0%', '--reject', '0%', '--output', 'jsonl'];
  const child = place.gimme('stub', ['smtp-stub', ...args, '--latency', `${latencyMs}ms`]);
  const { listening } = JSON.parse(await child.line()) as { listening: { port: number } };
  return { child, url: `smtp://127.0.0.1:${listening.port}` };
}

/** Stops it; throws unless it got each of `units` mails exactly once. */
export async function stopStub({ child }: Stub, units: number): Promise<StubCounts> {
  const stopped = child.stop();
  const { counts } = JSON.parse(await child.line()) as { counts: StubCounts };
  await stopped;
  if (counts.distinct !== units || counts.duplicates !== 0) {
    throw new Error(`the stub got ${counts.distinct} of ${units} mails, ${counts.duplicates} twice`);
  }
  return counts;
}
