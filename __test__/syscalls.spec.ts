// What a put costs and in which order, as the kernel sees it: the steps of
// docs/format/state-file.md, "Writing", and one lock, one merge and one replace for N
// concurrent puts. Needs strace, which .ci/run installs.
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { traced } from './support/strace.ts';
import { tempDir } from './support/temp-dir.ts';

/** A system call on one of the store's files. */
interface Call {
  readonly name: string;
  /** What it was done to: `state`, `lock`, `temporary` or `directory`. */
  readonly on: string;
  readonly text: string;
}

const CALLS = 'openat,flock,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,write';

function kind(text: string, directory: string): string | undefined {
  // A call that names several is on the first.
  const found = new RegExp(`${directory}(/[^"<>]*)?["<>]`).exec(text);
  if (found === null) return undefined;
  const name = found[1] ?? '';
  if (name.startsWith('/.tidemark-')) return 'temporary';
  if (name === '/state.json') return 'state';
  return name === '/state.json.lock' ? 'lock' : 'directory';
}

/** The calls of some concurrent puts; undefined where there is no strace. */
async function puts(t: ExecutionContext, number: number): Promise<Call[] | undefined> {
  const directory = tempDir(t);
  const args = [String(number), path.join(directory, 'state.json')];
  const lines = await traced(t, CALLS, 'traced-child.ts', args);
  return lines?.flatMap((text) => {
    const on = kind(text, directory);
    return on === undefined ? [] : [{ name: /^\w+/.exec(text)?.[0] ?? '', on, text }];
  });
}

const count = (calls: readonly Call[], name: RegExp, on: string): number =>
  calls.filter((call) => name.test(call.name) && call.on === on).length;

test('64 concurrent puts cost one or two groups, not 64', async (t) => {
  const calls = await puts(t, 64);
  if (calls === undefined) return;
  const groups = calls.filter(({ text }) => text.includes('LOCK_EX') && /lock>/.test(text)).length;
  t.true(groups === 1 || groups === 2, `${groups} times LOCK_EX on the lock file`);
  t.is(count(calls, /^f(data)?sync$/, 'temporary'), groups, 'one file sync per group');
  t.is(count(calls, /^f(data)?sync$/, 'directory'), groups, 'one directory sync per group');
  t.is(count(calls, /^rename/, 'temporary'), groups, 'one replace per group');
  t.is(count(calls, /^f(data)?sync$/, 'lock') + count(calls, /^pwrite64$/, 'lock'), 0);
});

test('a lone put locks, writes, syncs, renames, syncs the directory, unlocks', async (t) => {
  const calls = await puts(t, 1);
  if (calls === undefined) return;
  const step = ({ name, on, text }: Call): string => {
    if (name === 'flock') return `flock ${on} ${/LOCK_\w+/.exec(text)?.[0] ?? ''}`;
    const exclusive = text.includes('O_EXCL') ? ' O_EXCL' : '';
    const plain = name.replace(/^renameat2?$/, 'rename').replace('fdatasync', 'fsync');
    return `${plain} ${on}${exclusive}`;
  };
  // Looking at the directory changes nothing: sweep and sync open it.
  const steps = calls.map(step).filter((text) => text !== 'openat directory');
  t.deepEqual(steps, [
    'flock lock LOCK_EX',
    'openat temporary O_EXCL',
    'flock temporary LOCK_EX',
    'pwrite64 temporary',
    'fsync temporary',
    'rename temporary',
    'flock state LOCK_UN',
    'fsync directory',
    'flock lock LOCK_UN',
  ]);
});

test('JF-1: nothing but the rename touches the state file; 0600 from the start', async (t) => {
  const calls = await puts(t, 3);
  if (calls === undefined) return;
  const writes = calls.filter(({ name, on }) => on === 'state' && /^(pwrite64|write)$/.test(name));
  t.deepEqual(writes, []);
  const made = calls.filter(({ text }) => text.includes('O_EXCL'));
  t.true(made.length > 0);
  for (const { text } of made) {
    t.regex(text, /0600/);
    for (const flag of ['O_NOFOLLOW', 'O_CLOEXEC', 'O_CREAT']) t.true(text.includes(flag), text);
  }
});
