/** Writes the pages that are made from tables in the code. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderErrors } from './errorsPage.ts';
import { ROOT } from './sources.ts';

writeFileSync(join(ROOT, 'docs/errors.md'), renderErrors());
console.log('wrote docs/errors.md');
