// The judge of the kill harness is judged: each violation that it is for is found in a history
// that has it, and nothing is found where any order of the operations explains what is there.
import test from 'ava';
import { History, type Value } from './process-kill/history.ts';
import { judge, torn, wentBack } from './process-kill/verdict.ts';

const KEY = '7';

/** What is wrong if this is what remains of that history; `a/1@5` stands for 5 put by a's first. */
function verdict(lines: readonly string[], found: string | undefined): string {
  const history = new History();
  for (const line of lines) history.add(line);
  const sequence = Number(found?.split('@')[1]);
  const value: Value | undefined = found === undefined ? undefined : { sequence, id: found };
  const complaints = judge(history, new Map(value === undefined ? [] : [[KEY, value]]));
  return [...history.complaints, ...complaints].map((line) => line.split(':')[0]).join(' ');
}

const put = (writer: string, op: number, sequence: number): string =>
  `try ${writer} ${op} put ${KEY} ${sequence}`;
const remove = (writer: string, op: number): string => `try ${writer} ${op} delete ${KEY}`;
const ok = (writer: string, op: number, answer: string): string => `ok ${writer} ${op} ${answer}`;

const FIVE = [put('a', 1, 5), ok('a', 1, 'applied')];
const DELETED = [remove('b', 1), ok('b', 1, 'deleted')];

const GUILTY: readonly [string, readonly string[], string | undefined, string][] = [
  ['an acknowledged put is gone', FIVE, undefined, 'PK-4'],
  ['it is gone although its writer died', [...FIVE, 'died a'], undefined, 'PK-4'],
  ['the key stands lower', [put('b', 1, 3), ...FIVE], 'b/1@3', 'PK-2'],
  ['a value is there that nobody put', FIVE, 'x/1@9', 'PK-1'],
  ['a value is there under a sequence that it was not put with', FIVE, 'a/1@6', 'PK-1'],
  ['a key is there that nobody put', [], 'a/1@5', 'PK-1'],
  ['a deleted value is back', [...FIVE, ...DELETED], 'a/1@5', 'PK-3'],
  [
    'a deleted value is back, put by one who died before',
    [put('a', 1, 5), 'died a', ...DELETED],
    'a/1@5',
    'PK-3',
  ],
  ['a key vanished after a delete that came before', [...DELETED, ...FIVE], undefined, 'PK-4'],
  [
    'it vanished, and the delete beside it found nothing',
    [put('a', 1, 5), remove('b', 1), ok('a', 1, 'applied'), ok('b', 1, 'absent')],
    undefined,
    'PK-4',
  ],
  [
    'a lower value stands, put before the delete that would explain it',
    [put('b', 1, 3), ok('b', 1, 'applied'), ...FIVE, remove('c', 1), 'died c'],
    'b/1@3',
    'PK-2',
  ],
  [
    'a superseded put is gone',
    [put('a', 1, 5), ok('a', 1, 'superseded 5 a/1@5')],
    undefined,
    'PK-4',
  ],
  [
    'somebody was told of a value that nobody put',
    [put('a', 1, 5), ok('a', 1, 'superseded 9 x/1@9'), put('b', 1, 7), 'died b'],
    'b/1@7',
    'a 1, a put of 5, was told of 9 (x/1@9)',
  ],
  [
    'somebody was told of a lower value',
    [
      put('b', 1, 3),
      ok('b', 1, 'applied'),
      put('a', 1, 5),
      ok('a', 1, 'superseded 3 b/1@3'),
      put('b', 2, 8),
    ],
    'b/2@8',
    'a 1, a put of 5, was told of 3 (b/1@3)',
  ],
  ['a writer failed', ['err a 1 TIDEMARK_IO'], undefined, 'err a 1 TIDEMARK_IO'],
  ['an answer to nothing', ['ok a 1 applied'], undefined, 'an answer to nothing'],
];

for (const [what, lines, found, expected] of GUILTY) {
  test(`convicted: ${what}`, (t) => {
    t.is(verdict(lines, found), expected);
  });
}

const INNOCENT: readonly [string, readonly string[], string | undefined][] = [
  ['what was put is there', FIVE, 'a/1@5'],
  ['more than was acknowledged is there', [...FIVE, put('a', 2, 6), 'died a'], 'a/2@6'],
  ['what was not acknowledged is not there', [...FIVE, put('a', 2, 6), 'died a'], 'a/1@5'],
  ['what was deleted is gone', [...FIVE, ...DELETED], undefined],
  [
    'a delete beside the put came last',
    [put('a', 1, 5), ...DELETED, ok('a', 1, 'applied')],
    undefined,
  ],
  [
    'a delete beside the put came first',
    [put('a', 1, 5), ...DELETED, ok('a', 1, 'applied')],
    'a/1@5',
  ],
  ['a delete without an answer took effect', [...FIVE, remove('b', 1), 'died b'], undefined],
  ['a delete without an answer did not', [...FIVE, remove('b', 1), 'died b'], 'a/1@5'],
  [
    'after a delete a lower put stands',
    [...FIVE, ...DELETED, put('b', 2, 1), ok('b', 2, 'applied')],
    'b/2@1',
  ],
  [
    'a put that was superseded beside a delete',
    [...FIVE, ...DELETED, put('b', 2, 1), 'died b'],
    'b/2@1',
  ],
];

for (const [what, lines, found] of INNOCENT) {
  test(`acquitted: ${what}`, (t) => {
    t.is(verdict(lines, found), '');
  });
}

const value = (sequence: number): Value => ({ sequence, id: null });

test('keys that are put together and differ are torn', (t) => {
  const found = new Map([
    ['1', value(4)],
    ['2', value(4)],
    ['3', value(5)],
  ]);
  t.deepEqual(torn(found, [['1', '2']]), []);
  t.is(torn(found, [['1', '3']]).length, 1);
  t.is(torn(found, [['1', '4']]).length, 1, 'one of them is missing');
});

test('a look that shows less than a look or an answer before it has gone back', (t) => {
  const [three, four] = [new Map([['1', value(3)]]), new Map([['1', value(4)]])];
  const none = new Set<string>();
  t.deepEqual(wentBack(three, four, new Map([['1', 4]]), none), []);
  t.is(wentBack(four, three, new Map(), none).length, 1, 'than a look');
  t.is(wentBack(three, three, new Map([['1', 4]]), none).length, 1, 'than an answer');
  t.is(wentBack(three, new Map(), new Map(), none).length, 1, 'vanished');
  t.deepEqual(wentBack(four, three, new Map(), new Set(['1'])), [], 'deletes may explain it');
});
