// The facade and the support files as plain JavaScript, so that the many child processes and
// worker threads of the specs start without a loader.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import ts from 'typescript';

/** The project's directory. */
export const root: string = path.resolve(import.meta.dirname, '../..');

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

const TESTS = ['support', 'process-kill', 'teardown'].map((name) => `__test__/${name}`);
const FOLDERS = ['src', ...TESTS, 'examples', 'examples/lib'];

let directory: string | undefined;

/** The compiled form of a file of this project, named relative to its root. */
export function compiled(file: string): string {
  directory ??= compileAll();
  return path.join(directory, file.replace(/\.ts$/, '.js'));
}

function compileAll(): string {
  const target = mkdtempSync(path.join(os.tmpdir(), 'tidemark-compiled-'));
  process.on('exit', () => {
    rmSync(target, { recursive: true, force: true });
  });
  // The addon is looked for in the package `tidemark`, which is this project.
  mkdirSync(path.join(target, 'node_modules'));
  symlinkSync(root, path.join(target, 'node_modules/tidemark'));
  const loader = 'node_modules/node-gyp-build';
  symlinkSync(path.join(root, loader), path.join(target, loader));
  writeFileSync(path.join(target, 'package.json'), '{ "type": "module" }\n');
  for (const folder of FOLDERS) compileFolder(folder, target);
  compileFile('index.ts', target);
  return target;
}

function compileFolder(folder: string, target: string): void {
  mkdirSync(path.join(target, folder), { recursive: true });
  for (const name of readdirSync(path.join(root, folder))) {
    if (name.endsWith('.ts') && !name.endsWith('.d.ts')) compileFile(`${folder}/${name}`, target);
  }
}

function compileFile(file: string, target: string): void {
  const source = readFileSync(path.join(root, file), 'utf8');
  const { outputText } = ts.transpileModule(source, { compilerOptions: OPTIONS, fileName: file });
  writeFileSync(path.join(target, file.replace(/\.ts$/, '.js')), outputText);
}
