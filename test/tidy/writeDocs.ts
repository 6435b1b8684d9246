/** Writes the pages that are made from tables in the code. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderErrors } from './errorsPage.ts';
import { withMetrics } from './metricsTable.ts';
import { ROOT } from './sources.ts';

writeFileSync(join(ROOT, 'docs/errors.md'), renderErrors());
const operating = join(ROOT, 'docs/OPERATING.md');
writeFileSync(operating, withMetrics(readFileSync(operating, 'utf8')));
console.log('wrote docs/errors.md and the metrics of docs/OPERATING.md');
