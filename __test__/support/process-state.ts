// What this process holds: descriptors and native threads.
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';

/** What this process has open in a directory. */
export function openIn(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      return target.startsWith(`${directory}/`) ? [target] : [];
    } catch {
      // Closed since it was listed.
      return [];
    }
  });
}

/** How many descriptors this process has, whatever they lead to. */
export const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

/**
 * How many descriptors this process has, but those of modules: Node leaves the one open that a
 * worker thread reads when it is terminated.
 */
export const descriptorsButModules = (): number => {
  const descriptors = readdirSync('/proc/self/fd');
  const modules = descriptors.filter((descriptor) => {
    try {
      return /(?:\.[cm]?js|\/package\.json)$/.test(readlinkSync(`/proc/self/fd/${descriptor}`));
    } catch {
      // Closed since it was listed.
      return false;
    }
  });
  return descriptors.length - modules.length;
};

/** Every thread of this process: its name and its state, as `ps` shows them. */
function everyThread(): { name: string; state: string }[] {
  return readdirSync('/proc/self/task').flatMap((task) => {
    try {
      const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
      const [, name = '', state = ''] = /^\d+ \((.*)\) (\w)/.exec(stat) ?? [];
      return [{ name, state }];
    } catch {
      // Ended since it was listed.
      return [];
    }
  });
}

/** How many threads with this name the process has. */
export const threads = (name: string): number =>
  everyThread().filter((thread) => thread.name === name).length;

/** How many threads of ours the process has, whatever they do. */
export const ownThreads = (): number =>
  everyThread().filter(({ name }) => name.startsWith('tidemark-')).length;

/** How many threads the process has, Node's own among them. */
export const taskCount = (): number => everyThread().length;

/** Whether all of our threads sleep. A new one has the name of who started it until it runs. */
export const allAsleep = (): boolean =>
  everyThread().every(({ name, state }) => !name.startsWith('tidemark-') || state === 'S');

/** How many wait for the lock on a file: the kernel lists who does with an arrow. */
export function waitersFor(file: string): number {
  const { ino } = statSync(file);
  const waits = new RegExp(`-> FLOCK .*:${ino} `, 'g');
  return [...readFileSync('/proc/locks', 'utf8').matchAll(waits)].length;
}

/** Whether somebody waits for the lock on a file. */
export const isWaitedFor = (file: string): boolean => waitersFor(file) > 0;
