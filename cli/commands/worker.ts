/**
 * `gimme worker`: offers works to a master until it is told to stop, then drains. Below it are the commands about
 * workers, which are an operator's: they ask a master.
 */
import type { Command } from 'commander';
import { readConfig } from '../../shared/io/config.ts';
import { createLog, type LogFormat, type LogLevel } from '../../shared/io/log.ts';
import { isNatsLink, natsOf } from '../natsSettings.ts';
import { addSettings, example, optionsStandBehind } from '../options.ts';
import { WORKER } from '../settings.ts';
import { stopped } from '../signals.ts';
import { loadWorks } from '../works.ts';
import { addWorkerDrain } from './worker-drain.ts';
import { addWorkerLs } from './worker-ls.ts';

export function addWorker(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('worker')
    .summary('run a worker: it pulls units of the works it offers; or see to workers (ls, drain)')
    .usage('--works <module...> [options]\n       gimme worker <command> [options]')
    .description('Pulls and runs units. SIGTERM or Ctrl-C drains: begun units end, the others go back.');
  addSettings(command, WORKER);
  example(command, 'gimme worker --works newsletter --smtp smtp://127.0.0.1:2525 --slots 16');
  command.action(async (flags: Record<string, unknown>) => ended(await run(flags)));
  optionsStandBehind(command);
  addWorkerLs(command, ended);
  addWorkerDrain(command, ended);
}

async function run(flags: Record<string, unknown>): Promise<number> {
  const isNats = isNatsLink(flags);
  const settings = readConfig(WORKER, flags);
  const nats = natsOf(isNats ? settings : { ...settings, nats: undefined }, flags);
  const log = createLog({ level: settings.logLevel as LogLevel, format: settings.logFormat as LogFormat });
  const { dkimDomain: domain, dkimSelector: selector, dkimKeyFile: keyFile } = settings;
  const dkim = { domain, selector, keyFile };
  const mail = { smtp: settings.smtp, retryFirstMs: settings.smtpRetryFirst, dkim };
  const { works, sources, modules } = await loadWorks(settings.works, mail);
  const { startWorker } = await import('../../worker/main.ts');
  const stop = stopped();
  const worker = await startWorker({
    ...(nats ? { nats } : { master: settings.master.replace(/^http/, 'ws') }),
    works,
    sources,
    modules,
    slots: settings.slots,
    ...(settings.threads !== undefined && { threads: settings.threads }),
    ...(settings.name === undefined ? {} : { name: settings.name }),
    labels: settings.label ?? {},
    log,
    ...(settings.metricsListen && { metricsListen: settings.metricsListen }),
  });
  const offered = works.map((work) => work.name).join(',');
  const { id, metricsPort: metrics, linked } = worker;
  linked.then(
    () =>
      log.info('worker ready', {
        id,
        works: offered,
        ...(sources.length > 0 && { sources: sources.map((source) => source.name).join(',') }),
        slots: settings.slots,
        ...(metrics && { metrics }),
      }),
    () => {}, // `closed` tells it.
  );
  const told = worker.toldToDrain.then(() => 'drained by an operator');
  const why = await Promise.race([stop, told, worker.closed.then(() => undefined)]);
  // Whoever started this worker died and takes its trial with it: there is nobody to drain for.
  if (why === undefined || why === 'parent gone') return 1;
  await worker.drain(why);
  return 0;
}
