// docs/format/segment.md, its example and the golden logs say the same, judged by the reader in
// Python (interop/segment_*.py), which was written from the document alone.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { root } from './support/compiled.ts';
import { type Picture, python } from './support/python-reader.ts';
import { Random, seed } from './support/random.ts';
import { tempDir } from './support/temp-dir.ts';

const FIXTURES = path.join(root, '__test__/fixtures/segment');
const DOCUMENT = path.join(root, 'docs/format/segment.md');
/** So many fixtures there are at least, so that an empty directory proves nothing. */
const FIXTURES_MIN = 30;
/** So many single bits are turned over in the random test. */
const FLIPS = 100;

const picture = (text: string): Picture & { readonly what?: string } =>
  JSON.parse(text) as Picture & { readonly what?: string };
const directoryOf = (name: string): string => path.join(FIXTURES, name, 'log');
const names = readdirSync(FIXTURES).sort();

/** What must be found there, and without it the sentence for people. */
function expected(name: string): Picture {
  const file = path.join(FIXTURES, name, 'expected.json');
  const { what, ...rest } = picture(readFileSync(file, 'utf8'));
  if (what === undefined) throw new Error(`${name}: it does not say what it is`);
  return rest;
}

/** The fenced block of this language in the document. */
function block(language: string): string {
  const pattern = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms');
  const [, text] = pattern.exec(readFileSync(DOCUMENT, 'utf8')) ?? [];
  if (text === undefined) throw new Error(`the document has no ${language}`);
  return text;
}

/** H64 as the document defines it, here in a third language. */
function h64(parts: readonly string[]): string {
  const digest = createHash('sha256')
    .update(Buffer.from(parts.join(''), 'hex'))
    .digest();
  return digest.readBigUInt64LE(0).toString(16).padStart(16, '0');
}

test('the golden logs are those that the encoder writes, byte for byte', async (t) => {
  t.deepEqual(await python(['--check', FIXTURES, DOCUMENT]), []);
});

test('the reader finds in every golden log what its expected.json says', async (t) => {
  t.true(names.length >= FIXTURES_MIN, String(names.length));
  const found = await python(['read', ...names.map(directoryOf)]);
  t.is(found.length, names.length);
  for (const [index, name] of names.entries()) {
    const { why, ...rest } = picture(found[index] ?? '{}');
    t.deepEqual(rest, expected(name), `${name}: ${why ?? ''}`);
  }
});

test('the example of the document holds the entry that the document names', async (t) => {
  const [line = '{}'] = await python(['example', DOCUMENT]);
  const hello = Buffer.from('Hello, tide.').toString('hex');
  const { error, closed, proven } = picture(line);
  t.deepEqual({ error, closed }, { error: null, closed: true });
  t.deepEqual(proven?.entries, [hello]);
});

test('every vector of the document has the result that stands there', async (t) => {
  const vectors = block('vectors').trimEnd().split('\n');
  const sides = vectors.map((line) => line.split(' = '));
  const asked = sides.map(([left = '']) => `${left}\n`).join('');
  t.deepEqual(
    await python(['vectors'], asked),
    sides.map(([, right]) => right),
  );
  const chains = sides.filter(([left = '']) => left.startsWith('h64 '));
  t.is(chains.length, 2);
  for (const [left = '', right = ''] of chains) t.is(h64(left.split(' ').slice(1)), right);
});

test('the frame among the vectors is chained as the document says', (t) => {
  const line =
    block('vectors')
      .split('\n')
      .find((vector) => vector.startsWith('frame ')) ?? '';
  const [left = '', right = ''] = line.split(' = ');
  const given = new Map(left.split(' ').map((part) => part.split('=') as [string, string]));
  const frame = Buffer.from(right, 'hex');
  const word = (name: string): string =>
    Buffer.from(given.get(name) ?? '', 'hex')
      .reverse()
      .toString('hex');
  const chain = h64([word('before'), word('salt'), frame.toString('hex', 4, 56)]);
  t.is(frame.readBigUInt64LE(56).toString(16).padStart(16, '0'), chain);
  // 64 bytes of header, two times 8 of table, an `a` and its padding.
  t.deepEqual([frame.readUInt32LE(12), frame.readUInt32LE(16), frame.length], [17, 2, 88]);
});

/** The offset of a byte, drawn among those of the example's dump. */
function drawn(random: Random): number {
  const lines = block('hex').trimEnd().split('\n');
  const at = Number.parseInt(random.pick(lines).slice(0, 5), 16);
  return at + random.below(16);
}

test(`a bit turned over in a closed log is refused, or costs nothing: ${FLIPS}`, async (t) => {
  const random = new Random(seed);
  const directory = tempDir(t);
  const sound = expected('example');
  const flips = Array.from({ length: FLIPS }, (_, index) => {
    const log = path.join(directory, String(index));
    cpSync(directoryOf('example'), log, { recursive: true });
    const [at, bit] = [drawn(random), random.below(8)];
    const file = path.join(log, '00000001.segment');
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
    writeFileSync(file, bytes);
    return { log, what: `SEED=${seed}: bit ${bit} of ${at.toString(16)}` };
  });
  const lines = await python(['read', ...flips.map(({ log }) => log)]);
  const found = lines.map(picture);
  for (const [index, { what }] of flips.entries()) {
    const { error, recovered } = found[index] ?? { error: 'none' };
    // A mark that is damaged leaves a log that was not closed, with all its entries.
    if (error === null) t.deepEqual(recovered, sound.recovered, what);
    else t.regex(error, /^TIDEMARK_(?:CORRUPT|CONFLICT|UNSUPPORTED_FILE_VERSION)$/, what);
  }
  t.true(found.some(({ error }) => error !== null));
});

test('every golden log has its files and says what it is', (t) => {
  for (const name of names) {
    t.true(existsSync(directoryOf(name)), name);
    t.notThrows(() => expected(name));
  }
});
