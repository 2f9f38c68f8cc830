// Sees every message of a Raft cluster and every life of its nodes, and says where storage broke
// Raft's safety.
//
// - R-1 A node votes for one candidate in a term, over all its lives; its term never goes back.
// - R-2 A term has one leader.
// - R-3 What was committed stays as it is: every node applies the same entry at an index, and
//   comes to the same state.
// - R-4 A node that said that it has an entry, which was committed with its help or later, has it
//   after every restart.
import { Buffer } from 'node:buffer';
import type { Message, Report } from './raft-messages.ts';
import { stateAfter } from './raft-state.ts';

type Ready = Extract<Report, { kind: 'ready' }>;
type Applied = Extract<Report, { kind: 'applied' }>;

/** Nobody of the cluster: whoever asks in this name is the run itself. */
export const STRANGER = 'stranger';

/** A committed entry. */
interface Committed {
  readonly term: bigint;
  readonly command: string;
  /** The term in which it was committed, which may be later. */
  readonly during: bigint;
  /** The state that it leads to. */
  readonly state: string;
}

/** What is known of one node. */
interface Known {
  /** The highest term that it spoke in. */
  term: bigint;
  /** Whom it voted for, by term. */
  readonly votes: Map<bigint, string>;
  /** How far it said that its log is that of the leader of a term. */
  readonly has: Map<bigint, bigint>;
  applied: bigint;
}

/** Judges a cluster from outside. */
export class RaftObserver {
  readonly #nodes: ReadonlyMap<string, Known>;
  readonly #leaders = new Map<bigint, string>();
  /** By index; the entry at 0 is none. */
  readonly #committed: Committed[] = [{ term: 0n, command: '', during: 0n, state: '' }];
  readonly #commands = new Set<string>();
  /** What is wrong, in words. */
  readonly violations: string[] = [];
  elections = 0;
  /** Snapshots that nodes took from a leader. */
  snapshots = 0;
  /** Logs that had entries where others were committed. */
  cuts = 0;
  /** Votes that were asked for once more, and refused. */
  refusals = 0;

  constructor(names: readonly string[]) {
    const known = (): Known => ({ term: 0n, votes: new Map(), has: new Map(), applied: 0n });
    this.#nodes = new Map(names.map((name) => [name, known()]));
  }

  /** The leader of the highest term, if any was heard. */
  get leader(): string | undefined {
    return [...this.#leaders].sort(([a], [b]) => (a < b ? 1 : -1))[0]?.[1];
  }

  /** The index of the last entry that was committed. */
  get committed(): bigint {
    return BigInt(this.#committed.length - 1);
  }

  hasCommitted(command: string): boolean {
    return this.#commands.has(command);
  }

  appliedBy(name: string): bigint {
    return this.#of(name).applied;
  }

  /** Whom a node voted for. */
  voteOf(name: string, term: bigint): string | undefined {
    return this.#of(name).votes.get(term);
  }

  /** A node's message, whether it will arrive or not. */
  sent(from: string, to: string, message: Message): void {
    const node = this.#of(from);
    if (message.term < node.term) this.#broken(`R-1 ${from} went back to term ${message.term}`);
    node.term = message.term;
    if (message.kind === 'candidate') this.#voted(from, message.term, from);
    if (message.kind === 'vote' && message.granted) this.#voted(from, message.term, to);
    if (message.kind === 'vote' && !message.granted && to === STRANGER) this.refusals += 1;
    if (message.kind === 'append' || message.kind === 'install') {
      const leader = this.#leaders.get(message.term);
      if (leader === undefined) this.elections += 1;
      else if (leader !== from) this.#broken(`R-2 ${leader} and ${from} lead term ${message.term}`);
      this.#leaders.set(message.term, from);
    }
    if (message.kind === 'append') {
      this.#said(from, message.term, message.previous.index + BigInt(message.entries.length));
    }
    if (message.kind === 'have' && message.ok) this.#said(from, message.term, message.last);
  }

  /** A node has started, and found this in its storage. */
  started(name: string, { state, snapshot, terms }: Ready): void {
    const node = this.#of(name);
    if (state.term < node.term) {
      this.#broken(`R-1 ${name} spoke in term ${node.term} and came back in term ${state.term}`);
    }
    const vote = node.votes.get(state.term);
    if (vote !== undefined && vote !== state.vote) {
      this.#broken(`R-1 ${name} voted for ${vote} and remembers ${String(state.vote)}`);
    }
    for (let index = snapshot.index + 1n; index <= this.#mustHave(node); index += 1n) {
      const [found, expected] = [terms[Number(index - snapshot.index) - 1], this.#at(index)?.term];
      if (found === expected) continue;
      this.#broken(`R-4 ${name} has term ${String(found)} at ${index}, not ${String(expected)}`);
    }
    node.applied = snapshot.index;
    const differs = (term: bigint, offset: number): boolean => {
      const committed = this.#at(snapshot.index + BigInt(offset) + 1n);
      return committed !== undefined && committed.term !== term;
    };
    if (terms.some(differs)) this.cuts += 1;
  }

  /** A node has applied entries, or a snapshot. */
  applied(name: string, { term, first, entries, state }: Applied): void {
    const node = this.#of(name);
    if (entries.length === 0) this.snapshots += 1;
    entries.forEach((entry, offset) => {
      this.#commit(name, first + BigInt(offset), entry, term);
    });
    node.applied = first + BigInt(entries.length) - 1n;
    if (this.#at(node.applied)?.state !== state) {
      this.#broken(`R-3 ${name} has another state at ${node.applied}`);
    }
  }

  #commit(
    name: string,
    index: bigint,
    entry: { readonly term: bigint; readonly command: Uint8Array },
    during: bigint,
  ): void {
    const command = Buffer.from(entry.command).toString();
    const known = this.#at(index);
    if (known !== undefined) {
      if (known.term === entry.term && known.command === command) return;
      this.#broken(`R-3 ${name} has ${command} at ${index}, where ${known.command} was committed`);
      return;
    }
    const state = stateAfter(this.#at(index - 1n)?.state ?? '', entry.command);
    this.#committed.push({ term: entry.term, command, during, state });
    this.#commands.add(command);
  }

  #voted(name: string, term: bigint, candidate: string): void {
    const { votes } = this.#of(name);
    const before = votes.get(term);
    if (before !== undefined && before !== candidate) {
      this.#broken(`R-1 ${name} voted for ${before} and for ${candidate} in term ${term}`);
    }
    votes.set(term, candidate);
  }

  #said(name: string, term: bigint, last: bigint): void {
    const { has } = this.#of(name);
    if (last > (has.get(term) ?? 0n)) has.set(term, last);
  }

  /** The last committed entry that a node must have: R-4. */
  #mustHave({ has }: Known): bigint {
    let must = 0n;
    for (const [term, last] of has) {
      let index = last < this.committed ? last : this.committed;
      while (index > must && (this.#at(index)?.during ?? 0n) > term) index -= 1n;
      if (index > must) must = index;
    }
    return must;
  }

  #at(index: bigint): Committed | undefined {
    return this.#committed[Number(index)];
  }

  #of(name: string): Known {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`${name} is not in the cluster`);
    return node;
  }

  #broken(what: string): void {
    this.violations.push(what);
  }
}
