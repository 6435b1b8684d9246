/** The page of errors, made from the table that the code uses: `npm run docs` writes it. */
import { ERRORS } from '../../shared/core/errors.ts';

const HEAD = `# Errors

Every error has one of these codes. The HTTP interface gives it as \`code\` of an \`application/problem+json\`
answer with this status; the command line ends with this exit code; a unit's failure is listed under it.
*Again* tells whether the same request, unchanged, can succeed later.

This page is made from \`shared/core/errors.ts\` by \`npm run docs\`.
`;

/** Renders docs/errors.md. */
export function renderErrors(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, exit, retryable, next }]) =>
      `| \`${code}\` | ${status} | ${exit} | ${retryable ? 'yes' : 'no'} | ${next.replaceAll('|', '\\|')} |`,
  );
  const table = ['| code | status | exit | again | what happens next |', '|---|---|---|---|---|', ...rows];
  return `${HEAD}\n${table.join('\n')}\n`;
}
