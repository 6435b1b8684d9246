/**
 * Loaded before a master (`node --import`): tells when the record of each epic was durable, in microseconds of the clock
 * that all processes of a machine share.
 */
import { SqliteStore } from '../../master/io/stores/sqlite.ts';
import { clockUs } from '../clock.ts';

const plain = Object.getOwnPropertyDescriptor(SqliteStore.prototype, 'append')
  ?.value as SqliteStore['append'];

SqliteStore.prototype.append = async function (records) {
  await plain.call(this, records);
  const atUs = clockUs();
  for (const { k, epic } of records) if (k === 'epic-submitted') process.send?.({ epic, atUs });
};
