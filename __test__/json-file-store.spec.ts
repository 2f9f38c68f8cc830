// One process and its JSON file: layout (docs/format/state-file.md), modes, one instance per file.
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { JsonFileStore, ResumeKey } from '../index.ts';
import { Agent } from './support/agents.ts';
import { openIn } from './support/process-state.ts';
import { stateText } from './support/state-file.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';

const [orders, bills] = [ResumeKey.named('orders'), ResumeKey.named('bills')];
const modeOf = (file: string): number => statSync(file).mode & 0o7777;

test('the file is the normative text, byte for byte', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 72n, lastEventId: 'mars@72' });
  await store.put(bills, { lastCommittedSequence: 2n ** 64n - 1n });
  const expected = stateText([
    [orders, 72n, 'mars@72'],
    [bills, 2n ** 64n - 1n],
  ]);
  t.is(readFileSync(file, 'utf8'), expected);
  await store.delete(orders);
  await store.delete(bills);
  t.is(readFileSync(file, 'utf8'), stateText([]), 'the last key leaves an empty map');
});

test('keys are sorted, so that equal states are equal bytes (limit 15)', async (t) => {
  const keys = Array.from({ length: 20 }, (_, index) => ResumeKey.named(`key ${index}`));
  const texts: string[] = [];
  for (const order of [keys, [...keys].reverse()]) {
    const { store, file } = await openJson(t);
    for (const key of order) await store.put(key, { lastCommittedSequence: 1n });
    texts.push(readFileSync(file, 'utf8'));
  }
  t.is(texts[0], texts[1]);
});

test('event ids are escaped in short forms and lower-case hex, the rest is raw', async (t) => {
  const { store, file } = await openJson(t);
  const lastEventId = '"\\/\b\f\n\r\t\u0001\u001f\u007f\u00e9\u2028\u{1f30a}';
  await store.put(orders, { lastCommittedSequence: 1n, lastEventId });
  const text = readFileSync(file, 'utf8');
  const raw = '"\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\u007f\u00e9\u2028\u{1f30a}"';
  t.true(text.includes(`"last_event_id": ${raw}\n`), text);
});

test('a write leaves the state file and an empty lock file, and nothing else', async (t) => {
  const { store, file } = await openJson(t);
  for (let sequence = 0; sequence < 5; sequence += 1) {
    await store.put(orders, { lastCommittedSequence: sequence });
  }
  t.deepEqual(readdirSync(path.dirname(file)).sort(), ['state.json', 'state.json.lock']);
  t.is(statSync(`${file}.lock`).size, 0);
});

test('a put that changes nothing writes nothing', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 5n });
  const { ino, mtimeNs } = statSync(file, { bigint: true });
  await store.put(orders, { lastCommittedSequence: 5n, lastEventId: 'other' });
  await store.delete(bills);
  t.like(statSync(file, { bigint: true }), { ino, mtimeNs });
  t.is(store.metrics()['replaces'], 1n);
});

test('deleting where there is no file makes none', async (t) => {
  const { store, file } = await openJson(t);
  t.is(await store.delete(orders), 'absent');
  t.deepEqual(readdirSync(path.dirname(file)), ['state.json.lock']);
});

test('new files get mode 0600, or the one of the options', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 1n });
  t.deepEqual([modeOf(file), modeOf(`${file}.lock`)], [0o600, 0o600]);
  const shared = path.join(tempDir(t), 'shared.json');
  const other = await JsonFileStore.open(shared, { mode: 0o664 });
  await other.put(orders, { lastCommittedSequence: 1n });
  t.deepEqual([modeOf(shared), modeOf(`${shared}.lock`)], [0o664, 0o664]);
  await other.close();
});

for (const umask of ['000', '077', '277']) {
  test(`new files get mode 0660 as asked for under umask ${umask}`, async (t) => {
    const file = path.join(tempDir(t), 'state.json');
    const shell = ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh'] as const;
    const agent = new Agent(t, { under: shell });
    await agent.ask('open', file, { mode: 0o660 });
    await agent.ask('put', file, 'orders', 1n);
    t.deepEqual([modeOf(file), modeOf(`${file}.lock`)], [0o660, 0o660]);
  });
}

test('a file that exists keeps its mode and its owner (limit 11)', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, stateText([]));
  chmodSync(file, 0o644);
  const { uid, gid } = statSync(file);
  const isRoot = process.getuid?.() === 0;
  const [owner, group] = isRoot ? [12_345, 54_321] : [uid, gid];
  chownSync(file, owner, group);
  const store = await JsonFileStore.open(file, { mode: 0o600 });
  await store.put(orders, { lastCommittedSequence: 1n });
  t.is(modeOf(file), 0o644);
  t.like(statSync(file), { uid: owner, gid: group });
  await store.close();
});

