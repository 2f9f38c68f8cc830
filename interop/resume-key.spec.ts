// Resume keys of ours, of the original and of the implementation in Python are the same: on the
// golden vectors and on generated inputs.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { type JsonValue, ResumeKey } from '../index.ts';
import { root } from '../__test__/support/compiled.ts';
import { Random, seed } from '../__test__/support/random.ts';
import { type Input, plain, wild } from './inputs.ts';
import { AVISO, PYTHON, ask } from './peers.ts';

const WILD = 9000;
const PLAIN = 5000;
/** So many inputs at least are keys, and not refused by all. */
const KEYS_MIN = 10_000;

/** JSON in which integers of any size stay as they are. */
function jsonText(value: JsonValue): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value as Record<string, JsonValue>);
  return `{${members.map(([name, of]) => `${JSON.stringify(name)}:${jsonText(of)}`).join(',')}}`;
}

const line = ({ url, event, filter, fingerprint }: Input): string =>
  `{"url":${JSON.stringify(url)},"event":${JSON.stringify(event)},` +
  `"filter":${jsonText(filter)},"fingerprint":${JSON.stringify(fingerprint)}}\n`;

/** Our key in hex, or `-` where there is none. */
function ours({ url, event, filter, fingerprint }: Input): string {
  try {
    const source = { baseUrl: url, eventType: event, filter };
    const all = fingerprint === null ? source : { ...source, schemaFingerprint: fingerprint };
    return ResumeKey.derive(all).hex;
  } catch {
    return '-';
  }
}

/** What the original and our core make of these inputs, in its three columns. */
const original = (inputs: readonly Input[]): string[][] =>
  ask(AVISO, ['keys'], inputs.map(line).join('')).map((columns) => columns.split(' '));

/** A golden vector, as __test__/resume-key.spec.ts reads them too. */
interface Vector {
  readonly id: string;
  readonly baseUrl: string;
  readonly eventType: string;
  readonly filter: JsonValue;
  readonly schemaFingerprint?: string;
  readonly hex: string;
}

test('the golden vectors are those of all three', (t) => {
  const file = path.join(root, '__test__/fixtures/resume-keys.json');
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vector[];
  const inputs = vectors.map(({ baseUrl, eventType, filter, schemaFingerprint }) => ({
    ...{ url: baseUrl, event: eventType, filter },
    fingerprint: schemaFingerprint ?? null,
  }));
  const expected = vectors.map(({ hex }) => hex);
  t.deepEqual(inputs.map(ours), expected);
  t.deepEqual(
    original(inputs),
    expected.map((hex) => [hex, hex, hex]),
  );
  t.deepEqual(ask(PYTHON, ['keys'], inputs.map(line).join('')), expected);
});

test(`ours and the original make the same keys of ${WILD + PLAIN} generated inputs`, (t) => {
  const random = new Random(seed);
  const inputs = [
    ...Array.from({ length: WILD }, () => wild(random)),
    ...Array.from({ length: PLAIN }, () => plain(random)),
  ];
  const made = { keys: 0, refused: 0, exact: 0 };
  for (const [index, [exact, client = '', core] = []] of original(inputs).entries()) {
    const input = inputs[index];
    if (input === undefined) break;
    const hex = ours(input);
    const what = `SEED=${seed}: ${line(input)}`;
    if (hex !== client) t.is(hex, client, `as the client of the original: ${what}`);
    if (core !== exact) t.is(core, exact, `as the key type of the original: ${what}`);
    made[hex === '-' ? 'refused' : 'keys'] += 1;
    made.exact += exact === '-' ? 0 : 1;
  }
  t.log(`SEED=${seed}: ${made.keys} keys, ${made.refused} refused by both; exact: ${made.exact}`);
  t.is(made.keys + made.refused, WILD + PLAIN);
  t.true(made.keys >= KEYS_MIN && made.refused > 0);
});

test(`Python joins for ${PLAIN} generated ASCII http(s) URLs`, (t) => {
  const random = new Random(seed);
  const inputs = Array.from({ length: PLAIN }, () => plain(random));
  const keys = ask(PYTHON, ['keys'], inputs.map(line).join(''));
  t.is(keys.length, PLAIN);
  for (const [index, input] of inputs.entries()) {
    const hex = ours(input);
    if (keys[index] !== hex) t.is(keys[index], hex, `SEED=${seed}: ${line(input)}`);
  }
});
