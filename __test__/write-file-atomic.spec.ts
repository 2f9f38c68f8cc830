// writeFileAtomic: AW-1 to AW-3 of crates/core/src/atomic_write.rs, T-1 to T-3 of temporary.rs
// beside it; modes, owners, and bytes that change after the call (N-2).
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { type TidemarkError, writeFileAtomic } from '../index.ts';
import { Agent } from './support/agents.ts';
import { compiled } from './support/compiled.ts';
import { openIn } from './support/process-state.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection, turns } from './support/wait.ts';

const INVALID = 'TIDEMARK_INVALID_ARGUMENT';
const newFile = (t: ExecutionContext): string => path.join(tempDir(t), 'file');
const modeOf = (file: string): number => statSync(file).mode & 0o7777;
const text = (file: string): string => readFileSync(file, 'utf8');
/** A value where the types do not allow it. */
const any = (value: unknown): never => value as never;

test('a string is written as UTF-8, bytes as they are, and nothing is left beside', async (t) => {
  const file = newFile(t);
  const strings = ['content', '', '\u00e9\u20ac\u{1f30a}\0\n', 'x'.repeat(3_000_000)];
  for (const content of strings) {
    await writeFileAtomic(file, content);
    t.is(text(file), content);
  }
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const content of [bytes, bytes.subarray(7, 9), Buffer.from(bytes), new Uint8Array(0)]) {
    await writeFileAtomic(file, content);
    t.deepEqual(new Uint8Array(readFileSync(file)), new Uint8Array(content));
  }
  t.deepEqual(readdirSync(path.dirname(file)), ['file']);
});

test('AW-1: the file is replaced, never written in place', async (t) => {
  const file = newFile(t);
  await writeFileAtomic(file, 'old');
  const { ino } = statSync(file);
  const handle = await open(file);
  t.teardown(() => handle.close());
  await writeFileAtomic(file, 'new content');
  t.not(statSync(file).ino, ino);
  t.is(await handle.readFile('utf8'), 'old', 'who has it open keeps what he opened');
});

for (const durable of [true, false]) {
  test(`with durable ${durable}, the content is there when the promise resolves`, async (t) => {
    const file = newFile(t);
    await writeFileAtomic(file, 'content', { durable });
    t.is(text(file), 'content');
  });
}

test('a new file gets mode 0600, one that exists keeps its own, an option sets both', async (t) => {
  const file = newFile(t);
  await writeFileAtomic(file, '1');
  t.is(modeOf(file), 0o600);
  chmodSync(file, 0o644);
  await writeFileAtomic(file, '2');
  t.is(modeOf(file), 0o644);
  await writeFileAtomic(file, '3', { mode: 0o400 });
  t.is(modeOf(file), 0o400);
  await writeFileAtomic(file, '4', {});
  t.is(modeOf(file), 0o400);
  const other = `${file}.other`;
  for (const mode of [0o777, 0o000, 0o222]) {
    await writeFileAtomic(other, '5', { mode });
    t.is(modeOf(other), mode);
  }
});

test('modes do not depend on the umask', async (t) => {
  const file = newFile(t);
  const shell = ['sh', '-c', 'umask 377; exec "$@"', 'sh'] as const;
  const agent = new Agent(t, { under: shell });
  await agent.ask('writeMany', file, ['content']);
  t.is(modeOf(file), 0o600);
});

test('the owner stays where that is permitted', async (t) => {
  const file = newFile(t);
  writeFileSync(file, 'old');
  const own = statSync(file);
  const isRoot = process.getuid?.() === 0;
  const [uid, gid] = isRoot ? [12_345, 54_321] : [own.uid, own.gid];
  chownSync(file, uid, gid);
  await writeFileAtomic(file, 'new');
  t.like(statSync(file), { uid, gid });
  t.is(text(file), 'new');
});

test('a symbolic link is followed to its target', async (t) => {
  const directory = tempDir(t);
  mkdirSync(path.join(directory, 'real'));
  mkdirSync(path.join(directory, 'links'));
  const [real, link] = [path.join(directory, 'real/file'), path.join(directory, 'links/link')];
  writeFileSync(real, 'old');
  symlinkSync('../real/file', link);
  await writeFileAtomic(link, 'new');
  t.is(readlinkSync(link), '../real/file');
  t.is(text(real), 'new');
  t.deepEqual(readdirSync(path.join(directory, 'links')), ['link']);
  t.deepEqual(readdirSync(path.join(directory, 'real')), ['file']);
});

test('what is changed, detached or resized after the call is not what is written', async (t) => {
  const file = newFile(t);
  const changed = new Uint8Array(100_000).fill(1);
  const written = writeFileAtomic(file, changed);
  changed.fill(2);
  await written;
  t.true(readFileSync(file).every((byte) => byte === 1));

  const detached = new Uint8Array(100_000).fill(3);
  const second = writeFileAtomic(file, detached);
  structuredClone(detached, { transfer: [detached.buffer] });
  t.is(detached.length, 0);
  await second;
  t.is(readFileSync(file).length, 100_000);
  t.true(readFileSync(file).every((byte) => byte === 3));

  const shared = new Uint8Array(new SharedArrayBuffer(100_000)).fill(4);
  const third = writeFileAtomic(file, shared);
  shared.fill(5);
  await third;
  t.true(readFileSync(file).every((byte) => byte === 4));

  await writeFileAtomic(file, detached);
  t.is(readFileSync(file).length, 0, 'a detached array is empty');
});

