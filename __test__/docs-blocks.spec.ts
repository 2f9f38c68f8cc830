// What the documents show works: TypeScript compiles as it stands, against the package, and does
// what its comments say; commands exist; data parses. A block says what it is, or it is refused.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import process from 'node:process';
import test from 'ava';
import ts from 'typescript';
import * as tidemark from '../index.ts';
import { ended } from './support/child.ts';
import { compiled, root } from './support/compiled.ts';
import { type Block, at, blocks, examplesInSources, pages, read } from './support/doc-blocks.ts';
import { tempDir } from './support/temp-dir.ts';

const { scripts, name, repository } = JSON.parse(read('package.json')) as {
  readonly scripts: Record<string, string>;
  readonly name: string;
  readonly repository: { readonly url: string };
};
const inLanguage = (language: string): Block[] =>
  blocks.filter((block) => block.language === language);

/** Each of these is tested: hex and vectors by segment-format.spec.ts, text is no code. */
const LANGUAGES = ['ts', 'sh', 'json', 'hex', 'vectors', 'text'];

test('every block of every page says what it is, and is of a kind that is tested', (t) => {
  const others = blocks.filter(({ language }) => !LANGUAGES.includes(language));
  t.deepEqual(
    others.map((block) => `${at(block)}: ${block.language}`),
    [],
  );
});

/** What TypeScript says of blocks that lie nowhere: what a user has in a file of their own. */
function complaintsAbout(shown: readonly Block[]): string[] {
  const config = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) =>
    ts.sys.readFile(file),
  );
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  // A block may define what it leaves to its reader to use, and nobody has its types but itself.
  const lenient = { noUnusedLocals: false, isolatedDeclarations: false };
  const all = { ...options, ...lenient, paths: { tidemark: [path.join(root, 'index.ts')] } };
  const files = new Map(
    shown.map((block, index) => [path.join(root, `block-${index}.ts`), block] as const),
  );
  const host = ts.createCompilerHost(all);
  const [readFile, exists] = [host.readFile.bind(host), host.fileExists.bind(host)];
  host.readFile = (file) => files.get(file)?.text ?? readFile(file);
  host.fileExists = (file) => files.has(file) || exists(file);
  const program = ts.createProgram([...files.keys()], all, host);
  return [...files].flatMap(([file, block]) => {
    const source = program.getSourceFile(file);
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    return found.map(
      ({ messageText }) => `${at(block)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
  });
}

test('every block in TypeScript and every example in the sources compiles', (t) => {
  const [shown, examples] = [inLanguage('ts'), examplesInSources(Object.keys(tidemark))];
  t.true(shown.length >= 11, `${shown.length} blocks`);
  t.true(examples.length >= 2, `${examples.length} examples`);
  t.deepEqual(complaintsAbout([...shown, ...examples]), []);
});

/** The one that needs a server: docs.spec.ts compares it with its file, which process-kill runs. */
const isConsumer = ({ text }: Block): boolean => text.includes('process.argv');

/** Shows the result of a statement whose next line is a comment that says what it is. */
const WITH_RESULT = /^(await .*);(?: \/\/.*)?\n\/\/ (\{.*\})$/gm;

/** A block as it is run: its results are printed, one line each. */
const runnable = (text: string): string =>
  text.replace(WITH_RESULT, 'console.log(inspect($1, { breakLength: Infinity })); // $2');

/** What a block says that it prints: the comments behind its calls of console.log, in order. */
function promised(block: string): string[] {
  const calls = runnable(block).matchAll(/console\.log\(.*\/\/ (.*)$/gm);
  return [...calls].map(([, comment = '']) => comment);
}

test('every block in TypeScript runs, and prints what it says', async (t) => {
  const directory = tempDir(t);
  const index = pathToFileURL(compiled('index.ts')).href;
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const shown = inLanguage('ts').filter((block) => !isConsumer(block));
  const runner = shown.map(({ text }, number) => {
    const source = runnable(text).replace("'tidemark'", `'${index}'`);
    const { outputText } = ts.transpileModule(source, { compilerOptions });
    const inspect = "import { inspect } from 'node:util';\n";
    writeFileSync(path.join(directory, `block-${number}.mjs`), inspect + outputText);
    // Each in a directory of its own, so that none finds what another left.
    mkdirSync(path.join(directory, `in-${number}`));
    const into = `process.chdir(${JSON.stringify(path.join(directory, `in-${number}`))});\n`;
    return `${into}console.log('block'); await import('./block-${number}.mjs');\n`;
  });
  writeFileSync(path.join(directory, 'all.mjs'), runner.join(''));
  const args = ['--no-warnings', path.join(directory, 'all.mjs')];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: 'pipe' });
  t.teardown(() => child.kill('SIGKILL'));
  const { code, stdout, stderr } = await ended(child);
  t.is(code, 0, stdout + stderr);
  const printed = stdout.split(/^block$/m).slice(1);
  t.is(printed.length, shown.length);
  for (const [index, block] of shown.entries()) {
    const lines = printed[index]?.split('\n') ?? [];
    for (const line of promised(block.text)) {
      const found = lines.indexOf(line);
      t.not(found, -1, `${at(block)}: ${line} is not printed, or too early: ${printed[index]}`);
      lines.splice(0, found + 1);
    }
  }
});

/** What is wrong with a command as a page shows it; undefined if it can be typed as it stands. */
function wrongWith(command: string): string | undefined {
  const [program, verb = '', what = ''] = command.split(/\s+/);
  if (program === 'cd') return undefined;
  if (program === 'git' && verb === 'clone') {
    return repository.url === `git+${what}.git` ? undefined : `is not ${repository.url}`;
  }
  if (program !== 'npm') return `nobody checks ${program}`;
  if (verb === 'install') return what === name ? undefined : `is not ${name}`;
  const script = verb === 'run' ? what : verb;
  return Object.hasOwn(scripts, script) ? undefined : `no script ${script}`;
}

test('every command of a block is one that there is', (t) => {
  const commands = inLanguage('sh').flatMap((block) =>
    block.text
      .split('\n')
      .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split('&&'))
      .map((command) => command.trim().replace(/^(?:[A-Z_]+=\S+ )+/, ''))
      .filter((command) => command !== '')
      .map((command) => ({ block, command })),
  );
  const wrong = commands.flatMap(({ block, command }) => {
    const why = wrongWith(command);
    return why === undefined ? [] : [`${at(block)}: ${command}: ${why}`];
  });
  t.deepEqual(wrong, []);
  t.true(commands.length >= 9, `${commands.length} commands`);
});

test('every script that a page mentions exists', (t) => {
  const missing = pages.flatMap((page) =>
    [...read(page).matchAll(/\bnpm run ([\w:-]*\w)/g)]
      .map(([, script = '']) => script)
      .filter((script) => !Object.hasOwn(scripts, script))
      .map((script) => `${page}: npm run ${script}`),
  );
  t.deepEqual(missing, []);
});

test('every block of JSON parses; that of the state file is one', async (t) => {
  const shown = inLanguage('json');
  for (const block of shown) t.notThrows(() => JSON.parse(block.text) as unknown, at(block));
  const [example] = shown.filter(({ page }) => page === 'docs/format/state-file.md');
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, example?.text ?? '');
  const store = await tidemark.JsonFileStore.open(file);
  t.is(store.size, 1);
  await store.close();
});
