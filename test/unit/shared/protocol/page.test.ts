/** docs/PROTOCOL.md against the table of fields: neither may have what the other has not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as limits from '../../../../shared/core/limits.ts';
import { PROTOCOL_VERSION } from '../../../../shared/protocol/messages.ts';
import { MASTER_SHAPES, PART_SHAPES, WORKER_SHAPES } from '../../../../shared/protocol/shapes.ts';

const page = readFileSync(new URL('../../../../docs/PROTOCOL.md', import.meta.url), 'utf8');

/** The text under each heading of the level, by heading without backquotes. */
function sections(text: string, level: string): Map<string, string> {
  const parts = text.split(new RegExp(`^${level} `, 'm')).slice(1);
  return new Map(parts.map((part) => [part.split('\n', 1)[0]?.replaceAll('`', '') ?? '', part]));
}

/** The rows of a table of fields: name and type. */
function rows(section: string): Map<string, string> {
  const found = [...section.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)];
  return new Map(found.map((row) => [row[1] as string, (row[2] as string).trim()]));
}

const chapters = sections(page, '##');
const tables = {
  'From a worker': WORKER_SHAPES,
  'From a master': MASTER_SHAPES,
  Parts: PART_SHAPES,
} as Record<string, Record<string, Record<string, object>>>;

for (const [chapter, shapes] of Object.entries(tables)) {
  test(`${chapter}: each has its section, each field its row, and no more`, () => {
    const parts = sections(chapters.get(chapter) ?? '', '###');
    assert.deepEqual([...parts.keys()].sort(order), Object.keys(shapes).sort(order));
    for (const [name, shape] of Object.entries(shapes)) {
      const told = rows(parts.get(name) ?? '');
      const fields = Object.keys(shape).filter((field) => field !== 't');
      assert.deepEqual([...told.keys()], fields, `fields of ${name}`);
      for (const field of fields) {
        const optional = 'optional' in (shape[field] as object);
        assert.equal(told.get(field)?.endsWith(' ?'), optional, `${name}.${field} may be absent`);
      }
    }
  });
}

test('each message says what comes of its loss and of its doubling', () => {
  const told = [...(chapters.get('Loss, doubling, lateness') ?? '').matchAll(/^\| `([\w-]+)` \|/gm)];
  const tags = [...Object.keys(WORKER_SHAPES), ...Object.keys(MASTER_SHAPES)];
  assert.deepEqual(
    told.map((row) => row[1]),
    tags,
  );
});

test('the page names only limits that there are, and the version that is', () => {
  const named = [...page.matchAll(/`([A-Z][A-Z_]+)`/g)].map((match) => match[1] as string);
  assert.ok(named.length > 10);
  for (const name of named) assert.ok(name in limits, `${name} is not a limit`);
  assert.match(page, new RegExp(`Version \\*\\*${PROTOCOL_VERSION}\\*\\*`));
});

function order(a: string, b: string): number {
  return a < b ? -1 : 1;
}
