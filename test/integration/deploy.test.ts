/**
 * compose.yaml and the units of systemd fit the program: every command, flag, variable and file that they name is
 * there, and the programs that will read them take them.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { durationMs } from '../../shared/core/duration.ts';
import { DRAIN_MS } from '../../shared/core/limits.ts';
import type { Settings } from '../../shared/io/config.ts';
import { ROOT, textOf } from '../tidy/sources.ts';
import { toolPath } from '../tools.ts';
import { assertUnderstood, folder, TABLES, variablesOf } from './deployRig.ts';

const COMPOSE = 'deploy/compose.yaml';
const UNITS = ['deploy/systemd/gimmework-master.service', 'deploy/systemd/gimmework-worker@.service'];

type Service = {
  command: string[] | null;
  environment?: Record<string, string>;
  volumes?: { type: string; source: string; target: string }[];
  ports?: { host_ip?: string }[];
  stop_grace_period?: string;
};

function composed(): Record<string, Service> {
  const env = {
    ...process.env,
    NATS_MASTER_PASSWORD: 'of-the-master',
    NATS_WORKER_PASSWORD: 'of-the-workers',
  };
  const config = (...args: string[]) =>
    spawnSync(toolPath('docker-compose'), ['-f', join(ROOT, COMPOSE), 'config', ...args], {
      env,
      encoding: 'utf8',
    });
  const quiet = config('-q');
  assert.deepEqual([quiet.status, quiet.stdout + quiet.stderr], [0, '']);
  return (JSON.parse(config('--format', 'json').stdout) as { services: Record<string, Service> }).services;
}

test('docker-compose takes compose.yaml, and asks for the passwords where they are missing', () => {
  const { NATS_MASTER_PASSWORD: _, ...rest } = process.env;
  const env = { ...rest, NATS_WORKER_PASSWORD: 'of-the-workers' };
  const args = ['-f', join(ROOT, COMPOSE), '--env-file', '/dev/null', 'config', '-q'];
  const missing = spawnSync(toolPath('docker-compose'), args, { env, encoding: 'utf8' });
  assert.notEqual(missing.status, 0);
  assert.match(missing.stderr, /NATS_MASTER_PASSWORD is missing a value: write deploy\/\.env/);
  assert.deepEqual(Object.keys(composed()).sort(), ['mailpit', 'master', 'nats', 'prometheus', 'worker']);
});

test('compose.yaml starts nodes as the program understands it, each with the access of its role', () => {
  const { master, worker, nats } = composed();
  assert.ok(master?.command && worker?.command && nats?.environment && worker.environment);
  for (const [role, { command, environment = {} }] of Object.entries({ master, worker })) {
    assert.equal(command?.[0], role);
    assertUnderstood(command ?? [], environment);
    assert.equal(environment['GIMMEWORK_NATS_USER'], role);
    const password: string | undefined = nats.environment[`GIMMEWORK_NATS_${role.toUpperCase()}_PASSWORD`];
    assert.equal(password, `"${environment['GIMMEWORK_NATS_PASSWORD']}"`);
  }
  assert.throws(() => assertUnderstood(['worker', '--slot', '1'], {}), /has no --slot/);
  assert.throws(() => assertUnderstood(['worker'], { GIMMEWORK_SMTP: '' }), /has no GIMMEWORK_SMTP/);
  const variables = textOf('deploy/nats.conf').match(/(?<=: \$)\w+/g) ?? [];
  assert.deepEqual(Object.keys(nats.environment).sort(), variables.sort());
});

test('compose.yaml mounts files that are there, opens nothing to other machines, and lets nodes drain', () => {
  const services = composed();
  const mounts = Object.values(services).flatMap(({ volumes = [] }) =>
    volumes.filter(({ type }) => type === 'bind'),
  );
  assert.deepEqual(mounts.map(({ source, target }) => [source, target]).sort(), [
    [join(ROOT, 'deploy/alerts.yml'), '/etc/prometheus/alerts.yml'],
    [join(ROOT, 'deploy/nats.conf'), '/etc/nats/nats.conf'],
    [join(ROOT, 'deploy/prometheus.yml'), '/etc/prometheus/prometheus.yml'],
  ]);
  for (const { source } of mounts) assert.ok(existsSync(source), source);
  for (const [name, { ports = [] }] of Object.entries(services)) {
    for (const { host_ip } of ports) assert.equal(host_ip, '127.0.0.1', name);
  }
  for (const name of ['master', 'worker']) {
    assert.ok(durationMs(services[name]?.stop_grace_period ?? '0s') > DRAIN_MS, name);
  }
});

test('what Prometheus scrapes in compose.yaml is where the nodes serve their metrics', () => {
  const { master, worker } = composed();
  const port = (service: Service | undefined, flag: string): string => {
    const { command } = service ?? { command: null };
    return (command?.[command.indexOf(flag) + 1] ?? '').split(':')[1] ?? 'none';
  };
  const text = textOf('deploy/prometheus.yml');
  assert.ok(text.includes(`targets: ['master:${port(master, '--listen')}']`));
  assert.ok(text.includes(`port: ${port(worker, '--metrics-listen')}`));
});

type Section = Record<string, string[]>;

/** A unit file as systemd.syntax(7) has it; throws for a line that is none. */
function readUnit(text: string): Record<string, Section> {
  const sections: Record<string, Section> = {};
  let section: Section | undefined;
  for (const line of text.split('\n')) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (name !== undefined) {
      sections[name] ??= {};
      section = sections[name];
      continue;
    }
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    assert.ok(section && key !== undefined && value !== undefined, `no line of a unit: ${line}`);
    section[key] = [...(section[key] ?? []), value];
  }
  return sections;
}

