// The documents say what the code does.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';

const read = (name: string): string => {
  return readFileSync(path.join(import.meta.dirname, '..', name), 'utf8');
};

test('the first example of the README has at most ten lines', (t) => {
  const [, block = ''] = /```ts\n(.*?)```/s.exec(read('README.md')) ?? [];
  const code = block.split('\n').filter((line) => line !== '');
  t.true(code.length > 0 && code.length <= 10, `${code.length} lines`);
});

test('the README shows examples/resume-consumer.ts, under 40 lines', (t) => {
  const example = read('examples/resume-consumer.ts').replace("'../index.ts'", "'tidemark'");
  const [, block] = /## A consumer that resumes.*?```ts\n(.*?)```/s.exec(read('README.md')) ?? [];
  t.is(block, example);
  const code = example.split('\n').filter((line) => line !== '' && !/^\s*(\/\/|\/\*\*)/.test(line));
  t.true(code.length < 40, `${code.length} lines`);
});

test('the README shows each part of the promise', (t) => {
  const readme = read('README.md');
  const promise = readme.slice(
    readme.indexOf('## The promise'),
    readme.indexOf('## What there is'),
  );
  t.is(promise.match(/^\d\. /gm)?.length, 7);
});

const root = path.join(import.meta.dirname, '..');

/** The sources of a test binary of the core, or undefined if there is none of this name. */
function coreTests(name: string): string | undefined {
  const file = `crates/core/tests/${name}.rs`;
  if (existsSync(path.join(root, file))) return read(file);
  const folder = `crates/core/tests/${name}`;
  if (!existsSync(path.join(root, folder))) return undefined;
  const sources = readdirSync(path.join(root, folder)).filter((source) => source.endsWith('.rs'));
  return sources.map((source) => read(`${folder}/${source}`)).join('');
}

/** The names in backticks of a text. */
const quoted = (text: string): string[] =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);

/** What is wrong with the tests that a text names: `file`: `test`, `test`; ava `file`. */
function missingTests(text: string): string[] {
  return text.split(';').flatMap((part) => {
    if (/^\s*ava /.test(part)) {
      const specs = quoted(part).map((name) => `__test__/${name}.spec.ts`);
      return specs.filter((spec) => !existsSync(path.join(root, spec)));
    }
    const [file = '', ...names] = quoted(part);
    const source = coreTests(file);
    if (source === undefined) return [`core ${file}`];
    if (names.length === 0) return [`${file} without a test`];
    // Marked as a test, or in the list of a binary that runs its own.
    const isTest = (name: string): boolean =>
      new RegExp(`#\\[test\\]\\n(?:#.*\\n)*fn ${name}\\(|^ *\\("${name}", `, 'm').test(source);
    return names.filter((name) => !isTest(name));
  });
}

test('every line of the contract C1 to C12 names tests, and each of them exists', (t) => {
  const page = read('docs/durability.md');
  const contract = page.slice(page.indexOf('The contract in full.'), page.indexOf('From outside,'));
  const lines = contract.split(/^- (?=\*\*C\d+\*\*)/m).slice(1);
  t.deepEqual(
    lines.map((line) => /^\*\*(C\d+)\*\*/.exec(line)?.[1]),
    Array.from({ length: 12 }, (_, index) => `C${index + 1}`),
  );
  for (const line of lines) {
    const [, tests = ''] = /Tests:\s+(.*?)\.(?:\s|$)/s.exec(line) ?? [];
    t.true(quoted(tests).length >= 2, line.slice(0, 8));
    t.deepEqual(missingTests(tests), [], line.slice(0, 8));
  }
});

test('the tables of docs/durability.md name test files that exist', (t) => {
  const rows = read('docs/durability.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && /\b(?:core|ava) `/.test(line));
  t.true(rows.length >= 10);
  for (const row of rows) {
    // Which of the folders a name is in is said before the first of several.
    let place = '';
    for (const [, said, name = ''] of row.matchAll(/(?:\b(core|ava|interop) )?`([a-z_-]+)`/g)) {
      place = said ?? place;
      if (place === '' || name === 'npm start') continue;
      const file = place === 'ava' ? `__test__/${name}.spec.ts` : `interop/${name}.spec.ts`;
      const exists =
        place === 'core' ? coreTests(name) !== undefined : existsSync(path.join(root, file));
      t.true(exists, `${place} ${name}`);
    }
  }
});
