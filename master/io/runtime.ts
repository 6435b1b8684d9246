/**
 * The master's shell: takes frames, requests and time to the core, and does what it decides. Owns the
 * order of things; the core owns the decisions, the store the durability.
 *
 * P1: records are appended in the order the core wrote them (`journal.ts`).
 * P2: a message that waits for a record is sent after it is durable.
 * P3: readers see only the ledger of synced records.
 * P4: frames that are queued are taken before a tick may expire anyone.
 */
import { GimmeError, unreachable } from '../../shared/core/errors.ts';
import { CHECKPOINT_RECORDS } from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import type { EpicStatus, MasterView, WorkerView } from '../../shared/protocol/api.ts';
import { type Decoded, decodeWorkerMessage, encodeFrame } from '../../shared/protocol/codec.ts';
import type { WorkerMessage } from '../../shared/protocol/messages.ts';
import type { Epic } from '../core/epic.ts';
import { Master, type MasterInput } from '../core/master.ts';
import type { EpicRecord } from '../core/records.ts';
import type { CoreSettings, MasterState, Outgoing } from '../core/state.ts';
import type { GatherRequest, GatherResult, MasterApi, RuntimeObserver, SubmitRequest } from './api.ts';
import { BriefSender } from './briefSender.ts';
import type { Briefs } from './briefs.ts';
import { Changes } from './changes.ts';
import { Congestion } from './congestion.ts';
import { type Depth, Depths } from './depths.ts';
import { type EpicFilter, EpicViews } from './epicViews.ts';
import { Gathers } from './gathers.ts';
import { Journal } from './journal.ts';
import { Leftovers } from './leftovers.ts';
import { type Ahead, Lookups } from './lookups.ts';
import type { Spool } from './spool.ts';
import type { Opened, Store } from './store.ts';
import { Submissions, type Unnamed } from './submissions.ts';
import { Units } from './units.ts';
import { workerNamed, workersOf } from './workers.ts';

export type RuntimeParts = {
  id: string;
  bus: Bus;
  store: Store;
  spool: Spool;
  briefs: Briefs;
  clock: Clock;
  log: Log;
  newId: () => string;
  seal: MasterState['seal'];
  settings?: Partial<CoreSettings>;
  /** Ends the process: the store failed, or an invariant broke. */
  onFatal: (error: unknown) => void;
};

const CHANGED_EVERY_MS = 100;
const SAMPLE_EVERY_MS = 1_000;
/** What a stop waits for the store. */
const CLOSE_MS = 5_000;

export class MasterRuntime implements MasterApi {
  readonly id: string;
  readonly depths: Depths;
  readonly leftovers: Leftovers;
  readonly units: Units;
  readonly #parts: RuntimeParts;
  readonly #core: Master;
  readonly #journal: Journal;
  readonly #briefSender: BriefSender;
  readonly #congestion: Congestion;
  readonly #lookups: Lookups;
  readonly #gathers: Gathers;
  readonly #submissions: Submissions;
  /** Only what is synced (P3). */
  readonly #views: EpicViews;
  readonly #changes = new Changes();
  #observer: RuntimeObserver | undefined;
  #sinceCheckpoint = 0;
  #cancelWake: () => void = () => {};
  #wakeAt = Number.POSITIVE_INFINITY;
  readonly #timers: NodeJS.Timeout[] = [];
  #open = false;
  /** Why the link is down; nothing while it is up. */
  #down: string | undefined = 'it is not up yet';
  #stalled: string | undefined;

