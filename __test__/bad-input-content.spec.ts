// Damaged state files, through the addon: JF-9 and JF-10 of docs/format/state-file.md. Truncated at
// every byte, a byte changed everywhere, numbers and nesting at their edges, too large to read.
// Whatever is refused stays as it is; whatever is accepted is what the format says.
import { readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Checkpoint, JsonFileStore, ResumeKey, type TidemarkError } from '../index.ts';
import { picture } from './support/picture.ts';
import { stateText } from './support/state-file.ts';
import { listed, openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';

const orders = ResumeKey.named('orders');
const bills = ResumeKey.named('bills');
const TEXT = stateText([
  [orders, 720n, 'mars@720'],
  [bills, 18446744073709551615n, null],
]);
const BYTES = Buffer.from(TEXT);
const DECODE = 'TIDEMARK_DECODE';
const KEY = 'TIDEMARK_INVALID_RESUME_KEY';
/** For a test that opens hundreds of files or more; only a hang takes so long. */
const PATIENCE_MS = 600_000;

const quarantined = (file: string): string[] =>
  readdirSync(path.dirname(file))
    .filter((name) => name.startsWith(`${path.basename(file)}.corrupt-`))
    .map((name) => path.join(path.dirname(file), name));

/** What a file holds, or the code of its refusal; the file must stay as it is. */
async function opened(
  t: ExecutionContext,
  file: string,
): Promise<Map<string, Checkpoint> | string> {
  const before = picture(path.dirname(file));
  let held: Map<string, Checkpoint> | string;
  try {
    const store = await JsonFileStore.open(file);
    held = new Map((await listed(store.entries())).map(([{ hex }, found]) => [hex, found]));
    await store.close();
  } catch (error) {
    held = (error as TidemarkError).code;
    t.is((error as TidemarkError).path, file);
  }
  t.deepEqual(picture(path.dirname(file)), before);
  return held;
}

test('a file that is cut off at any byte is refused at open, or moved aside', async (t) => {
  t.timeout(PATIENCE_MS);
  const directory = tempDir(t);
  for (let length = 0; length < BYTES.length; length += 1) {
    const file = path.join(directory, 'state.json');
    writeFileSync(file, BYTES.subarray(0, length));
    t.is(await opened(t, file), DECODE, `${length} bytes`);
    const own = path.join(tempDir(t), 'state.json');
    writeFileSync(own, BYTES.subarray(0, length));
    const store = await JsonFileStore.open(own, { recover: 'quarantine' });
    t.is(store.size, 0);
    t.deepEqual(store.recovery.quarantined, quarantined(own));
    t.deepEqual(readFileSync(quarantined(own)[0] ?? ''), BYTES.subarray(0, length));
    await store.close();
  }
});

test('a file that is cut off at any byte under an open store is refused', async (t) => {
  t.timeout(PATIENCE_MS);
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 1n });
  for (let length = 0; length < BYTES.length; length += 1) {
    writeFileSync(file, BYTES.subarray(0, length));
    const before = picture(path.dirname(file));
    const put = store.put(orders, { lastCommittedSequence: 2n });
    t.like(await rejection(put), { code: DECODE, path: file }, `${length} bytes`);
    t.like(await rejection(store.get(orders, { fresh: true })), { code: DECODE });
    t.deepEqual(picture(path.dirname(file)), before);
    t.is(store.getSync(orders)?.lastCommittedSequence, 1n);
  }
  writeFileSync(file, BYTES);
  t.is((await store.get(orders, { fresh: true }))?.lastCommittedSequence, 720n);
  t.true((await store.put(orders, { lastCommittedSequence: 721n })).applied);
});

test('a file that is cut off at any byte is moved aside by a put', async (t) => {
  t.timeout(PATIENCE_MS);
  for (let length = 0; length < BYTES.length; length += 1) {
    const file = path.join(tempDir(t), 'state.json');
    const store = await JsonFileStore.open(file, { recover: 'quarantine' });
    await store.put(orders, { lastCommittedSequence: 1n });
    writeFileSync(file, BYTES.subarray(0, length));
    t.true((await store.put(bills, { lastCommittedSequence: 2n })).applied);
    await store.close();
    t.deepEqual(readFileSync(quarantined(file)[0] ?? ''), BYTES.subarray(0, length));
    const kept = stateText([
      [orders, 1n],
      [bills, 2n],
    ]);
    t.is(readFileSync(file, 'utf8'), kept, 'what was known, and what was put');
  }
});

