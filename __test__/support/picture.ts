// What a directory holds, for tests that say "touches nothing".
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Files of this size are not read: some are made of nothing but a hole. */
const SPARSE = 1_000_000n;

/** Every name with its inode, mode, size, times and what tells its bytes. */
export function picture(directory: string): string[] {
  return readdirSync(directory)
    .sort()
    .map((name) => {
      const file = path.join(directory, name);
      const { ino, mode, size, mtimeNs, ctimeNs } = lstatSync(file, { bigint: true });
      const readable = (mode & 0o170_400n) === 0o100_400n && size < SPARSE;
      const bytes = readable ? readFileSync(file) : Buffer.alloc(0);
      // Of many bytes the digest: a difference must stay short to be shown.
      const shown = bytes.length > 64 ? createHash('sha256').update(bytes).digest() : bytes;
      const facts = [name, ino, mode.toString(8), size, mtimeNs, ctimeNs, shown.toString('hex')];
      return facts.join(' ');
    });
}