test('bad input is refused before anything is touched, and rejects', async (t) => {
  const file = newFile(t);
  const data: unknown[] = [undefined, null, 5, {}, [1, 2], new ArrayBuffer(5), '\ud800'];
  data.push(new Uint16Array(2), new DataView(new ArrayBuffer(2)), new String('x'));
  for (const given of data) {
    await t.throwsAsync(() => writeFileAtomic(file, any(given)), { code: INVALID });
  }
  const options: unknown[] = [null, 5, { fsync: true }, { mode: 0o1777 }, { mode: -1 }];
  options.push(
    { mode: '600' },
    { durable: 0 },
    { durable: null },
    { signal: {} },
    { encoding: 'x' },
  );
  for (const given of options) {
    await t.throwsAsync(() => writeFileAtomic(file, 'x', any(given)), { code: INVALID });
  }
  for (const given of [
    undefined,
    null,
    5,
    '',
    '\0',
    `${file}/`,
    Buffer.from(file),
    '.',
    '\udc00',
  ]) {
    await t.throwsAsync(() => writeFileAtomic(any(given), 'x'), {
      instanceOf: TypeError,
      code: INVALID,
    });
  }
  t.deepEqual(readdirSync(path.dirname(file)), []);
});

test('what is no file in the place of the target is refused, and does not hang', async (t) => {
  const directory = tempDir(t);
  const at = (name: string): string => path.join(directory, name);
  mkdirSync(at('folder'));
  writeFileSync(at('file'), 'content');
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('loop', at('loop'));
  symlinkSync('folder', at('link'));
  execFileSync('mkfifo', [at('fifo')]);
  for (const name of ['folder', 'fifo', 'link']) {
    t.like(await rejection(writeFileAtomic(at(name), 'x')), { code: INVALID }, name);
  }
  t.like(await rejection(writeFileAtomic('/dev/null', 'x')), { code: INVALID });
  const failures: [string, number][] = [
    ['missing/file', 2],
    ['file/file', 20],
    ['dangling', 2],
    ['loop', 40],
  ];
  for (const [name, errno] of failures) {
    const error = (await rejection(writeFileAtomic(at(name), 'x'))) as TidemarkError;
    t.like(error, { code: 'TIDEMARK_IO', errno }, name);
    t.is(typeof error.syscall, 'string');
  }
  const left = ['dangling', 'fifo', 'file', 'folder', 'link', 'loop'];
  t.deepEqual(readdirSync(directory).sort(), left);
  t.is(text(at('file')), 'content');
});

test('an aborted write rejects with the reason, and the file is as before', async (t) => {
  const file = newFile(t);
  await writeFileAtomic(file, 'old');
  const reason = new Error('mine');
  const before = writeFileAtomic(file, 'new', { signal: AbortSignal.abort(reason) });
  t.is(await rejection(before), reason);
  t.is(text(file), 'old');
});

test('an abort at any moment: rejected means not written, resolved means written', async (t) => {
  const file = newFile(t);
  let expected = 'none';
  for (let round = 0; round < 100; round += 1) {
    const controller = new AbortController();
    // Something to queue behind, so that some are taken back.
    const busy = writeFileAtomic(`${file}.busy`, 'x'.repeat(100_000));
    const content = `round ${round}`;
    const written = writeFileAtomic(file, content, { signal: controller.signal });
    await turns(round % 4);
    controller.abort();
    const outcome = await written.then(
      () => 'written',
      (error: unknown) => (error as Error).name,
    );
    await busy;
    if (outcome === 'written') expected = content;
    else t.is(outcome, 'AbortError');
    if (expected !== 'none') t.is(text(file), expected);
  }
  t.pass();
});

/** A content that tells whether it is whole. */
const whole = (writer: string): string => `${writer}:${writer.repeat(20_000)}`;
const isWhole = (content: string): boolean => content === whole(content.split(':')[0] ?? '');

test('fifty writers at once leave one whole content, and no temporary', async (t) => {
  const file = newFile(t);
  const contents = Array.from({ length: 50 }, (_, index) => whole(`w${index}`));
  const writing = new Set(contents.map((content) => writeFileAtomic(file, content)));
  for (const write of writing) void write.then(() => writing.delete(write));
  let reads = 0;
  while (writing.size > 0) {
    await turns(1);
    if (!existsSync(file)) continue;
    const content = text(file);
    t.true(isWhole(content), content.slice(0, 20));
    reads += 1;
  }
  t.true(reads > 0);
  t.true(contents.includes(text(file)));
  t.deepEqual(readdirSync(path.dirname(file)).sort(), ['file']);
  t.deepEqual(openIn(path.dirname(file)), []);
});

test('writers in other processes and worker threads leave one whole content', async (t) => {
  const file = newFile(t);
  const agents = [new Agent(t), new Agent(t)];
  const by = (writer: string): string[] =>
    Array.from({ length: 15 }, (_, index) => whole(`${writer}${index}`));
  const worker = new Worker(compiled('__test__/support/write-worker.ts'), {
    workerData: { file, contents: by('worker') },
  });
  await Promise.all([
    once(worker, 'exit'),
    ...agents.map((agent, index) => agent.ask('writeMany', file, by(`agent${index}-`))),
    ...by('here').map((content) => writeFileAtomic(file, content)),
  ]);
  t.true(isWhole(text(file)));
  t.deepEqual(readdirSync(path.dirname(file)), ['file']);
});
