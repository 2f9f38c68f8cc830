// Every platform that a prebuild can be made for: the one table of them. package.json, the
// loader's message (src/targets.ts), the workflows and the README are compared with it by
// __test__/targets.spec.ts.

/**
 * @typedef {object} Target
 * @property {string} platform as in `process.platform`
 * @property {string} arch as in `process.arch`
 * @property {'glibc' | 'musl' | undefined} libc where there is a choice
 */

/** @type {Record<string, Target>} */
export const TARGETS = {
  'x86_64-unknown-linux-gnu': { platform: 'linux', arch: 'x64', libc: 'glibc' },
  'aarch64-unknown-linux-gnu': { platform: 'linux', arch: 'arm64', libc: 'glibc' },
  'x86_64-unknown-linux-musl': { platform: 'linux', arch: 'x64', libc: 'musl' },
  'aarch64-unknown-linux-musl': { platform: 'linux', arch: 'arm64', libc: 'musl' },
  'x86_64-apple-darwin': { platform: 'darwin', arch: 'x64', libc: undefined },
  'aarch64-apple-darwin': { platform: 'darwin', arch: 'arm64', libc: undefined },
  'x86_64-pc-windows-msvc': { platform: 'win32', arch: 'x64', libc: undefined },
  'aarch64-pc-windows-msvc': { platform: 'win32', arch: 'arm64', libc: undefined },
};

/** Those that a release waits for: each is tried by it on a machine of its kind. */
export const SHIPPED = Object.keys(TARGETS);

/** The Nodes that a release is tried on: those of runtimes/package.json. */
export const NODES = [20, 22, 24, 26];

/** The oldest glibc that a release may ask for: that of `--use-napi-cross`. */
export const GLIBC_FLOOR = '2.17';

/** The oldest macOS that a release may ask for: the workflow sets it. */
export const MACOS_FLOOR = '11.0';

/** What one prebuild may weigh, in bytes. */
export const PREBUILD_BYTES_MAX = 2_000_000;

/**
 * A target as users read it: `linux-x64 (glibc)`.
 * @param {Target} target
 */
export function describe({ platform, arch, libc }) {
  return `${platform}-${arch}${libc === undefined ? '' : ` (${libc})`}`;
}

/**
 * The triple of a platform, or undefined if no release has a prebuild for it.
 * @param {{ platform: string, arch: string, libc: string | undefined }} of
 */
export function tripleOf({ platform, arch, libc }) {
  const same = (/** @type {Target} */ target) =>
    target.platform === platform && target.arch === arch && target.libc === libc;
  return Object.keys(TARGETS).find((triple) => {
    const target = TARGETS[triple];
    return target !== undefined && same(target);
  });
}
