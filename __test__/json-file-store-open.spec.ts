// Opening a JSON store: options, and the codes of docs/errors.md; what lies in the place of its
// files, and read-only mounts (JF-8).
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { JsonFileStore, ResumeKey, type TidemarkError } from '../index.ts';
import { stateText } from './support/state-file.ts';
import { listed, openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection, until } from './support/wait.ts';

const key = ResumeKey.named('orders');
const one = { lastCommittedSequence: 1n };
const INVALID = 'TIDEMARK_INVALID_ARGUMENT';
/** A value where the types do not allow it. */
const any = (value: unknown): never => value as never;

const fifo = (file: string): void => {
  execFileSync('mkfifo', [file]);
};

const BAD_OPTIONS: readonly [unknown, typeof TypeError | typeof RangeError][] = [
  [null, TypeError],
  ['quarantine', TypeError],
  [{ lockTimeout: 5 }, TypeError],
  [{ readOnly: true }, TypeError],
  [{ lockTimeoutMs: -1 }, RangeError],
  [{ lockTimeoutMs: 0.5 }, RangeError],
  [{ lockTimeoutMs: Number.NaN }, RangeError],
  [{ lockTimeoutMs: Number.POSITIVE_INFINITY }, RangeError],
  [{ lockTimeoutMs: 2 ** 32 }, RangeError],
  [{ lockTimeoutMs: 5n }, TypeError],
  [{ lockTimeoutMs: null }, TypeError],
  [{ exitDrainMs: -1 }, RangeError],
  [{ exitDrainMs: '1' }, TypeError],
  [{ mode: 0o1000 }, RangeError],
  [{ mode: -1 }, RangeError],
  [{ mode: '600' }, TypeError],
  [{ recover: 'repair' }, TypeError],
  [{ recover: null }, TypeError],
  [{ recover: true }, TypeError],
  [{ allowNetworkFs: 1 }, TypeError],
  [{ signal: {} }, TypeError],
  [{ signal: null }, TypeError],
];

test('bad options are refused before anything is touched', async (t) => {
  const directory = tempDir(t);
  for (const [options, instanceOf] of BAD_OPTIONS) {
    const open = (): Promise<unknown> => JsonFileStore.open(`${directory}/s`, any(options));
    await t.throwsAsync(open, { instanceOf, code: INVALID });
  }
  t.deepEqual(readdirSync(directory), []);
});

test('what cannot be the path of a file is an argument mistake', async (t) => {
  const directory = tempDir(t);
  mkdirSync(path.join(directory, 'folder'));
  symlinkSync('folder', path.join(directory, 'link'));
  const notText = [undefined, null, 5, new URL('file:///tmp/state.json'), Buffer.from('/tmp/s')];
  const names = [
    'folder',
    'folder/',
    'state.json/',
    'missing/',
    'link',
    'link/',
    '.',
    '..',
    'a/..',
  ];
  const paths = [
    '',
    '\0',
    '/tmp/a\0b',
    '\ud800',
    '/',
    ...names.map((name) => `${directory}/${name}`),
  ];
  for (const given of [...notText, ...paths]) {
    const open = (): Promise<unknown> => JsonFileStore.open(any(given));
    const error = await t.throwsAsync(open, { instanceOf: TypeError, code: INVALID });
    t.is(typeof error.message, 'string');
  }
  t.deepEqual(readdirSync(directory).sort(), ['folder', 'link']);
});

test('a path that the system cannot follow is TIDEMARK_IO with errno and syscall', async (t) => {
  const directory = tempDir(t);
  const at = (name: string): string => path.join(directory, name);
  writeFileSync(at('file'), '');
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('loop', at('loop'));
  symlinkSync('missing-folder/file', at('dangling-deeper'));
  const expected: [string, number][] = [
    ['missing/state.json', 2],
    ['file/state.json', 20],
    ['dangling', 2],
    ['dangling-deeper', 2],
    ['dangling/state.json', 2],
    ['loop', 40],
    ['loop/state.json', 40],
    ['x'.repeat(300), 36],
  ];
  for (const [name, errno] of expected) {
    const error = (await rejection(JsonFileStore.open(at(name)))) as TidemarkError;
    t.like(error, { code: 'TIDEMARK_IO', errno }, name);
    t.is(typeof error.syscall, 'string', name);
  }
  t.deepEqual(readdirSync(directory).sort(), ['dangling', 'dangling-deeper', 'file', 'loop']);
});

