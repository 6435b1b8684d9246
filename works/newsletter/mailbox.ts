/**
 * One mailbox: tells whether a text is exactly one address that any SMTP server can be given.
 * Owns the rules of an address (RFC 5321 §4.1.2 and §4.5.3.1), for recipients and senders alike.
 *
 * M1: an address that passes holds no space, control character, comma or angle bracket, so it can
 *     neither end a line nor begin a second address on the wire.
 * M2: what passes is ASCII: an international domain in its A-label form (RFC 5891).
 */
import { domainToASCII } from 'node:url';

/** Longest address: a path of 256 octets less its angle brackets (RFC 5321 §4.5.3.1.3). */
export const ADDRESS_BYTES_MAX = 254;
const LOCAL_BYTES_MAX = 64;
const DOMAIN_BYTES_MAX = 253;
/** Characters of an address that a message quotes. */
const QUOTED_CHARS_MAX = 80;

export type MailboxResult =
  | { valid: true; address: string; domain: string }
  /** `fault` reads on behind the quoted address: `has a space`. */
  | { valid: false; fault: string };

const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ASCII = /^[\x21-\x7e]*$/;
const DOMAIN_CHARS = /^[A-Za-z0-9.\u0080-\u{10ffff}-]+$/u;
const BAD_DOMAIN = 'has a domain that is not valid';
// Joiners are part of some scripts' domains; every other invisible character is there to deceive.
const INVISIBLE = /[^\P{Cf}\u200c\u200d]/u;

const fault = (text: string): MailboxResult => ({ valid: false, fault: text });

/** Checks one address; the domain of the result is lower-case ASCII. */
export function checkMailbox(text: string): MailboxResult {
  const shape = shapeFault(text);
  if (shape !== undefined) return fault(shape);
  const at = text.indexOf('@');
  const local = text.slice(0, at);
  const localFault = faultOfLocal(local);
  if (localFault !== undefined) return fault(localFault);
  const written = text.slice(at + 1);
  if (written.startsWith('[')) return fault('has an address literal where a domain is needed');
  // Checked before it is converted: the conversion reads a URL's host and ends at a slash or colon.
  if (!DOMAIN_CHARS.test(written)) return fault(written === '' ? 'has no domain' : BAD_DOMAIN);
  const domain = ASCII.test(written) ? written.toLowerCase() : domainToASCII(written);
  const domainFault = faultOfDomain(domain);
  if (domainFault !== undefined) return fault(domainFault);
  const address = `${local}@${domain}`;
  if (address.length > ADDRESS_BYTES_MAX) return fault(`is longer than ${ADDRESS_BYTES_MAX} bytes`);
  return { valid: true, address, domain };
}

/** The address as a message may show it: quoted, on one line, without anything invisible, not too long. */
export function quoted(text: string): string {
  const short = text.length > QUOTED_CHARS_MAX ? `${text.slice(0, QUOTED_CHARS_MAX)}…` : text;
  return JSON.stringify(short).replace(/\p{C}/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Faults that can be seen without knowing which part is which; those of two addresses first. */
function shapeFault(text: string): string | undefined {
  if (text === '') return 'is empty';
  if (/[\r\n\u0085\u2028\u2029]/.test(text)) return 'has a line break';
  if (/\p{Cc}/u.test(text)) return 'has a control character';
  const ats = text.split('@').length - 1;
  if (ats > 1) return /[,;\s]/.test(text) ? 'holds more than one address' : 'has more than one @';
  if (/[<>]/.test(text)) return 'has angle brackets; only the address itself belongs here';
  if (/\s/.test(text)) return 'has a space';
  if (INVISIBLE.test(text)) return 'has an invisible character';
  if (/[,;]/.test(text)) return 'has a comma or semicolon; a field holds one address';
  if (ats === 0) return 'has no @ and so no domain';
  return undefined;
}

function faultOfLocal(local: string): string | undefined {
  if (local === '') return 'has nothing before the @';
  if (!ASCII.test(local))
    return 'has a character before the @ that is not ASCII, which mail servers do not take';
  if (local.startsWith('"')) return 'is quoted before the @, which is not accepted';
  if (local.length > LOCAL_BYTES_MAX) return `has more than ${LOCAL_BYTES_MAX} bytes before the @`;
  if (local.startsWith('.') || local.endsWith('.') || local.includes('..')) {
    return 'has a dot before the @ that is the first, the last or doubled';
  }
  if (!LOCAL.test(local)) return 'has a character before the @ that is not allowed there';
  return undefined;
}

/** An empty domain is one that could not be converted. */
function faultOfDomain(domain: string): string | undefined {
  if (domain === '' || domain.length > DOMAIN_BYTES_MAX) return BAD_DOMAIN;
  const labels = domain.split('.');
  if (!labels.every((label) => LABEL.test(label))) return BAD_DOMAIN;
  if (/^\d+$/.test(labels.at(-1) ?? '')) return 'has a number where a domain is needed';
  return undefined;
}
