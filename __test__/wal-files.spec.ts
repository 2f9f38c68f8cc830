// What is found in a log's directory: damage is refused and said where, never skipped (C8, SG-9),
// and what is not the log's is not touched. docs/format/segment.md says what is where.
import { Buffer } from 'node:buffer';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { JsonFileStore, ResumeKey, Wal, type TidemarkError } from '../index.ts';
import { start } from './support/child.ts';
import { picture } from './support/picture.ts';
import { rejection, until } from './support/wait.ts';
import {
  SMALL,
  bytes,
  fillSegments,
  listedIn,
  newLog,
  openLog,
  segmentsOf,
  text,
} from './support/wals.ts';

const CORRUPT = { code: 'TIDEMARK_CORRUPT', name: 'TidemarkError' };
const BLOCK = 4096;

/** A log of some segments that was closed, and the number of its last entry. */
async function closedLog(
  t: ExecutionContext,
  count = 4,
): Promise<{ readonly directory: string; readonly last: bigint; readonly names: string[] }> {
  const { wal, directory } = await openLog(t, SMALL);
  const last = await fillSegments(wal, directory, count);
  await wal.close();
  return { directory, last, names: segmentsOf(directory) };
}

/** Opening is refused with a code, to read and to write, twice alike, and changes no segment. */
async function refused(
  t: ExecutionContext,
  directory: string,
  code: TidemarkError['code'],
): Promise<void> {
  // One that was only prepared holds nothing yet, and may go.
  const begun = segmentsOf(directory).filter((name) => isBegun(path.join(directory, name)));
  const segments = (): string[] =>
    picture(directory).filter((line) => begun.includes(line.split(' ')[0] ?? ''));
  const before = segments();
  for (const readOnly of [true, false, false, true]) {
    const error = (await rejection(Wal.open(directory, { ...SMALL, readOnly }))) as TidemarkError;
    t.is(error.code, code, `${error.message} (readOnly: ${String(readOnly)})`);
    t.true(error.path?.startsWith(directory) === true, error.path);
  }
  t.deepEqual(segments(), before);
}

/** Whether a segment has its first frame, or might have had it. */
function isBegun(file: string): boolean {
  const content = readFileSync(file);
  return content.length < 2 * BLOCK || content.subarray(BLOCK, BLOCK + 64).some((byte) => byte > 0);
}

/** Changes bytes of a file in place. */
function patch(file: string, change: (content: Buffer) => void): void {
  const content = readFileSync(file);
  change(content);
  writeFileSync(file, content);
}

const flip = (content: Buffer, offset: number): void => {
  content[offset] = (content[offset] ?? 0) ^ 0x40;
};

type Damage = (directory: string, names: readonly string[]) => void;

const at = (directory: string, names: readonly string[], index: number): string =>
  path.join(directory, names.at(index) ?? '');

const lastBegun = (directory: string, names: readonly string[]): string =>
  path.join(directory, names.findLast((name) => isBegun(path.join(directory, name))) ?? '');

const DAMAGES: Record<string, Damage> = {
  'the first segment is missing': (directory, names) => {
    rmSync(at(directory, names, 0));
  },
  'one in the middle is missing': (directory, names) => {
    rmSync(at(directory, names, 1));
  },
  'one is renamed to a number of later': (directory, names) => {
    renameSync(at(directory, names, 1), path.join(directory, '000000ff.segment'));
  },
  'two have changed places': (directory, names) => {
    const aside = path.join(directory, 'aside');
    renameSync(at(directory, names, 0), aside);
    renameSync(at(directory, names, 1), at(directory, names, 0));
    renameSync(aside, at(directory, names, 1));
  },
  'one is a copy of another': (directory, names) => {
    copyFileSync(at(directory, names, 0), at(directory, names, 1));
  },
  'one is truncated': (directory, names) => {
    truncateSync(at(directory, names, 1), 2 * BLOCK);
  },
  'the last one with entries is truncated': (directory, names) => {
    truncateSync(lastBegun(directory, names), 2 * BLOCK);
  },
  'the last one with entries is a copy of the one before': (directory, names) => {
    const last = lastBegun(directory, names);
    copyFileSync(at(directory, names, names.indexOf(path.basename(last)) - 1), last);
  },
  'the first two are missing, and nothing says that they were purged': (directory, names) => {
    for (const index of [0, 1]) rmSync(at(directory, names, index));
  },
  'one is empty': (directory, names) => {
    truncateSync(at(directory, names, 1), 0);
  },
  'the first one is truncated within its header': (directory, names) => {
    truncateSync(at(directory, names, 0), 100);
  },
  'one has another magic (not D17)': (directory, names) => {
    patch(at(directory, names, 1), (content) => {
      flip(content, 0);
    });
  },
  'a header has a flipped bit': (directory, names) => {
    patch(at(directory, names, 0), (content) => {
      flip(content, 2000);
    });
  },
  'all of a segment is zero (not D19)': (directory, names) => {
    patch(at(directory, names, 1), (content) => content.fill(0));
  },
  'a seal has a flipped bit': (directory, names) => {
    patch(at(directory, names, 0), (content) => {
      flip(content, content.length - BLOCK + 24);
    });
  },
};

