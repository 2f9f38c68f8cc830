// The public surface: its names, and the assertions of support/public-types.ts, compiled here, so
// that they fail as a test and not only in lint.
import path from 'node:path';
import test from 'ava';
import ts from 'typescript';
import * as tidemark from '../index.ts';
import { root } from './support/compiled.ts';

test('the package exports these values and no other', (t) => {
  t.deepEqual(Object.keys(tidemark).sort(), [
    'FileLock',
    'JsonFileStore',
    'MemoryStore',
    'ResumeKey',
    'TidemarkError',
    'Wal',
    'isTidemarkError',
    'writeFileAtomic',
  ]);
});

/** What the compiler complains about in a file, as the project's options have it. */
function complaints(file: string, change: (text: string) => string): string[] {
  const config = path.join(root, 'tsconfig.json');
  const json: unknown = ts.readConfigFile(config, (name) => ts.sys.readFile(name)).config;
  const { options } = ts.parseJsonConfigFileContent(json, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const read = host.readFile.bind(host);
  host.readFile = (name) => {
    const text = read(name);
    return name === file && text !== undefined ? change(text) : text;
  };
  const program = ts.createProgram([file], options, host);
  const source = program.getSourceFile(file);
  return ts
    .getPreEmitDiagnostics(program, source)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

const assertions = path.join(import.meta.dirname, 'support/public-types.ts');

test('bigint out, bigint or number in, tryPut nullable: the promised types', (t) => {
  t.deepEqual(
    complaints(assertions, (text) => text),
    [],
  );
});

test('the compiler would complain: each of these changes breaks an assertion', (t) => {
  const changes = [
    ['toEqualTypeOf<bigint>', 'toEqualTypeOf<number>'],
    ['toEqualTypeOf<Promise<PutResult> | null>', 'toEqualTypeOf<Promise<PutResult>>'],
    ['toEqualTypeOf<PutResult>', 'toEqualTypeOf<boolean>'],
  ] as const;
  const changed = (text: string): string =>
    changes.reduce((before, [right, wrong]) => before.replace(right, wrong), text);
  t.is(complaints(assertions, changed).length, changes.length);
});
