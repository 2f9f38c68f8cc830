// Resume keys: the golden vectors of fixtures/resume-keys.json, the recipe of
// docs/format/state-file.md against an independent implementation, and what is refused.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import fc from 'fast-check';
import { type JsonValue, ResumeKey } from '../index.ts';

const INVALID = 'TIDEMARK_INVALID_ARGUMENT';
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
/** A value where the types do not allow it. */
const any = (value: unknown): never => value as never;

type Source = Parameters<typeof ResumeKey.derive>[0];
const source = (more: Partial<Source> = {}): Source => {
  return { baseUrl: 'https://a/', eventType: 'mars', filter: {}, ...more };
};
const filtered = (filter: unknown): ResumeKey => ResumeKey.derive(source({ filter: any(filter) }));

const A = 'https://a/';

interface Golden extends Source {
  readonly id: string;
  readonly hex: string;
}
const GOLDEN = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'fixtures/resume-keys.json'), 'utf8'),
) as readonly Golden[];

test('derive makes every digest of the golden vectors', (t) => {
  t.is(new Set(GOLDEN.map(({ id }) => id)).size, 24);
  for (const { id, hex, ...given } of GOLDEN) t.is(ResumeKey.derive(given).hex, hex, id);
});

test('a path without a trailing slash gets one, as the client of the original does', (t) => {
  const hex = (baseUrl: string | URL): string => ResumeKey.derive(source({ baseUrl })).hex;
  t.is(hex('https://h/x'), hex('https://h/x/'));
  t.is(hex('https://h'), hex('https://h/'));
  t.not(hex('https://h/x'), hex('https://h/y'));
  t.not(hex('https://h/x//'), hex('https://h/x/'));
});

test('user, query and fragment of the URL do not count; the rest does', (t) => {
  const hex = (baseUrl: string | URL): string => ResumeKey.derive(source({ baseUrl })).hex;
  for (const same of [
    'https://u:p@h/x',
    'https://h/x?q=1',
    'https://h/x#f',
    'https://H:443/a/../x',
  ]) {
    t.is(hex(same), hex('https://h/x/'), same);
  }
  for (const other of [
    'http://h/x',
    'https://h:8443/x',
    'https://h/X',
    'https://h./x',
    'https://i/x',
  ]) {
    t.not(hex(other), hex('https://h/x/'), other);
  }
  t.is(hex('http://127.1/'), hex('http://127.0.0.1:80'));
  t.is(hex(new URL('https://h/x')), hex('https://h/x'), 'a URL object');
});

test('a URL that is not http or https, or none, is refused', (t) => {
  const bad: unknown[] = [
    '',
    'h',
    '/x',
    'ftp://h/',
    'file:///x',
    'mailto:a@h',
    'https://',
    5,
    null,
  ];
  for (const baseUrl of [...bad, undefined, { href: 'https://h/' }, new URL('ftp://h/')]) {
    const derive = (): unknown => ResumeKey.derive(source({ baseUrl: any(baseUrl) }));
    t.throws(derive, { instanceOf: TypeError, code: INVALID }, String(baseUrl));
  }
});

test('what is not a source is refused, misspelt members too', (t) => {
  const bad: unknown[] = [undefined, null, 'https://a/', {}, { ...source(), schema: 'v1' }];
  bad.push({ ...source(), eventType: 5 }, { ...source(), schemaFingerprint: null });
  bad.push({ ...source(), eventType: '\ud800' }, { ...source(), schemaFingerprint: '\udc00' });
  for (const given of bad) {
    t.throws(() => ResumeKey.derive(any(given)), { instanceOf: TypeError, code: INVALID });
  }
});

