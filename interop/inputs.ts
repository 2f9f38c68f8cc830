// Generated inputs of resume keys: URLs with all that a WHATWG parser may be given, event types,
// filters, fingerprints. What is wild is for the parsers that we and the original share; what is
// plain, ASCII and http(s), also for an implementation that has none.
import type { Random } from '../__test__/support/random.ts';
import type { JsonValue } from '../index.ts';

/** What a resume key is made from. */
export interface Input {
  readonly url: string;
  readonly event: string;
  readonly filter: JsonValue;
  readonly fingerprint: string | null;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const PLAIN_HOSTS = [
  'aviso.example',
  'Aviso-Server.ECMWF.int',
  'localhost',
  '10.0.0.1',
  'a.',
  '[::1]',
];
const WILD_HOSTS = [
  ...[
    'b\u00fccher.example',
    'fa\u00df.de',
    'FA\u1e9e.de',
    '\u65e5\u672c\u8a9e.jp',
    '\ud83d\ude00.example',
  ],
  ...[
    '\uff41\uff42\uff43.example',
    'xn--bcher-kva.example',
    'xn--zz.example',
    'a\u3002b',
    'a\u00adb.c',
  ],
  ...[
    '127.1',
    '0x7f.1',
    '017700000001',
    '1.2.3.4.5',
    '256.1.1.1',
    '4294967296',
    '[::ffff:1.2.3.4]',
  ],
  ...[
    '[2001:DB8:0:0:0:0:0:1]',
    '[::1',
    'a b',
    'a%20b',
    'a%41',
    'a_b',
    '-a-',
    'a..b',
    '',
    '%',
    'a|b',
  ],
];
const WILD_SCHEMES = [
  'HTTPS',
  'Http',
  'ftp',
  'ws',
  'wss',
  'file',
  'mailto',
  'aviso',
  'h-t.t+p',
  '',
];
const WILD_PORTS = [
  '',
  ':',
  ':0',
  ':80',
  ':443',
  ':0443',
  ':8443',
  ':65535',
  ':65536',
  ':-1',
  ':a',
];
const WILD_PATHS = [
  ...['', '/', '/x', '/x/', '/X/../y', '/./', '/a/..', '/..', '//', '/%7e', '/%7E/~', '/a%2fb'],
  ...[
    '/\u00e9',
    '/%C3%A9',
    '/ ',
    '/a b',
    '/^',
    '/|',
    '/`',
    '/{}',
    '/"',
    '/<>',
    "/'",
    '/\\a\\..\\b',
  ],
  ...['/%', '/%zz', '/a;b=c', '/a:b', '/@', '/\u2028', '/\ud83d\ude00', '/%2e%2E/x', '/.%2e', 'x'],
  ...['/a\tb', '/a\nb', '/C|/x', '/;', '/,', '/+', '/*', '/!', '/$&()', '/\u0000', '/\u007f'],
];
const TAILS = ['', '', '?q=1', '#f', '?', '#', '?a#b', '?\u00e9=\ud83d\ude00', '# x'];
const TEXTS = [
  ...['', 'mars', 'od', '1', 'true', 'null', 'a"b', 'a\\b', '/', '\b\f\n\r\t', '\u0000', '\u001f'],
  ...[
    '\u007f',
    '\u0080',
    '\u00e9',
    'e\u0301',
    '\u2028',
    '\u2029',
    '\ufeff',
    '\uffff',
    '\ue000',
    '\ud83d\ude00',
  ],
  ...['\u{10ffff}', '46,8,46.5,8.5', '__proto__', 'constructor', '\u20ac', '\ufb33'],
];
const NUMBERS = [
  ...[
    0,
    -0,
    1,
    -1,
    255,
    2 ** 31,
    2 ** 53,
    2 ** 53 + 2,
    2 ** 64,
    1e20,
    1e21,
    1e22,
    123456789012345680000,
  ],
  ...[
    0.1,
    1 / 3,
    1e-6,
    1e-7,
    1.5e-7,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    4.35,
  ],
  ...[9007199254740993n, 18446744073709551615n, -9223372036854775808n],
];

/** An input of any kind. */
export function wild(random: Random): Input {
  const scheme = random.below(8) === 0 ? random.pick(WILD_SCHEMES) : random.pick(['http', 'https']);
  const user =
    random.below(8) === 0 ? random.pick(['u@', 'u:p@', ':@', '@', 'u%40:p@', 'u@v@']) : '';
  const host = random.below(2) === 0 ? name(random) : random.pick([...PLAIN_HOSTS, ...WILD_HOSTS]);
  const path = random.below(4) === 0 ? `/${random.pick(TEXTS)}/x` : random.pick(WILD_PATHS);
  const port = random.below(4) === 0 ? random.pick(WILD_PORTS) : '';
  const url = `${scheme}://${user}${host}${port}${path}${random.pick(TAILS)}`;
  return { url: random.below(50) === 0 ? random.pick(TEXTS) : url, ...rest(random) };
}

/** An input whose URL needs no parser to speak of: ASCII, http or https, no dot segments. */
export function plain(random: Random): Input {
  const scheme = random.pick(['http', 'https', 'HTTPS', 'Http']);
  const user = random.pick(['', '', '', 'user@', 'user:secret@']);
  const host = random.below(2) === 0 ? name(random) : random.pick(PLAIN_HOSTS);
  const port = random.pick(['', '', ':80', ':443', ':8443', ':1']);
  const depth = random.below(4);
  const steps = Array.from(
    { length: depth },
    () => `/${name(random)}${random.pick(['', '%7e', '-._~'])}`,
  );
  const path = steps.join('') + random.pick(['', '/']);
  return {
    url: `${scheme}://${user}${host}${port}${path}${random.pick(['', '?q=1', '#f'])}`,
    ...rest(random),
  };
}

function rest(random: Random): Omit<Input, 'url'> {
  return {
    event: text(random),
    filter: random.below(10) === 0 ? json(random, 2) : object(random, 3),
    fingerprint: random.below(3) === 0 ? text(random) : null,
  };
}

function name(random: Random): string {
  const letters = Array.from({ length: 1 + random.below(12) }, () => LETTERS[random.below(26)]);
  return letters.join('');
}

function text(random: Random): string {
  const parts = Array.from({ length: random.below(4) }, () => random.pick(TEXTS));
  return random.below(2) === 0 ? name(random) : parts.join('');
}

function number(random: Random): number | bigint {
  switch (random.below(5)) {
    case 0:
      return random.pick(NUMBERS);
    case 1:
      return random.below(2000) - 1000;
    case 2:
      return (random.below(2 ** 31) - 2 ** 30) / 10 ** random.below(12);
    case 3:
      return (BigInt(random.below(2 ** 31)) << BigInt(random.below(33))) - 2n ** 62n;
    default:
      return anyDouble(random);
  }
}

/** A double whose bits are random: most are very large or very small. */
function anyDouble(random: Random): number {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setUint32(0, random.below(2 ** 32));
  bits.setUint32(4, random.below(2 ** 32));
  const value = bits.getFloat64(0);
  return Number.isFinite(value) ? value : 0;
}

function json(random: Random, depth: number): JsonValue {
  switch (random.below(depth > 0 ? 7 : 5)) {
    case 0:
      return random.pick([null, true, false]);
    case 1:
    case 2:
      return number(random);
    case 3:
    case 4:
      return text(random);
    case 5:
      return Array.from({ length: random.below(4) }, () => json(random, depth - 1));
    default:
      return object(random, depth - 1);
  }
}

function object(random: Random, depth: number): JsonValue {
  const members = Array.from({ length: random.below(5) }, () => [
    text(random),
    json(random, depth),
  ]);
  return Object.fromEntries(members) as JsonValue;
}
