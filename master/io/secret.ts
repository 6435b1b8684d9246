/**
 * The secret of a data directory, made once and kept with the journal: what a master sealed with it, the next one
 * on this directory knows again. Only its owner may read the file.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GimmeError } from '../../shared/core/errors.ts';
import type { Seal } from '../core/seal.ts';
import { partOf, publish, storeFault } from './durableDir.ts';

const SECRET_BYTES = 32;
/** RFC 2104, section 5: not less than half of the hash, and not less than 80 bits. */
const SEAL_BYTES = 16;

/** Gives the seal of a data directory, which this process owns. Throws store_failed or data_corrupt. */
export async function openSeal(dir: string): Promise<Seal> {
  const path = join(dir, 'secret');
  try {
    const secret = await readFile(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return makeSecret(path);
    });
    if (secret.length === SECRET_BYTES) return sealWith(secret);
  } catch (error) {
    throw storeFault(error, `cannot use the secret in ${dir}`);
  }
  const cure = 'restore it from a backup, or remove it: what workers hold then is granted again';
  throw new GimmeError('data_corrupt', `${path} has not ${SECRET_BYTES} bytes: ${cure}`);
}

/** HMAC-SHA-256 (RFC 2104), cut to 128 bits. */
export function sealWith(secret: Uint8Array): Seal {
  return (text) =>
    createHmac('sha256', secret).update(text).digest().subarray(0, SEAL_BYTES).toString('base64url');
}

async function makeSecret(path: string): Promise<Buffer> {
  const secret = randomBytes(SECRET_BYTES);
  await rm(partOf(path), { force: true });
  const handle = await open(partOf(path), 'wx', 0o600);
  try {
    await handle.writeFile(secret);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await publish(path);
  return secret;
}
