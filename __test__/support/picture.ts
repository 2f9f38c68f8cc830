// What a directory holds, for tests that say "touches nothing".
import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Every name with its inode, mode, size, times and, of a regular file, its bytes. */
export function picture(directory: string): string[] {
  return readdirSync(directory)
    .sort()
    .map((name) => {
      const file = path.join(directory, name);
      const { ino, mode, size, mtimeNs, ctimeNs } = lstatSync(file, { bigint: true });
      const small = (Number(mode) & 0o170_000) === 0o100_000 && size < 1_000_000n;
      const bytes = small && (mode & 0o400n) !== 0n ? readFileSync(file, 'hex') : '';
      return [name, ino, mode.toString(8), size, mtimeNs, ctimeNs, bytes].join(' ');
    });
}
