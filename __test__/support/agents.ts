// The parent's side of an agent.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { Answer, Tasks } from './agent.ts';
import { type Start, start } from './child.ts';
import { until } from './wait.ts';

/** Another process that uses the stores. */
export class Agent {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #lastId = 0;

  /** Starts one; it is killed when the test is over. */
  constructor(t: ExecutionContext, how: Start = {}) {
    this.#child = start(t, 'agent.ts', ['agent'], { ...how, ipc: true });
    this.#child.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.#child.once('exit', (code, signal) => {
      const message = `the agent ended with ${signal ?? String(code)}`;
      for (const [id, settle] of this.#waiting) settle({ id, ok: false, message });
    });
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Has it do something. */
  async ask<Task extends keyof Tasks>(
    task: Task,
    ...args: Parameters<Tasks[Task]>
  ): Promise<Awaited<ReturnType<Tasks[Task]>>> {
    const id = (this.#lastId += 1);
    const settled = new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    this.#child.send({ id, task, args });
    const answer = await settled;
    if (!answer.ok) throw new Error(answer.message);
    return answer.value as Awaited<ReturnType<Tasks[Task]>>;
  }

  /** Stops it where it is, as a debugger or a container's pause does. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    const state = (): string => readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1] ?? '';
    await until(() => state().startsWith('T'), 'the agent is stopped');
  }

  /** Lets it go on. */
  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Kills it, as nothing can be prepared for, and waits until it is gone. */
  async kill(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