/** Parses JSON as ECMAScript does, and reads the state file by docs/format/state-file.md. */
function byTheBook(bytes: Uint8Array): Map<string, Checkpoint> | undefined {
  let text: string;
  let json: Record<string, unknown>;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const isOne = (member: string): boolean =>
    new RegExp(`"${member}"\\s*:\\s*1\\s*[,}]`).test(text) && json[member] === 1;
  if (!isOne('version') || !isOne('key_format_version')) return undefined;
  const given = json['checkpoints'];
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined;
  // No single change makes a member twice, so that JSON.parse hides none; numbers are judged by
  // their digits, because a double holds neither all sequences nor how they were written.
  const literals = text.matchAll(/"last_committed_sequence"\s*:\s*([^\s,}]+)/g);
  const sequences = Array.from(literals, ([, literal = '']) => literal);
  const held = new Map<string, Checkpoint>();
  for (const [hex, checkpoint] of Object.entries(given as Record<string, object | null>)) {
    const literal = sequences[held.size] ?? '';
    const { last_event_id: id = null } = (checkpoint ?? {}) as { last_event_id?: unknown };
    const known = checkpoint !== null && 'last_committed_sequence' in checkpoint;
    if (!known || !/^[0-9a-f]{64}$/i.test(hex) || !/^\d+$/.test(literal)) return undefined;
    if (BigInt(literal) >= 2n ** 64n || (typeof id !== 'string' && id !== null)) return undefined;
    held.set(hex.toLowerCase(), { lastCommittedSequence: BigInt(literal), lastEventId: id });
  }
  return new Map([...held].sort());
}

test('a byte that is changed anywhere: refused, or exactly what the format says', async (t) => {
  t.timeout(PATIENCE_MS);
  const file = path.join(tempDir(t), 'state.json');
  const asBefore = byTheBook(BYTES);
  t.is(asBefore?.get(orders.hex)?.lastCommittedSequence, 720n);
  const counts = { refused: 0, accepted: 0 };
  for (let offset = 0; offset < BYTES.length; offset += 1) {
    const byte = BYTES[offset] ?? 0;
    const flips = Array.from({ length: 8 }, (_, bit) => byte ^ (1 << bit));
    const others = [0, 0xff, ...Buffer.from('"{}[],:\\.eE-+ 019a')].filter((code) => code !== byte);
    for (const code of new Set([...flips, ...others])) {
      const bytes = Buffer.from(BYTES);
      bytes[offset] = code;
      writeFileSync(file, bytes);
      const expected = byTheBook(bytes);
      const held = await opened(t, file);
      const what = `byte ${offset}: ${byte} -> ${code}`;
      if (expected === undefined) {
        t.regex(
          typeof held === 'string' ? held : 'accepted',
          /^TIDEMARK_(DECODE|INVALID_RESUME_KEY|UNSUPPORTED_\w+)$/,
          what,
        );
        counts.refused += 1;
      } else {
        t.deepEqual(held, expected, what);
        counts.accepted += 1;
      }
    }
  }
  t.log(`${counts.refused} refused, ${counts.accepted} accepted`);
  t.true(counts.refused > 1000 && counts.accepted > 100, JSON.stringify(counts));
});

const top = (members: string): string =>
  `{"version":1,"key_format_version":1,"checkpoints":{}${members}}`;
const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const one = (checkpoint: string, hex = orders.hex): string =>
  `{"version":1,"key_format_version":1,"checkpoints":{"${hex}":${checkpoint}}}`;
const sequence = (literal: string): string => one(`{"last_committed_sequence":${literal}}`);

test('nesting of 128 levels is kept, byte for byte, and of 129 refused', async (t) => {
  const { store, file } = await openJson(t);
  const inside = one(`{"last_committed_sequence":1,"x":${nested(125)}}`);
  for (const text of [top(`,"x":${nested(127)}`), inside]) {
    writeFileSync(file, text);
    await store.put(bills, { lastCommittedSequence: 1n });
    t.true(readFileSync(file, 'utf8').includes(text === inside ? nested(125) : nested(127)));
    await store.delete(bills);
  }
  // Brackets in a string nest nothing, whatever escapes surround them.
  writeFileSync(file, top(`,"x":"${'\\\\\\"['.repeat(200)}"`));
  await store.refresh();
  const tooDeep = [
    top(`,"x":${nested(128)}`),
    one(`{"last_committed_sequence":1,"x":${nested(126)}}`),
    '['.repeat(1_000_000),
    `${'{"x":'.repeat(129)}1${'}'.repeat(129)}`,
  ];
  for (const text of tooDeep) {
    writeFileSync(file, text);
    const error = (await rejection(store.refresh())) as TidemarkError;
    t.is(error.code, DECODE);
    t.true((error.offset ?? 1000n) < 1000n, 'it says where');
    t.is(await opened(t, file), DECODE);
  }
});