for (const [name, damage] of Object.entries(DAMAGES)) {
  test(`a damaged log is refused, and nothing of it changed: ${name}`, async (t) => {
    const { directory, names } = await closedLog(t);
    damage(directory, names);
    await refused(t, directory, 'TIDEMARK_CORRUPT');
  });
}

test('all segments are missing: that is no new log, for its state is there', async (t) => {
  const { directory, names } = await closedLog(t);
  for (const name of names) rmSync(path.join(directory, name));
  await refused(t, directory, 'TIDEMARK_CORRUPT');
});

test("a segment of another log is refused, in the place of one's own", async (t) => {
  const [own, other] = [await closedLog(t), await closedLog(t)];
  copyFileSync(at(other.directory, other.names, 1), at(own.directory, own.names, 1));
  await refused(t, own.directory, 'TIDEMARK_CORRUPT');
});

test('a log of a newer format is refused as such', async (t) => {
  const { directory, names } = await closedLog(t);
  patch(at(directory, names, 0), (content) => {
    content.writeUInt16LE(2, 8);
    content.writeUInt16LE(2, 10);
    content.writeUInt32LE(headerCrc(content), 12);
  });
  await refused(t, directory, 'TIDEMARK_UNSUPPORTED_FILE_VERSION');
});

test("another kind's log is a conflict", async (t) => {
  const { directory, names } = await closedLog(t, 1);
  patch(at(directory, names, 0), (content) => {
    content.fill(0, 16, 24).write('journal', 16);
    content.writeUInt32LE(headerCrc(content), 12);
  });
  await refused(t, directory, 'TIDEMARK_CONFLICT');
});

test('a file beside others that looks like a store of another kind is left alone', async (t) => {
  const { wal, directory } = await openLog(t);
  const store = await JsonFileStore.open(path.join(directory, 'state.json'));
  await store.put(ResumeKey.named('orders'), { lastCommittedSequence: 1n });
  await wal.append(bytes('a'));
  await Promise.all([store.close(), wal.close()]);
  const { wal: again } = await openLog(t, {}, directory);
  t.is(again.lastLsn, 1n);
  t.true(readdirSync(directory).includes('state.json'));
});

test('a damaged entry of a complete segment is told where it is read, and only so', async (t) => {
  const { directory, names, last } = await closedLog(t);
  const file = at(directory, names, 1);
  patch(file, (content) => {
    // Somewhere in the records of the second segment, far from its link and its seal.
    flip(content, 3 * BLOCK + 1234);
  });
  const { wal } = await openLog(t, SMALL, directory);
  t.is(wal.lastLsn, last);
  const codes = new Map<string, number>();
  for (let lsn = 1n; lsn <= last; lsn += 1n) {
    const outcome = await wal.read(lsn).then(
      (entry) => (text(entry).startsWith(`${lsn} `) ? 'right' : 'wrong'),
      (error: unknown) => {
        t.like(error, { ...CORRUPT, path: file });
        return 'corrupt';
      },
    );
    codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
  }
  t.false(codes.has('wrong'));
  t.true((codes.get('corrupt') ?? 0) >= 1);
  t.true((codes.get('right') ?? 0) > Number(last) / 2, JSON.stringify([...codes]));
  t.like(await rejection(listedIn(wal)), CORRUPT, 'a loop does not skip it');
  t.like(await rejection(wal.readRange({ from: 1 })), CORRUPT);
  const loop = wal.iterate();
  let [read, error]: [number, unknown] = [0, undefined];
  while (error === undefined) {
    const { value, done } = await loop.next().catch((reason: unknown) => {
      error = reason;
      return { value: undefined, done: true };
    });
    if (done === true) break;
    read += value?.length ?? 0;
  }
  t.like(error, CORRUPT);
  t.true(read > 0, 'what lies before it is given');
  t.is(await wal.append(bytes('on')), last + 1n, 'and the end of the log is sound');
});

