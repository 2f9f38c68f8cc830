// One stable code per kind of error, the same in the core, in the facade and in docs/errors.md;
// errors are made at the await, so that their stack names the caller.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {
  FileLock,
  JsonFileStore,
  MemoryStore,
  ResumeKey,
  TidemarkError,
  isTidemarkError,
  writeFileAtomic,
} from '../index.ts';
import { errorCodes, toError } from '../src/errors.ts';
import { native } from '../src/native.ts';
import { root } from './support/compiled.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';

const key = ResumeKey.named('orders');
const one = { lastCommittedSequence: 1n };

test("the facade's codes are the core's, and one that only the facade can have", (t) => {
  const expected = [...native.errorCodes(), 'TIDEMARK_ADDON_NOT_FOUND'];
  t.deepEqual([...errorCodes].sort(), expected.sort());
  t.is(new Set(errorCodes).size, errorCodes.length);
});

test('docs/errors.md has exactly one heading per code', (t) => {
  const text = readFileSync(path.join(root, 'docs/errors.md'), 'utf8');
  const headings = [...text.matchAll(/^## `?(TIDEMARK_\w+)`?$/gm)].map((match) => match[1]);
  t.deepEqual(headings.sort(), [...errorCodes].sort());
});

test('isTidemarkError knows every kind of error of this package', async (t) => {
  const store = await MemoryStore.open();
  const errors = [
    new TidemarkError('TIDEMARK_IO', 'broken'),
    await rejection(store.put('orders' as never, one)),
    await rejection(store.put(key, { lastCommittedSequence: -1 })),
    await rejection(JsonFileStore.open('')),
    await rejection(JsonFileStore.open(path.join(tempDir(t), 'missing/state.json'))),
    await store.close().then(() => rejection(store.get(key))),
    t.throws(() => ResumeKey.fromHex('abc')),
  ];
  for (const error of errors) t.true(isTidemarkError(error), String(error));
});

test('isTidemarkError knows nothing else', (t) => {
  const others: unknown[] = [
    undefined,
    null,
    'TIDEMARK_IO',
    { code: 'TIDEMARK_IO', message: 'no Error' },
    new Error('TIDEMARK_IO'),
    Object.assign(new Error('no code of ours'), { code: 'ENOENT' }),
    Object.assign(new Error('no string'), { code: 5 }),
    Object.assign(new Error('of every object'), { code: 'toString' }),
    new DOMException('aborted', 'AbortError'),
  ];
  for (const other of others) t.false(isTidemarkError(other));
});

test('argument mistakes are real TypeErrors and RangeErrors with a code', async (t) => {
  const store = await MemoryStore.open();
  const type = await t.throwsAsync(store.put('orders' as never, one), { instanceOf: TypeError });
  const put = store.put(key, { lastCommittedSequence: 1.5 });
  const range = await t.throwsAsync(put, { instanceOf: RangeError });
  for (const error of [type, range]) {
    t.is((error as unknown as { code: string }).code, 'TIDEMARK_INVALID_ARGUMENT');
    t.false(error instanceof TidemarkError);
  }
  t.is(type.name, 'TypeError');
  t.is(range.name, 'RangeError');
  await store.close();
});

test('what the operating system answered is in own properties', async (t) => {
  const directory = tempDir(t);
  const file = path.join(directory, 'missing/state.json');
  const error = (await rejection(JsonFileStore.open(file))) as TidemarkError;
  t.true(error instanceof TidemarkError);
  t.is(error.name, 'TidemarkError');
  t.is(error.code, 'TIDEMARK_IO');
  t.is(error.errno, 2);
  t.is(typeof error.syscall, 'string');
  t.is(error.path, path.join(directory, 'missing'));
  t.true(error.message.includes(directory), 'the message names the path');
  for (const name of ['code', 'errno', 'syscall', 'path']) t.true(Object.hasOwn(error, name), name);
  for (const name of ['offset', 'sequence', 'holder', 'indeterminate']) {
    t.false(name in error, `${name} is not known, and not there`);
  }
  t.true(error.cause instanceof Error);
  t.regex((error.cause as Error).message, /ENOENT|No such file/i);
});

test('the cause behind an argument mistake is kept as well', (t) => {
  const source = { baseUrl: 'no url', eventType: 'mars', filter: {} };
  const error = t.throws(() => ResumeKey.derive(source), { instanceOf: TypeError });
  t.true(error.cause instanceof Error);
  t.not((error.cause as Error).message, '');
});

test('where a file does not decode is in the message, its path is a property', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, '{\n  "version": 1,\n  oops');
  const error = (await rejection(JsonFileStore.open(file))) as TidemarkError;
  t.is(error.code, 'TIDEMARK_DECODE');
  t.is(error.path, file);
  t.regex(error.message + String(error.cause), /line 3/);
});

