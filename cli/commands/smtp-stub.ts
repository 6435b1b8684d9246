/** `gimme smtp-stub`: a mail server that delivers nothing, misbehaves as told and counts. */
import type { Command } from 'commander';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, print, say } from '../output.ts';
import { SMTP_STUB } from '../settings.ts';
import { stopped } from '../signals.ts';

export function addSmtpStub(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('smtp-stub')
    .summary('run a mail server for trials: it delivers nothing and counts')
    .description(
      'Takes mails and drops them; defers, rejects, stalls or loses replies as told. Prints its counts when stopped.',
    );
  addSettings(command, SMTP_STUB);
  example(command, 'gimme smtp-stub --defer 2% --reject 1% --latency 20ms');
  command.action(async (flags: Record<string, unknown>) => ended(await run(flags)));
}

async function run(flags: Record<string, unknown>): Promise<number> {
  const settings = readConfig(SMTP_STUB, flags);
  const { listen, defer, reject, stall, dropReply, latency, report, output } = settings;
  const { startSmtpStub } = await import('../../works/newsletter/main.ts');
  const stop = stopped();
  const shares = { defer, reject, stall, dropReply };
  const stub = await startSmtpStub({
    listen,
    ...shares,
    latencyMs: latency,
    ...(report === undefined ? {} : { report }),
  });
  const at = { address: stub.address, port: stub.port };
  if (output === 'text')
    say(`smtp stub listens on ${at.address}:${at.port}; Ctrl-C stops it and prints its counts`);
  else print(JSON.stringify({ listening: at }));
  await stop;
  await stub.close();
  const counts = stub.counts();
  if (output !== 'text') print(JSON.stringify({ counts }));
  else
    print(
      Object.entries(counts)
        .map(([name, n]) => `${words(name)} ${count(n)}`)
        .join('   '),
    );
  return 0;
}

function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
