/** A report file: lines appended through a stream, none kept in memory beyond the stream's own buffer. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { GimmeError } from '../../shared/core/errors.ts';

export type Report = {
  /** Adds a line; resolves when the stream has room for more. */
  write(line: string): Promise<void> | undefined;
  /** Adds the last line and resolves once all are in the file; throws what went wrong while writing. */
  close(last: string): Promise<void>;
};

/** Opens a report, replacing an older file; throws GimmeError `usage` when it cannot be written. */
export async function openReport(path: string): Promise<Report> {
  const stream = createWriteStream(path);
  stream.setMaxListeners(0); // Every connection may wait for room.
  let failure: Error | undefined;
  try {
    await once(stream, 'open');
  } catch (error) {
    throw new GimmeError('usage', `cannot write the report ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  stream.on('error', (error) => {
    failure = error;
  });
  return {
    write(line) {
      if (failure !== undefined || stream.write(`${line}\n`)) return undefined;
      return roomIn(stream);
    },
    async close(last) {
      if (failure === undefined)
        await new Promise<void>((resolve) => stream.end(`${last}\n`, () => resolve()));
      if (failure === undefined) return;
      throw new GimmeError('usage', `the report ${path} is not complete: ${failure.message}`, {
        cause: failure,
      });
    },
  };
}

/** A stream that failed has room too: its lines go nowhere, and `close` says so. */
function roomIn(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.removeListener('drain', done);
      stream.removeListener('close', done);
      resolve();
    };
    stream.once('drain', done);
    stream.once('close', done);
  });
}
