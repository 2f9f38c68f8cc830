// api/tidemark.d.ts: what users see of the types, in one file: every export, then what these
// mention of ours and do not export. No comments, no private members, sorted by name: a difference
// is a change of the API, and a review sees it as such.
//
//   node scripts/api-types.mjs [--write]
//
// Without --write it fails if the file is not what the sources say, and prints the difference.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import prettier from 'prettier';
import ts from 'typescript';
import { SetupError, main, root, run, say } from './lib/project.mjs';
import { buildDist } from './dist.mjs';

const COMMITTED = path.join(root, 'api/tidemark.d.ts');
const DIST = path.join(root, 'dist');
const HEADER =
  '// Written by `npm run build:api`: the public types. A difference is a change of the API.\n';

const { SyntaxKind } = ts;

/**
 * @param {ts.Node} node
 * @param {ts.SyntaxKind} kind
 */
const has = (node, kind) =>
  ts.canHaveModifiers(node) && ts.getModifiers(node)?.some((modifier) => modifier.kind === kind);

/**
 * What is left of a member: nothing of a private one, of a constructor that users cannot call only
 * that it is so, of what only subclasses of ours call nothing.
 * @param {ts.ClassElement} member
 * @returns {ts.ClassElement[]}
 */
function visibleMember(member) {
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return [];
  const hidden = has(member, SyntaxKind.PrivateKeyword) || has(member, SyntaxKind.ProtectedKeyword);
  if (!hidden) return [member];
  if (!ts.isConstructorDeclaration(member)) return [];
  return [ts.factory.updateConstructorDeclaration(member, member.modifiers, [], undefined)];
}

/**
 * A declaration as it is shown.
 * @param {ts.Statement} statement
 * @returns {ts.Statement}
 */
function visible(statement) {
  if (!ts.isClassDeclaration(statement)) return statement;
  const { modifiers, name, typeParameters, heritageClauses, members } = statement;
  return ts.factory.updateClassDeclaration(
    statement,
    ...[modifiers, name, typeParameters, heritageClauses],
    members.flatMap(visibleMember),
  );
}

/** The types of the package, and which of their declarations users can come across. */
class Surface {
  #program = ts.createProgram([path.join(DIST, 'index.d.ts')], {
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, types: ['node'] },
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  });
  #checker = this.#program.getTypeChecker();
  /** @type {Map<ts.Statement, string>} */
  #exported = new Map();
  /** @type {Map<ts.Statement, string>} */
  #mentioned = new Map();
  /** @type {Set<string>} */
  #imports = new Set();

  constructor() {
    const index = this.#program.getSourceFile(path.join(DIST, 'index.d.ts'));
    const module = index && this.#checker.getSymbolAtLocation(index);
    if (module === undefined) throw new SetupError('dist/index.d.ts exports nothing');
    for (const symbol of this.#checker.getExportsOfModule(module)) {
      for (const statement of this.#declarations(symbol)) {
        this.#exported.set(statement, symbol.name);
      }
    }
    for (const statement of this.#exported.keys()) this.#visit(visible(statement));
  }

  /** @returns {string} the text, not formatted yet */
  print() {
    const printer = ts.createPrinter({ removeComments: true });
    const show = (/** @type {Map<ts.Statement, string>} */ statements) =>
      [...statements]
        .sort(([, one], [, other]) => (one < other ? -1 : 1))
        .map(([statement]) => {
          const file = statement.getSourceFile();
          const text = printer.printNode(ts.EmitHint.Unspecified, visible(statement), file);
          return this.#exported.has(statement) ? text : text.replace(/^export (\w)/, '$1');
        })
        .join('\n\n');
    const imports = [...this.#imports].sort().join('\n');
    const parts = [imports, show(this.#exported), '// Not exported.', show(this.#mentioned)];
    return `${HEADER}${parts.join('\n\n')}\n`;
  }

  /**
   * The top-level declarations of ours behind a name, or the line that imports it.
   * @param {ts.Symbol} symbol
   * @returns {ts.Statement[]}
   */
  #declarations(symbol) {
    const alias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    const target = alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
    /** @type {ts.Statement[]} */
    const found = [];
    for (const declaration of target.declarations ?? []) {
      /** @type {ts.Node} */
      let node = declaration;
      if (ts.isVariableDeclaration(node)) node = node.parent.parent;
      const ours = node.getSourceFile().fileName.startsWith(`${DIST}/`);
      if (ours && ts.isSourceFile(node.parent)) found.push(/** @type {ts.Statement} */ (node));
    }
    if (found.length === 0 && alias) this.#import(symbol);
    return found;
  }

  /** @param {ts.Symbol} symbol */
  #import(symbol) {
    const [specifier] = symbol.declarations ?? [];
    if (specifier === undefined || !ts.isImportSpecifier(specifier)) return;
    const from = specifier.parent.parent.parent.moduleSpecifier.getText();
    if (/^'\./.test(from)) throw new SetupError(`the API mentions ${symbol.name} of ${from}`);
    this.#imports.add(`import type { ${symbol.name} } from ${from};`);
  }

  /**
   * Notes what a node mentions. Its original is asked: what was made here has no symbols.
   * @param {ts.Node} node
   */
  #visit(node) {
    ts.forEachChild(node, (child) => {
      if (!ts.isIdentifier(child)) return this.#visit(child);
      const symbol = this.#checker.getSymbolAtLocation(child);
      for (const statement of symbol === undefined ? [] : this.#declarations(symbol)) {
        if (this.#exported.has(statement) || this.#mentioned.has(statement)) continue;
        this.#mentioned.set(statement, child.text);
        this.#visit(visible(statement));
      }
      return undefined;
    });
  }
}

/** Shows the difference as a patch; git does that without a repository, too. */
function showDifference(/** @type {string} */ now) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'tidemark-api-'));
  try {
    const file = path.join(directory, 'tidemark.d.ts');
    writeFileSync(file, now);
    run('git', ['--no-pager', 'diff', '--no-index', '--no-color', COMMITTED, file]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await main(async () => {
  buildDist();
  const options = await prettier.resolveConfig(path.join(root, 'index.ts'));
  const now = await prettier.format(new Surface().print(), { ...options, parser: 'typescript' });
  if (process.argv.includes('--write')) {
    mkdirSync(path.dirname(COMMITTED), { recursive: true });
    writeFileSync(COMMITTED, now);
    say('api/tidemark.d.ts written');
    return;
  }
  const committed = existsSync(COMMITTED) ? readFileSync(COMMITTED, 'utf8') : undefined;
  if (committed === now) return;
  if (committed !== undefined) showDifference(now);
  throw new SetupError(
    'api/tidemark.d.ts is not what the sources say: if the change of the API is meant, ' +
      'run npm run build:api',
  );
});
