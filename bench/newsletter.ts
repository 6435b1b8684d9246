/** `newsletter`: mails rendered and sent by SMTP to a server in its own process; nobody gets one twice. */
import { join } from 'node:path';
import { readBrief } from '../cli/brief.ts';
import { stdin } from '../client/index.ts';
import { generateRecipients, samplePaths } from '../works/newsletter/main.ts';
import type { Benchmark } from './benchmark.ts';
import { Cluster, profilePath } from './cluster.ts';
import { MAIL_SLOTS, signing } from './mailing.ts';
import { profileLines } from './profile.ts';
import { startSink, stopStub } from './stub.ts';
import { fixed, table, whole } from './table.ts';

const RECIPIENTS = 20_000;

export const newsletter: Benchmark = async (place, options) => {
  const units = options.units ?? RECIPIENTS;
  const { workers, slots = MAIL_SLOTS, link } = options;
  const sink = await startSink(place);
  const profiles = options.profile ? { profiles: join(options.out, 'newsletter') } : {};
  const workerArgs = ['--smtp', sink.url, ...(options.dkim ? signing(place) : [])];
  const cluster = await Cluster.start(place, {
    workers,
    slots,
    link,
    works: 'newsletter',
    workerArgs,
    ...profiles,
  });
  const brief = await readBrief(samplePaths().brief);
  const source = stdin('csv', generateRecipients(units));
  const sinkBefore = sink.child.cpuMs();
  const run = await Promise.race([
    cluster.run({ work: 'newsletter', source, brief }, units),
    sink.child.failed,
  ]);
  const cpuMs: Record<string, number> = { ...run.cpuMs, sink: sink.child.cpuMs() - sinkBefore };
  await cluster.stop();
  const counts = await stopStub(sink, units);
  const rows = Object.entries(cpuMs).map(([name, ms]) => [name, fixed((ms * 1_000) / units, 1)]);
  const lines = [
    `${whole((units * 1_000) / run.settlingMs)} mails/s: ${whole(units)} in ${fixed(run.settlingMs / 1_000, 1)} s, 0 duplicates`,
    `store ${run.store}, link ${run.link}`,
    `longest time without a settled mail: ${run.longestPauseMs} ms`,
    '',
    ...table(['CPU µs/mail', ''], rows),
  ];
  if (profiles.profiles !== undefined) {
    for (const name of ['master', 'worker'] as const) {
      const file = profilePath(profiles.profiles, name);
      lines.push('', ...profileLines(file, name, run.window, units, place.built('')));
    }
  }
  const broken = cluster.complaints().map((line) => `a process complained: ${line}`);
  return { lines, results: { ...run, cpuMs, counts }, broken };
};
