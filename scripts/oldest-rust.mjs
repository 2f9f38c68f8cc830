// The oldest Rust that builds the project: Cargo.toml says which. Everybody who names it says the
// same, and no crate that is built here asks for a newer one. That ours get by with its standard
// library, clippy checks (`incompatible_msrv`); that it does build them, a job of ci.yml.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { SetupError, main, outputOf, root } from './lib/project.mjs';
import { tomlTables } from './lib/rust-source.mjs';

/** Who names it, and how: one hit at least, each the same version. */
const NAMED = {
  'README.md': /\bRust (\d+\.\d+)\b/g,
  'CONTRIBUTING.md': /\bRust (\d+\.\d+)\b/g,
  'docs/errors.md': /\bRust (\d+\.\d+)\b/g,
  'src/native.ts': /\bRust (\d+\.\d+)\b/g,
  'interop/aviso-peer/Cargo.toml': /^rust-version = "(.+)"$/gm,
  '.github/workflows/ci.yml': /\b(?:toolchain install |cargo \+|Rust )(\d+\.\d+)\b/g,
  'scripts/setup.mjs': /RUST_MINIMUM = \{ major: (\d+), minor: (\d+) \}/g,
};

/** @param {string} name */
const read = (name) => readFileSync(path.join(root, name), 'utf8');

/** @param {string} version */
const minor = (version) => {
  const [, major, number] = /^(\d+)\.(\d+)(?:\.\d+)?$/.exec(version) ?? [];
  if (major !== '1') throw new SetupError(`a version of Rust that is not understood: ${version}`);
  return Number(number);
};

await main(() => {
  const table = tomlTables(read('Cargo.toml')).get('workspace.package');
  const oldest = JSON.parse(table?.get('rust-version') ?? '""');
  const wrong = Object.entries(NAMED).flatMap(([name, where]) => {
    const found = [...read(name).matchAll(where)].map(([, ...parts]) => parts.join('.'));
    if (found.length === 0) return [`${name} does not name it`];
    return found.filter((one) => one !== oldest).map((one) => `${name} says Rust ${one}`);
  });
  const metadata = outputOf('cargo', ['metadata', '--locked', '--format-version', '1']);
  if (metadata === undefined) throw new SetupError('cargo metadata failed');
  for (const { name, version, rust_version: asked } of JSON.parse(metadata).packages) {
    if (asked === null || minor(asked) <= minor(oldest)) continue;
    wrong.push(
      `${name} ${version} asks for Rust ${asked}: take an older one (cargo update --precise)`,
    );
  }
  for (const line of wrong) process.stdout.write(`oldest Rust ${oldest}: ${line}\n`);
  if (wrong.length > 0) process.exitCode = 1;
});