test('a dangling link and an empty path are refused (original: opened)', async (t) => {
  const directory = tempDir(t);
  symlinkSync('nowhere', path.join(directory, 'dangling'));
  const dangling = JsonFileStore.open(path.join(directory, 'dangling'));
  await t.throwsAsync(dangling, { code: 'TIDEMARK_IO' }, 'the original replaces the link itself');
  await t.throwsAsync(JsonFileStore.open(''), { code: INVALID }, 'the original panics at a put');
});

test('a file that may not be read is TIDEMARK_IO', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, stateText([[key, 5n]]));
  chmodSync(file, 0);
  if (process.getuid?.() === 0) {
    // Nothing is closed to root.
    const store = await JsonFileStore.open(file);
    t.is(store.getSync(key)?.lastCommittedSequence, 5n);
    await store.close();
    return;
  }
  t.like(await rejection(JsonFileStore.open(file)), { code: 'TIDEMARK_IO', errno: 13 });
});

const at = (hex: string, checkpoint = '{"last_committed_sequence":1}'): string =>
  `{"version":1,"key_format_version":1,"checkpoints":{"${hex}":${checkpoint}}}`;

const CONTENTS: readonly [string, string, string][] = [
  ['an empty file', '', 'TIDEMARK_DECODE'],
  ['white space', ' \n', 'TIDEMARK_DECODE'],
  ['garbage', 'garbage', 'TIDEMARK_DECODE'],
  ['a truncated file', at(key.hex).slice(0, -2), 'TIDEMARK_DECODE'],
  ['bytes after the end', `${at(key.hex)} x`, 'TIDEMARK_DECODE'],
  ['a byte order mark', `\ufeff${at(key.hex)}`, 'TIDEMARK_DECODE'],
  ['an array', `[1,1,{}]`, 'TIDEMARK_DECODE'],
  ['no checkpoints', '{"version":1,"key_format_version":1}', 'TIDEMARK_DECODE'],
  ['a sequence with a fraction', at(key.hex, '{"last_committed_sequence":7.0}'), 'TIDEMARK_DECODE'],
  ['a negative sequence', at(key.hex, '{"last_committed_sequence":-1}'), 'TIDEMARK_DECODE'],
  ['2^64', at(key.hex, '{"last_committed_sequence":18446744073709551616}'), 'TIDEMARK_DECODE'],
  ['a sequence as text', at(key.hex, '{"last_committed_sequence":"7"}'), 'TIDEMARK_DECODE'],
  ['no sequence', at(key.hex, '{}'), 'TIDEMARK_DECODE'],
  ['a duplicate member', `{"version":1,${at(key.hex).slice(1)}`, 'TIDEMARK_DECODE'],
  ['nesting without end', '['.repeat(100_000), 'TIDEMARK_DECODE'],
  ['a key that is not hex', at('zzz'), 'TIDEMARK_INVALID_RESUME_KEY'],
  ['a short key', at('deadbeef'), 'TIDEMARK_INVALID_RESUME_KEY'],
  ['an empty key', at(''), 'TIDEMARK_INVALID_RESUME_KEY'],
  ['a long key', at(`${key.hex}00`), 'TIDEMARK_INVALID_RESUME_KEY'],
  [
    'version 0',
    '{"version":0,"key_format_version":1,"checkpoints":{}}',
    'TIDEMARK_UNSUPPORTED_FILE_VERSION',
  ],
  [
    'version 2 of another layout',
    '{"version":2,"entries":[]}',
    'TIDEMARK_UNSUPPORTED_FILE_VERSION',
  ],
  [
    'another key format',
    '{"version":1,"key_format_version":2}',
    'TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION',
  ],
];

test('what the file does not deserve is refused by its code, and stays as it is', async (t) => {
  const directory = tempDir(t);
  for (const [index, [what, text, code]] of CONTENTS.entries()) {
    const file = path.join(directory, `${index}.json`);
    writeFileSync(file, text);
    const error = await rejection(JsonFileStore.open(file));
    t.like(error, { code, path: file }, what);
    t.is(readFileSync(file, 'utf8'), text, what);
  }
  t.is(readdirSync(directory).length, CONTENTS.length);
});

