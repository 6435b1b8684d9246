/** Where the sample data lies: beside the sources, where a built module finds it too; no build copies it. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of the sample data, whether this runs from source, from `dist/` or from an installed package. */
export function sampleDir(): string {
  const beside = fileURLToPath(new URL('./sample/', import.meta.url));
  return existsSync(beside)
    ? beside
    : fileURLToPath(new URL('../../../works/newsletter/sample/', import.meta.url));
}

export type SamplePaths = {
  /** A thousand recipients with awkward names, all valid. */
  recipients: string;
  /** One row of every kind that is refused, see sample/README.md. */
  badRecipients: string;
  /** A brief whose html and text are `@newsletter.html` and `@newsletter.txt`. */
  brief: string;
  html: string;
  text: string;
};

export function samplePaths(): SamplePaths {
  const dir = sampleDir();
  return {
    recipients: `${dir}recipients.csv`,
    badRecipients: `${dir}recipients.bad.csv`,
    brief: `${dir}brief.json`,
    html: `${dir}newsletter.html`,
    text: `${dir}newsletter.txt`,
  };
}
