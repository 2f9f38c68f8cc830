// Damaged files: JF-10 of docs/format/state-file.md, `recover` of docs/json-file-store.md.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { FileLock, JsonFileStore, ResumeKey, type TidemarkError } from '../index.ts';
import { isWaitedFor } from './support/process-state.ts';
import { stateText } from './support/state-file.ts';
import { tempDir } from './support/temp-dir.ts';
import { isSettled, rejection, turns, until } from './support/wait.ts';

const orders = ResumeKey.named('orders');
const recover = { recover: 'quarantine' } as const;
const DAMAGED = '{"version": 1, "key_format_version": 1, "checkpoints": {';

const quarantined = (file: string): string[] =>
  readdirSync(path.dirname(file))
    .filter((name) => name.startsWith(`${path.basename(file)}.corrupt-`))
    .map((name) => path.join(path.dirname(file), name));

test('quarantine at open moves the bytes aside, reports it, and begins empty', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, DAMAGED);
  const store = await JsonFileStore.open(file, recover);
  const [moved, ...more] = quarantined(file);
  t.deepEqual(more, []);
  t.regex(moved ?? '', /\.corrupt-\d+$/);
  t.is(readFileSync(moved ?? '', 'utf8'), DAMAGED);
  t.deepEqual(store.recovery, { quarantined: [moved] });
  t.is(store.size, 0);
  await store.put(orders, { lastCommittedSequence: 1n });
  t.is(readFileSync(file, 'utf8'), stateText([[orders, 1n]]));
  await store.close();
});

test('quarantine at a put goes on with what is known, and tells', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const store = await JsonFileStore.open(file, recover);
  const heard: unknown[] = [];
  store.on('quarantined', (details) => heard.push(details));
  await store.put(orders, { lastCommittedSequence: 7n, lastEventId: 'seven' });
  writeFileSync(file, DAMAGED);
  await store.put(ResumeKey.named('bills'), { lastCommittedSequence: 1n });
  const [moved] = quarantined(file);
  const expected = stateText([
    [orders, 7n, 'seven'],
    [ResumeKey.named('bills'), 1n],
  ]);
  t.is(readFileSync(file, 'utf8'), expected, 'what this process knows is written back');
  await until(() => heard.length > 0, 'the event comes');
  t.deepEqual(heard, [{ path: file, quarantine: moved }]);
  t.deepEqual(store.recovery.quarantined, [moved]);
  await store.close();
});

test('reading never moves anything aside: a fresh get of a damaged file rejects', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const store = await JsonFileStore.open(file, recover);
  await store.put(orders, { lastCommittedSequence: 7n });
  writeFileSync(file, DAMAGED);
  t.like(await rejection(store.get(orders, { fresh: true })), { code: 'TIDEMARK_DECODE' });
  t.like(await rejection(store.refresh()), { code: 'TIDEMARK_DECODE' });
  t.is(readFileSync(file, 'utf8'), DAMAGED);
  t.deepEqual(quarantined(file), []);
  t.is(store.getSync(orders)?.lastCommittedSequence, 7n);
  await store.close();
});

test('a file with a bad key is damaged, one of a later version is not', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, '{"version":1,"key_format_version":1,"checkpoints":{"zzz":{}}}');
  await (await JsonFileStore.open(file, recover)).close();
  t.is(quarantined(file).length, 1);
  const later: [string, string][] = [
    ['{"version":2}', 'TIDEMARK_UNSUPPORTED_FILE_VERSION'],
    ['{"version":1,"key_format_version":2}', 'TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION'],
  ];
  for (const [text, code] of later) {
    writeFileSync(file, text);
    t.like(await rejection(JsonFileStore.open(file, recover)), { code });
    t.is(readFileSync(file, 'utf8'), text);
  }
  t.is(quarantined(file).length, 1);
});

test('with 16 files in quarantine, repair refuses and touches nothing', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  for (let count = 0; count < 15; count += 1) writeFileSync(`${file}.corrupt-${count}`, 'old');
  writeFileSync(file, DAMAGED);
  await (await JsonFileStore.open(file, recover)).close();
  t.is(quarantined(file).length, 16);
  writeFileSync(file, DAMAGED);
  const error = (await rejection(JsonFileStore.open(file, recover))) as TidemarkError;
  t.like(error, { code: 'TIDEMARK_DECODE', path: file });
  t.is(readFileSync(file, 'utf8'), DAMAGED);
  t.is(quarantined(file).length, 16);
});

test('two damaged files in one millisecond get two names', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const store = await JsonFileStore.open(file, recover);
  for (let count = 1; count <= 10; count += 1) {
    writeFileSync(file, `${DAMAGED}${count}`);
    await store.put(orders, { lastCommittedSequence: count });
  }
  const contents = quarantined(file).map((name) => readFileSync(name, 'utf8'));
  t.is(new Set(contents).size, 10);
  await store.close();
});

test('a repair at open takes the lock: it waits, and times out like a put', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, DAMAGED);
  const lock = await FileLock.acquire(`${file}.lock`);
  const refused = await rejection(JsonFileStore.open(file, { ...recover, lockTimeoutMs: 50 }));
  t.like(refused, { code: 'TIDEMARK_LOCK_TIMEOUT' });
  t.is(readFileSync(file, 'utf8'), DAMAGED);
  const opening = JsonFileStore.open(file, recover);
  await turns(20);
  t.false(await isSettled(opening));
  lock.release();
  const store = await opening;
  t.is(store.recovery.quarantined.length, 1);
  await store.close();
});

test('a repair at open that waits for the lock can be aborted', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, DAMAGED);
  const lock = await FileLock.acquire(`${file}.lock`);
  const controller = new AbortController();
  const opening = JsonFileStore.open(file, { ...recover, signal: controller.signal });
  await until(() => isWaitedFor(`${file}.lock`), 'the repair waits for the lock');
  const reason = new Error('enough');
  controller.abort(reason);
  const outcome = await rejection(opening);
  lock.release();
  t.is(outcome, reason);
  t.is(readFileSync(file, 'utf8'), DAMAGED);
  t.deepEqual(quarantined(file), []);
});

test('what is refused by default stays refused until it is repaired by hand', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, DAMAGED);
  for (const options of [{}, { recover: 'refuse' as const }]) {
    t.like(await rejection(JsonFileStore.open(file, options)), { code: 'TIDEMARK_DECODE' });
  }
  t.deepEqual(readdirSync(path.dirname(file)), ['state.json']);
  writeFileSync(file, stateText([[orders, 3n]]));
  const store = await JsonFileStore.open(file);
  t.is(store.getSync(orders)?.lastCommittedSequence, 3n);
  await store.close();
});
