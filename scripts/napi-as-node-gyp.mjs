// Stands in for node-gyp: prebuildify calls it with `rebuild --target=... --arch=...` and takes
// what it leaves in build/Release. The Rust crate is compiled by napi-rs instead, so that neither
// Python nor a gyp file nor the headers of Node are needed. `scripts/prebuild.mjs` puts the options
// of ours in front; those of node-gyp are ignored.
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { NapiCli } from '@napi-rs/cli';
import { root } from './lib/project.mjs';

/** Where prebuildify looks. */
const OUTPUT = 'build/Release';

const { values } = parseArgs({
  strict: false,
  options: {
    profile: { type: 'string' },
    triple: { type: 'string' },
    cross: { type: 'string' },
    types: { type: 'string' },
  },
});

// The tools are those that the caller would get.
process.env['PATH'] = process.env['TIDEMARK_BUILD_PATH'] ?? process.env['PATH'];

const { task } = await new NapiCli().build({
  cwd: root,
  manifestPath: 'crates/node/Cargo.toml',
  outputDir: OUTPUT,
  dts: path.relative(path.join(root, OUTPUT), String(values.types)),
  // Cargo's dev profile has a directory of another name, which napi-rs knows only as its default.
  release: values.profile === 'release',
  ...(typeof values.triple === 'string' ? { target: values.triple } : {}),
  useNapiCross: values.cross === 'napi',
  crossCompile: values.cross === 'zig',
});
try {
  await task;
} catch (error) {
  // For a compiler's error, the compiler has said what is wrong; for ours, the cause does.
  const cause = error instanceof Error && error.cause !== undefined ? ` (${error.cause})` : '';
  process.stderr.write(`${error}${cause}\n`);
  process.exitCode = 1;
}
