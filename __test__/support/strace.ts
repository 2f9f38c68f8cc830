// strace, for the specs that look at system calls, or hold them up. `.ci/run` installs it.
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import type { ExecutionContext } from 'ava';

/** Whether strace can run here; says why not, which CI does not let pass. */
export function canTrace(t: ExecutionContext): boolean {
  const probe = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], { encoding: 'utf8' });
  if (probe.status === 0) return true;
  const reason = `strace cannot run here: ${probe.error?.message ?? probe.stderr}`;
  t.log(reason);
  t.is(process.env['CI'], undefined, `${reason}; .ci/run installs it`);
  return false;
}