for (const file of UNITS) {
  test(`${basename(file)} runs a command that is there, with rights that suffice and no more`, () => {
    const text = textOf(file);
    const { Service: service } = readUnit(text);
    assert.ok(service);
    const [program, ...command] = service['ExecStart']?.[0]?.split(' ') ?? [];
    assert.equal(program, '/usr/local/bin/gimme');
    // A worker is told by its variables what it offers.
    assertUnderstood(command, command[0] === 'worker' ? { GIMMEWORK_WORKS: './works.js' } : {});
    const known = variablesOf(TABLES[command[0] ?? ''] as Settings);
    const named = text.match(/\bGIMMEWORK_\w+/g) ?? [];
    assert.ok(named.length >= 3);
    for (const variable of named) assert.ok(known.has(variable), variable);

    const data = command.indexOf('--data');
    if (data > 0) assert.equal(command[data + 1], `/var/lib/${service['StateDirectory']?.[0]}`);
    assert.ok(Number(service['TimeoutStopSec']?.[0]) * 1_000 > DRAIN_MS);
    const expected: Section = {
      ProtectSystem: ['strict'],
      NoNewPrivileges: ['yes'],
      CapabilityBoundingSet: [''],
      // Without @pkey the kernel would end Node as it starts; without EPERM, at whatever else is not foreseen.
      SystemCallFilter: ['@system-service @pkey', '~@privileged @resources'],
      SystemCallErrorNumber: ['EPERM'],
      RestrictAddressFamilies: ['AF_INET AF_INET6 AF_NETLINK AF_UNIX'],
      RestartPreventExitStatus: ['2'],
      User: ['gimmework'],
    };
    for (const [key, values] of Object.entries(expected)) assert.deepEqual(service[key], values, key);
    assert.ok(!('MemoryDenyWriteExecute' in service), 'V8 compiles at run time');
  });
}

test('the units hold only keys that systemd has', (t) => {
  assertKeys();
  const version = /systemd (\d+)/.exec(
    spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' }).stdout ?? '',
  );
  if (Number(version?.[1] ?? 0) < 250) return; // It has been compared with those that systemd knew.
  const root = folder(t);
  const units = join(root, 'etc/systemd/system');
  mkdirSync(units, { recursive: true });
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
  writeFileSync(join(root, 'usr/local/bin/gimme'), '#!/bin/sh\n', { mode: 0o755 });
  // Those that every system has.
  for (const target of ['sysinit', 'basic', 'shutdown', 'multi-user', 'network-online']) {
    writeFileSync(join(units, `${target}.target`), '[Unit]\nDescription=There\n');
  }
  for (const file of UNITS) {
    const name = basename(file).replace('@', '@1');
    writeFileSync(join(units, basename(file)), textOf(file));
    const verified = spawnSync('systemd-analyze', ['verify', `--root=${root}`, name], { encoding: 'utf8' });
    assert.deepEqual([verified.status, verified.stdout + verified.stderr], [0, ''], file);
  }
});

/** Compares the keys with those that systemd was once asked about. */
function assertKeys(): void {
  const known: Record<string, RegExp> = {
    Unit: /^(Description|Documentation|Wants|After)$/,
    Install: /^WantedBy$/,
    Service: new RegExp(
      '^(EnvironmentFile|ExecStart|User|StateDirectory(Mode)?|Restart(Sec|PreventExitStatus)?|TimeoutStopSec|' +
        'KillSignal|LimitNOFILE|NoNewPrivileges|Private(Tmp|Devices)|Restrict(Namespaces|Realtime|SUIDSGID)|' +
        'Protect(System|Home|Clock|Hostname|Kernel(Logs|Modules|Tunables)|ControlGroups|Proc)|' +
        'RestrictAddressFamilies|LockPersonality|(CapabilityBounding|Ambient)(Set|Capabilities)|' +
        'SystemCall(Architectures|Filter|ErrorNumber)|UMask)$',
    ),
  };
  for (const file of UNITS) {
    for (const [section, keys] of Object.entries(readUnit(textOf(file)))) {
      for (const key of Object.keys(keys))
        assert.match(key, known[section] ?? /^never$/, `${file} [${section}]`);
    }
  }
}
