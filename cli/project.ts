/** The files of a new project: one work, a sample for it, and how to run both. `test/unit/cli/init.test.ts` runs it. */
import { VERSION } from '../shared/io/version.ts';

const WORKS = `/** What is done with each row of people.csv. */
import { mkdir, writeFile } from 'node:fs/promises';
import { defineWork, PermanentError } from 'gimmework';

type Person = { name: string; city: string };

export const greet = defineWork<Person>('greet')
  // A step gets what the step before gave; the first one gets the unit. One that throws is tried again by itself.
  .step('compose', (person) => {
    if (!person.name) throw new PermanentError('there is nobody to greet');
    return \`Hello \${person.name} of \${person.city}!\`;
  })
  // The same file at each attempt: when a worker is lost, running this once more does no harm.
  .step('write', { effect: 'at-least-once' }, async (text, ctx) => {
    await mkdir('out', { recursive: true });
    await writeFile(\`out/\${ctx.unit}.txt\`, \`\${text}\\n\`);
  });
`;

const NAMES = ['Ada', 'Björk', 'Chidi', 'Dana', 'Emre', 'Fatou', 'Gus', 'Hana', 'Ivo', 'Jun'];
const CITIES = ['Accra', 'Bergen', 'Cuzco', 'Dakar', 'Essen'];

function people(): string {
  const rows = CITIES.flatMap((city) => NAMES.map((name) => `${name},${city}`));
  return ['name,city', ...rows, ''].join('\n');
}

function readme(name: string): string {
  return `# ${name}

\`works.ts\` says what is done with a unit, \`people.csv\` has the units, a row each.

In one terminal, a master and two workers that are started again when works.ts changes:

    gimme dev works.ts

In another one:

    gimme epic submit greet --source people.csv --watch

Each row ends in exactly one recorded outcome; \`out/\` has a file for each that succeeded. \`gimme top\` shows all of it live.
On several machines, run \`gimme master\` on one and \`gimme worker --works works.ts --master ws://that-one:7171\` on the others.

\`npm install\` is for your editor and for packages of your own; gimme itself runs without it.
`;
}

/** Contents by file name. */
export function projectFiles(name: string): Record<string, string> {
  const manifest = {
    name,
    private: true,
    type: 'module',
    scripts: { dev: 'gimme dev works.ts' },
    dependencies: { gimmework: `^${VERSION}` },
  };
  return {
    'works.ts': WORKS,
    'people.csv': people(),
    'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
    'README.md': readme(name),
    '.gitignore': 'node_modules/\ngimmework-data/\nout/\n',
  };
}
