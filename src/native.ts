// The only file that touches the native addon: finds it, loads it, and says what is missing.
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import type * as Binding from '#binding';
import nodeGypBuild from 'node-gyp-build';
import { TidemarkError } from './errors.ts';
import { type Platform, describe, shipped, thisPlatform } from './targets.ts';

const require = createRequire(import.meta.url);

/** The package's directory: the same from `src/` and from `dist/src/`. */
const packageDirectory = (): string => path.dirname(require.resolve('tidemark/package.json'));

/**
 * The addon's file. `node-gyp-build` finds it, also beside a packed executable or where
 * `TIDEMARK_PREBUILD` says. But it takes `build/Release` for more than any prebuild, whatever lies
 * there, tells musl by a file of Alpine's, and believes npm's variables about the platform. So what
 * it found counts only if it has the name of our prebuild for the process that runs.
 */
function addonFile({ platform, arch, libc }: Platform): string {
  const directory = packageDirectory();
  const name = ['node.napi', libc, 'node'].filter(Boolean).join('.');
  const prebuild = path.join('prebuilds', `${platform}-${arch}`, name);
  const told = process.env['TIDEMARK_PREBUILD'];
  try {
    const found = nodeGypBuild.resolve(directory);
    if (found.endsWith(path.sep + prebuild)) return found;
  } catch {
    // It found nothing; requiring our own says so once more, as a cause that names the file.
  }
  return path.join(told === undefined || told === '' ? directory : told, prebuild);
}

const HOW_TO_BUILD =
  'To build it on such a machine: git clone https://github.com/tidemark-dev/tidemark, there ' +
  '`npm run prebuild && npm run build:dist && npm pack` (it needs Rust 1.89 and a C compiler), ' +
  'and npm install the file that this makes.';
const NO_CODE = 'It cannot be built for it either: there is no code for this system.';
const WITH_CODE = ['linux', 'darwin', 'win32'];

/** Says why there is no addon: no release has one, it was left out, or the system refuses it. */
function addonError(here: Platform, file: string, cause: unknown): TidemarkError {
  const name = describe(here);
  const known = shipped.includes(name);
  const missing = (cause as { code?: unknown } | null)?.code === 'MODULE_NOT_FOUND';
  const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : 'it failed';
  let what = `there is no native addon for ${name}`;
  if (!missing) what = `the native addon for ${name} does not load: ${reason ?? ''}`;
  else if (known) what = `the native addon for ${name} is missing: ${file} is not there`;
  const advice = WITH_CODE.includes(here.platform) ? HOW_TO_BUILD : NO_CODE;
  const message = `${what}. Shipped are ${shipped.join(', ')}. ${advice}`;
  return new TidemarkError('TIDEMARK_ADDON_NOT_FOUND', message, { cause, path: file });
}

function loadBinding(): typeof Binding {
  const here = thisPlatform();
  const file = addonFile(here);
  try {
    return require(file) as typeof Binding;
  } catch (cause) {
    throw addonError(here, file, cause);
  }
}

/** The native addon. */
export const native: typeof Binding = loadBinding();