test('what is refused at open is refused at a put on a store that is open already', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, one);
  for (const [what, text, code] of CONTENTS) {
    writeFileSync(file, text);
    t.like(await rejection(store.put(key, { lastCommittedSequence: 2n })), { code }, what);
    t.like(await rejection(store.get(key, { fresh: true })), { code }, what);
    t.is(readFileSync(file, 'utf8'), text, what);
    t.is(store.getSync(key)?.lastCommittedSequence, 1n, 'memory is as before');
  }
});

test('JF-8: opening and reading create nothing', async (t) => {
  const directory = tempDir(t);
  const store = await JsonFileStore.open(path.join(directory, 'state.json'));
  await store.get(key, { fresh: true });
  await store.refresh();
  t.deepEqual(await listed(store.entries()), []);
  await store.close();
  t.deepEqual(readdirSync(directory), []);
});

test('a FIFO in the place of the file is refused and does not hang', async (t) => {
  const { store, file } = await openJson(t);
  const other = `${file}.other`;
  fifo(other);
  await t.throwsAsync(JsonFileStore.open(other), { instanceOf: TypeError, code: INVALID });
  fifo(file);
  await t.throwsAsync(store.put(key, one), { code: INVALID });
  await t.throwsAsync(store.get(key, { fresh: true }), { code: INVALID });
});

test('what is not a file in the place of the lock is refused and does not hang', async (t) => {
  const directory = tempDir(t);
  const outside = path.join(directory, 'outside');
  writeFileSync(outside, '');
  const place: Record<string, (lock: string) => void> = {
    fifo,
    directory: (lock) => mkdirSync(lock),
    link: (lock) => {
      symlinkSync(outside, lock);
    },
  };
  for (const [name, make] of Object.entries(place)) {
    const file = path.join(directory, name);
    make(`${file}.lock`);
    const store = await JsonFileStore.open(file);
    const error = await t.throwsAsync(store.put(key, one), { code: INVALID }, name);
    t.is((error as unknown as TidemarkError).path, `${file}.lock`);
    t.is(store.getSync(key), undefined);
    await store.close();
  }
  t.is(readFileSync(outside, 'utf8'), '');
});

test('what looks like a temporary and is none stays, and hangs nothing', async (t) => {
  const { store, file } = await openJson(t);
  const directory = path.dirname(file);
  const names = ['0', '1', '2'].map((digit) => `.tidemark-${digit.repeat(32)}.tmp`);
  fifo(path.join(directory, names[0] ?? ''));
  mkdirSync(path.join(directory, names[1] ?? ''));
  symlinkSync('/dev/zero', path.join(directory, names[2] ?? ''));
  await store.put(key, one);
  t.deepEqual(readdirSync(directory).sort(), [...names, 'state.json', 'state.json.lock']);
});

test('the temporary of a dead writer is swept by the next write', async (t) => {
  const { store, file } = await openJson(t);
  const directory = path.dirname(file);
  writeFileSync(path.join(directory, `.tidemark-${'a'.repeat(32)}.tmp`), 'half');
  writeFileSync(path.join(directory, '.tidemark-notes.tmp'), 'not ours');
  await store.put(key, one);
  const expected = ['.tidemark-notes.tmp', 'state.json', 'state.json.lock'];
  t.deepEqual(readdirSync(directory).sort(), expected);
  t.is(store.metrics()['sweptTemporaries'], 1n);
});

test('an open that was aborted rejects with the reason and leaves nothing open', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const reason = new Error('too late');
  const before = JsonFileStore.open(file, { signal: AbortSignal.abort(reason) });
  t.is(await rejection(before), reason);
  const controller = new AbortController();
  const during = JsonFileStore.open(file, { mode: 0o640, signal: controller.signal });
  controller.abort(reason);
  t.is(await rejection(during), reason);
  // Had it stayed open, other options would conflict with its own for ever.
  const opened = async (): Promise<boolean> => {
    const store = await JsonFileStore.open(file).catch(() => undefined);
    await store?.close();
    return store !== undefined;
  };
  await until(opened, 'the store that came too late is closed');
  t.deepEqual(readdirSync(path.dirname(file)), []);
});
