// Runs three Raft nodes, each a process with RaftStorage, kills them with SIGKILL, and checks from
// outside what storage is responsible for: examples/lib/raft-observer.ts says what.
//
//   node --import=tsx examples/raft-run.ts [ROUNDS]      SEED=n repeats the choice of victims
//
// In every round a follower is killed and misses so much that it needs a snapshot; a leader that
// nobody hears any more takes commands and is killed, so that its log has to be cut when it is
// back; one who votes in that election is killed as its vote leaves, one who has an entry as it
// says so. Exits with 1 if anything was lost, changed or promised twice.
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { Cluster } from './lib/raft-cluster.ts';
import type { Message } from './lib/raft-messages.ts';
import { randomBelow, seed } from './lib/random.ts';

const ROUNDS = Number(process.argv[2] ?? 3);
const COMMANDS_AT_ONCE = 10;
/** How long a command may take before it is proposed again, perhaps to another leader. */
const PATIENCE_MS = 500;
/** A run in which nothing is committed for so long has failed. */
const HANG_MS = 40_000;

const directory = mkdtempSync(path.join(tmpdir(), 'tidemark-raft-'));
const cluster = new Cluster(directory, ['amber', 'birch', 'cedar']);
const { names, observer } = cluster;
let commands = 0;

/** Has commands committed, as a client would: again and again until the cluster has taken them. */
async function commit(count: number): Promise<void> {
  for (let left = count; left > 0; left -= COMMANDS_AT_ONCE) {
    const batch = Array.from({ length: Math.min(left, COMMANDS_AT_ONCE) }, () => {
      commands += 1;
      return `command ${commands}`;
    });
    const isDone = (): boolean => batch.every((command) => observer.hasCommitted(command));
    const propose = (): void => {
      const missing = batch.filter((command) => !observer.hasCommitted(command));
      if (observer.leader !== undefined) {
        cluster.say(observer.leader, { kind: 'propose', commands: missing });
      }
    };
    propose();
    const again = setInterval(propose, PATIENCE_MS);
    await cluster.until(isDone).finally(() => {
      clearInterval(again);
    });
    hang.refresh();
  }
}

/** One of those that do not lead. */
function aFollower(): string {
  const followers = names.filter((name) => name !== observer.leader);
  return followers[randomBelow(followers.length)] ?? '';
}

/** A follower that misses more than the leader's log still holds. */
async function fallBehind(): Promise<void> {
  const snapshots = observer.snapshots;
  const name = aFollower();
  await cluster.kill(name);
  await commit(60 + randomBelow(40));
  cluster.start(name);
  await cluster.until(() => observer.snapshots > snapshots);
}

/** A leader with entries that nobody else has, and an election in which a voter dies. */
async function cutOff(): Promise<void> {
  const leader = observer.leader ?? '';
  const vote = cluster.passing(({ from, message }) => {
    return from !== leader && message.kind === 'vote' && message.granted;
  });
  cluster.cut(leader);
  const taken = cluster.passing(({ from, message }) => {
    return from === leader && (hasLost(message) || !LEADING.has(message.kind));
  });
  const lost = ['a', 'b', 'c'].map((name) => `command ${commands}, lost ${name}`);
  cluster.say(leader, { kind: 'propose', commands: lost });
  const { message } = await taken;
  await cluster.kill(leader);
  if (!hasLost(message)) {
    // It had lost an election just before it was cut off: once more, with its successor.
    cluster.start(leader);
    await commit(1);
    return cutOff();
  }
  const { from: voter } = await vote;
  await cluster.kill(voter);
  cluster.start(voter);
  await commit(5 + randomBelow(20));
  cluster.start(leader);
  return commit(5);
}

/** What only leaders say. */
const LEADING: ReadonlySet<string> = new Set(['append', 'install']);

function hasLost(message: Message): boolean {
  const entries = message.kind === 'append' ? message.entries : [];
  return entries.some(({ command }) => Buffer.from(command).includes('lost'));
}

/** A follower that dies as it says that it has an entry. */
async function dieSaying(): Promise<void> {
  const said = cluster.passing(({ message }) => message.kind === 'have' && message.ok);
  const committed = commit(COMMANDS_AT_ONCE);
  const { from } = await said;
  await cluster.kill(from);
  cluster.start(from);
  await committed;
}

async function run(): Promise<void> {
  for (const name of names) cluster.start(name);
  await commit(COMMANDS_AT_ONCE);
  for (let round = 0; round < ROUNDS; round += 1) {
    await fallBehind();
    await cutOff();
    await dieSaying();
  }
  await cluster.until(() => names.every((name) => observer.appliedBy(name) >= observer.committed));
  const ends = await cluster.stop();
  if (ends.some((end) => end !== 0)) throw new Error(`the nodes ended with ${ends.join(', ')}`);
}

const hang = setTimeout(() => {
  const applied = names.map((name) => `${name} ${observer.appliedBy(name)}`).join(', ');
  console.error(`no progress behind ${observer.committed}: ${applied}`);
  cluster.killAll();
  rmSync(directory, { recursive: true, force: true });
  process.exit(1);
}, HANG_MS);
console.log(`3 nodes, ${ROUNDS} rounds, seed ${seed}`);
const began = process.hrtime.bigint();
try {
  await run();
} catch (error) {
  observer.violations.push(String(error));
} finally {
  clearTimeout(hang);
  cluster.killAll();
  rmSync(directory, { recursive: true, force: true });
}
const seconds = Number((process.hrtime.bigint() - began) / 1_000_000n) / 1000;
console.table({
  'commands committed': commands,
  'entries committed': Number(observer.committed),
  elections: observer.elections,
  'snapshots installed': observer.snapshots,
  'logs cut': observer.cuts,
  'second votes refused': observer.refusals,
  'kills survived': cluster.kills,
  seconds,
});
for (const violation of observer.violations) console.log(violation);
const isWhole = observer.violations.length === 0;
console.log(isWhole ? `nothing lost over ${cluster.kills} kills` : 'RAFT WAS BROKEN');
process.exitCode = isWhole ? 0 : 1;
