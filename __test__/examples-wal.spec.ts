// The examples of the log, run as their readers run them, but shorter: their own observers judge.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Order, Report } from '../examples/lib/raft-messages.ts';
import { ended, start } from './support/child.ts';
import { compiled, root } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';
import { until } from './support/wait.ts';

/** Runs an example to its end: the lines that it printed, and the rows of its table. */
async function ran(
  t: ExecutionContext,
  example: string,
  ...args: readonly string[]
): Promise<{ readonly last: string; readonly rows: ReadonlyMap<string, number> }> {
  const script = compiled(`examples/${example}`);
  const { code, stdout, stderr } = await ended(start(t, '', args, { script }));
  // It names its seed first.
  t.is(code, 0, `${stdout}\n${stderr}`);
  const cells = [...stdout.matchAll(/(\w[\w ]*?) +\W +([\d.]+) +\W/g)];
  const rows = new Map(cells.map(([, name = '', value]) => [name, Number(value)]));
  return { last: stdout.trimEnd().split('\n').at(-1) ?? '', rows };
}

test.serial('three Raft nodes keep votes and committed entries over SIGKILL', async (t) => {
  const { last, rows } = await ran(t, 'raft-run.ts', '1');
  t.is(last, `nothing lost over ${rows.get('kills survived') ?? 0} kills`);
  t.true((rows.get('kills survived') ?? 0) >= 4);
  const atLeastOne = ['snapshots installed', 'logs cut', 'second votes refused', 'elections'];
  for (const what of atLeastOne) t.true((rows.get(what) ?? 0) > 0, what);
});

/** Rounds in which a leader loses its place, and what it has to do just then. */
const [ROUNDS, PROPOSALS] = [3, 60];

test.serial('a Raft node that loses its place does not lead the term that took it', async (t) => {
  const script = compiled('examples/lib/raft-node.ts');
  const child = start(t, '', ['amber', tempDir(t), 'birch', 'cedar'], { script, ipc: true });
  const [led, voted]: [bigint[], bigint[]] = [[], []];
  const send = (order: Order): void => void child.send(order);
  child.on('message', (report: Report) => {
    if (report.kind !== 'message') return;
    const { kind, term } = report.message;
    if (kind === 'append') led.push(term);
    if (kind === 'vote') voted.push(term);
    const message = { kind: 'vote', term, granted: true } as const;
    if (kind === 'candidate') send({ kind: 'message', from: 'birch', message });
  });
  for (let term = 10n; term <= 10n * BigInt(ROUNDS); term += 10n) {
    await until(() => led.some((led) => led > term - 10n), 'it leads');
    // Its heartbeat comes while it has so much to do, and waits for its turn behind the loss.
    for (let index = 0; index < PROPOSALS; index += 1) {
      send({ kind: 'propose', commands: [`command ${index}`] });
    }
    const message = { kind: 'candidate', term, last: { index: 2n ** 40n, term } } as const;
    send({ kind: 'message', from: 'cedar', message });
    await until(() => voted.includes(term), 'it votes for another');
    send({ kind: 'message', from: 'cedar', message });
    await until(() => voted.filter((voted) => voted === term).length > 1, 'it votes once more');
    t.false(led.includes(term), `it leads term ${term}, for which it voted for another`);
  }
});

test.serial('a job that was accepted is run at least once, whoever is killed', async (t) => {
  const input = path.join(tempDir(t), 'jobs.txt');
  const lines = readFileSync(path.join(root, 'examples/events.txt'), 'utf8').split('\n');
  writeFileSync(input, lines.slice(0, 1200).join('\n'));
  const { last, rows } = await ran(t, 'job-queue-run.ts', '6', input);
  t.is(last, 'no job lost');
  const killed = (rows.get('producers killed') ?? 0) + (rows.get('workers killed') ?? 0);
  t.is(killed, 6);
  t.is(rows.get('run at least once'), rows.get('accepted'));
  t.true((rows.get('still in the log') ?? Infinity) < 500, 'what is done was purged');
});
