/** What a NatsBus knows before it connects: subjects, addresses, and settings that cannot be used. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isId } from '../../../../shared/core/ids.ts';
import { NatsBus, type NatsBusOptions } from '../../../../shared/io/bus/natsBus.ts';
import { NatsServers, natsAddresses, shown } from '../../../../shared/io/bus/natsServers.ts';
import { inboxOf, natsPermissions, natsSubjects } from '../../../../shared/io/bus/natsSubjects.ts';
import type { Address } from '../../../../shared/io/bus.ts';

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter(isId);

/** As a server matches: `*` is one token, `>` all that follow. */
function matches(pattern: string, subject: string): boolean {
  const [want, have] = [pattern.split('.'), subject.split('.')];
  return want.length === have.length && want.every((token, i) => token === '*' || token === have[i]);
}

const covers = (patterns: readonly string[], subject: string): boolean =>
  patterns.some((pattern) => matches(pattern, subject));

test('a frame reaches those it is for and no others, names its sender, and is permitted to its role', () => {
  fc.assert(
    fc.property(id, id, id, id, (m, otherM, w, otherW) => {
      fc.pre(m !== otherM && w !== otherW);
      const [master, masterToo] = [natsSubjects('p', 'master', m), natsSubjects('p', 'master', otherM)];
      const [worker, workerToo] = [natsSubjects('p', 'worker', w), natsSubjects('p', 'worker', otherW)];
      const all = [master, masterToo, worker, workerToo];
      const check = (from: typeof master, sender: string, address: Address, to: (typeof master)[]): void => {
        const subject = from.to(address);
        assert.ok(subject !== undefined);
        assert.equal(from.sender(subject), sender);
        assert.deepEqual(
          all.filter(({ listen }) => covers(listen, subject)),
          to,
        );
        const role = from === master ? 'master' : 'worker';
        const other = role === 'master' ? 'worker' : 'master';
        assert.ok(covers(natsPermissions('p')[role].publish, subject));
        assert.ok(!covers(natsPermissions('p')[other].publish, subject), 'the other role cannot forge it');
        assert.ok(!covers(natsPermissions('p')[role].subscribe, subject), 'peers cannot hear it');
      };
      check(master, m, { to: 'worker', id: w }, [worker]);
      check(master, m, { to: 'workers' }, [worker, workerToo]);
      check(worker, w, { to: 'master', id: m }, [master]);
      check(worker, w, { to: 'masters' }, [master, masterToo]);
    }),
  );
});

test('each bus subscribes to what its role is permitted, and to nothing of its own kind', () => {
  for (const role of ['master', 'worker'] as const) {
    const allowed = natsPermissions('p')[role].subscribe;
    for (const subject of natsSubjects('p', role, 'x').listen) assert.ok(covers(allowed, subject), subject);
    const own = natsSubjects('p', role, 'x');
    assert.equal(own.to(role === 'master' ? { to: 'masters' } : { to: 'workers' }), undefined);
    assert.equal(own.to({ to: role, id: 'y' }), undefined);
  }
});

test('whatever an address holds, a subject is the prefix and valid ids', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('a.b', '*', '>', ' ', 'a\r\nPUB x 0', 'a\tb', '', 'é'));
  fc.assert(
    fc.property(text, (anything) => {
      for (const [role, to] of [
        ['master', 'worker'],
        ['worker', 'master'],
      ] as const) {
        const subject = natsSubjects('p', role, 'x').to({ to, id: anything });
        assert.equal(subject === undefined, !isId(anything));
        assert.ok(subject === undefined || /^p\.[mw]\.[A-Za-z0-9_-]+\.x$/.test(subject));
      }
      const last = anything.split('.').at(-1);
      const sender = natsSubjects('p', 'master', 'x').sender(`p.ms.${anything}`);
      assert.equal(sender, isId(last) ? last : undefined);
    }),
  );
});

