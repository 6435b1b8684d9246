/** The thread that owns the SQLite file: carries out one request after the other, and tidies up in between. */
import { parentPort } from 'node:worker_threads';
import { unreachable } from '../../../shared/core/errors.ts';
import type { Answer, Reply, Request } from './sqlite.ts';
import { SqliteFile, sqliteFault } from './sqliteFile.ts';

let file: SqliteFile | undefined;
let isTidying = false;

parentPort?.on('message', (request: Request) => {
  let reply: Reply;
  try {
    reply = { id: request.id, ok: true, ...carryOut(request) };
  } catch (error) {
    const { code, message } = sqliteFault(error, request.type === 'open' ? request.dir : (file?.dir ?? ''));
    reply = { id: request.id, ok: false, code, message };
  }
  parentPort?.postMessage(reply);
  if (isTidying || !file) return;
  isTidying = true;
  setImmediate(tidy);
});

/** A little of it: requests that have come meanwhile are carried out before it goes on. */
function tidy(): void {
  isTidying = false;
  try {
    isTidying = file?.tidy() ?? false;
  } catch (error) {
    // On a full disk it goes on after a request that finds room.
    if (sqliteFault(error, file?.dir ?? '').code !== 'disk_full') throw error;
  }
  if (isTidying) setImmediate(tidy);
}

function carryOut(request: Request): Answer {
  switch (request.type) {
    case 'open':
      file = new SqliteFile(request.dir, request.historyBytesMax);
      return { opened: file.read() };
    case 'append':
      opened().append(request.append);
      return {};
    case 'checkpoint':
      opened().checkpoint(request.records, request.epics);
      return {};
    case 'units':
      return { units: opened().units(request.query) };
    case 'due':
      return { due: opened().due(request.query) };
    case 'history':
      return { history: opened().history(request.after, request.limit) };
    case 'close':
      file?.close();
      file = undefined;
      return {};
    default:
      return unreachable(request);
  }
}

function opened(): SqliteFile {
  if (!file) throw new Error('the store is not open');
  return file;
}
