/**
 * Loaded before a master (`node --import`): tells when the record of each epic was durable, in microseconds of the clock
 * that all processes of a machine share.
 */
import { SqliteStore } from '../../master/io/stores/sqlite.ts';
import { clockUs } from '../clock.ts';

const { append } = SqliteStore.prototype;

SqliteStore.prototype.append = async function (records) {
  await append.call(this, records);
  const atUs = clockUs();
  for (const { k, epic } of records) if (k === 'epic-submitted') process.send?.({ epic, atUs });
};
