// The platforms that a release has an addon for, and what tells them apart.
import process from 'node:process';

/** As `scripts/lib/targets.mjs` has them: `__test__/targets.spec.ts` compares the two. */
export const shipped: readonly string[] = [
  'linux-x64 (glibc)',
  'linux-arm64 (glibc)',
  'linux-x64 (musl)',
  'linux-arm64 (musl)',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64',
  'win32-arm64',
];

/** This process's platform. */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
  /** Where there is a choice: on Linux. */
  readonly libc: 'glibc' | 'musl' | undefined;
}

/** What `process.report` offers, with what the types of older releases leave out. */
interface Report {
  excludeNetwork?: boolean;
  getReport(): object;
}

/** Asked of the process that runs: the files of a system may belong to another C library. */
export function thisPlatform(): Platform {
  const { platform, arch } = process;
  return { platform, arch, libc: platform === 'linux' ? libc() : undefined };
}

function libc(): 'glibc' | 'musl' {
  const report = process.report as Report;
  const before = report.excludeNetwork;
  // Looking up the names of open connections can take seconds.
  report.excludeNetwork = true;
  try {
    const { header } = report.getReport() as { header?: object };
    return 'glibcVersionRuntime' in (header ?? {}) ? 'glibc' : 'musl';
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

/** A platform as users read it: `linux-x64 (glibc)`. */
export function describe({ platform, arch, libc }: Platform): string {
  return `${platform}-${arch}${libc === undefined ? '' : ` (${libc})`}`;
}
