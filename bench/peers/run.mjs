/**
 * One process of a peer: `run.mjs <peer> producer|submitter|consumer <config as JSON>`. Owns what its parent is told and
 * when; what is done is the peer's module. The first is ready once its queue is there, so consumers start after it.
 * A submitter adds one unit each time it is told a number.
 */
const [peer, role, json] = process.argv.slice(2);
const TELL_EVERY_MS = 20;

const config = JSON.parse(json);
const { producer, submitter, consumer } = await import(`./${peer}.mjs`);
const monoUs = () => Number(process.hrtime.bigint() / 1_000n);

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
if (role === 'producer') {
  const add = await producer(config);
  const produce = async () => {
    process.send({ firstAddAtMs: Date.now() });
    await add();
    process.send({ allAddedAtMs: Date.now() });
  };
  process.once('message', () => void produce());
} else if (role === 'submitter') {
  const submit = await submitter(config);
  process.on('message', ({ n }) => {
    process.send({ n, submittedAtUs: monoUs() });
    void submit(n);
  });
} else if (config.stamps) {
  await consumer(
    config,
    () => {},
    ({ n }) => process.send({ n, startedAtUs: monoUs() }),
  );
} else {
  let completed = 0;
  let lastAtMs = 0;
  let told = 0;
  await consumer(config, (count) => {
    completed += count;
    lastAtMs = Date.now();
  });
  setInterval(() => {
    if (completed === told) return;
    told = completed;
    process.send({ completed, lastAtMs });
  }, TELL_EVERY_MS);
}
process.send({ ready: true });
