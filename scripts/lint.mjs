// Everything that is checked without running the product.
//
//   npm run lint [-- GROUP ...]
//
// GROUP: rust, ts, tidy, binding, notices, surface, workflows, interop, bench.
//
// Without a choice, what needs neither minutes nor the network: not surface, which builds and packs
// what users get, workflows, which builds actionlint, interop, whose dependencies take minutes to
// compile, and bench, whose dependencies need a newer Rust than the project does.
import process from 'node:process';
import { SetupError, isMain, main, run, say, tool } from './lib/project.mjs';
import { ensureModules } from './setup.mjs';

/** @typedef {{ command: [string, string[]], env?: NodeJS.ProcessEnv }} Step */

const CLIPPY = ['clippy', '--workspace', '--all-targets'];
// Not through RUSTFLAGS: that would compile every dependency a second time.
const DENY = ['--', '-D', 'warnings'];
const PEER = ['--manifest-path', 'interop/aviso-peer/Cargo.toml'];
const PEER_BUILD = ['--locked', '--target-dir', 'target/aviso'];
const LOG_PEER = ['--manifest-path', 'bench/wal-peer/Cargo.toml'];
const LOG_PEER_BUILD = ['--release', '--locked', '--target-dir', 'target/wal-peer'];

/** @type {Record<string, () => Step[]>} */
const GROUPS = {
  rust: () => [
    { command: ['cargo', ['fmt', '--all', '--check']] },
    { command: ['cargo', [...CLIPPY, ...DENY]] },
    { command: ['cargo', [...CLIPPY, '--features', 'tidemark-core/planted-bugs', ...DENY]] },
    {
      command: ['cargo', ['doc', '--workspace', '--no-deps', '--quiet']],
      env: { RUSTDOCFLAGS: '-D warnings' },
    },
    { command: [process.execPath, ['scripts/oldest-rust.mjs']] },
  ],
  ts: () => [
    { command: tool('eslint', ['--max-warnings=0', '.']) },
    { command: tool('prettier', ['--check', '--log-level=warn', '.']) },
    { command: tool('typescript', ['--project', 'tsconfig.json']) },
    { command: tool('typescript', ['--project', 'scripts/tsconfig.json']) },
  ],
  tidy: () => [{ command: [process.execPath, ['scripts/tidy.mjs']] }],
  notices: () => [{ command: [process.execPath, ['scripts/notices.mjs']] }],
  binding: () => [{ command: [process.execPath, ['scripts/binding-types.mjs']] }],
  surface: () => [
    // First: it builds dist/, which the others look at.
    { command: [process.execPath, ['scripts/api-types.mjs']] },
    { command: tool('publint', ['--strict', '--pack', 'npm']) },
    {
      command: tool('@arethetypeswrong/cli', [
        '--pack',
        '.',
        '--profile',
        'esm-only',
        '--no-color',
      ]),
    },
    { command: tool('typedoc', []) },
  ],
  workflows: () => [{ command: [process.execPath, ['scripts/workflows.mjs']] }],
  interop: () => [
    { command: ['cargo', ['fmt', ...PEER, '--check']] },
    { command: ['cargo', ['clippy', ...PEER, ...PEER_BUILD, ...DENY]] },
  ],
  bench: () => [
    { command: ['cargo', ['fmt', ...LOG_PEER, '--check']] },
    { command: ['cargo', ['clippy', ...LOG_PEER, ...LOG_PEER_BUILD, ...DENY]] },
  ],
};
const WITHOUT_CHOICE = ['rust', 'ts', 'tidy', 'binding', 'notices'];
/** What CI checks, with the Rust that the project asks for. */
export const CI_LINTS = [...WITHOUT_CHOICE, 'surface', 'workflows', 'interop'];

/**
 * Runs every step of the groups, whatever fails before it.
 * @param {string[]} names none means those of WITHOUT_CHOICE
 * @returns {number} how many steps failed
 */
export function runLint(names) {
  const unknown = names.find((name) => !Object.hasOwn(GROUPS, name));
  if (unknown !== undefined) {
    throw new SetupError(`no such lint: ${unknown}; there are ${Object.keys(GROUPS).join(', ')}`);
  }
  ensureModules();
  let failed = 0;
  for (const name of names.length === 0 ? WITHOUT_CHOICE : names) {
    process.stdout.write(`== lint ${name} ==\n`);
    for (const { command, env } of GROUPS[name]?.() ?? []) {
      if (run(...command, env)) continue;
      say(`lint ${name} failed: ${command.flat().join(' ')}`);
      failed += 1;
    }
  }
  return failed;
}

if (isMain(import.meta.url)) {
  await main(() => {
    if (runLint(process.argv.slice(2)) > 0) process.exitCode = 1;
  });
}
