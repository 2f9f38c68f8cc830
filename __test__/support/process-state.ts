// What this process holds: descriptors and native threads.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

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

/** How many threads with this name the process has. */
export function threads(name: string): number {
  return readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8') === `${name}\n`;
    } catch {
      // Ended since it was listed.
      return false;
    }
  }).length;
}
