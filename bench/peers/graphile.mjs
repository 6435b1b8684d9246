/**
 * graphile-worker with its batching: addJobs, a local queue, completions in batches. Its events come before a
 * completion is stored, so completions are counted where its pool's clients delete the jobs.
 */
import { inBulks, unit } from './units.mjs';

const connectionString = (port) => `postgres://bench@127.0.0.1:${port}/postgres`;

async function quiet() {
  process.env['NO_LOG_SUCCESS'] = '1';
  const { Logger } = await import('graphile-worker');
  return new Logger(() => (level, message) => {
    if (level === 'error') console.error(message);
  });
}

async function open(port) {
  const logger = await quiet();
  const { makeWorkerUtils } = await import('graphile-worker');
  const utils = await makeWorkerUtils({ connectionString: connectionString(port), logger });
  await utils.migrate();
  return utils;
}

export async function producer({ port, units, tuning }) {
  const utils = await open(port);
  return () =>
    inBulks({ units, bulk: tuning.bulk, ahead: 2 }, (numbers) =>
      utils.addJobs(numbers.map((n) => ({ identifier: 'unit', payload: unit(n) }))),
    );
}

export async function submitter({ port }) {
  const utils = await open(port);
  return (n) => utils.addJob('unit', unit(n));
}

export async function consumer({ port, tuning }, completed, onStart = () => undefined) {
  const logger = await quiet();
  const { run } = await import('graphile-worker');
  const { default: pg } = await import('pg');
  const pgPool = new pg.Pool({ connectionString: connectionString(port), max: 10 });
  pgPool.on('error', (error) => console.error(error.message));
  pgPool.on('connect', (client) => countDeletes(client, completed));
  await run({
    pgPool,
    taskList: { unit: onStart },
    noHandleSignals: true,
    preset: {
      worker: {
        concurrentJobs: tuning.concurrency,
        ...(tuning.localQueue && {
          localQueue: { size: tuning.localQueue },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        }),
        preparedStatements: true,
        pollInterval: 100,
        logger,
      },
    },
  });
}

function countDeletes(client, completed) {
  const query = client.query;
  client.query = function counted(...args) {
    const result = query.apply(this, args);
    if (!/^\s*delete from \S+_private_jobs/.test(args[0]?.text ?? '')) return result;
    return result.then((done) => {
      completed(done.rowCount);
      return done;
    });
  };
}
