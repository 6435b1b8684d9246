/**
 * Sends one webhook, signed as Standard Webhooks (standardwebhooks.com, specification 1.0). Owns the request; when
 * it is tried, and again, is `returns.ts`.
 *
 * K1: it goes to a public address, or to one that is allowed by host and port; a redirect is not followed.
 * K2: nothing of the answer is read but its status.
 */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { GimmeError } from '../../shared/core/errors.ts';
import { RETURN_TIMEOUT_MS } from '../../shared/core/limits.ts';
import { VERSION } from '../../shared/io/version.ts';
import { isPublicAddress, type Lookup, publicLookup } from './publicAddress.ts';

export type WebhookOptions = {
  /** Each signs: receivers know the old or the new one while secrets change. */
  secrets: readonly Uint8Array[];
  /** `host:port` of targets that need not be public. */
  allow: ReadonlySet<string>;
  /** Replaces the system's look-up of names. */
  lookup?: Lookup;
  timeoutMs?: number;
};

export type Webhook = { url: URL; id: string; body: string; atMs: number };

/** `host:port` of an address, with the port that its scheme means where it names none. */
export function targetOf({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

/** The host of an address as an IP address; nothing where it is a name. */
export function ipOf({ hostname }: URL): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

/** Headers that prove who sent this, and when. */
export function signed(
  secrets: readonly Uint8Array[],
  { id, body, atMs }: Omit<Webhook, 'url'>,
): Record<string, string> {
  const seconds = Math.floor(atMs / 1_000);
  const signatures = secrets.map((secret) => {
    const mac = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`);
    return `v1,${mac.digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  };
}

/** Resolves with the status of the answer; rejects where there is none, or K1 forbids it. */
export function sendWebhook(webhook: Webhook, options: WebhookOptions): Promise<number> {
  const { url, body } = webhook;
  const { secrets, allow, lookup, timeoutMs = RETURN_TIMEOUT_MS } = options;
  const isAllowed = allow.has(targetOf(url));
  const ip = ipOf(url);
  // A socket asks no look-up for an address.
  if (ip !== undefined && !isAllowed && !isPublicAddress(ip))
    return Promise.reject(new Error(`${ip} is not a public address`));
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, {
      method: 'POST',
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      ...(!isAllowed && { lookup: publicLookup(lookup) }),
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': `gimmework/${VERSION}`,
        ...signed(secrets, webhook),
      },
    });
    request.once('response', (response) => {
      response.on('error', () => {}); // K2: cut off by us.
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    request.on('error', reject);
    request.end(body);
  });
}

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
/** Of a secret in bytes, as the specification has it. */
const [SECRET_BYTES_MIN, SECRET_BYTES_MAX] = [24, 64];

/** Reads a file of secrets, one on each line. Throws bad_config where it is not as it must be. */
export async function webhookSecrets(file: string): Promise<Uint8Array[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw new GimmeError('bad_config', `--webhook-secret-file ${file} cannot be read (${code})`, { cause });
  });
  const lines = text.split('\n').map((line) => line.trim());
  const secrets = lines
    .filter((line) => line !== '')
    .map((line) => Buffer.from(SECRET.exec(line)?.[1] ?? '', 'base64'));
  const areFit = secrets.every(({ length }) => length >= SECRET_BYTES_MIN && length <= SECRET_BYTES_MAX);
  if (secrets.length > 0 && areFit) return secrets;
  const rule = `whsec_ and then ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} random bytes in base64`;
  const cure = `printf 'whsec_%s\\n' "$(openssl rand -base64 32)"`;
  throw new GimmeError(
    'bad_config',
    `each line of --webhook-secret-file ${file} must be ${rule}; make one: ${cure}`,
  );
}
