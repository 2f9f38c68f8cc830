// scripts/prebuild.mjs builds with the tools that its caller would get.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { root } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';

const posix = process.platform === 'win32' ? test.skip : test; // what stands in is a script

// prebuildify puts the directory of Node in front: /usr/bin, often, with an older cargo in it than
// rustup's, and with a Python that has no zig.
posix('a prebuild is built by the cargo that comes first on the PATH', (t) => {
  const directory = tempDir(t);
  const [cargo, seen] = [path.join(directory, 'cargo'), path.join(directory, 'seen')];
  writeFileSync(cargo, '#!/bin/sh\nprintf %s "$PATH" > "$SEEN"\nexit 101\n');
  chmodSync(cargo, 0o755);
  const PATH = [directory, process.env['PATH']].join(path.delimiter);
  const env = { ...process.env, PATH, SEEN: seen };
  const script = path.join(root, 'scripts/prebuild.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, '--dev'], {
    env,
    encoding: 'utf8',
  });
  t.is(status, 1, stderr);
  t.true(existsSync(seen), `another cargo was called: ${stderr}`);
  t.is(readFileSync(seen, 'utf8'), PATH);
});
