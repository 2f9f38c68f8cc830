// The blocks of docs/wal.md, and what the README shows of it: they compile as they stand, and do
// what their comments say.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import ts from 'typescript';
import { ended } from './support/child.ts';
import { compiled, root } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';
import { openLog } from './support/wals.ts';

const blocks = ['docs/wal.md', 'README.md'].flatMap((name) => {
  const page = readFileSync(path.join(root, name), 'utf8');
  const found = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block = '']) => block);
  return found.filter((block) => block.includes('Wal.open('));
});

/** What a block says that it prints: the comments behind its calls of console.log, in order. */
function promised(block: string): string[] {
  return [...block.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].map(([, comment = '']) => comment);
}

test('the blocks about Wal compile against the package', (t) => {
  const config = ts.readConfigFile(path.join(root, 'tsconfig.json'), (name) =>
    ts.sys.readFile(name),
  );
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  // They lie nowhere: what a user has in a file of their own.
  const files = new Map(blocks.map((block, at) => [path.join(root, `block-${at}.ts`), block]));
  const all = { ...options, paths: { tidemark: [path.join(root, 'index.ts')] } };
  const host = ts.createCompilerHost(all);
  const [read, exists] = [host.readFile.bind(host), host.fileExists.bind(host)];
  host.readFile = (name) => files.get(name) ?? read(name);
  host.fileExists = (name) => files.has(name) || exists(name);
  const program = ts.createProgram([...files.keys()], all, host);
  const complaints = [...files.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  });
  t.deepEqual(
    complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    [],
  );
  t.true(files.size >= 8, `${files.size} blocks`);
});

test('the blocks about Wal run, and print what they say', async (t) => {
  const directory = tempDir(t);
  const index = pathToFileURL(compiled('index.ts')).href;
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const runner = blocks.map((block, at) => {
    const source = block.replace("'tidemark'", `'${index}'`);
    const { outputText } = ts.transpileModule(source, { compilerOptions });
    writeFileSync(path.join(directory, `block-${at}.mjs`), outputText);
    return `console.log('block'); await import('./block-${at}.mjs');\n`;
  });
  writeFileSync(path.join(directory, 'all.mjs'), runner.join(''));
  const args = ['--no-warnings', path.join(directory, 'all.mjs')];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: 'pipe' });
  t.teardown(() => child.kill('SIGKILL'));
  const { code, stdout, stderr } = await ended(child);
  t.is(code, 0, stdout + stderr);
  const printed = stdout.split(/^block$/m).slice(1);
  t.is(printed.length, blocks.length);
  for (const [at, block] of blocks.entries()) {
    const lines = printed[at]?.split('\n') ?? [];
    for (const line of promised(block)) {
      const found = lines.indexOf(line);
      t.not(found, -1, `${line} is not printed, or too early:\n${block}\n${printed[at] ?? ''}`);
      lines.splice(0, found + 1);
    }
  }
});

/** The names in the first column of the table of docs/wal.md that is under this heading. */
function tableUnder(heading: string): string[] {
  const page = readFileSync(path.join(root, 'docs/wal.md'), 'utf8');
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const tables = section
    .split('\n## ')[0]
    ?.split(/\n\n/)
    .filter((part) => part.startsWith('| '));
  const rows = tables?.[0]?.split('\n').slice(2) ?? [];
  return rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
}

test('the guide names every metric, every event and every member of the report', async (t) => {
  const { wal, directory } = await openLog(t);
  t.deepEqual(tableUnder('Metrics').sort(), Object.keys(wal.metrics()).sort());
  await wal.close();
  const { wal: reader } = await openLog(t, { readOnly: true }, directory);
  t.deepEqual(tableUnder('After a crash'), Object.keys(reader.recovery));
  const source = readFileSync(path.join(root, 'src/wal-events.ts'), 'utf8');
  const [, events = ''] = /interface WalEvents \{(.*?)\n\}/s.exec(source) ?? [];
  const names = [...events.matchAll(/^ {2}(\w+): \[/gm)].map(([, name]) => name);
  t.deepEqual(tableUnder('Events'), names);
});