test('numbers at their edges', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const taken: [string, bigint][] = [
    ['0', 0n],
    ['9007199254740993', 2n ** 53n + 1n],
    ['9223372036854775808', 2n ** 63n],
    ['18446744073709551615', 2n ** 64n - 1n],
    [' \n7\t', 7n],
  ];
  for (const [literal, expected] of taken) {
    writeFileSync(file, sequence(literal));
    const held = (await opened(t, file)) as Map<string, Checkpoint>;
    t.is(held.get(orders.hex)?.lastCommittedSequence, expected, literal);
  }
  const refused = ['18446744073709551616', '-1', '-0', '1.0', '1e0', '1E+2', '0.1', '01', '+1'];
  refused.push(
    '0x1',
    '1n',
    '1_0',
    'NaN',
    'Infinity',
    '9'.repeat(400),
    '1e400',
    'null',
    'true',
    '[1]',
  );
  for (const literal of refused) {
    writeFileSync(file, sequence(literal));
    t.is(await opened(t, file), DECODE, literal);
  }
  for (const member of ['version', 'key_format_version']) {
    const what = member === 'version' ? 'FILE' : 'KEY_FORMAT';
    const unsupported = `TIDEMARK_UNSUPPORTED_${what}_VERSION`;
    for (const literal of [
      '0',
      '2',
      '9007199254740993',
      '18446744073709551615',
      '1.0',
      '-1',
      '"1"',
    ]) {
      const text = sequence('1').replace(`"${member}":1`, `"${member}":${literal}`);
      writeFileSync(file, text);
      t.is(await opened(t, file), /^\d+$/.test(literal) ? unsupported : DECODE, literal);
      // The version is judged before what it says nothing about.
      writeFileSync(file, text.replace(orders.hex, 'zzz'));
      t.is(await opened(t, file), /^\d+$/.test(literal) ? unsupported : DECODE, literal);
    }
  }
});

test('duplicates: of a key, in either case, the larger counts; of a member, refused', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const at = (hex: string, value: number): string =>
    `"${hex}":{"last_committed_sequence":${value},"last_event_id":"e@${value}"}`;
  const upper = orders.hex.toUpperCase();
  for (const [first, second] of [
    [at(upper, 9), at(orders.hex, 3)],
    [at(orders.hex, 3), at(upper, 9)],
    [at(orders.hex, 9), at(orders.hex, 9).replace('e@9', 'later')],
  ] as const) {
    writeFileSync(file, `{"version":1,"key_format_version":1,"checkpoints":{${first},${second}}}`);
    const held = await opened(t, file);
    const nine = { lastCommittedSequence: 9n, lastEventId: 'e@9' };
    t.deepEqual(held, new Map([[orders.hex, nine]]));
  }
  const twice = [
    one('{"last_committed_sequence":1,"last_committed_sequence":1}'),
    one('{"last_committed_sequence":1,"last_event_id":null,"last_event_id":null}'),
    one('{"last_committed_sequence":1,"last_\\u0065vent_id":"a","last_event_id":"b"}'),
    top(',"checkpoints":{}'),
    top(',"version":1'),
    top(',"key_format_version":1'),
  ];
  for (const text of twice) {
    writeFileSync(file, text);
    t.is(await opened(t, file), DECODE, text);
  }
  for (const hex of [`${orders.hex}0`, orders.hex.slice(1), '', `0x${orders.hex.slice(2)}`]) {
    writeFileSync(file, one('{"last_committed_sequence":1}', hex));
    t.is(await opened(t, file), KEY, hex);
  }
});

/** Bytes that this process has read so far, through whatever call. */
const bytesRead = (): number =>
  Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);

test.serial('a file of 1 GiB and a byte is TIDEMARK_TOO_LARGE, without reading it', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(orders, { lastCommittedSequence: 1n });
  const { fileReads } = store.metrics();
  writeFileSync(file, TEXT);
  truncateSync(file, 2 ** 30 + 1);
  const before = picture(path.dirname(file));
  const read = bytesRead();
  const calls = [
    store.put(orders, { lastCommittedSequence: 2n }),
    store.get(orders, { fresh: true }),
    store.delete(orders),
    JsonFileStore.open(file),
  ];
  for (const call of calls) {
    t.like(await rejection(call), { code: 'TIDEMARK_TOO_LARGE', path: file });
  }
  t.true(bytesRead() - read < 1_000_000, `${bytesRead() - read} bytes were read`);
  t.is(store.metrics()['fileReads'], fileReads);
  t.deepEqual(picture(path.dirname(file)), before);
  const other = JsonFileStore.open(file, { recover: 'quarantine', mode: 0o640 });
  t.is(((await rejection(other)) as TidemarkError).code, 'TIDEMARK_CONFLICT');
  t.is(store.getSync(orders)?.lastCommittedSequence, 1n);
  truncateSync(file, BYTES.length);
  t.is((await store.get(orders, { fresh: true }))?.lastCommittedSequence, 720n);
});
