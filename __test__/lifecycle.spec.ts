// Processes and worker threads that end at any stage: what was handed over is in native memory when
// the call returns (N-2); a pending write keeps the event loop alive, an idle open store does not
// (CH-2).
import { existsSync, readFileSync, readdirSync, cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FileLock, JsonFileStore, ResumeKey } from '../index.ts';
import { type Ended, type Start, ended, start } from './support/child.ts';
import { compiled } from './support/compiled.ts';
import { PUTS } from './support/lifecycle-child.ts';
import { tempDir } from './support/temp-dir.ts';
import { until } from './support/wait.ts';

const run = (t: ExecutionContext, stage: string, file: string, how?: Start): Promise<Ended> =>
  ended(start(t, 'lifecycle-child.ts', [stage, file], how));

const newFile = (t: ExecutionContext): string => path.join(tempDir(t), 'state.json');

/** Requires that every put of a name is on disk. */
async function allOnDisk(t: ExecutionContext, file: string, name: string): Promise<void> {
  const store = await JsonFileStore.open(file);
  const missing = Array.from({ length: PUTS }, (_, index) => index).filter(
    (index) =>
      store.getSync(ResumeKey.named(`${name} ${index}`))?.lastCommittedSequence !== BigInt(index),
  );
  t.deepEqual(missing, [], `${missing.length} of ${PUTS} puts were lost`);
  await store.close();
}

/** Nothing is left over beside the state file and its lock. */
function nothingLeftOver(t: ExecutionContext, file: string): void {
  const names = readdirSync(path.dirname(file)).filter((name) => name.startsWith('.tidemark-'));
  t.deepEqual(names, []);
}

for (const stage of ['load only', 'idle store']) {
  test(`a process ends by itself: ${stage}`, async (t) => {
    const { code, signal } = await run(t, stage, newFile(t));
    t.deepEqual([code, signal], [0, null]);
  });
}

test('a pending put keeps the process alive until it is settled', async (t) => {
  const file = newFile(t);
  const lock = await FileLock.acquire(`${file}.lock`);
  const child = start(t, 'lifecycle-child.ts', ['await a put', file]);
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const end = ended(child);
  await until(() => output.includes('waiting'), 'the child waits');
  lock.release();
  const { code, stdout } = await end;
  t.is(code, 0);
  t.is(stdout, 'waiting\napplied: true\n');
});

test('a pending acquire keeps the process alive until it is settled', async (t) => {
  const file = newFile(t);
  const lock = await FileLock.acquire(`${file}.lock`);
  const child = start(t, 'lifecycle-child.ts', ['await a lock', file]);
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const end = ended(child);
  await until(() => output.includes('waiting'), 'the child waits');
  lock.release();
  const { code, stdout } = await end;
  t.is(code, 0);
  t.is(stdout, 'waiting\nlocked\n');
});

const ENDS: readonly [string, number][] = [
  ['end', 0],
  ['exit', 0],
  ['exit a tick later', 0],
  ['throw', 1],
  ['reject', 1],
  ['close and end', 0],
  ['tryPut and putMany, then exit', 0],
  ['put in an exit handler', 0],
  ['putSync in an exit handler', 0],
  ['worker ends', 0],
  ['worker exits', 0],
  ['worker throws', 0],
  ['worker is terminated', 0],
];

for (const [stage, expected] of ENDS) {
  test(`puts that were accepted and not awaited are on disk: ${stage}`, async (t) => {
    const file = newFile(t);
    const { code, signal, stderr } = await run(t, stage, file);
    t.deepEqual([code, signal], [expected, null], stderr);
    await allOnDisk(t, file, 'put');
    nothingLeftOver(t, file);
  });
}

test('a process that exits while it opens a store exits', async (t) => {
  const { code, signal } = await run(t, 'while opening', newFile(t));
  t.deepEqual([code, signal], [0, null]);
});

test('the drain at exit is bounded: a lock that somebody holds does not hang it', async (t) => {
  const file = newFile(t);
  const lock = await FileLock.acquire(`${file}.lock`);
  const { code, signal } = await run(t, 'exit while the lock is held', file);
  t.deepEqual([code, signal], [0, null]);
  const handler = await run(t, 'put in an exit handler', file);
  t.deepEqual([handler.code, handler.signal], [0, null], 'not once for each put');
  t.false(existsSync(file), 'nothing was written without the lock');
  lock.release();
});

test('writeFileAtomic that was called before process.exit() is finished', async (t) => {
  const file = newFile(t);
  const { code } = await run(t, 'write a file and exit', file);
  t.is(code, 0);
  t.is(readFileSync(file, 'utf8'), 'content');
  nothingLeftOver(t, file);
});

test('stores collected as garbage finish their puts, and their threads end', async (t) => {
  const file = newFile(t);
  const { code, stdout, stderr } = await run(t, 'collect', file, { node: ['--expose-gc'] });
  t.is(code, 0, stderr);
  t.is(stdout, 'left: 0 0\n', 'stores and commit threads that are left');
  for (let index = 0; index < 20; index += 1) await allOnDisk(t, `${file}.${index}`, 'put');
});

test('eight worker threads share one store, and all of their puts land', async (t) => {
  const file = newFile(t);
  const { code, signal, stdout, stderr } = await run(t, 'share between workers', file);
  t.deepEqual([code, signal, stdout], [0, null, ''], stderr);
  for (let index = 0; index < 8; index += 1) await allOnDisk(t, file, `worker ${index}`);
  nothingLeftOver(t, file);
});

test('two copies of the package in one process share one store', async (t) => {
  const directory = tempDir(t);
  const copies = ['a', 'b'].map((name) => path.join(directory, name));
  for (const copy of copies) cpSync(path.dirname(compiled('index.ts')), copy, { recursive: true });
  const main = path.join(directory, 'main.mjs');
  const file = path.join(directory, 'state.json');
  const script = [
    `const paths = ${JSON.stringify(copies)};`,
    "const [a, b] = await Promise.all(paths.map((copy) => import(copy + '/index.js')));",
    `const file = ${JSON.stringify(file)};`,
    'const [first, second] = [await a.JsonFileStore.open(file), await b.JsonFileStore.open(file)];',
    'const key = a.ResumeKey.named("orders");',
    'await first.put(key, { lastCommittedSequence: 5n });',
    'const seen = second.getSync(b.ResumeKey.named("orders"));',
    'const put = second.put(key, { lastCommittedSequence: 6n });',
    'const error = await put.catch((reason) => reason);',
    'console.log(String(seen.lastCommittedSequence), error.code, b.isTidemarkError(error));',
    'second.put(b.ResumeKey.named("un-awaited"), { lastCommittedSequence: 0n });',
    'process.exit(0);',
  ];
  writeFileSync(main, script.join('\n'));
  const { code, stdout, stderr } = await ended(start(t, '', [], { script: main }));
  t.is(code, 0, stderr);
  t.is(stdout, '5 TIDEMARK_INVALID_ARGUMENT true\n');
  const store = await JsonFileStore.open(file);
  t.is(store.size, 2);
  await store.close();
});
