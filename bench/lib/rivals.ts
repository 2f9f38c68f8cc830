// How it is done today: packages of bench/package.json, which know nothing of us. They have no
// types here, so that lints need no set-up of theirs.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { type Subject, timed } from './subjects.ts';
import { all, next } from './workload.ts';

const require = createRequire(new URL('../package.json', import.meta.url));

interface Lockfile {
  readonly lock: (file: string, options: object) => Promise<() => Promise<void>>;
}
type WriteFileAtomic = (file: string, data: string) => Promise<void>;

/** A lock file by mtime, and an atomic write: lock, read, merge, write, unlock. */
export async function lockAndWrite(directory: string, bytes: Uint8Array): Promise<Subject> {
  const { lock } = require('proper-lockfile') as Lockfile;
  const writeFileAtomic = require('write-file-atomic') as WriteFileAtomic;
  fs.mkdirSync(path.join(directory, 'lock-and-write'));
  const file = path.join(directory, 'lock-and-write/state.json');
  fs.writeFileSync(file, bytes);
  const put = async (): Promise<void> => {
    const [{ hex }, { lastCommittedSequence, lastEventId }] = next();
    const unlock = await lock(file, { retries: 100 });
    const state = JSON.parse(await fs.promises.readFile(file, 'utf8')) as {
      checkpoints: Record<string, object>;
    };
    state.checkpoints[hex] = {
      last_committed_sequence: Number(lastCommittedSequence),
      last_event_id: lastEventId,
    };
    await writeFileAtomic(file, JSON.stringify(state, null, 2));
    await unlock();
  };
  return Promise.resolve({
    name: 'proper-lockfile + write-file-atomic (no fsync of the directory)',
    sequential: (count) => timed(count, put),
    close: () => Promise.resolve(),
  });
}

interface Lmdb {
  readonly open: (options: object) => {
    put(key: string, value: object): Promise<boolean>;
    close(): Promise<void>;
  };
}

/** A memory-mapped database; its commits are synced unless told otherwise. */
export async function lmdb(directory: string): Promise<Subject> {
  const { open } = require('lmdb') as Lmdb;
  // A put resolves when it is flushed only without overlapping syncs.
  const database = open({ path: path.join(directory, 'lmdb'), overlappingSync: false });
  const put = (): Promise<boolean> => {
    const [{ hex }, { lastCommittedSequence, lastEventId }] = next();
    return database.put(hex, { sequence: lastCommittedSequence, id: lastEventId });
  };
  await Promise.all(all().map(put));
  return {
    name: 'lmdb 3.5, overlappingSync: false',
    sequential: (count) => timed(count, put),
    together: (count, atOnce) =>
      timed(count, () => Promise.all(Array.from({ length: atOnce }, put))),
    close: () => database.close(),
  };
}

interface Statement {
  run(...values: unknown[]): unknown;
}
type Sqlite = new (file: string) => {
  pragma(text: string): unknown;
  exec(text: string): unknown;
  prepare(text: string): Statement;
  close(): void;
};

/** A SQL database, blocking the event loop; durable with `synchronous = FULL`. */
export async function sqlite(directory: string): Promise<Subject> {
  const [major = 0] = process.versions.node.split('.').map(Number);
  // Older Nodes crash in it, and its older releases download their binaries from elsewhere.
  if (major < 22) throw new Error('better-sqlite3 13 needs Node.js 22');
  const Database = require('better-sqlite3') as Sqlite;
  const database = new Database(path.join(directory, 'sqlite.db'));
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE checkpoints (key TEXT PRIMARY KEY, sequence INTEGER, id TEXT)');
  const upsert = database.prepare(
    'INSERT INTO checkpoints VALUES (?, ?, ?) ON CONFLICT (key) ' +
      'DO UPDATE SET sequence = excluded.sequence, id = excluded.id',
  );
  const put = (): void => {
    const [{ hex }, { lastCommittedSequence, lastEventId }] = next();
    upsert.run(hex, lastCommittedSequence, lastEventId);
  };
  database.exec('BEGIN');
  all().forEach(put);
  database.exec('COMMIT');
  return Promise.resolve({
    name: 'better-sqlite3 13, WAL, synchronous = FULL',
    sequential: (count) => timed(count, put),
    close: () => {
      database.close();
      return Promise.resolve();
    },
  });
}
