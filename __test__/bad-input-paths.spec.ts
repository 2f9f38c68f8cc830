// Paths, and the codes of docs/errors.md. Names that are too long, reserved, or end in a way that
// no file's name does; names that only look the same; directories that go away under an open store.
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { FileLock, JsonFileStore, ResumeKey, writeFileAtomic } from '../index.ts';
import { picture } from './support/picture.ts';
import { stateText } from './support/state-file.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';

const key = ResumeKey.named('orders');
const at = (sequence: number) => ({ lastCommittedSequence: sequence });
const INVALID = { code: 'TIDEMARK_INVALID_ARGUMENT' };
const TEMPORARY = `.tidemark-${'0123456789abcdef'.repeat(2)}.tmp`;
const io = (errno: number): object => ({ code: 'TIDEMARK_IO', errno });

/** Whatever takes a path. */
const CALLS: Record<string, (file: string) => Promise<unknown>> = {
  open: (file) => JsonFileStore.open(file),
  'open to repair': (file) => JsonFileStore.open(file, { recover: 'quarantine' }),
  acquire: (file) => FileLock.acquire(file),
  // eslint-disable-next-line @typescript-eslint/require-await -- to compare it with the others
  tryAcquire: async (file) => FileLock.tryAcquire(file),
  write: (file) => writeFileAtomic(file, 'content'),
  'write without a sync': (file) => writeFileAtomic(file, 'content', { durable: false }),
};

test('a path that is no file: each call refuses it, and touches nothing', async (t) => {
  const directory = tempDir(t);
  writeFileSync(path.join(directory, 'file'), 'content');
  mkdirSync(path.join(directory, 'folder'));
  symlinkSync('file', path.join(directory, 'link'));
  symlinkSync(TEMPORARY, path.join(directory, 'link to a temporary'));
  writeFileSync(path.join(directory, TEMPORARY), '');
  const long = 'x'.repeat(256);
  const refused: [string, object][] = [
    ['', INVALID],
    ['/', INVALID],
    ['.', INVALID],
    ['..', INVALID],
    ['/dev', INVALID],
    [directory, INVALID],
    [`${directory}/`, INVALID],
    [`${directory}/folder`, INVALID],
    [`${directory}/folder/`, INVALID],
    [`${directory}/folder/.`, INVALID],
    [`${directory}/folder/..`, INVALID],
    [`${directory}/file/`, INVALID],
    [`${directory}/file//`, INVALID],
    [`${directory}/file/.`, INVALID],
    [`${directory}/link/`, INVALID],
    [`${directory}/missing/`, INVALID],
    [`${directory}/missing/.`, INVALID],
    [`${directory}/missing/./.`, INVALID],
    [`${directory}/missing/..`, INVALID],
    [`${directory}/fi\0le`, INVALID],
    [`${directory}/file\0`, INVALID],
    [`\0${directory}/file`, INVALID],
    [`${directory}/\ud83d`, INVALID],
    [`${directory}/${TEMPORARY}`, INVALID],
    [`${directory}/link to a temporary`, INVALID],
    [`${directory}/missing/file`, io(2)],
    [`${directory}/missing/../file`, io(2)],
    [`${directory}/file/file`, io(20)],
    [`${directory}/link/file`, io(20)],
    [`${directory}/${long}`, io(36)],
    [`${directory}/${long}/file`, io(36)],
    [`${directory}/${'./'.repeat(2048)}file`, io(36)],
    ['/dev/null/file', io(20)],
  ];
  const before = picture(directory);
  for (const [file, expected] of refused) {
    for (const [name, call] of Object.entries(CALLS)) {
      t.like(await rejection(call(file)), expected, `${name} ${JSON.stringify(file.slice(-40))}`);
    }
  }
  t.deepEqual(picture(directory), before);
});

test('T-3: what was acknowledged is not swept, whatever the store is called', async (t) => {
  const directory = tempDir(t);
  // Nearly the name of a temporary: of these the sweep knows nothing.
  const names = [`${TEMPORARY}.json`, TEMPORARY.slice(1), TEMPORARY.replace('0', 'g'), '.tmp'];
  names.push(TEMPORARY.replace('0', ''));
  for (const name of names) {
    const store = await JsonFileStore.open(path.join(directory, name));
    await store.put(key, at(7));
    await store.close();
  }
  await writeFileAtomic(path.join(directory, 'file'), 'sweeps');
  for (const name of names) {
    const store = await JsonFileStore.open(path.join(directory, name));
    t.is(store.getSync(key)?.lastCommittedSequence, 7n, name);
    await store.close();
  }
});

