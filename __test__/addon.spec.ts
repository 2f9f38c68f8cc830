// The addon's file: what its linker was told, and that Node cannot take it away.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { compiled } from './support/compiled.ts';

/** From elf.h. */
const PT_DYNAMIC = 2;
const DT_FLAGS_1 = 0x6ffffffbn;
const DF_1_NODELETE = 0x8n;

/** The value of a tag in the dynamic section of a 64-bit, little-endian ELF file. */
function dynamicTag(elf: Buffer, wanted: bigint): bigint {
  const headers = Number(elf.readBigUInt64LE(32));
  const [size, count] = [elf.readUInt16LE(54), elf.readUInt16LE(56)];
  for (let at = headers; at < headers + size * count; at += size) {
    if (elf.readUInt32LE(at) !== PT_DYNAMIC) continue;
    const start = Number(elf.readBigUInt64LE(at + 8));
    const end = start + Number(elf.readBigUInt64LE(at + 32));
    for (let entry = start; entry < end; entry += 16) {
      if (elf.readBigUInt64LE(entry) === wanted) return elf.readBigUInt64LE(entry + 8);
    }
  }
  return 0n;
}

/** The addon in the address space of this process. */
function mappedAddon(): string | undefined {
  return / (\/.*\/prebuilds\/.*\.node)$/m.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1];
}

const linux = process.platform === 'linux' ? test : test.skip; // signal handlers: Linux only

// ADR 0005: the handler of SIGBUS points into the addon for as long as the process lives. Asked of
// the file as well, because destructors of threads may keep an addon by accident.
linux('the addon stays when the last worker that loaded it ends', async (t) => {
  t.is(mappedAddon(), undefined, 'nothing has loaded it here yet');
  const worker = new Worker(compiled('src/native.ts'));
  const [code] = (await once(worker, 'exit')) as [number];
  t.is(code, 0);
  const file = mappedAddon();
  t.not(file, undefined, 'it is gone');
  const flags = dynamicTag(readFileSync(String(file)), DT_FLAGS_1);
  t.is(flags & DF_1_NODELETE, DF_1_NODELETE, 'linked with -z nodelete');
});
