// Three Raft nodes in processes of their own, and the network between them, which can be cut.
import { EventEmitter, once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type End, Program } from './program.ts';
import type { Message, Order, Report } from './raft-messages.ts';
import { RaftObserver, STRANGER } from './raft-observer.ts';

/** A message on its way. */
export interface Passing {
  readonly from: string;
  readonly to: string;
  readonly message: Message;
}

/** A cluster whose nodes are there to be killed. */
export class Cluster {
  readonly #directory: string;
  readonly names: readonly string[];
  readonly observer: RaftObserver;
  readonly #running = new Map<string, Program<Report>>();
  /** Nodes whose messages get lost. */
  readonly #cut = new Set<string>();
  readonly #changes = new EventEmitter<{ change: []; passing: [Passing] }>();
  kills = 0;

  constructor(directory: string, names: readonly string[]) {
    this.#directory = directory;
    this.names = names;
    this.observer = new RaftObserver(names);
  }

  start(name: string): void {
    const directory = path.join(this.#directory, name);
    mkdirSync(directory, { recursive: true });
    const peers = this.names.filter((other) => other !== name);
    const program = new Program<Report>('raft-node', [name, directory, ...peers], (report) => {
      this.#hear(name, report);
    });
    this.#running.set(name, program);
    void program.ended.then((end) => {
      if (end !== 'SIGKILL' && end !== 0) {
        this.observer.violations.push(`${name} ended with ${end}`);
      }
      this.#changes.emit('change');
    });
  }

  /** Kills a node: resolves when it is gone and all that it said was heard. */
  async kill(name: string): Promise<void> {
    this.kills += 1;
    const program = this.#running.get(name);
    this.#running.delete(name);
    program?.kill();
    await program?.ended;
    this.#cut.delete(name);
  }

  /** What a node says is lost from now on, until it is killed. */
  cut(name: string): void {
    this.#cut.add(name);
  }

  /** Resolves when something holds; looks whenever something was heard. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      const [violation] = this.observer.violations;
      if (violation !== undefined) throw new Error(violation);
      await once(this.#changes, 'change');
    }
  }

  /** Resolves to the next message of a kind, at the moment at which it passes the network. */
  passing(wanted: (passing: Passing) => boolean): Promise<Passing> {
    return new Promise((resolve) => {
      const look = (passing: Passing): void => {
        if (!wanted(passing)) return;
        this.#changes.off('passing', look);
        resolve(passing);
      };
      this.#changes.on('passing', look);
    });
  }

  say(name: string, order: Order): void {
    this.#running.get(name)?.say(order);
  }

  /** Ends all nodes in order. */
  async stop(): Promise<End[]> {
    for (const name of this.#running.keys()) this.say(name, { kind: 'stop' });
    return Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  killAll(): void {
    for (const program of this.#running.values()) program.kill();
  }

  #hear(from: string, report: Report): void {
    if (report.kind === 'message') {
      const { to, message } = report;
      this.observer.sent(from, to, message);
      const lost = this.#cut.has(from) || this.#cut.has(to) || to === STRANGER;
      if (!lost) this.say(to, { kind: 'message', from, message });
      this.#changes.emit('passing', { from, to, message });
    } else if (report.kind === 'ready') {
      this.observer.started(from, report);
      this.#askAgain(from, report.state.term);
    } else {
      this.observer.applied(from, report);
    }
    this.#changes.emit('change');
  }

  /** Asks a node that voted in this term for its vote once more: it must not give it again. */
  #askAgain(name: string, term: bigint): void {
    if (this.observer.voteOf(name, term) === undefined) return;
    const last = { index: this.observer.committed + 1000n, term };
    const message = { kind: 'candidate', term, last } as const;
    this.say(name, { kind: 'message', from: STRANGER, message });
  }
}
