// Phases of a commit, as phase-watch.c tells them of a process that uses the built addon.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root } from '../support/compiled.ts';

/** In the order in which a commit goes through them; the numbers are those of phase-watch.c. */
export const PHASES = [
  'idle',
  'waiting for the lock',
  'locked',
  'temporary created',
  'temporary written',
  'temporary synced',
  'renamed',
  'directory synced',
] as const;

/** How far a commit has come. */
export type Phase = (typeof PHASES)[number];

/** The phases in which a process has the lock. */
export const HOLDING: readonly Phase[] = PHASES.slice(2);

/** Where a process is to die by its own hand: at a passing of a phase, counted from 1. */
export interface Aim {
  readonly phase: Phase;
  readonly passing: number;
}

/** Builds the watch that is preloaded into writers, into a directory. */
export function buildPhaseWatch(directory: string): string {
  const library = path.join(directory, 'phase-watch.so');
  const source = path.join(root, '__test__/process-kill/phase-watch.c');
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra'];
  execFileSync('cc', [...flags, '-o', library, source, '-ldl'], { stdio: 'inherit' });
  return library;
}

/** The phase of one process, kept in a file that outlives it. */
export class PhaseFile {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    writeFileSync(file, Buffer.alloc(1));
  }

  /** What its process needs in its environment. */
  environment(library: string, aim: Aim | undefined): NodeJS.ProcessEnv {
    const watched = { ...process.env, LD_PRELOAD: library, PHASE_FILE: this.#file };
    if (aim === undefined) return watched;
    return { ...watched, DIE_AT: `${PHASES.indexOf(aim.phase)}:${aim.passing}` };
  }

  /** Where the process is, or was when it died. */
  read(): Phase {
    return PHASES[readFileSync(this.#file)[0] ?? 0] ?? 'idle';
  }
}