  constructor(parts: RuntimeParts, opened: Opened) {
    this.#parts = parts;
    this.id = parts.id;
    const { id, seal, settings } = parts;
    this.#core = new Master({ id, term: opened.term, seal, ...(settings && { settings }) });
    this.#core.recover(opened.records);
    this.leftovers = new Leftovers({ ...parts, epics: () => this.#core.state.ledger.epics.values() });
    this.#views = new EpicViews(this.#core.state, parts.clock);
    for (const record of opened.records) this.#see(record);
    this.#journal = new Journal({
      store: parts.store,
      monoMs: () => parts.clock.monoMs(),
      onSynced: (records, seconds) => this.#onSynced(records, seconds),
      send: (message) => this.#send(message),
      onStalled: (reason) => this.#onStalled(reason),
      setTimer: (ms, fn) => parts.clock.setTimer(ms, fn),
      onFatal: parts.onFatal,
    });
    this.#briefSender = new BriefSender({
      ...parts,
      lost: (brief, why) => this.#step({ type: 'brief-lost', brief, why }),
    });
    this.#congestion = new Congestion(parts, this.#journal, (full) => this.#step({ type: 'link', full }));
    const step = (input: MasterInput): void => this.#step(input);
    const shared = { ...parts, state: this.#core.state, settled: () => this.#journal.settled(), step };
    this.#lookups = new Lookups(shared);
    this.#gathers = new Gathers({
      ...shared,
      send: (session, message, payload) => this.#send({ to: 'worker', session, message, payload, after: 0 }),
    });
    this.depths = new Depths(this.#core.state, parts.bus);
    const submit = (submission: Unnamed): Promise<EpicStatus> => this.#submit(submission);
    this.#submissions = new Submissions({
      ...shared,
      lookups: this.#lookups,
      submit,
      standing: (epic) => this.#journal.settled().then(() => this.#views.status(epic)),
    });
    this.units = new Units({ store: parts.store, views: this.#views, core: this.#core.state, submit });
  }

  /** What metrics are made of; only to be read. */
  inside(): { state: MasterState; epics: () => Iterable<Epic>; depths: () => Record<string, Depth> } {
    const { state } = this.#core;
    return { state, epics: () => this.#views.ledger.epics.values(), depths: () => this.depths.report() };
  }

  /** Has an observer told of what happens from now on. */
  observe(observer: RuntimeObserver): void {
    this.#observer = observer;
  }

  async open(): Promise<void> {
    this.#open = true;
    await this.#parts.bus.open({
      onFrame: (from, frame) => this.#frame(from, frame),
      onUp: () => {
        this.#down = undefined;
        this.#observer?.linked();
        this.#step({ type: 'up' });
      },
      onDown: (reason) => {
        this.#down = reason;
        this.#step({ type: 'down' });
        this.#parts.log.warn('the link is down', { reason });
      },
    });
    void this.#recall();
    this.#every(CHANGED_EVERY_MS, () => {
      this.depths.sample({ briefAsks: this.#briefSender.waiting, gatherBytes: this.#gathers.bytes });
      this.#changes.tell();
    });
    this.#every(SAMPLE_EVERY_MS, () => {
      this.#views.sample();
      for (const id of this.#core.state.live.keys()) this.#changes.add(id);
    });
  }

  /** Stops taking input, makes durable what was decided, and closes the link. */
  async close(): Promise<void> {
    this.#open = false;
    this.#briefSender.close();
    this.#congestion.close();
    this.#lookups.close();
    this.#cancelWake();
    for (const timer of this.#timers) clearInterval(timer);
    // A full disk may never take what is left; nobody was told of it.
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.clock.setTimer(CLOSE_MS, resolve);
    });
    await Promise.race([this.#journal.settled(), late]);
    cancel();
    await this.#parts.bus.close();
    await this.#parts.store.close();
  }

  submit(request: SubmitRequest): Promise<EpicStatus> {
    return this.#submissions.submit(request);
  }

  gather(request: GatherRequest): Promise<EpicStatus> {
    return this.#submissions.gather(request);
  }

  result(id: string): Promise<GatherResult | undefined> {
    return this.#gathers.result(this.#views.known(id));
  }

  /** Whoever asked this gather is told of its end no more. */
  delivered(epic: string): void {
    if (this.#open) this.#step({ type: 'delivered', epic });
  }

  epic(idOrName: string): EpicStatus | undefined {
    return this.#views.find(idOrName);
  }

  named(name: string): number {
    return this.#views.named(name);
  }

  epics(filter: EpicFilter): EpicStatus[] {
    return this.#views.page(filter);
  }

  async cancel(id: string, reason: string): Promise<EpicStatus> {
    return this.#steer({ type: 'cancel', epic: id, reason });
  }

  async pause(id: string, reason: string): Promise<EpicStatus> {
    return this.#steer({ type: 'pause', epic: id, reason });
  }

  async resume(id: string): Promise<EpicStatus> {
    return this.#steer({ type: 'resume', epic: id });
  }

  workers(): WorkerView[] {
    return workersOf(this.#core.state, this.#parts.clock.monoMs());
  }

  drainWorker(idOrName: string): WorkerView {
    const worker = workerNamed(this.workers(), idOrName);
    this.#step({ type: 'drain', session: worker.id });
    return { ...worker, state: 'draining' };
  }

  masters(): MasterView[] {
    const { term, live } = this.#core.state;
    const { id, store, bus } = this.#parts;
    return [{ id, term, store: store.kind, link: bus.kind, epics: live.size, queues: this.depths.report() }];
  }

  onChange(listener: (epics: ReadonlySet<string>) => void): () => void {
    return this.#changes.listen(listener);
  }

  readiness(): { ready: true } | { ready: false; reason: string } {
    if (!this.#open) return { ready: false, reason: 'the master is stopping' };
    const reason = this.#stalled ?? (this.#down && `the link to the workers is down: ${this.#down}`);
    return reason === undefined ? { ready: true } : { ready: false, reason };
  }

  #steer(input: Extract<MasterInput, { type: 'cancel' | 'pause' | 'resume' }>): Promise<EpicStatus> {
    this.#assertOpen();
    this.#views.assertSteerable(input.epic);
    return this.#change(input);
  }

  /** Resolves once the epic is durable; one without a name has its id for it. */
  #submit({ id, ahead, ...submission }: Unnamed): Promise<EpicStatus> {
    this.#assertOpen();
    this.#assertRoom();
    const epic = id ?? this.#parts.newId();
    return this.#change({ type: 'submit', epic: { epic, name: epic, ...submission } }, ahead);
  }

  /** Resolves once the change is durable. */
  async #change(
    input: Extract<MasterInput, { type: 'submit' | 'cancel' | 'pause' | 'resume' }>,
    ahead?: Ahead,
  ): Promise<EpicStatus> {
    this.#journal.together(() => this.#lookups.using(ahead, () => this.#step(input)));
    await this.#journal.settled();
    return this.#views.status(input.type === 'submit' ? input.epic.epic : input.epic);
  }

  #assertRoom(): void {
    if (this.#core.full) throw new GimmeError('too_many_epics', 'this master runs as many epics as it takes');
  }

  /** What is asked while the master stops is refused: its store closes before its HTTP face does. */
  #assertOpen(): void {
    if (!this.#open)
      throw new GimmeError('master_unreachable', 'this master is stopping; ask again when it is back');
  }

  #frame(from: string, frame: Uint8Array): void {
    if (!this.#open) return;
    let decoded: Decoded<WorkerMessage>;
    try {
      decoded = decodeWorkerMessage(frame);
    } catch (error) {
      if (!(error instanceof GimmeError)) throw error;
      this.#core.state.counters.refused += 1;
      if (!this.#core.state.sessions.has(from)) this.#refuse(from, error);
      return this.#parts.log.warn('refused a message', { from, code: error.code, why: error.message });
    }
    const { message, units } = decoded;
    if (message.t === 'want-brief') this.#briefSender.send(from, message.hash);
    if (message.t === 'heartbeat') this.#views.countSteps(from, message.steps);
    this.#step({ type: 'message', from, message, payload: units });
    if (message.t === 'part') this.#gathers.take(from, message, units);
    if (message.t === 'want-answers') void this.#gathers.answer(from, message);
  }

  /** Tells a worker whose first words are wrong; it would wait for ever without a reason. */
  #refuse(session: string, { code, message }: GimmeError): void {
    this.#parts.bus.send({ to: 'worker', id: session }, encodeFrame({ t: 'refused', code, message }));
  }

  #step(input: MasterInput): void {
    const { clock } = this.#parts;
    const output = this.#core.step(input, { wallMs: clock.wallMs(), monoMs: clock.monoMs() });
    this.#journal.take(output.records, output.messages, this.#core.state.recorded);
    if (input.type === 'batch' || input.type === 'sourced') this.depths.observeEpics();
    this.#lookups.start(output);
    for (const { work, ms } of output.waits) this.#observer?.granted(work, ms);
    this.#wake(output.wakeAt);
    this.depths.observe(this.#journal.depth);
    this.#congestion.look();
  }

  /** P3 */
  #onSynced(records: readonly EpicRecord[], seconds: number): void {
    this.#observer?.appended(seconds, records.length);
    for (const record of records) this.#see(record);
    this.#sinceCheckpoint += records.length;
    if (this.#sinceCheckpoint >= CHECKPOINT_RECORDS) void this.#checkpoint();
    this.depths.observe(this.#journal.depth);
  }

  async #recall(): Promise<void> {
    try {
      await this.#views.recall(this.#parts.store);
    } catch (error) {
      if (this.#open)
        this.#parts.log.warn('cannot find what went wrong before the start', { why: String(error) });
    }
  }

  #onStalled(reason: string | undefined): void {
    this.#stalled = reason;
    if (reason === undefined) this.#parts.log.info('the store takes records again');
    else this.#parts.log.error('the store takes no records: nothing is granted until it does', { reason });
    this.#step({ type: 'store', stalled: reason !== undefined });
  }

  async #checkpoint(): Promise<void> {
    this.#sinceCheckpoint = 0;
    try {
      await this.#parts.store.checkpoint(this.#views.ledger.checkpoint());
    } catch (error) {
      // On a full disk the journal only grows longer; the next one is tried after as many records again.
      if (!(error instanceof GimmeError) || error.code !== 'disk_full') this.#parts.onFatal(error);
    }
  }

  #see(record: EpicRecord): void {
    const { source } = this.#views.ledger.epics.get(record.epic) ?? {};
    this.#views.see(record);
    this.#observer?.synced(record, this.#views.ledger.epics.get(record.epic), this.#parts.clock.wallMs());
    this.#changes.add(record.epic);
    if (record.k !== 'purged') return;
    if (this.#open && source) this.leftovers.forgotten(source);
  }

  #send(outgoing: Outgoing): void {
    const frame = encodeFrame(outgoing.message, outgoing.payload);
    switch (outgoing.to) {
      case 'worker':
        this.#parts.bus.send({ to: 'worker', id: outgoing.session }, frame);
        return;
      case 'workers':
        this.#parts.bus.send({ to: 'workers' }, frame);
        return;
      default:
        unreachable(outgoing);
    }
  }

  #wake(atMs: number): void {
    if (atMs >= this.#wakeAt || !this.#open) return;
    this.#cancelWake();
    this.#wakeAt = atMs;
    const { clock } = this.#parts;
    this.#cancelWake = clock.setTimer(Math.max(0, atMs - clock.monoMs()), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      // P4: one turn of the loop lets the sockets be read first.
      setImmediate(() => {
        if (this.#open) this.#step({ type: 'tick' });
      });
    });
  }

  #every(ms: number, run: () => void): void {
    this.#timers.push(setInterval(run, ms));
  }
}
