// The workflows as they are, for a test to plant faults in.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { parse } from 'yaml';
import { root } from './compiled.ts';

/** One target to build. */
export interface Row {
  target: string;
  os: string;
  tests: string;
  experimental: boolean;
}

/** A step of a job. */
export interface Step {
  uses?: string;
  run?: string;
  if?: string;
  with?: Record<string, unknown>;
}

/** A job of a workflow, as far as tests change it. */
export interface Job {
  needs?: string | string[];
  'runs-on'?: string;
  steps?: Step[];
  environment?: string;
  permissions?: Record<string, string>;
  strategy?: { matrix: { include?: Row[]; os?: string[]; node?: number[] } };
  'continue-on-error'?: boolean;
}

/** A file of .github/workflows. */
export interface Workflow {
  on: Record<string, unknown>;
  env?: Record<string, string>;
  jobs: Record<string, Job | undefined>;
}

/** What is wrong with a workflow, and with what it has from the one that builds the addons. */
export type Check = (workflow: Workflow, prebuild: Workflow) => string[];

/** A workflow anew, which a test may change. */
export const workflow = (name: string): Workflow =>
  parse(readFileSync(path.join(root, '.github/workflows', name), 'utf8')) as Workflow;

/** The workflow that builds the addons, as it is. */
export const prebuild: Workflow = workflow('prebuild.yml');

/** A job that a test may change. */
export function job({ jobs }: Workflow, name: string): Job {
  const found = jobs[name];
  if (found === undefined) throw new Error(`there is no job ${name}`);
  return found;
}

/** Does to the scripts of a workflow what somebody might. */
export function rewrite({ jobs }: Workflow, from: RegExp | string, to: string): void {
  const before = JSON.stringify(jobs);
  for (const step of Object.values(jobs).flatMap((one) => one?.steps ?? [])) {
    if (step.run !== undefined) step.run = step.run.replace(from, to);
  }
  if (JSON.stringify(jobs) === before) throw new Error(`nothing is ${String(from)}`);
}

/** A fault, how it is planted in a workflow that has none, and what is said of it. */
export type Planted = readonly [title: string, plant: (workflow: Workflow) => void, said: RegExp];

/** That a fault, planted in a workflow, is found. */
export function isFound(
  t: ExecutionContext,
  name: string,
  check: Check,
  [, plant, said]: Planted,
): void {
  const changed = workflow(name);
  plant(changed);
  const faults = check(changed, prebuild);
  t.true(
    faults.some((fault) => said.exec(fault) !== null),
    faults.join('\n'),
  );
}
