// A journaled ext4 of our own, whose device counts what a sync costs.
//
// What is below may have no journal, and others use it. The image is a file on a loop device, made
// so that nothing but the file systems' own work for a sync is counted: its blocks are written
// before (or the file system below would allocate them at the first sync), nothing is discarded
// (which would take them away again), and no table or journal is left to be written later. The
// loop device passes the file system by without its page cache, and turns a flush into a sync of
// the file.
//
// Counted are
// - flushes of the device's cache, and the bytes that were written to it:
//   /sys/block/loopN/stat (Documentation/block/stat.rst of Linux), fields from 1:
//   5 writes, 7 sectors of 512 bytes that they wrote, 16 flushes that were finished (since 5.5)
// - commits of the journal: /proc/fs/jbd2/loopN-8/info, whose first line begins with them
//
// Not promised: that nobody else writes. The journal's thread commits by itself every 5 seconds if
// there is something, such as the time of a change.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { atExit } from './at-exit.ts';

/** What a sync cost, each per group of those that were synced together. */
export interface Cost {
  readonly flushes: number;
  readonly journalCommits: number;
  readonly bytes: number;
}

/** A mounted file system and its counters. */
export interface Image {
  readonly directory: string;
  /** What some work costs that commits so many groups. */
  count(groups: number, work: () => unknown): Promise<Cost>;
  /** Unmounts it and removes all of it. Happens at the end of the process if it was left out. */
  close(): void;
}

const SECTOR_BYTES = 512;
const CHUNK = new Uint8Array(4 << 20);

/** Runs a tool of the system; what it prints. */
function tool(name: string, ...args: string[]): string {
  const done = spawnSync(name, args, { encoding: 'utf8' });
  if (done.error !== undefined) throw new Error(`${name} cannot be run: ${done.error.message}`);
  if (done.status !== 0) {
    throw new Error(`${name} ${args.join(' ')}: ${done.stderr.trim() || String(done.status)}`);
  }
  return done.stdout.trim();
}

/** The counters as they are, none of them ever going back. */
export function parseCounters(stat: string, journal: string): Cost {
  const fields = stat.trim().split(/\s+/).map(Number);
  const [sectors, flushes] = [fields[6], fields[15]];
  if (sectors === undefined || flushes === undefined) {
    throw new Error('the kernel does not count flushes (5.5 and newer do)');
  }
  const commits = /^(\d+) transactions /.exec(journal)?.[1];
  if (commits === undefined) throw new Error('the journal does not say how often it committed');
  return { flushes, journalCommits: Number(commits), bytes: sectors * SECTOR_BYTES };
}

/** A file of zeros that are on the disk. */
function writeZeros(file: string, bytes: number): void {
  const to = fs.openSync(file, 'wx', 0o600);
  try {
    let at = 0;
    while (at < bytes) at += fs.writeSync(to, CHUNK, 0, Math.min(CHUNK.length, bytes - at), at);
    fs.fsyncSync(to);
  } finally {
    fs.closeSync(to);
  }
}

/** Removes what there is of an image, also while a program has files open in it. */
function remove(file: string, directory: string): void {
  // A mount point is on another device than what it lies in.
  const mounted = (): boolean => fs.statSync(directory).dev !== fs.statSync(path.dirname(file)).dev;
  if (fs.existsSync(directory)) {
    if (mounted() && spawnSync('umount', [directory]).status !== 0) {
      tool('umount', '--lazy', directory);
    }
    fs.rmdirSync(directory);
  }
  fs.rmSync(file, { force: true });
}

/** Makes a file system in a file and mounts it; returns the name of its device. */
function mount(file: string, directory: string): string {
  // A discard would give the blocks back that were written for it.
  const whole = 'nodiscard,lazy_itable_init=0,lazy_journal_init=0';
  tool('mkfs.ext4', '-q', '-F', '-E', whole, file);
  const device = tool('losetup', '--find', '--show', '--direct-io=on', file);
  try {
    tool('mount', '-t', 'ext4', device, directory);
  } finally {
    // It is let go with its last user, which is the mount.
    tool('losetup', '--detach', device);
  }
  return path.basename(device);
}

/**
 * Makes an image in this directory, and mounts it beside.
 *
 * @throws an error that says plainly why it cannot: not Linux, not root, no loop device, no space.
 */
export function makeImage(parent: string, bytes: number): Image {
  if (process.platform !== 'linux') throw new Error('only Linux has loop devices');
  if (process.getuid?.() !== 0) throw new Error('only root may mount an image');
  const { bavail, bsize } = fs.statfsSync(parent);
  // It would fill the disk of everybody before it failed.
  if (bytes > (bavail * bsize) / 2) throw new Error(`${bytes} bytes are over half of what is free`);
  const file = path.join(parent, 'image');
  const directory = path.join(parent, 'mounted');
  const close = atExit(() => remove(file, directory));
  try {
    writeZeros(file, bytes);
    fs.mkdirSync(directory);
    const device = mount(file, directory);
    const read = (): Cost =>
      parseCounters(
        fs.readFileSync(`/sys/block/${device}/stat`, 'utf8'),
        fs.readFileSync(`/proc/fs/jbd2/${device}-8/info`, 'utf8'),
      );
    // A kernel that does not count is found out now, not after a minute of measuring.
    read();
    return { directory, count: (groups, work) => count(directory, read, groups, work), close };
  } catch (error) {
    close();
    throw error;
  }
}

async function count(
  directory: string,
  read: () => Cost,
  groups: number,
  work: () => unknown,
): Promise<Cost> {
  // What others left to be written is not part of it.
  tool('sync', '--file-system', directory);
  const before = read();
  await work();
  const after = read();
  return {
    flushes: (after.flushes - before.flushes) / groups,
    journalCommits: (after.journalCommits - before.journalCommits) / groups,
    bytes: (after.bytes - before.bytes) / groups,
  };
}
