// One node of the cluster of raft-run.ts: elections, replication and snapshots, as in the paper
// (Ongaro and Ousterhout, 2014), over RaftStorage. Its parent is the network.
//   raft-node.ts NAME DIRECTORY PEER PEER
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { type LogEntry, RaftStorage } from '../raft-storage.ts';
import type { Message, Order, Report } from './raft-messages.ts';
import { stateAfter } from './raft-state.ts';

type Of<Kind extends Message['kind']> = Extract<Message, { kind: Kind }>;

const HEARTBEAT_MS = 40;
const ELECTION_MS = 200;
/** Entries after which the log is replaced by a snapshot. */
const COMPACT_EVERY = 40n;

const tell = (report: Report): void => void process.send?.(report);

class Node {
  readonly #name: string;
  readonly #peers: readonly string[];
  readonly #storage: RaftStorage;
  #role: 'follower' | 'candidate' | 'leader' = 'follower';
  #votes = new Set<string>();
  /** Of a leader: the next entry to send to each peer, and how far each is known to be. */
  #next = new Map<string, bigint>();
  #match = new Map<string, bigint>();
  #commit: bigint;
  #applied: bigint;
  /** The state machine: a digest of all commands, in their order. */
  #state: string;
  #timer: NodeJS.Timeout | undefined;
  /** What is being dealt with: one thing after another. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(name: string, peers: readonly string[], storage: RaftStorage) {
    this.#name = name;
    this.#peers = peers;
    this.#storage = storage;
    this.#commit = this.#applied = storage.snapshot.index;
    this.#state = storage.snapshot.state;
  }

  async start(): Promise<void> {
    const { hardState: state, snapshot } = this.#storage;
    const entries = await this.#storage.entries(snapshot.index + 1n, 2 ** 30);
    const terms = entries.map(({ term }) => term);
    const { index, term } = snapshot;
    tell({ kind: 'ready', state, snapshot: { index, term }, terms });
    this.#waitForLeader();
    setInterval(() => this.#role === 'leader' && this.do(() => this.#replicate()), HEARTBEAT_MS);
  }

  /** Does something after everything before it. A failure ends the process: a log that gave up
   *  must be opened again. */
  do(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      console.error(this.#name, error);
      process.exit(1);
    });
  }

  async receive(from: string, message: Message): Promise<void> {
    const { term } = this.#storage.hardState;
    if (message.term > term) this.#role = 'follower';
    switch (message.kind) {
      case 'candidate':
        return this.#vote(from, message);
      case 'append':
      case 'install':
        return this.#follow(from, message);
      case 'vote':
      case 'have':
        if (message.term > term) {
          await this.#storage.saveHardState({ term: message.term, vote: null });
        } else if (message.term === term) {
          await (message.kind === 'vote'
            ? this.#count(from, message)
            : this.#advance(from, message));
        }
    }
  }

  /** A leader takes commands; what anybody else is told is lost, and told again. */
  async propose(commands: readonly string[]): Promise<void> {
    if (this.#role !== 'leader') return;
    const { term } = this.#storage.hardState;
    await this.#storage.append(commands.map((text) => ({ term, command: Buffer.from(text) })));
    await this.#replicate();
  }

  async stop(): Promise<void> {
    await this.#storage.close();
    process.exit(0);
  }

  #send(to: string, message: Message): void {
    tell({ kind: 'message', to, message });
  }

  #waitForLeader(): void {
    clearTimeout(this.#timer);
    const delay = ELECTION_MS * (1 + Math.random());
    this.#timer = setTimeout(() => {
      this.#waitForLeader();
      if (this.#role !== 'leader') this.do(() => this.#stand());
    }, delay);
  }

  async #stand(): Promise<void> {
    if (this.#role === 'leader') return;
    const term = this.#storage.hardState.term + 1n;
    this.#role = 'candidate';
    this.#votes = new Set([this.#name]);
    await this.#storage.saveHardState({ term, vote: this.#name });
    const last = await this.#storage.last();
    for (const peer of this.#peers) this.#send(peer, { kind: 'candidate', term, last });
  }

  async #vote(from: string, { term, last }: Of<'candidate'>): Promise<void> {
    const own = this.#storage.hardState;
    const vote = term > own.term ? null : own.vote;
    const mine = await this.#storage.last();
    const isBehind = last.term < mine.term || (last.term === mine.term && last.index < mine.index);
    const granted = term >= own.term && !isBehind && (vote === null || vote === from);
    if (term > own.term || (granted && vote === null)) {
      await this.#storage.saveHardState({ term, vote: granted ? from : vote });
    }
    if (granted) this.#waitForLeader();
    this.#send(from, { kind: 'vote', term: this.#storage.hardState.term, granted });
  }

  async #count(from: string, { granted }: Of<'vote'>): Promise<void> {
    if (!granted || this.#role !== 'candidate') return;
    this.#votes.add(from);
    if (this.#votes.size <= (this.#peers.length + 1) / 2) return;
    this.#role = 'leader';
    const { index } = await this.#storage.last();
    this.#next = new Map(this.#peers.map((peer) => [peer, index + 1n]));
    this.#match = new Map(this.#peers.map((peer) => [peer, 0n]));
    // What leaders before it left is committed together with an entry of its own term.
    const { term } = this.#storage.hardState;
    await this.#storage.append([{ term, command: Buffer.alloc(0) }]);
    await this.#replicate();
  }

  async #replicate(): Promise<void> {
    // It may have lost its place while this waited for its turn, and must not lead the new term.
    if (this.#role !== 'leader') return;
    for (const peer of this.#peers) await this.#replicateTo(peer);
  }

  async #replicateTo(peer: string): Promise<void> {
    const { hardState, snapshot } = this.#storage;
    const { term } = hardState;
    const next = this.#next.get(peer) ?? 1n;
    const before = await this.#storage.termAt(next - 1n);
    if (before === undefined) {
      this.#send(peer, { kind: 'install', term, snapshot });
      return;
    }
    const entries = await this.#storage.entries(next);
    const previous = { index: next - 1n, term: before };
    this.#send(peer, { kind: 'append', term, previous, entries, commit: this.#commit });
  }

  /** From a leader. What it is answered is durable here. */
  async #follow(from: string, message: Of<'append'> | Of<'install'>): Promise<void> {
    const own = this.#storage.hardState;
    if (message.term < own.term) {
      this.#send(from, { kind: 'have', term: own.term, ok: false, last: 0n });
      return;
    }
    this.#role = 'follower';
    this.#waitForLeader();
    const { term } = message;
    const state = term > own.term ? { term, vote: null } : own;
    if (message.kind === 'install') {
      if (term > own.term) await this.#storage.saveHardState(state);
      await this.#storage.install(message.snapshot);
      this.#takeSnapshot();
      const { index } = message.snapshot;
      this.#send(from, { kind: 'have', term, ok: true, last: index });
      return;
    }
    const { previous, entries, commit } = message;
    const ok = await this.#storage.follow(previous, entries, state);
    const matched = previous.index + BigInt(entries.length);
    if (ok) await this.#apply(commit < matched ? commit : matched);
    const last = ok ? matched : (await this.#storage.last()).index;
    this.#send(from, { kind: 'have', term, ok, last });
  }

  async #advance(from: string, { ok, last }: Of<'have'>): Promise<void> {
    if (this.#role !== 'leader') return;
    const next = this.#next.get(from) ?? 1n;
    if (!ok) {
      this.#next.set(from, last < next - 1n ? last + 1n : next > 1n ? next - 1n : 1n);
      return this.#replicateTo(from);
    }
    const matched = this.#match.get(from) ?? 0n;
    if (last <= matched) return;
    this.#match.set(from, last);
    this.#next.set(from, last + 1n);
    const { index } = await this.#storage.last();
    const places = [...this.#match.values(), index].sort((a, b) => (a < b ? -1 : 1));
    const majority = places[(places.length - 1) >> 1] ?? 0n;
    // Only an entry of its own term is committed by counting.
    if ((await this.#storage.termAt(majority)) !== this.#storage.hardState.term) return;
    await this.#apply(majority);
  }

  async #apply(commit: bigint): Promise<void> {
    if (commit > this.#commit) this.#commit = commit;
    while (this.#applied < this.#commit) {
      const first = this.#applied + 1n;
      const all = await this.#storage.entries(first);
      const entries = all.slice(0, Number(this.#commit - this.#applied));
      for (const { command } of entries) this.#state = stateAfter(this.#state, command);
      this.#applied += BigInt(entries.length);
      this.#tellApplied(first, entries);
    }
    if (this.#applied - this.#storage.snapshot.index >= COMPACT_EVERY) {
      await this.#storage.compact(this.#applied, this.#state);
    }
  }

  #takeSnapshot(): void {
    const { index, state } = this.#storage.snapshot;
    if (index <= this.#applied) return;
    this.#applied = index;
    this.#commit = index;
    this.#state = state;
    this.#tellApplied(index + 1n, []);
  }

  #tellApplied(first: bigint, entries: readonly LogEntry[]): void {
    const { term } = this.#storage.hardState;
    tell({ kind: 'applied', term, first, entries, state: this.#state });
  }
}

const [name = '', directory = '', ...peers] = process.argv.slice(2);
const node = new Node(name, peers, await RaftStorage.open(directory));
process.on('message', (order: Order) => {
  node.do(() => {
    if (order.kind === 'message') return node.receive(order.from, order.message);
    return order.kind === 'propose' ? node.propose(order.commands) : node.stop();
  });
});
// Nobody is there any more to talk to.
process.on('disconnect', () => process.exit(0));
await node.start();