test('a name of 255 bytes: where lock file or quarantine do not fit, it says so', async (t) => {
  const directory = tempDir(t);
  const tooLong = path.join(directory, 'x'.repeat(251));
  const text = stateText([[key, 1n]]);
  for (const file of [tooLong, path.join(directory, '\u00e9'.repeat(127))]) {
    writeFileSync(file, text);
    const store = await JsonFileStore.open(file);
    const before = picture(directory);
    t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 1n, 'it is read');
    t.like(await rejection(store.put(key, at(2))), { ...io(36), path: `${file}.lock` });
    t.like(await rejection(store.delete(key)), io(36));
    t.deepEqual(picture(directory), before);
    await store.close();
    await writeFileAtomic(file, text);
    (await FileLock.acquire(file)).release();
  }
  const fits = path.join(directory, 'y'.repeat(250));
  const store = await JsonFileStore.open(fits, { recover: 'quarantine' });
  t.true((await store.put(key, at(1))).applied);
  writeFileSync(fits, 'damaged');
  const before = picture(directory);
  t.like(await rejection(store.put(key, at(2))), io(36), 'there is no name to move it to');
  t.deepEqual(picture(directory), before);
  rmSync(fits);
  t.true((await store.put(key, at(2))).applied, 'the store goes on');
  await store.close();
});

test('names that only look the same are different files', async (t) => {
  const directory = tempDir(t);
  // Composed and decomposed, and what some file systems fold.
  const names = ['\u00e9', 'e\u0301', 'E\u0301', '\ufb01', 'fi', ' ', 'a ', 'a.', '-', '\n', '\\'];
  const stores = await Promise.all(
    names.map((name) => JsonFileStore.open(path.join(directory, name))),
  );
  for (const [index, store] of stores.entries()) await store.put(key, at(index));
  for (const [index, name] of names.entries()) {
    const text = readFileSync(path.join(directory, name), 'utf8');
    t.is(text, stateText([[key, BigInt(index)]]));
  }
  t.is(readdirSync(directory).length, 2 * names.length);
  await Promise.all(stores.map((store) => store.close()));
});

test('a directory that goes away under an open store, and comes back', async (t) => {
  const parent = tempDir(t);
  const directory = path.join(parent, 'directory');
  mkdirSync(directory);
  const store = await JsonFileStore.open(path.join(directory, 'state.json'));
  t.teardown(() => store.close());
  await store.put(key, at(1));
  const away = path.join(parent, 'away');
  const places: [string, () => void, object][] = [
    ['missing', () => undefined, io(2)],
    [
      'a file',
      () => {
        writeFileSync(directory, 'content');
      },
      io(20),
    ],
    [
      'a dangling link',
      () => {
        symlinkSync('nowhere', directory);
      },
      io(2),
    ],
    [
      'a link to itself',
      () => {
        symlinkSync('directory', directory);
      },
      io(40),
    ],
  ];
  for (const [what, make, expected] of places) {
    renameSync(directory, away);
    make();
    const before = [...picture(parent), ...picture(away)];
    t.like(await rejection(store.put(key, at(2))), expected, what);
    t.like(await rejection(store.delete(key)), expected, what);
    t.like(await rejection(store.get(key, { fresh: true })), expected, what);
    t.deepEqual([...picture(parent), ...picture(away)], before, what);
    t.is(store.getSync(key)?.lastCommittedSequence, 1n, what);
    rmSync(directory, { force: true });
    renameSync(away, directory);
  }
  t.true((await store.put(key, at(2))).applied, 'the store goes on');
  renameSync(directory, away);
  mkdirSync(directory);
  // The directory of that name is another one now, and the file is missing in it.
  t.true((await store.put(key, at(3))).applied);
  t.is(readFileSync(path.join(directory, 'state.json'), 'utf8'), stateText([[key, 3n]]));
  t.is(readFileSync(path.join(away, 'state.json'), 'utf8'), stateText([[key, 2n]]));
  renameSync(directory, path.join(parent, 'second'));
  symlinkSync('away', directory);
  t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 2n, 'by a link to it');
  t.true((await store.put(key, at(4))).applied);
});

test('what did not open left nothing open: mended, the same path opens', async (t) => {
  const { file } = await openJson(t);
  const other = `${file}.other`;
  symlinkSync('nowhere', other);
  for (const mode of [0o600, 0o640]) {
    t.like(await rejection(JsonFileStore.open(other, { mode })), io(2));
  }
  rmSync(other);
  writeFileSync(other, 'damaged');
  for (const mode of [0o600, 0o640]) {
    t.like(await rejection(JsonFileStore.open(other, { mode })), { code: 'TIDEMARK_DECODE' });
  }
  writeFileSync(other, stateText([[key, 1n]]));
  const store = await JsonFileStore.open(other, { mode: 0o644 });
  t.is(store.size, 1);
  await store.close();
});
