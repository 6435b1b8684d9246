/**
 * The settings of a link over NATS: the table, and what they come to for a node. Owns who decides where several
 * speak: a flag before the environment, and two that contradict each other are refused.
 *
 * N1: a secret is in no flag, no log and no message.
 */
import { GimmeError } from '../shared/core/errors.ts';
import type { NatsAuth, NatsTls } from '../shared/io/bus/nats.ts';
import type { NatsBusOptions } from '../shared/io/bus/natsBus.ts';
import { natsAddresses } from '../shared/io/bus/natsServers.ts';
import { flagOf, type Settings, type Values } from '../shared/io/config.ts';

export const NATS = {
  nats: {
    kind: 'texts',
    flag: '--nats <url>',
    env: 'GIMMEWORK_NATS',
    sentence: 'link over NATS: nats:// or tls://host:port, several of one cluster with commas',
  },
  natsPrefix: {
    kind: 'text',
    flag: '--nats-prefix <prefix>',
    env: 'GIMMEWORK_NATS_PREFIX',
    sentence: 'first part of all subjects, `gimmework` by default: keeps clusters on one server apart',
  },
  natsUser: {
    kind: 'text',
    flag: '--nats-user <user>',
    env: 'GIMMEWORK_NATS_USER',
    sentence: 'user; its password comes from the environment',
  },
  natsCreds: {
    kind: 'path',
    flag: '--nats-creds <file>',
    env: 'GIMMEWORK_NATS_CREDS',
    sentence: 'file with the JWT and seed of a user, as nsc writes it',
  },
  natsCa: {
    kind: 'path',
    flag: '--nats-ca <file>',
    env: 'GIMMEWORK_NATS_CA',
    sentence: 'PEM file of who signed the server; makes TLS a must',
  },
  natsCert: {
    kind: 'path',
    flag: '--nats-cert <file>',
    env: 'GIMMEWORK_NATS_CERT',
    sentence: 'PEM file of the certificate of this node',
  },
  natsKey: {
    kind: 'path',
    flag: '--nats-key <file>',
    env: 'GIMMEWORK_NATS_KEY',
    sentence: 'PEM file of the key to --nats-cert',
  },
  natsPassword: {
    kind: 'text',
    env: 'GIMMEWORK_NATS_PASSWORD',
    secret: true,
    sentence: 'password of --nats-user',
  },
  natsToken: { kind: 'text', env: 'GIMMEWORK_NATS_TOKEN', secret: true, sentence: 'token' },
  natsNkey: {
    kind: 'text',
    env: 'GIMMEWORK_NATS_NKEY',
    secret: true,
    sentence: 'seed of an nkey (SU…)',
  },
} as const satisfies Settings;

export type NatsValues = Values<typeof NATS>;
export type NatsSettings = Pick<NatsBusOptions, 'servers' | 'prefix' | 'auth' | 'tls'>;

/**
 * The NATS part of a node's settings; nothing where no address is given, in which case a flag that would say
 * how to use it is refused. Throws bad_config.
 */
export function natsOf(values: NatsValues, flags: Record<string, unknown>): NatsSettings | undefined {
  if (values.nats === undefined) {
    const idle = Object.entries(NATS).find(([name]) => flags[name] !== undefined);
    if (idle) throw bad(`${flagOf(idle[1])} needs --nats or GIMMEWORK_NATS`);
    return undefined;
  }
  const servers = values.nats.join(',');
  natsAddresses(servers);
  const tls = tlsOf(values);
  const auth = authOf(values);
  return {
    servers,
    ...(values.natsPrefix !== undefined && { prefix: values.natsPrefix }),
    ...(auth && { auth }),
    ...(tls && { tls }),
  };
}

/**
 * Whether a worker's link is NATS: `--nats` and `--master` exclude each other, and so do their variables where
 * neither flag is given. Throws usage.
 */
export function isNatsLink(
  flags: Record<string, unknown>,
  env: Record<string, string | undefined> = process.env,
): boolean {
  const byFlag = [flags['nats'] !== undefined, flags['master'] !== undefined] as const;
  const byVariable = [Boolean(env['GIMMEWORK_NATS']), Boolean(env['GIMMEWORK_MASTER'])] as const;
  const [isNats, isMaster] = byFlag[0] || byFlag[1] ? byFlag : byVariable;
  if (!isNats || !isMaster) return isNats;
  const both =
    byFlag[0] && byFlag[1]
      ? '--nats and --master exclude each other'
      : 'GIMMEWORK_NATS and GIMMEWORK_MASTER are both set';
  throw new GimmeError('usage', `${both}; a worker has one link: give --nats or --master`);
}

function authOf(values: NatsValues): NatsAuth | undefined {
  const { natsUser: user, natsPassword: password, natsToken: token, natsNkey: seed, natsCreds } = values;
  if (user !== undefined && password === undefined) {
    throw bad('--nats-user needs GIMMEWORK_NATS_PASSWORD or GIMMEWORK_NATS_PASSWORD_FILE');
  }
  if (user === undefined && password !== undefined) throw bad('GIMMEWORK_NATS_PASSWORD needs --nats-user');
  const given: NatsAuth[] = [];
  if (user !== undefined && password !== undefined) given.push({ type: 'user', user, password });
  if (token !== undefined) given.push({ type: 'token', token });
  if (seed !== undefined) given.push({ type: 'nkey', seed });
  if (natsCreds !== undefined) given.push({ type: 'creds', file: natsCreds });
  if (given.length > 1) {
    const names = given.map(({ type }) => type).join(' and ');
    throw bad(`${names} are given for NATS; give one of user, token, nkey and creds`);
  }
  return given[0];
}

function tlsOf({ natsCa, natsCert, natsKey }: NatsValues): NatsTls | undefined {
  if ((natsCert === undefined) !== (natsKey === undefined)) {
    throw bad('--nats-cert and --nats-key go together; one of them is missing');
  }
  if (natsCa === undefined && natsCert === undefined) return undefined;
  return {
    ...(natsCa !== undefined && { caFile: natsCa }),
    ...(natsCert !== undefined && { certFile: natsCert }),
    ...(natsKey !== undefined && { keyFile: natsKey }),
  };
}

function bad(message: string): GimmeError {
  return new GimmeError('bad_config', message);
}
