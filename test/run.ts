/**
 * Runs the tests: `node --import tsx test/run.ts [files or folders…] [--grep PATTERN] [--timeout-ms N]`.
 * It owns which files run, in what order, and when a run counts as good. node:test runs the files, one
 * process each; they inherit this process's `--import tsx`.
 *
 * A run is good only if something ran and everything that ran passed:
 * R1: no files, a file without tests, or a run without a test is a fault.
 * R2: a skipped or todo test is a fault; what cannot run here does not belong here.
 * R3: a file that does not end within the timeout is stopped, and is a fault.
 * Files of SLOW start real processes and mostly wait: they begin first, so that the short ones fill what they leave of
 * the machine. Those of ALONE measure memory and run one at a time, at the end. Those of WITH_TOOLS may need programs
 * beside Node, which `test/tools.ts` provides first; those of WITH_BUILD start many processes, for which `test/built.ts`
 * builds the project first.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';
import { build } from './built.ts';
import { NATS_SERVERS_VARIABLE, provideTools } from './tools.ts';

/** What hangs is stopped by it; a slow machine must not be. */
const FILE_TIMEOUT_MS = 480_000;
/** One more than the cores of a small machine: of three files one waits. */
const CONCURRENCY = 3;
const SLOW = /^test\/(integration|chaos|browser|examples)\//;
const ALONE = /^test\/integration\/(flat-memory|slow-peer)\./;
const WITH_TOOLS = /^test\/(conformance|integration|chaos|browser|examples)\//;
const WITH_BUILD = /^test\/(integration|chaos|unit\/cli)\//;
/** How Node 20 marks a test that the pattern leaves out; later ones do not report it. */
const LEFT_OUT = 'test name does not match pattern';

type TestEvent = {
  name: string;
  file?: string;
  nesting: number;
  skip?: string | boolean;
  todo?: string | boolean;
  details: { type?: string; error?: { failureType?: string } };
};
type Tally = { passed: number; failed: number; faults: string[] };

type Options = { places: string[]; grep: RegExp | undefined; timeoutMs: number };

async function main(options: Options): Promise<Tally> {
  const files = testFiles(options.places);
  // A developer's own settings must not decide what a test sees.
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('GIMMEWORK_') && name !== NATS_SERVERS_VARIABLE) delete process.env[name];
  }
  const is =
    (place: RegExp) =>
    (file: string): boolean =>
      place.test(relative(process.cwd(), file));
  if (files.some(is(WITH_TOOLS))) await provideTools();
  if (files.some(is(WITH_BUILD))) build();

  const tally: Tally = { passed: 0, failed: 0, faults: [] };
  const report = new spec();
  report.pipe(process.stdout);
  const together = files.filter((file) => !is(ALONE)(file));
  const slow = together.filter(is(SLOW));
  const short = together.filter((file) => !is(SLOW)(file));
  await runGroup([...slow, ...short], CONCURRENCY, options, tally, report);
  await runGroup(files.filter(is(ALONE)), 1, options, tally, report);
  await new Promise((done) => {
    report.on('end', done).end();
  });

  if (tally.failed > 0) tally.faults.push(`${tally.failed} failed`);
  if (tally.passed === 0 && tally.faults.length === 0) tally.faults.push('no tests were run');
  return tally;
}

async function runGroup(
  files: string[],
  concurrency: number,
  { grep, timeoutMs }: Options,
  tally: Tally,
  report: InstanceType<typeof spec>,
): Promise<void> {
  if (files.length === 0) return;
  const pattern = grep === undefined ? {} : { testNamePatterns: [grep] };
  for await (const event of run({ files, concurrency, timeout: timeoutMs, ...pattern })) {
    const data = event.data as TestEvent;
    if (event.type === 'test:pass') count(tally, data, true, grep !== undefined);
    if (event.type === 'test:fail') count(tally, data, false, grep !== undefined);
    if (isShown(event.type, data)) report.write(event);
  }
}

/** Adds one reported test to the tally; a suite counts only by its tests, unless it failed by itself. */
function count(tally: Tally, test: TestEvent, passed: boolean, filtered: boolean): void {
  if (test.skip === LEFT_OUT && filtered) return;
  const where = `${relative(process.cwd(), test.file ?? '')}: ${test.name}`;
  if (passed && isFile(test)) {
    if (!filtered) tally.faults.push(`${relative(process.cwd(), test.name)}: holds no tests`);
  } else if (test.skip !== undefined) {
    tally.faults.push(`${where}: skipped`);
  } else if (test.todo !== undefined) {
    tally.faults.push(`${where}: todo`);
  } else if (!passed) {
    if (test.details.error?.failureType !== 'subtestsFailed') tally.failed += 1;
  } else if (test.details.type !== 'suite') {
    tally.passed += 1;
  }
}

/** A file without reported tests is itself reported, as a test with the file's name. */
function isFile(test: TestEvent): boolean {
  return test.nesting === 0 && test.file !== undefined && resolve(test.name) === resolve(test.file);
}

/** Leaves out each group's own totals: they belong to no file. */
function isShown(type: string, data: TestEvent): boolean {
  return type === 'test:diagnostic' ? data.file !== undefined : type !== 'test:summary';
}

/** The test files that these files and folders name, sorted. */
function testFiles(places: string[]): string[] {
  const found = new Set<string>();
  for (const place of places) {
    if (!existsSync(place)) throw new Error(`${place} does not exist`);
    if (statSync(place).isFile()) {
      found.add(resolve(place));
      continue;
    }
    for (const name of readdirSync(place, { recursive: true, encoding: 'utf8' })) {
      const file = relative(process.cwd(), resolve(place, name));
      if (file.endsWith('.test.ts') && !file.startsWith('test/fixtures/')) found.add(resolve(file));
    }
  }
  if (found.size === 0) throw new Error(`no test files in ${places.join(', ')}`);
  return [...found].sort();
}

function optionsFrom(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    options: { grep: { type: 'string' }, 'timeout-ms': { type: 'string' } },
    allowPositionals: true,
  });
  const timeoutMs = Number(values['timeout-ms'] ?? FILE_TIMEOUT_MS);
  if (!(timeoutMs > 0)) throw new Error(`--timeout-ms ${values['timeout-ms']} is not a time in milliseconds`);
  return {
    places: positionals.length > 0 ? positionals : ['test'],
    grep: values.grep === undefined ? undefined : new RegExp(values.grep),
    timeoutMs,
  };
}

/** Ends the process: one line for each fault, then the closing line. */
function end({ passed, failed, faults }: Tally): never {
  for (const fault of faults) console.error(`test/run.ts: ${fault}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(faults.length === 0 ? 0 : 1);
}

try {
  end(await main(optionsFrom(process.argv.slice(2))));
} catch (error) {
  end({ passed: 0, failed: 0, faults: [error instanceof Error ? error.message : String(error)] });
}
