// What a Raft node must not forget: its term and vote, its log, and its newest snapshot.
//
//   DIRECTORY/log             a Wal: Raft's indexes are its LSNs, as both begin at 1 and have no
//                             holes; the hard state holds term and vote
//   DIRECTORY/snapshot.json   everything up to an index, and what that entry's term was
//
// Every method resolves when what it did is durable: answer a message after that, never before. One
// call at a time, as a node deals with one message at a time.
import { Buffer } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Wal, writeFileAtomic } from '../index.ts';

/** The highest term that the node knows, and whom it gave its vote in it. */
export interface HardState {
  readonly term: bigint;
  readonly vote: string | null;
}

/** An entry of the log: a command, and the term of the leader that took it. */
export interface LogEntry {
  readonly term: bigint;
  readonly command: Uint8Array;
}

/** An entry, as Raft names it. */
export interface Place {
  readonly index: bigint;
  readonly term: bigint;
}

/** The state that all commands up to a place lead to. */
export interface Snapshot extends Place {
  readonly state: string;
}

/** The storage of one node. */
export class RaftStorage implements AsyncDisposable {
  readonly #wal: Wal;
  readonly #snapshotFile: string;
  #snapshot: Snapshot;

  private constructor(wal: Wal, snapshotFile: string, snapshot: Snapshot) {
    this.#wal = wal;
    this.#snapshotFile = snapshotFile;
    this.#snapshot = snapshot;
  }

  /** Opens the storage in a directory that exists. */
  static async open(directory: string): Promise<RaftStorage> {
    const snapshotFile = path.join(directory, 'snapshot.json');
    const wal = await Wal.open(path.join(directory, 'log'));
    const storage = new RaftStorage(wal, snapshotFile, await readSnapshot(snapshotFile));
    // A crash between the snapshot and the purge: the log still has what the snapshot replaces.
    await storage.#beginBehindSnapshot();
    return storage;
  }

  get hardState(): HardState {
    const bytes = this.#wal.hardState;
    if (bytes === null) return { term: 0n, vote: null };
    const buffer = Buffer.from(bytes);
    return { term: buffer.readBigUInt64LE(0), vote: buffer.toString('utf8', 8) || null };
  }

  /** Index 0 for none. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** The last entry: what a candidate tells when it asks for votes. */
  async last(): Promise<Place> {
    const index = this.#wal.durableLsn;
    return { index, term: (await this.termAt(index)) ?? 0n };
  }

  /** The term of an entry or of the snapshot's; undefined for what is not there. */
  async termAt(index: bigint): Promise<bigint | undefined> {
    if (index === this.#snapshot.index) return this.#snapshot.term;
    if (index < this.#wal.firstLsn || index > this.#wal.durableLsn) return undefined;
    return entryOf((await this.#wal.read(index)).data).term;
  }

  /** Entries from an index on, which the snapshot has not replaced; at most so many bytes. */
  async entries(from: bigint, maxBytes: number = 64 * 1024): Promise<LogEntry[]> {
    if (from > this.#wal.durableLsn) return [];
    return (await this.#wal.readRange({ from, maxBytes })).map(({ data }) => entryOf(data));
  }

  /** Before a node votes, for itself too, and when it hears of a higher term. */
  async saveHardState(state: HardState): Promise<void> {
    await this.#wal.setHardState(bytesOfState(state));
  }

  /** Entries at the end of the log: of a leader. With a hard state, both or neither. */
  async append(entries: readonly LogEntry[], state?: HardState): Promise<void> {
    await this.#wal.appendMany(entries.map(bytesOfEntry), {
      expect: this.#wal.lastLsn + 1n,
      ...(state === undefined ? {} : { hardState: bytesOfState(state) }),
    });
  }

  /**
   * What a leader sends to a follower: the entries behind `previous`, and the hard state to have
   * with them. False if there is nothing here that they could follow.
   */
  async follow(previous: Place, entries: readonly LogEntry[], state: HardState): Promise<boolean> {
    const changed = state.term > this.hardState.term ? state : undefined;
    // What the snapshot replaced was committed, and so is the same in the log of every leader.
    const isKnown = previous.index <= this.#snapshot.index;
    const isMatch = isKnown || (await this.termAt(previous.index)) === previous.term;
    for (let at = 0; isMatch && at < entries.length; at += 1) {
      const index = previous.index + 1n + BigInt(at);
      if (index <= this.#snapshot.index) continue;
      const term = await this.termAt(index);
      if (term === entries[at]?.term) continue;
      if (term === undefined) {
        await this.append(entries.slice(at), changed);
        return true;
      }
      // Another leader's entries, which were never committed. The higher term goes first: they
      // must not be gone while the node could still stand in for a term in which it had them.
      if (changed !== undefined) await this.saveHardState(changed);
      await this.#wal.truncate({ after: index - 1n });
      await this.append(entries.slice(at));
      return true;
    }
    if (changed !== undefined) await this.saveHardState(changed);
    return isMatch;
  }

  /** Replaces all entries up to an index by the state that they lead to. */
  async compact(index: bigint, state: string): Promise<void> {
    const term = await this.termAt(index);
    if (term !== undefined) await this.install({ index, term, state });
  }

  /** Takes a leader's snapshot, whether the log has come that far or not. */
  async install(snapshot: Snapshot): Promise<void> {
    if (snapshot.index <= this.#snapshot.index) return;
    const { index, term, state } = snapshot;
    const text = JSON.stringify({ index: String(index), term: String(term), state });
    await writeFileAtomic(this.#snapshotFile, text);
    this.#snapshot = snapshot;
    await this.#beginBehindSnapshot();
  }

  close(): Promise<void> {
    return this.#wal.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** May be interrupted anywhere, and is done again by the next `open`. */
  async #beginBehindSnapshot(): Promise<void> {
    const { index, term } = this.#snapshot;
    const { firstLsn, lastLsn } = this.#wal;
    if (firstLsn > index) return;
    if (index <= lastLsn && entryOf((await this.#wal.read(index)).data).term !== term) {
      // The log went another way: nothing behind the snapshot can be kept.
      await this.#wal.truncate({ after: firstLsn - 1n });
    }
    // Beyond the end of a log that is behind: it is empty then, and goes on behind the snapshot.
    await this.#wal.purge({ before: index + 1n });
  }
}

async function readSnapshot(file: string): Promise<Snapshot> {
  try {
    const { index, term, state } = JSON.parse(await readFile(file, 'utf8')) as Record<
      'index' | 'term' | 'state',
      string
    >;
    return { index: BigInt(index), term: BigInt(term), state };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { index: 0n, term: 0n, state: '' };
  }
}

function bytesOfState({ term, vote }: HardState): Buffer {
  return Buffer.concat([eightBytes(term), Buffer.from(vote ?? '')]);
}

function bytesOfEntry({ term, command }: LogEntry): Buffer {
  return Buffer.concat([eightBytes(term), command]);
}

function entryOf(data: Uint8Array): LogEntry {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { term: bytes.readBigUInt64LE(0), command: bytes.subarray(8) };
}

function eightBytes(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
