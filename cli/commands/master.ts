/** `gimme master`: runs a master until it is told to stop. Below it is the command about masters, which asks one. */
import type { Command } from 'commander';
import type { MasterConfig } from '../../master/main.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { readConfig } from '../../shared/io/config.ts';
import { createLog, type LogFormat, type LogLevel } from '../../shared/io/log.ts';
import { keepHeapSmall } from '../masterHeap.ts';
import { natsOf } from '../natsSettings.ts';
import { addSettings, example, optionsStandBehind } from '../options.ts';
import { print, storeWords } from '../output.ts';
import { MASTER } from '../settings.ts';
import { stopped } from '../signals.ts';
import { addMasterLs } from './master-ls.ts';

export function addMaster(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('master')
    .summary('run a master: it takes epics and hands their units to workers; or see to masters (ls)')
    .usage('[options]\n       gimme master <command> [options]')
    .description(
      'Takes epics and hands their units to workers, until SIGTERM or Ctrl-C. Nothing is lost by a stop.',
    );
  addSettings(command, MASTER);
  example(
    command,
    'gimme master --listen 0.0.0.0:7171 --data /var/lib/gimmework --nats nats://127.0.0.1:4222',
  );
  command.action(async (flags: Record<string, unknown>) => ended(await run(flags)));
  optionsStandBehind(command);
  addMasterLs(command, ended);
}

/** Webhooks that the settings allow. Throws bad_config where they do not fit. */
function webhooksOf(secretFile: string | undefined, allow: string[] = []): MasterConfig['webhooks'] {
  const wrong = allow.find((target) => !/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):\d{1,5}$/.test(target));
  if (wrong !== undefined)
    throw new GimmeError(
      'bad_config',
      `--webhook-allow ${JSON.stringify(wrong)} must be host:port in lower case`,
    );
  if (secretFile !== undefined) return { secretFile, allow };
  if (allow.length === 0) return undefined;
  throw new GimmeError('bad_config', '--webhook-allow says nothing without --webhook-secret-file');
}

async function run(flags: Record<string, unknown>): Promise<number> {
  const settings = readConfig(MASTER, flags);
  const { listen, data, retention, logLevel, logFormat } = settings;
  const nats = natsOf(settings, flags);
  const webhooks = webhooksOf(settings.webhookSecretFile, settings.webhookAllow);
  const log = createLog({ level: logLevel as LogLevel, format: logFormat as LogFormat });
  keepHeapSmall();
  const { startMaster } = await import('../../master/main.ts');
  const stop = stopped();
  const starting = startMaster({
    ...listen,
    dataDir: data,
    log,
    settings: { retentionMs: retention },
    ...(nats && { nats }),
    ...(webhooks && { webhooks }),
  });
  // It may wait for NATS, and should not have to be waited for.
  const early = await Promise.race([starting.then(() => undefined), stop]);
  if (early !== undefined) return 0;
  const master = await starting;
  print(`master   ${master.url}   store ${storeWords(master.store)}   link ${master.link}`);
  const why = await stop;
  log.info('stopping', { why });
  await master.stop();
  return 0;
}
