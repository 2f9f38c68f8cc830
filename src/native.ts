// The only file that touches the native addon: finds it, loads it, and says what is missing.
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import type * as Binding from '#binding';
import load from 'node-gyp-build';
import { TidemarkError } from './errors.ts';

/** The package's directory: the same from `src/` and from `dist/src/`. */
function packageDirectory(): string {
  return path.dirname(createRequire(import.meta.url).resolve('tidemark/package.json'));
}

function libc(): string {
  if (process.platform !== 'linux') return '';
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? ' (musl)' : ` (glibc ${version})`;
}

function loadBinding(): typeof Binding {
  try {
    return load(packageDirectory()) as typeof Binding;
  } catch (cause) {
    throw new TidemarkError(
      'TIDEMARK_ADDON_NOT_FOUND',
      `there is no native addon for ${process.platform}-${process.arch}${libc()}; ` +
        'build it from a checkout with Rust 1.89 and a C compiler: npm run build',
      { cause },
    );
  }
}

/** The native addon. */
export const native: typeof Binding = loadBinding();
