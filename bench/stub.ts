/** The mail server of a benchmark as a process of its own, and what it counted. */
import type { Child } from './child.ts';
import type { Place } from './place.ts';

export type StubCounts = { accepted: number; distinct: number; duplicates: number };

export type Stub = { child: Child; url: string };

/** Starts `gimme smtp-stub`, which takes every mail, each after this wait. */
export function startStub(place: Place, latencyMs: number): Promise<Stub> {
  const args = ['--listen', '127.0.0.1:0', '--defer', '0%', '--reject', '0%', '--output', 'jsonl'];
  return listening(place.gimme('stub', ['smtp-stub', ...args, '--latency', `${latencyMs}ms`]));
}

/** Starts a mail server that costs next to nothing, for what is to be limited by its clients. */
export function startSink(place: Place): Promise<Stub> {
  const args = [place.built('bench/works/sink.js')];
  return listening(place.start({ name: 'sink', command: process.execPath, args }));
}

async function listening(child: Child): Promise<Stub> {
  const said = JSON.parse(await child.line()) as { listening: { port: number } };
  return { child, url: `smtp://127.0.0.1:${said.listening.port}` };
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
