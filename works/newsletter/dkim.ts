/**
 * DKIM (RFC 6376): signs a message, so that its receiver can tell that the domain stands behind it. Owns the check of
 * the key, what is signed and the form of the signature; relaxed/relaxed, RSA with SHA-256. The signing itself, which
 * is nearly all of the cost, runs in Node's thread pool, so that mails are signed on all cores beside the event loop.
 *
 * D1: every header of the message is signed, and From once more, so that none can be put before the one that was.
 */
import type { KeyObject } from 'node:crypto';
import { createHash, createPrivateKey, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { foldLines } from 'nodemailer/lib/mime-funcs';
import { GimmeError } from '../../shared/core/errors.ts';
import { checkMailbox } from './mailbox.ts';

export type DkimOptions = {
  /** The domain that stands behind the mails, best that of `from`. */
  domain: string;
  /** Under which its public key is found: `<selector>._domainkey.<domain>`. */
  selector: string;
  /** Its private key, PEM: RSA of at least 1024 bits. */
  key: string;
};

/** Gives a message its signature: it resolves to a header line, to stand before the message. */
export type Signer = (message: string) => Promise<string>;

/** Verifiers must not take less (RFC 8301 §3.2). */
const KEY_BITS_MIN = 1_024;
const LINE_CHARS_MAX = 76;
const SELECTOR =
  /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
const CURE = 'make one: openssl genrsa -out dkim.pem 2048';

const signed = promisify(sign);

/** Makes a signer; throws GimmeError `bad_config` for a domain, selector or key that cannot sign. */
export function dkimSigner({ domain, selector, key }: DkimOptions): Signer {
  const mailbox = checkMailbox(`x@${domain}`);
  if (!mailbox.valid) throw bad(`the domain (--dkim-domain) ${JSON.stringify(domain)} is not valid`);
  if (!SELECTOR.test(selector)) {
    throw bad(
      `the selector (--dkim-selector) ${JSON.stringify(selector)} must be letters, digits and hyphens`,
    );
  }
  const privateKey = privateKeyFrom(key);
  const tags = `v=1; a=rsa-sha256; c=relaxed/relaxed; d=${mailbox.domain}; s=${selector}`;
  return async (message) => {
    const cut = message.indexOf('\r\n\r\n') + 2;
    const headers = headersOf(message.slice(0, cut));
    const bodyHash = createHash('sha256')
      .update(relaxedBody(message.slice(cut + 2)), 'latin1')
      .digest('base64');
    const names = [...headers.map(({ name }) => name), 'from'].join(': ');
    const unsigned = foldLines(`DKIM-Signature: ${tags}; h=${names}; bh=${bodyHash}; b=`, LINE_CHARS_MAX);
    const covered = headers.map(({ name, value }) => `${name}:${value}\r\n`).join('');
    const data = `${covered}dkim-signature:${relaxed(unsigned.slice(unsigned.indexOf(':') + 1))}`;
    const signature = await signed('sha256', Buffer.from(data, 'latin1'), privateKey);
    return `${unsigned}${signature.toString('base64').replace(/.{1,72}/g, '\r\n $&')}\r\n`;
  };
}

function privateKeyFrom(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw bad(`the key (--dkim-key-file) is not a private key in PEM without a password; ${CURE}`, cause);
  }
  const type = key.asymmetricKeyType ?? 'secret';
  if (type !== 'rsa')
    throw bad(`the key (--dkim-key-file) is ${type}; many receivers verify RSA only, so ${CURE}`);
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < KEY_BITS_MIN) {
    throw bad(
      `the key (--dkim-key-file) has ${bits} bits; receivers refuse less than ${KEY_BITS_MIN}, so ${CURE}`,
    );
  }
  return key;
}

function bad(what: string, cause?: unknown): GimmeError {
  return new GimmeError('bad_config', `DKIM: ${what}`, { cause });
}

/** Headers in relaxed form (§3.4.2), in their order. */
function headersOf(head: string): { name: string; value: string }[] {
  const lines = head.split(/\r\n(?![ \t])/).filter((line) => line !== '');
  return lines.map((line) => {
    const colon = line.indexOf(':');
    return { name: line.slice(0, colon).toLowerCase(), value: relaxed(line.slice(colon + 1)) };
  });
}

function relaxed(value: string): string {
  return value
    .replaceAll('\r\n', '')
    .replace(/[ \t]+/g, ' ')
    .trim();
}

/** A body in relaxed form (§3.4.4); that of a mail ends with its last boundary, so in no empty line. */
function relaxedBody(body: string): string {
  return body.replace(/[ \t]+/g, ' ').replaceAll(' \r\n', '\r\n');
}
