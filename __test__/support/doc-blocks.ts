// The code blocks of the documents, and the examples in the documentation of the sources.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './compiled.ts';

/** A code block: where it stands, what it is marked as, and what is in it. */
export interface Block {
  readonly page: string;
  /** The line of its fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** Every page of ours, relative to the root. */
export const pages: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.posix.join('docs', name)),
].sort();

/** The text of a page or a source. */
export const read = (name: string): string => readFileSync(path.join(root, name), 'utf8');

/** The blocks of a text; a fence that is not closed makes the rest of it one. */
export function blocksOf(page: string, text: string = read(page)): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; language: string; lines: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^\s*```\s*(.*)$/.exec(line);
    if (fence === null) {
      open?.lines.push(line);
    } else if (open === undefined) {
      open = { line: index + 1, language: fence[1] ?? '', lines: [] };
    } else {
      const { lines, ...where } = open;
      blocks.push({ page, ...where, text: lines.map((each) => `${each}\n`).join('') });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: a fence that is not closed`);
  return blocks;
}

/** Where a block stands. */
export const at = ({ page, line }: Block): string => `${page}:${line}`;

/** Every block of every page. */
export const blocks: readonly Block[] = pages.flatMap((page) => blocksOf(page));

/** Every `@example` in the sources; what it uses of the package is imported. */
export function examplesInSources(exported: readonly string[]): Block[] {
  const sources = readdirSync(path.join(root, 'src')).map((name) => `src/${name}`);
  return sources.flatMap((page) => {
    // Only what is in a comment of documentation, without its margin; the lines keep their numbers.
    const margin = /^\s*\* ?(.*)$/;
    const lines = read(page)
      .split('\n')
      .map((line) => margin.exec(line)?.[1] ?? '');
    return blocksOf(page, lines.join('\n')).map((block) => {
      const used = exported.filter((name) => new RegExp(`\\b${name}\\b`).test(block.text));
      return { ...block, text: `import { ${used.join(', ')} } from 'tidemark';\n${block.text}` };
    });
  });
}
