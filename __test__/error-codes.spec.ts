// docs/errors.md: every code is one that a user can meet. Each is provoked here by what
// is named there as its cause, and TIDEMARK_INTERNAL, a bug, by a code that the core does not
// have. A limit is one of the whole process: one test at a time.
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import {
  type ErrorCode,
  FileLock,
  JsonFileStore,
  MemoryStore,
  ResumeKey,
  isTidemarkError,
  writeFileAtomic,
} from '../index.ts';
import { errorCodes, toError } from '../src/errors.ts';
import { ended, start } from './support/child.ts';
import { compiled, root } from './support/compiled.ts';
import { fullDisk, limit, smallFileSystem } from './support/limits.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';
import { SMALL, appendAll, bytes, newLog, openLog, segmentsOf } from './support/wals.ts';

/** The code that a promise rejects with. */
async function code(promise: Promise<unknown>): Promise<string> {
  const error = await rejection(promise);
  return isTidemarkError(error) ? error.code : String(error);
}

let openings = 0;

/** The code that opening a state file with this content rejects with. */
function opening(content: string): (t: ExecutionContext) => Promise<string> {
  return (t) => {
    // A name of its own: a directory that is removed may lend the next one its inode, by which the
    // store of an open that has just failed is still known.
    const file = path.join(tempDir(t), `state-${(openings += 1)}.json`);
    writeFileSync(file, content);
    return code(JsonFileStore.open(file));
  };
}

/** That of an ordinary user, who mounts nothing: the disk only says that it is full. */
async function codeOnFullDisk(t: ExecutionContext): Promise<string | undefined> {
  const library = fullDisk(t);
  if (library === undefined) return undefined;
  const full = realpathSync(tempDir(t));
  const under = ['env', `LD_PRELOAD=${library}`, `FULL_DISK=${full}`] as const;
  const { stdout } = await ended(start(t, 'full-disk-child.ts', [full], { under }));
  t.is(stdout.split(' ')[1], '28', stdout);
  return stdout.split(' ')[0];
}

/** Provokes a code; undefined, which fails, where this machine cannot: the log says why. */
type Provocation = (t: ExecutionContext) => Promise<string | undefined>;

const PROVOCATIONS: Record<ErrorCode, Provocation> = {
  TIDEMARK_INVALID_ARGUMENT: () => code(JsonFileStore.open('')),
  TIDEMARK_LOCKED: async (t) => {
    const { directory } = await openLog(t);
    const { stdout } = await ended(start(t, 'wal-child.ts', ['try to open', directory]));
    return stdout.split(' ')[0];
  },
  TIDEMARK_LOCK_TIMEOUT: async (t) => {
    const file = path.join(tempDir(t), 'lock');
    const lock = await FileLock.acquire(file);
    t.teardown(() => {
      lock.release();
    });
    return code(FileLock.acquire(file, { timeoutMs: 1 }));
  },
  TIDEMARK_CLOSED: async () => {
    const store = await MemoryStore.open();
    await store.close();
    return code(store.get(ResumeKey.named('orders')));
  },
  TIDEMARK_CORRUPT: async (t) => {
    const { wal, directory } = await openLog(t, SMALL);
    await appendAll(wal, 'a', 'b');
    await wal.close();
    const segment = path.join(directory, segmentsOf(directory)[0] ?? '');
    const content = readFileSync(segment);
    content[2000] = (content[2000] ?? 0) ^ 1;
    writeFileSync(segment, content);
    return code(openLog(t, SMALL, directory));
  },
  TIDEMARK_DECODE: opening('{'),
  TIDEMARK_UNSUPPORTED_FILE_VERSION: opening('{"version":2,"key_format_version":1}'),
  TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION: opening('{"version":1,"key_format_version":2}'),
  TIDEMARK_INVALID_RESUME_KEY: opening(
    '{"version":1,"key_format_version":1,"checkpoints":{"a":{"last_committed_sequence":1}}}',
  ),
  TIDEMARK_TOO_LARGE: async (t) => {
    const { wal } = await openLog(t, { ...SMALL, maxRecordBytes: 4 });
    return code(wal.append(bytes('12345')));
  },
  TIDEMARK_NO_SPACE: async (t) => {
    const directory = smallFileSystem(t, 'size=64k');
    if (directory === undefined) return codeOnFullDisk(t);
    return code(writeFileAtomic(path.join(directory, 'file'), 'x'.repeat(128 * 1024)));
  },
  TIDEMARK_IO: (t) => code(JsonFileStore.open(path.join(tempDir(t), 'missing/state.json'))),
  TIDEMARK_POISONED: async (t) => {
    const { wal } = await openLog(t);
    await wal.append(bytes('a'));
    t.teardown(() => {
      limit('fsize', 'unlimited');
    });
    limit('fsize', 4096);
    const failed = await code(wal.append(bytes('b')));
    limit('fsize', 'unlimited');
    t.is(failed, 'TIDEMARK_IO');
    return code(wal.append(bytes('c')));
  },
  TIDEMARK_EXPIRED: async (t) => {
    const { wal } = await openLog(t);
    await appendAll(wal, 'a', 'b');
    await wal.purge({ before: 2 });
    return code(wal.read(1));
  },
  TIDEMARK_CONFLICT: async (t) => {
    const { wal } = await openLog(t);
    return code(wal.appendMany([bytes('a')], { expect: 7 }));
  },
  TIDEMARK_NOT_FOUND: async (t) => code((await openLog(t)).wal.read(1)),
  TIDEMARK_UNSUPPORTED: async (t) => {
    const { wal, directory } = await openLog(t, undefined, newLog(t));
    await wal.close();
    const { wal: reader } = await openLog(t, { readOnly: true }, directory);
    return code(reader.append(bytes('a')));
  },
  TIDEMARK_ADDON_NOT_FOUND: (t) => {
    // The package as it is, without what is built for any platform.
    const directory = tempDir(t);
    const installed = path.join(directory, 'node_modules/tidemark');
    mkdirSync(installed, { recursive: true });
    cpSync(path.join(root, 'package.json'), path.join(installed, 'package.json'));
    cpSync(path.join(root, 'package.json'), path.join(directory, 'package.json'));
    cpSync(path.dirname(compiled('src/native.ts')), path.join(directory, 'src'), {
      recursive: true,
    });
    const loader = 'node_modules/node-gyp-build';
    symlinkSync(path.join(root, loader), path.join(directory, loader));
    const facade = pathToFileURL(path.join(directory, 'src/native.js')).href;
    return code(import(facade));
  },
  TIDEMARK_INTERNAL: () =>
    code(Promise.reject(toError({ code: 'TIDEMARK_OF_LATER', message: 'nobody knows it' }))),
};

test('every code of the sources is provoked', (t) => {
  t.deepEqual(Object.keys(PROVOCATIONS).sort(), [...errorCodes].sort());
});

for (const [expected, provoke] of Object.entries(PROVOCATIONS)) {
  test.serial(`${expected} is what a user gets`, async (t) => {
    t.is(await provoke(t), expected);
  });
}

test('the table of the core has every code but the one that is about its absence', (t) => {
  const table = readFileSync(path.join(root, 'crates/core/src/error.rs'), 'utf8');
  const named = new Set([...table.matchAll(/"(TIDEMARK_[A-Z_]+)"/g)].map(([, name]) => name));
  const known = errorCodes.filter((name) => name !== 'TIDEMARK_ADDON_NOT_FOUND');
  t.deepEqual([...named].sort(), [...known].sort());
});