test('TidemarkError can be subclassed and takes details and a cause', (t) => {
  class Mine extends TidemarkError {}
  const cause = new Error('behind it');
  const error = new Mine('TIDEMARK_CORRUPT', 'damaged', {
    ...{ path: 'p', offset: 5n, sequence: 7n, errno: 5, syscall: 'read', holder: 9 },
    indeterminate: true,
    cause,
  });
  t.true(error instanceof Mine && error instanceof TidemarkError && error instanceof Error);
  t.true(isTidemarkError(error));
  t.is(error.cause, cause);
  t.like(error, { code: 'TIDEMARK_CORRUPT', message: 'damaged', path: 'p', offset: 5n });
  t.like(error, { sequence: 7n, errno: 5, syscall: 'read', holder: 9, indeterminate: true });
  t.false('cause' in new TidemarkError('TIDEMARK_IO', 'nothing behind it'));
  t.regex(String(error), /^TidemarkError: damaged$/);
});

test('a failure of the core with a code that the facade does not know is a bug', (t) => {
  const error = toError({ code: 'TIDEMARK_OF_LATER', message: 'new', indeterminate: true });
  t.like(error, { code: 'TIDEMARK_INTERNAL', message: 'new', indeterminate: true });
  t.false('indeterminate' in toError({ code: 'TIDEMARK_IO', message: 'm', indeterminate: false }));
});

/** Calls under a name of its own, for the stack. */
const callers: Record<string, (call: () => Promise<unknown>) => Promise<void>> = {
  async callerWhoAwaits(call) {
    await call();
  },
};

async function stackOf(call: () => Promise<unknown>): Promise<string> {
  const error = await rejection(callers['callerWhoAwaits']?.(call) ?? Promise.resolve());
  return (error as Error).stack ?? '';
}

test('the stack of an error that is found at once names the caller', async (t) => {
  const store = await MemoryStore.open();
  t.regex(await stackOf(() => store.put('orders' as never, one)), /callerWhoAwaits/);
  const tried = (): Promise<unknown> => store.tryPut('orders' as never, one) ?? Promise.resolve();
  t.regex(await stackOf(tried), /callerWhoAwaits/);
  await store.close();
  t.regex(await stackOf(() => store.get(key)), /callerWhoAwaits/);
});

test('the stack of an error that comes back from another thread names who awaits', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, one);
  writeFileSync(file, 'not JSON');
  const calls: Record<string, () => Promise<unknown>> = {
    put: () => store.put(key, { lastCommittedSequence: 2n }),
    'put with a signal': () =>
      store.put(key, { lastCommittedSequence: 2n }, { signal: new AbortController().signal }),
    tryPut: () => store.tryPut(key, { lastCommittedSequence: 2n }) ?? Promise.resolve(),
    putMany: () => store.putMany([[key, { lastCommittedSequence: 2n }]]),
    delete: () => store.delete(key),
    get: () => store.get(key, { fresh: true }),
    refresh: () => store.refresh(),
    prune: () => store.prune(() => false),
    open: () => JsonFileStore.open(`${file}/missing/state.json`),
    acquire: () => FileLock.acquire(`${file}/missing.lock`),
    writeFileAtomic: () => writeFileAtomic(`${file}/missing`, 'content'),
  };
  for (const [name, call] of Object.entries(calls)) {
    const stack = await stackOf(call);
    t.regex(stack, /callerWhoAwaits/, name);
    t.regex(stack, /errors\.spec\.ts/, name);
  }
});