test('a symbolic link is followed once: file and lock are where it leads', async (t) => {
  const directory = tempDir(t);
  const [real, links] = [path.join(directory, 'real'), path.join(directory, 'links')];
  for (const folder of [real, links]) mkdirSync(folder);
  writeFileSync(path.join(real, 'state.json'), stateText([[orders, 1n]]));
  const link = path.join(links, 'link.json');
  symlinkSync('../real/state.json', link);
  const store = await JsonFileStore.open(link);
  await store.put(orders, { lastCommittedSequence: 2n });
  t.is(readlinkSync(link), '../real/state.json', 'the original replaces the link (limit 12)');
  t.is(readFileSync(path.join(real, 'state.json'), 'utf8'), stateText([[orders, 2n]]));
  t.deepEqual(readdirSync(links), ['link.json']);
  t.deepEqual(readdirSync(real).sort(), ['state.json', 'state.json.lock']);
  await store.close();
});

test('a store opened twice, by any path, is one store', async (t) => {
  const { store, file } = await openJson(t);
  const directory = path.dirname(file);
  symlinkSync(file, path.join(directory, 'link.json'));
  symlinkSync(directory, path.join(directory, 'folder'));
  for (const other of ['state.json', 'link.json', 'folder/state.json', './folder/./state.json']) {
    const second = await JsonFileStore.open(`${directory}/${other}`);
    const sequence = store.size + 1;
    const key = ResumeKey.named(other);
    await second.put(key, { lastCommittedSequence: sequence });
    t.is(store.getSync(key)?.lastCommittedSequence, BigInt(sequence), other);
    await second.close();
    t.throws(() => second.getSync(key), { code: 'TIDEMARK_CLOSED' });
    t.is((await store.get(key))?.lastCommittedSequence, BigInt(sequence), 'the first stays open');
  }
});

test('a second open with other options is a conflict, until the first is closed', async (t) => {
  const { store, file } = await openJson(t);
  const others = [
    { lockTimeoutMs: 5 },
    { mode: 0o640 },
    { recover: 'quarantine' },
    { allowNetworkFs: true },
  ] as const;
  for (const options of others) {
    const opened = JsonFileStore.open(file, options);
    await t.throwsAsync(opened, { code: 'TIDEMARK_CONFLICT' }, JSON.stringify(options));
  }
  const same = { lockTimeoutMs: 10_000, mode: 0o600, recover: 'refuse' } as const;
  await (await JsonFileStore.open(file, same)).close();
  await store.close();
  for (const options of others) await (await JsonFileStore.open(file, options)).close();
});

test('a path whose directory is replaced is another store', async (t) => {
  const directory = path.join(tempDir(t), 'folder');
  const file = path.join(directory, 'state.json');
  mkdirSync(directory);
  const first = await JsonFileStore.open(file);
  await first.put(orders, { lastCommittedSequence: 1n });
  rmSync(directory, { recursive: true });
  await t.throwsAsync(first.put(orders, { lastCommittedSequence: 2n }), { code: 'TIDEMARK_IO' });
  t.is(first.getSync(orders)?.lastCommittedSequence, 1n, 'a failure leaves memory as it was');
  await first.close();
  mkdirSync(directory);
  const second = await JsonFileStore.open(file);
  t.is(second.size, 0);
  await second.close();
});

test('durability is none on tmpfs, and one of the three words anywhere', async (t) => {
  const { store } = await openJson(t);
  t.true(['proven', 'unproven', 'none'].includes(store.durability));
  t.deepEqual(store.recovery, { quarantined: [] });
  t.true(readFileSync('/proc/mounts', 'utf8').includes(' /dev/shm tmpfs '), 'this test needs it');
  const file = `/dev/shm/tidemark-${process.pid}.json`;
  const volatile = await JsonFileStore.open(file);
  t.is(volatile.durability, 'none');
  await volatile.close();
});

test('where durability is unproven, one warning tells', async (t) => {
  const agent = new Agent(t);
  const { store, file } = await openJson(t);
  for (const other of [`${file}.1`, `${file}.2`]) await agent.ask('open', other);
  const heard = await agent.ask('warnings');
  const expected = store.durability === 'unproven' ? ['TIDEMARK_UNPROVEN'] : [];
  t.deepEqual(heard, expected);
});

async function closes(t: ExecutionContext, how: 'close' | 'closeSync'): Promise<void> {
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 1n });
  t.true(openIn(path.dirname(file)).length > 0);
  await store[how]();
  t.deepEqual(openIn(path.dirname(file)), []);
}

test('close leaves no descriptor open', closes, 'close');
test('closeSync leaves no descriptor open', closes, 'closeSync');

test('what was put is there after closing and opening again', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 42n, lastEventId: 'e@42' });
  await store.put(bills, { lastCommittedSequence: 1n });
  await store.delete(bills);
  await store.close();
  const again = await JsonFileStore.open(file);
  t.deepEqual(again.getSync(orders), { lastCommittedSequence: 42n, lastEventId: 'e@42' });
  t.is(again.size, 1);
  await again.close();
});