test('an inbox is an id that does not tell its session, and stays the same', () => {
  assert.equal(inboxOf('abc'), inboxOf('abc'));
  assert.notEqual(inboxOf('abc'), inboxOf('abd'));
  assert.match(inboxOf('x'.repeat(64)), /^[0-9a-z]{24}$/);
  // Workers of another version must find it too.
  assert.equal(inboxOf('session-1'), 'gg4qga7w66mchmmj23fmh40t');
});

test('addresses are read as people write them', () => {
  const read = (servers: string | string[]): string[] =>
    natsAddresses(servers).map((address) => `${shown(address)}${address.isTls ? ' tls' : ''}`);
  assert.deepEqual(read('nats://a:1, tls://b.c:2 ,d,[::1]:3'), ['a:1', 'b.c:2 tls', 'd:4222', '[::1]:3']);
  assert.deepEqual(read(['nats://127.0.0.1', 'nats://a:80/']), ['127.0.0.1:4222', 'a:80']);
  const bad = [
    '',
    'a,,b',
    'http://a',
    'ws://a',
    'nats://',
    'nats://a:0x',
    'a:99999',
    'a/b',
    'a?b',
    'nats:// a',
  ];
  for (const text of bad) assert.throws(() => natsAddresses(text), { code: 'bad_config' }, text);
  assert.throws(
    () => natsAddresses('nats://me:s3cret@host:1'),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'bad_config');
      assert.match(error.message, /host:1 holds a user/);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    },
  );
});

test('servers have their turns, those that a server tells of after those that were given', () => {
  const servers = new NatsServers(natsAddresses('tls://n:1,tls://127.0.0.1:2'), () => 0.5);
  const turns = (count: number): string[] => Array.from({ length: count }, () => shown(servers.next()));
  assert.deepEqual(turns(3), ['127.0.0.1:2', 'n:1', '127.0.0.1:2']);
  const [from] = natsAddresses('tls://n:1');
  assert.ok(from);
  servers.learn(from, ['127.0.0.1:2', '10.0.0.1:3', 'not an address', 'm:4']);
  assert.equal(servers.count, 4);
  const told = Array.from({ length: 4 }, () => servers.next()).filter(({ port }) => port > 2);
  assert.deepEqual(told, [
    { host: '10.0.0.1', port: 3, isTls: true, name: 'n' },
    { host: 'm', port: 4, isTls: true, name: 'm' },
  ]);
  servers.learn(from, []);
  assert.equal(servers.count, 2);
  assert.throws(() => new NatsServers([], () => 0), { code: 'bad_config' });
});

test('settings that cannot be used are refused before anything is connected, in one line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gimmework-'));
  const garbage = join(folder, 'garbage.creds');
  writeFileSync(garbage, 'not creds');
  const cases: [Partial<NatsBusOptions>, RegExp][] = [
    [{ prefix: 'a b' }, /"a b" is no prefix/],
    [{ prefix: 'a..b' }, /is no prefix/],
    [{ prefix: '>' }, /is no prefix/],
    [{ prefix: '$SYS' }, /is no prefix/],
    [{ prefix: '' }, /is no prefix/],
    [{ prefix: 'x'.repeat(129) }, /is no prefix/],
    [{ servers: 'http://a' }, /is not an address/],
    [{ auth: { type: 'nkey', seed: 'SUNOSEED' } }, /the seed of the nkey for NATS is not valid/],
    [{ auth: { type: 'creds', file: join(folder, 'absent') } }, /absent cannot be read \(ENOENT/],
    [{ auth: { type: 'creds', file: garbage } }, /garbage\.creds, is not valid/],
    [{ tls: { caFile: join(folder, 'absent.pem') } }, /absent\.pem cannot be read \(ENOENT/],
  ];
  for (const [options, message] of cases) {
    const make = (): NatsBus => new NatsBus({ id: 'w', role: 'worker', servers: 'a', ...options });
    assert.throws(make, { code: 'bad_config', message });
    assert.throws(make, ({ message: text }: Error) => !text.includes('\n'));
  }
  assert.throws(() => new NatsBus({ id: 'a.b', role: 'worker', servers: 'a' }), /needs a valid id/);
  rmSync(folder, { recursive: true });
});
