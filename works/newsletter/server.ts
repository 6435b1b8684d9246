/** The SMTP server named by a URL: owns the URL's reading, so that a wrong one is refused at once. */
import { GimmeError } from '../../shared/core/errors.ts';

export type SmtpServer = {
  /** `host:port`, without user and password: what messages may show. */
  address: string;
  host: string;
  port: number;
  /** TLS from the first byte. Otherwise STARTTLS is used where the server offers it. */
  secure: boolean;
  auth?: { user: string; pass: string };
  requireTLS?: boolean;
  ignoreTLS?: boolean;
  tls?: { rejectUnauthorized: boolean };
  /** What EHLO says. Defaults to this machine's name. */
  name?: string;
};

const PORTS = { 'smtp:': 587, 'smtps:': 465 };

/**
 * Reads `smtp://[user:password@]host[:port]` or `smtps://…`. Ports default to 587 and 465. Options behind
 * `?`: `requireTLS`, `ignoreTLS`, `tls.rejectUnauthorized` (each true or false) and `name`.
 * Throws GimmeError `bad_config`, which never shows the password.
 */
export function smtpServer(url: string): SmtpServer {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const protocol = parsed?.protocol;
  if (parsed === undefined || (protocol !== 'smtp:' && protocol !== 'smtps:') || parsed.hostname === '') {
    throw bad('must be smtp://[user:password@]host[:port] or smtps://…');
  }
  if (parsed.pathname !== '' && parsed.pathname !== '/') throw bad('has a path, which SMTP does not know');
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = parsed.port === '' ? PORTS[protocol] : Number(parsed.port);
  const server: SmtpServer = {
    address: `${parsed.hostname}:${port}`,
    host,
    port,
    secure: protocol === 'smtps:',
  };
  if (parsed.username !== '') server.auth = loginFrom(parsed);
  for (const [key, value] of parsed.searchParams) setOption(server, key, value);
  return server;
}

function bad(what: string): GimmeError {
  return new GimmeError('bad_config', `the SMTP URL (--smtp, GIMMEWORK_SMTP_URL) ${what}`);
}

function loginFrom(url: URL): { user: string; pass: string } {
  try {
    return { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  } catch {
    throw bad('has a user or password that is not percent-encoded');
  }
}

function setOption(server: SmtpServer, key: string, value: string): void {
  if (key === 'name' && /^[\x21-\x7e]+$/.test(value)) {
    server.name = value;
    return;
  }
  if (key !== 'requireTLS' && key !== 'ignoreTLS' && key !== 'tls.rejectUnauthorized') {
    throw bad(`has an option ${JSON.stringify(key)} that is not known or not valid`);
  }
  if (value !== 'true' && value !== 'false') throw bad(`needs true or false for ${key}`);
  if (key === 'tls.rejectUnauthorized') server.tls = { rejectUnauthorized: value === 'true' };
  else server[key] = value === 'true';
}
