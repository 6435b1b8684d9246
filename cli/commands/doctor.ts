/** `gimme doctor`: looks at what a node needs before one is started, a line for each thing. Exit 1 if any fails. */
import type { Command } from 'commander';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { checkData, checkListen, checkNode, checkSmtp, type Finding } from '../checks.ts';
import { NATS, natsOf } from '../natsSettings.ts';
import { addSettings, example } from '../options.ts';
import { print } from '../output.ts';
import { CLIENT, MASTER, WORKER } from '../settings.ts';

const DOCTOR = {
  listen: { ...MASTER.listen, sentence: 'where a master would serve' },
  data: { ...MASTER.data, sentence: 'folder that a master would use' },
  smtp: { ...WORKER.smtp, sentence: 'mail server to talk to; give a password by the environment' },
  ...NATS,
  output: CLIENT.output,
} as const satisfies Settings;

export function addDoctor(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('doctor')
    .summary('check what a node needs on this machine, and say what to do')
    .description(
      'Checks Node, the address and folder of a master, and NATS and SMTP where they are given. Changes nothing.',
    );
  addSettings(command, DOCTOR);
  example(command, 'gimme doctor --nats nats://127.0.0.1:4222 --smtp smtp://127.0.0.1:2525');
  command.action(async (flags: Record<string, unknown>) => ended(await run(flags)));
}

async function run(flags: Record<string, unknown>): Promise<number> {
  const settings = readConfig(DOCTOR, flags);
  const [nats, listen, data, smtp] = await Promise.all([
    natsChecks(natsOf(settings, flags)),
    checkListen(settings.listen),
    checkData(settings.data),
    smtpChecks(settings.smtp),
  ]);
  const findings = [checkNode(process.versions.node), ...nats, listen, data, ...smtp];
  const ok = findings.every(({ level }) => level !== 'fail');
  if (settings.output === 'json') print(JSON.stringify({ ok, checks: findings }));
  else if (settings.output === 'jsonl') for (const finding of findings) print(JSON.stringify(finding));
  else for (const finding of findings) print(lineOf(finding));
  return ok ? 0 : 1;
}

async function natsChecks(nats: ReturnType<typeof natsOf>): Promise<Finding[]> {
  if (!nats) return [];
  const { checkNats } = await import('../natsCheck.ts');
  return checkNats(nats);
}

async function smtpChecks(smtp: string | undefined): Promise<Finding[]> {
  return smtp === undefined ? [] : [await checkSmtp(smtp)];
}

function lineOf({ level, name, what, todo }: Finding): string {
  return `${level.padEnd(4)}  ${name.padEnd(6)}  ${what}${todo === undefined ? '' : `: ${todo}`}`;
}