/** RFC 8785, in the words of JavaScript: it is where the RFC took its numbers and order from. */
function canonical(value: JsonValue): string {
  if (typeof value === 'bigint') return JSON.stringify(Number(value));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => canonical(item)).join()}]`;
  const members = value as Record<string, JsonValue>;
  const names = Object.keys(members).sort();
  const member = (name: string): string =>
    `${JSON.stringify(name)}:${canonical(members[name] ?? null)}`;
  return `{${names.map(member).join()}}`;
}

function reference(url: string, event: string, filter: JsonValue, fingerprint?: string): string {
  const hash = createHash('sha256').update(Buffer.from([1, 0, 0, 0]));
  const field = (text: string): void => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    hash.update(length).update(text);
  };
  for (const text of [url, event, canonical(filter)]) field(text);
  hash.update(Buffer.from([fingerprint === undefined ? 0 : 1]));
  if (fingerprint !== undefined) field(fingerprint);
  return hash.digest('hex');
}

test('the reference of these tests makes the official digest', (t) => {
  const hex = reference('https://aviso-server.ecmwf.int/', 'mars', { class: 'od' });
  t.is(hex, GOLDEN[0]?.hex ?? 'none');
});

test('random filters have the key that the recipe says', (t) => {
  const text = fc.string({ unit: 'binary' });
  const { filter } = fc.letrec<{ filter: JsonValue }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, true, false),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
      text,
      fc.array(tie('filter'), { maxLength: 4 }),
      fc.dictionary(text, tie('filter'), { maxKeys: 4 }),
    ),
  }));
  const property = fc.property(text, filter, fc.option(text), (event, given, fingerprint) => {
    const more = fingerprint === null ? {} : { schemaFingerprint: fingerprint };
    const { hex } = ResumeKey.derive({ baseUrl: A, eventType: event, filter: given, ...more });
    return hex === reference(A, event, given, fingerprint ?? undefined);
  });
  t.notThrows(() => {
    fc.assert(property, { seed, numRuns: 2000 });
  });
});

test('members are ordered by UTF-16 code units, and the order of the input does not count', (t) => {
  // U+1F30A is 0xD83C 0xDF0A in UTF-16 and sorts before U+FB33 there, after it in UTF-8.
  const names = ['\u{1f30a}', '\ufb33', 'b', 'a', '', '1', '10', '2', 'A', '\u00e9'];
  const object = (list: string[]): JsonValue => Object.fromEntries(list.map((name) => [name, 1]));
  const { hex } = filtered(object(names));
  t.is(filtered(object(names.toReversed())).hex, hex);
  t.is(hex, reference(A, 'mars', object(names)));
});

test('numbers are doubles: 1.0 is 1, integers beyond 2^53 may share a key (limit 22)', (t) => {
  t.is(filtered({ n: 2 ** 53 }).hex, filtered({ n: 2n ** 53n + 1n }).hex);
  t.is(filtered({ n: 1e21 }).hex, filtered({ n: 10n ** 21n }).hex);
  t.is(filtered({ n: 1n }).hex, GOLDEN.find(({ id }) => id === 'D16')?.hex ?? 'none');
  t.not(filtered({ n: 1 }).hex, filtered({ n: '1' }).hex);
  t.not(filtered({}).hex, filtered({ a: null }).hex);
  t.is(filtered({ a: undefined, b: 1 }).hex, filtered({ b: 1 }).hex, 'undefined is absent');
});

test('a filter that is not JSON is refused', (t) => {
  const hole = [1, 2, 3];
  // eslint-disable-next-line @typescript-eslint/no-array-delete -- a hole is tested
  delete hole[1];
  class Mine {
    readonly a = 1;
  }
  const type: unknown[] = [undefined, () => 1, Symbol('s'), [undefined], { a: () => 1 }, hole];
  type.push(new Date(0), new Map(), new Set(), /x/, new Mine(), new Uint8Array(1), new Number(1));
  type.push('\ud800', { a: ['\udc00'] }, { '\ud800': 1 }, ResumeKey.named('orders'), new URL(A));
  type.push(Promise.resolve({}), new Error('x'), { toJSON: () => 1 }, { a: Symbol('s') });
  for (const [index, filter] of type.entries()) {
    t.throws(() => filtered(filter), { instanceOf: TypeError, code: INVALID }, `type ${index}`);
  }
  const range: unknown[] = [Number.NaN, Number.POSITIVE_INFINITY, [-Infinity], 10n ** 400n];
  for (const [index, filter] of range.entries()) {
    t.throws(() => filtered(filter), { instanceOf: RangeError, code: INVALID }, `range ${index}`);
  }
});

test('objects without a prototype, and members named like those of every object, are JSON', (t) => {
  const bare = Object.assign(Object.create(null) as object, { a: 1 });
  t.is(filtered(bare).hex, filtered({ a: 1 }).hex);
  const odd = JSON.parse('{"__proto__":1,"constructor":2,"hasOwnProperty":3}') as JsonValue;
  t.is(filtered(odd).hex, reference(A, 'mars', odd));
});

test('a filter that nests too deep, or without end, is refused', (t) => {
  const nested = (depth: number): unknown => {
    let value: unknown = 1;
    for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
    return value;
  };
  t.is(filtered(nested(127)).hex, reference(A, 'mars', nested(127) as JsonValue));
  const cycle: { self?: unknown } = {};
  cycle.self = [cycle];
  for (const filter of [nested(128), nested(129), nested(100_000), cycle]) {
    const error = t.throws(() => filtered(filter), { code: INVALID });
    t.true(error instanceof RangeError || error instanceof TypeError);
  }
});

test("named('orders') has the digest that is documented, and keeps its name", (t) => {
  const key = ResumeKey.named('orders');
  t.is(key.hex, '5d59bae544f97751009f9e806e837a39074d650c59127d005ee862f82818681c');
  t.is(key.name, 'orders');
  const digest = createHash('sha256').update('tidemark:named:1\0orders').digest('hex');
  t.is(key.hex, digest);
});

test('a name has 1 to 1,024 bytes of UTF-8', (t) => {
  for (const name of ['a', 'a'.repeat(1024), '\u00e9'.repeat(512), '\0', ' ']) {
    const digest = createHash('sha256').update(`tidemark:named:1\0${name}`).digest('hex');
    t.is(ResumeKey.named(name).hex, digest);
  }
  const bad: unknown[] = ['', 'a'.repeat(1025), '\u00e9'.repeat(513), '\ud800', 5, null, undefined];
  for (const name of bad) {
    t.throws(() => ResumeKey.named(any(name)), { instanceOf: TypeError, code: INVALID });
  }
});

test('fromHex takes 64 hex digits of either case and nothing else', (t) => {
  const { hex } = ResumeKey.named('orders');
  for (const given of [hex, hex.toUpperCase()]) t.is(ResumeKey.fromHex(given).hex, hex);
  t.false('name' in ResumeKey.fromHex(hex));
  const bad: unknown[] = ['', 'zzz', 'deadbeef', `${hex}0`, hex.slice(1), `0x${hex.slice(2)}`];
  bad.push(
    `${hex.slice(1)}g`,
    ` ${hex.slice(1)}`,
    `${hex}\n`,
    '\u0660'.repeat(64),
    '\u00e9'.repeat(32),
  );
  for (const given of [...bad, 5, null, undefined, Buffer.alloc(32), ['a']]) {
    t.throws(() => ResumeKey.fromHex(any(given)), { instanceOf: TypeError, code: INVALID });
  }
});

test('equals compares digests, names do not count; toString and toJSON are the hex form', (t) => {
  const key = ResumeKey.named('orders');
  t.true(key.equals(ResumeKey.fromHex(key.hex)));
  t.true(ResumeKey.fromHex(key.hex).equals(key));
  for (const other of [ResumeKey.named('bills'), key.hex, null, undefined, { hex: key.hex }]) {
    t.false(key.equals(other));
  }
  t.is(String(key), key.hex);
  t.is(JSON.stringify({ key }), `{"key":"${key.hex}"}`);
});

test('a key is immutable', (t) => {
  const key = ResumeKey.named('orders');
  t.true(Object.isFrozen(key));
  t.throws(() => Object.assign(key, { hex: '' }), { instanceOf: TypeError });
  t.deepEqual(Object.keys(key).sort(), ['hex', 'name']);
});
