// The documents say what the code does.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';

const read = (name: string): string => {
  return readFileSync(path.join(import.meta.dirname, '..', name), 'utf8');
};

test('the first example of the README is examples/resume-consumer.ts, under 40 lines', (t) => {
  const example = read('examples/resume-consumer.ts').replace("'../index.ts'", "'tidemark'");
  const [, block] = /```ts\n(.*?)```/s.exec(read('README.md')) ?? [];
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