/** A log whose process was killed: what it acknowledged, it had synced. */
async function killedLog(t: ExecutionContext): Promise<string> {
  const directory = newLog(t);
  const child = start(t, 'wal-child.ts', ['append and hold', directory]);
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(() => output.includes('appended'), 'the child has appended');
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  return directory;
}

test('after a kill all that was acknowledged is there, and the report says the rest', async (t) => {
  const directory = await killedLog(t);
  const { wal } = await openLog(t, {}, directory);
  t.deepEqual((await listedIn(wal)).map(text), ['a', 'b', 'c']);
  t.false(wal.recovery.wasClosed);
  t.true(wal.recovery.scannedBytes > 0);
  t.true(wal.recovery.copiedBytes > 0, 'what no later frame proves is written again');
  t.like(wal.recovery, { cutBytes: 0, quarantined: [] });
});

/** Leaves bytes behind the last frame, as a write that was under way would. */
function tornTail(directory: string): void {
  patch(path.join(directory, segmentsOf(directory).at(0) ?? ''), (content) => {
    content.fill(0xab, 40 * BLOCK, 40 * BLOCK + 104);
  });
}

test('a full quarantine takes no more, and nothing is cut off before there is room', async (t) => {
  const directory = await killedLog(t);
  tornTail(directory);
  const quarantine = path.join(directory, 'quarantine');
  mkdirSync(quarantine);
  const kept = (index: number): string => path.join(quarantine, `${index}.tail`);
  for (let index = 0; index < 16; index += 1) writeFileSync(kept(index), String(index));
  const before = [picture(directory), picture(quarantine)];
  for (let attempt = 0; attempt < 2; attempt += 1) {
    t.like(await rejection(Wal.open(directory)), { ...CORRUPT, path: quarantine });
    t.deepEqual([picture(directory), picture(quarantine)], before);
  }
  const { wal: reader } = await openLog(t, { readOnly: true }, directory);
  t.is(reader.firstLsn, 1n, 'readers need no room there');
  await reader.close();
  rmSync(kept(7));
  const { wal } = await openLog(t, {}, directory);
  t.is(wal.recovery.quarantined.length, 1);
  t.deepEqual((await listedIn(wal)).map(text), ['a', 'b', 'c']);
  t.is(readdirSync(quarantine).length, 16);
});

test('a torn tail goes to quarantine, is told, and strict refuses it', async (t) => {
  const directory = await killedLog(t);
  tornTail(directory);
  const before = picture(directory);
  const strict = await rejection(Wal.open(directory, { recovery: 'strict' }));
  t.like(strict, CORRUPT);
  t.deepEqual(picture(directory), before, 'a refusal changes nothing');
  const wal = await Wal.open(directory);
  const told = new Promise((resolve) => wal.once('quarantined', resolve));
  t.deepEqual((await listedIn(wal)).map(text), ['a', 'b', 'c']);
  t.is(wal.recovery.cutBytes, 104);
  const [quarantine = ''] = wal.recovery.quarantined;
  t.deepEqual(readFileSync(quarantine), Buffer.alloc(104, 0xab));
  t.deepEqual(await told, { path: directory, quarantine });
  await wal.close();
});

/** CRC32C of a header without the field itself. */
function headerCrc(content: Buffer): number {
  return crc32c(Buffer.concat([content.subarray(0, 12), content.subarray(16, BLOCK)]));
}

function crc32c(content: Buffer): number {
  let crc = ~0;
  for (const byte of content) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
  }
  return ~crc >>> 0;
}

test('the CRC of this file is the one of the format', (t) => {
  t.is(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('a directory in the place of a segment is no segment', async (t) => {
  const { directory, names } = await closedLog(t);
  rmSync(at(directory, names, 1));
  mkdirSync(at(directory, names, 1));
  const error = (await rejection(Wal.open(directory, SMALL))) as TidemarkError;
  t.true(['TIDEMARK_CORRUPT', 'TIDEMARK_IO'].includes(error.code), error.code);
});
