/**
 * The subjects of the link over NATS: who publishes where, and how a subject tells who sent a frame.
 *
 * | subject | from → to |
 * |---|---|
 * | `<prefix>.m.<master>.<session>` | worker → one master |
 * | `<prefix>.ms.<session>` | worker → all masters |
 * | `<prefix>.w.<inbox of the session>.<master>` | master → one worker |
 * | `<prefix>.ws.<master>` | master → all workers |
 * | `<prefix>.reply.<id>` | master → who asked a gather to tell it there; no frame of the link |
 *
 * The sender is the last token, so a frame cannot name another. What keeps a worker from forging:
 * J1: the server. A worker's credential may publish only to `m` and `ms` and listen only to `w` and `ws`
 *     (`natsPermissions`): it can send no WorkAvailable, no Work to a peer, nothing to `$KV` or `$JS`, and it
 *     cannot hear what other workers say. All workers may share it.
 * J2: the session's id, which only that worker and the masters know. It is 120 random bits, appears only in
 *     subjects that workers cannot hear, and a worker's inbox is a one-way hash of it. So a stolen credential
 *     can start sessions of its own, and hear what masters send, but cannot report in the name of a running
 *     one. Whoever may list the workers of a master learns the ids, and is trusted with them.
 * J3: nobody answers a reply-to, so a frame cannot make a master publish where its sender may not.
 * J4: a subject is made of the prefix and valid ids only, and a sender that is not a valid id is not heard.
 */
import { createHash } from 'node:crypto';
import { GimmeError, unreachable } from '../../core/errors.ts';
import { idFrom, isId } from '../../core/ids.ts';
import { SESSIONS_MAX } from '../../core/limits.ts';
import type { Address, BusRole } from '../bus.ts';

export const NATS_PREFIX = 'gimmework';

const PREFIX = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const PREFIX_CHARS_MAX = 128;

export type NatsSubjects = {
  /** What this bus subscribes to. */
  readonly listen: readonly string[];
  /** Where a frame is published; nothing for an address of one's own kind or one that is not an id. */
  to(address: Address): string | undefined;
  /** Who sent what came in on this subject; nothing if that is not a valid id. */
  sender(subject: string): string | undefined;
};

/** The subjects as one bus sees them. Throws bad_config for a prefix that cannot be one. */
export function natsSubjects(prefix: string, role: BusRole, id: string): NatsSubjects {
  if (!PREFIX.test(prefix) || prefix.length > PREFIX_CHARS_MAX) {
    throw new GimmeError(
      'bad_config',
      `${JSON.stringify(prefix)} is no prefix for subjects: names of A-Z a-z 0-9 _ - with dots between them`,
    );
  }
  const at = (...tokens: string[]): string => [prefix, ...tokens].join('.');
  /** A hash for each frame would cost more than the rest of sending it. */
  const inboxes = new Map<string, string>();
  const toWorker = (session: string): string => {
    let subject = inboxes.get(session);
    if (subject === undefined) {
      if (inboxes.size >= SESSIONS_MAX) inboxes.clear();
      subject = at('w', inboxOf(session), id);
      inboxes.set(session, subject);
    }
    return subject;
  };
  const masters = at('ms', id);
  const workers = at('ws', id);
  return {
    listen:
      role === 'master' ? [at('m', id, '*'), at('ms', '*')] : [at('w', inboxOf(id), '*'), at('ws', '*')],
    to(address) {
      switch (address.to) {
        case 'masters':
          return role === 'worker' ? masters : undefined;
        case 'workers':
          return role === 'master' ? workers : undefined;
        case 'master':
          return role === 'worker' && isId(address.id) ? at('m', address.id, id) : undefined;
        case 'worker':
          return role === 'master' && isId(address.id) ? toWorker(address.id) : undefined;
        default:
          return unreachable(address);
      }
    },
    sender(subject) {
      const last = subject.slice(subject.lastIndexOf('.') + 1);
      return isId(last) ? last : undefined;
    },
  };
}

/** J2: where a session listens. 120 bits of SHA-256. */
export function inboxOf(session: string): string {
  return idFrom(createHash('sha256').update(session).digest());
}

export type NatsPermissions = { publish: string[]; subscribe: string[] };

/** J1: what the credential of each role is allowed on the server, and nothing beside it. */
export function natsPermissions(prefix: string): Record<BusRole, NatsPermissions> {
  const toMasters = [`${prefix}.m.*.*`, `${prefix}.ms.*`];
  const toWorkers = [`${prefix}.w.*.*`, `${prefix}.ws.*`];
  return {
    master: { publish: [...toWorkers, `${prefix}.reply.*`], subscribe: toMasters },
    worker: { publish: toMasters, subscribe: toWorkers },
  };
}
