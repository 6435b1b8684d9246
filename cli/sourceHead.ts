/** A look at the beginning of a source before any of it is sent. What was looked at is sent like the rest. */
import type { StreamSource } from '../client/index.ts';

/** A header is seldom longer; one that is goes unchecked. */
const HEAD_BYTES_MAX = 64 * 1024;
const LF = 10;
const BLANKS = new Set([LF, 13, 32, 9]);

/** The same source; `check` sees its first line or more before it is submitted, and may throw to refuse it. */
export function withCheckedHead(source: StreamSource, check: (head: Uint8Array) => void): StreamSource {
  const open = async (): Promise<AsyncIterable<Uint8Array>> => {
    const input = (await source.open())[Symbol.asyncIterator]();
    try {
      let head = Buffer.alloc(0);
      let isOver = false;
      while (!isOver && !hasLine(head) && head.length < HEAD_BYTES_MAX) {
        const next = await input.next();
        isOver = next.done === true;
        if (!next.done) head = Buffer.concat([head, next.value]);
      }
      check(head);
      return headAndRest(head, input);
    } catch (error) {
      await input.return?.();
      throw error;
    }
  };
  return { ...source, open };
}

async function* headAndRest(head: Uint8Array, input: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    for (let next = await input.next(); !next.done; next = await input.next()) yield next.value;
  } finally {
    await input.return?.();
  }
}

function hasLine(head: Uint8Array): boolean {
  const start = head.findIndex((byte) => !BLANKS.has(byte));
  return start !== -1 && head.indexOf(LF, start) !== -1;
}
