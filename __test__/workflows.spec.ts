// A release waits for a trial of everything that it ships. scripts/workflows.mjs checks the
// workflows as they are; here each fault that it is for is planted, and found.
import path from 'node:path';
import test from 'ava';
import { root } from './support/compiled.ts';
import {
  type Check,
  type Planted,
  type Row,
  type Workflow,
  isFound,
  job,
  prebuild,
  rewrite,
  workflow,
} from './support/workflows.ts';

const checks = (await import(path.join(root, 'scripts/lib/workflow-targets.mjs'))) as {
  prebuildFaults: Check;
  releaseFaults: Check;
  toolFaults: Check;
};

/** The rows of what is built, which a test may change. */
function rows({ jobs }: Workflow): Row[] {
  const include = jobs['build']?.strategy?.matrix.include;
  if (include === undefined) throw new Error('prebuild.yml has no matrix');
  return include;
}

function row(of: Workflow, target: string): Row {
  const found = rows(of).find((one) => one.target === target);
  if (found === undefined) throw new Error(`prebuild.yml does not have ${target}`);
  return found;
}

test('what is built, tried and published are the targets that there are', (t) => {
  t.deepEqual(checks.prebuildFaults(workflow('prebuild.yml'), prebuild), []);
  t.deepEqual(checks.releaseFaults(workflow('release.yml'), prebuild), []);
});

test('an addon is built with tools of exact versions, which say what is in it as well', (t) => {
  t.deepEqual(checks.toolFaults(workflow('prebuild.yml'), prebuild), []);
  t.deepEqual(checks.toolFaults(workflow('release.yml'), prebuild), []);
});

const ARM = 'aarch64-unknown-linux-gnu';
const MUSL = 'x86_64-unknown-linux-musl';

const IN_PREBUILD: readonly Planted[] = [
  [
    'a target without a row',
    (of) => rows(of).splice(rows(of).indexOf(row(of, ARM)), 1),
    /^aarch64-unknown-linux-gnu is not built$/,
  ],
  [
    'a target with two rows',
    (of) => rows(of).push({ ...row(of, ARM) }),
    /^aarch64-unknown-linux-gnu is built 2 times$/,
  ],
  [
    'a row for a target that nobody knows',
    (of) => rows(of).push({ ...row(of, ARM), target: 'riscv64gc-unknown-linux-gnu' }),
    /^riscv64gc-unknown-linux-gnu is not a target of /,
  ],
  [
    'a target that is shipped and passes for an experiment',
    (of) => (row(of, MUSL).experimental = true),
    /^x86_64-unknown-linux-musl: experimental is what no release ships$/,
  ],
  [
    'a target that is built on another system',
    (of) => (row(of, 'aarch64-apple-darwin').os = 'ubuntu-24.04'),
    /^aarch64-apple-darwin is built on ubuntu-24\.04, another system$/,
  ],
  [
    'specs that would run on a machine of another kind',
    (of) => (row(of, ARM).tests = 'here'),
    /^aarch64-unknown-linux-gnu cannot be tested on ubuntu-24\.04$/,
  ],
  [
    'specs that would run with another C library',
    (of) => (row(of, MUSL).tests = 'here'),
    /^x86_64-unknown-linux-musl cannot be tested on ubuntu-24\.04$/,
  ],
  [
    'a target that is tested nowhere',
    (of) => (row(of, ARM).tests = ''),
    /^aarch64-unknown-linux-gnu: tests where\?$/,
  ],
];

const IN_RELEASE: readonly Planted[] = [
  [
    'a machine that the tarball is not tried on',
    (of) => job(of, 'test').strategy?.matrix.os?.splice(1, 1),
    /^the tarball is not tried on linux-arm64 glibc \(aarch64-unknown-linux-gnu\)$/,
  ],
  [
    'a trial with glibc where it should be musl',
    (of) => {
      rewrite(of, '-alpine"', '-bookworm"');
    },
    /^the tarball is not tried on linux-x64 musl \(x86_64-unknown-linux-musl\)$/,
  ],
  [
    'a job that tries nothing',
    (of) => {
      rewrite(of, /node scripts\/try-tarball\.mjs \S+/, 'true');
    },
    /^the tarball is not tried on linux-x64 glibc /,
  ],
  [
    'a trial that nobody waits for',
    (of) => (job(of, 'publish').needs = 'test'),
    /^what is published does not wait for alpine$/,
  ],
  [
    'a trial that may fail unseen',
    (of) => (job(of, 'alpine')['continue-on-error'] = true),
    /^alpine may fail unseen$/,
  ],
  [
    'a trial of another tarball',
    (of) => delete job(of, 'alpine').needs,
    /^alpine does not wait for the tarball$/,
  ],
  ['prebuilds of another run', (of) => delete job(of, 'pack').needs, /^nobody waits for prebuild/],
  [
    'prebuilds of which one may be missing',
    (of) => {
      rewrite(of, /verify-prebuilds\.mjs/, `verify-prebuilds.mjs --target ${ARM}`);
    },
    /^nobody verifies that all prebuilds are there$/,
  ],
  [
    'a machine that nobody knows',
    (of) => job(of, 'test').strategy?.matrix.os?.push('ubuntu-latest'),
    /^test: unknown runner ubuntu-latest$/,
  ],
  ['nobody who publishes', (of) => (of.jobs['publish'] = { steps: [] }), /^0 jobs publish, and/],
];

const IN_TOOLS: readonly Planted[] = [
  [
    'a compiler of whatever version',
    (of) => (of.env = { ...of.env, RUSTUP_TOOLCHAIN: 'stable' }),
    /^RUSTUP_TOOLCHAIN is no version: stable$/,
  ],
  [
    'a compiler other than the one that is used',
    (of) => {
      rewrite(of, 'install "$RUSTUP_TOOLCHAIN"', 'install stable');
    },
    /^Rust stable is not \$RUSTUP_TOOLCHAIN$/,
  ],
  [
    'zig of whatever version',
    (of) => {
      rewrite(of, /ziglang==\S+/, 'ziglang');
    },
    /^ziglang is of no exact version$/,
  ],
  [
    'zig of no older version',
    (of) => {
      rewrite(of, /ziglang==/, 'ziglang>=');
    },
    /^ziglang>=[\d.]+ is of no exact version$/,
  ],
  [
    'a tool that cargo installs as it finds it',
    (of) => job(of, 'build').steps?.push({ run: 'cargo install cargo-xwin --locked' }),
    /^cargo-xwin is of no exact version$/,
  ],
];

const IN_TOOLS_OF_RELEASE: readonly Planted[] = [
  [
    'a list of what the addons contain by another compiler',
    (of) => (of.env = { RUSTUP_TOOLCHAIN: '1.94.0' }),
    /^RUSTUP_TOOLCHAIN is 1\.94\.0, in prebuild\.yml it is \d/,
  ],
  [
    'the compiler that came out last',
    (of) => {
      rewrite(of, 'install "$RUSTUP_TOOLCHAIN"', 'install stable');
    },
    /^Rust stable is not \$RUSTUP_TOOLCHAIN$/,
  ],
];

for (const [name, check, planted] of [
  ['prebuild.yml', checks.prebuildFaults, IN_PREBUILD],
  ['release.yml', checks.releaseFaults, IN_RELEASE],
  ['prebuild.yml', checks.toolFaults, IN_TOOLS],
  ['release.yml', checks.toolFaults, IN_TOOLS_OF_RELEASE],
] as const) {
  for (const one of planted) {
    test(`in ${name} ${one[0]} is found`, (t) => {
      isFound(t, name, check, one);
    });
  }
}
