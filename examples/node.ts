/**
 * A master or a worker of an example, as a process. Its one argument is JSON; it writes a line when it is ready and
 * ends at a signal, or when its parent is gone. It is what `gimme master` and `gimme worker` start, with a lease and a
 * heartbeat that suit something that ends within a minute.
 */
import { print } from '../cli/output.ts';
import { stopped } from '../cli/signals.ts';
import { loadWorks } from '../cli/works.ts';
import { startMaster } from '../master/main.ts';
import { createLog } from '../shared/io/log.ts';
import { startWorker, type WorkerLink } from '../worker/main.ts';

type MasterNode = {
  role: 'master';
  port: number;
  dataDir: string;
  leaseMs: number;
  heartbeatMs: number;
  lookAheadUnits?: number;
  nats?: string;
  webhooks?: { secretFile: string; allow: string[] };
};
type WorkerNode = { role: 'worker'; link: WorkerLink; works: string; slots: number; heartbeatMs: number };
export type NodeConfig = MasterNode | WorkerNode;

const config = JSON.parse(process.argv[2] ?? '') as NodeConfig;
const log = createLog({ level: 'warn', format: 'text' });
const stop = stopped();

if (config.role === 'master') {
  const { port, dataDir, leaseMs, heartbeatMs, lookAheadUnits, nats, webhooks } = config;
  const settings = { leaseMs, heartbeatMs, ...(lookAheadUnits !== undefined && { lookAheadUnits }) };
  const ways = { ...(nats !== undefined && { nats: { servers: nats } }), ...(webhooks && { webhooks }) };
  const master = await startMaster({ host: '127.0.0.1', port, dataDir, log, settings, ...ways });
  print(master.url);
  await stop;
  await master.stop();
} else {
  const { link, slots, heartbeatMs } = config;
  const mail = { smtp: undefined, retryFirstMs: undefined };
  const { works, sources, modules } = await loadWorks([config.works], mail);
  const own = { works, sources, modules, slots, labels: {}, log, heartbeatMs };
  const worker = await startWorker({ ...link, ...own });
  print(worker.id);
  await worker.drain(await stop);
}
process.exit(0);
