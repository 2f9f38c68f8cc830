// The list of what the package is made of, in CycloneDX 1.5: the crates in the addon, the Rust
// whose standard library is in it, and what npm installs beside it. Each with its version, its
// place, its licence and the checksum of the lock file, and who uses whom. Our own crates are the
// package.
//
//   node scripts/sbom.mjs [FILE]     target/tidemark.cdx.json unless said otherwise
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { idOf, linkedCrates } from './lib/crates.mjs';
import {
  SetupError,
  inPrebuilds,
  isMain,
  main,
  outputOf,
  prebuild,
  readJson,
  root,
  say,
} from './lib/project.mjs';
import { SHIPPED, TARGETS } from './lib/targets.mjs';
import { ensureModules } from './setup.mjs';

const FILE = 'target/tidemark.cdx.json';

/** @typedef {import('./lib/crates.mjs').Crate} Crate */
/** @typedef {{ alg: string, content: string }} Hash */
/** @typedef {{ ref: string, dependsOn: string[] }} Edges */

/**
 * @param {'cargo' | 'github' | 'npm'} type
 * @param {string} name
 * @param {string} version
 */
const purl = (type, name, version) =>
  `pkg:${type}/${name.replace(/^@/, '%40')}@${encodeURIComponent(version)}`;

/**
 * @param {string} where its purl, which names it in the edges
 * @param {string} name
 * @param {string} version
 * @param {string} licence an SPDX expression; `/` is an OR of older manifests
 * @param {Hash[]} hashes
 */
const component = (where, name, version, licence, hashes) => ({
  type: 'library',
  'bom-ref': where,
  ...{ name, version, scope: 'required' },
  ...(hashes.length === 0 ? {} : { hashes }),
  licenses: [{ expression: licence.replaceAll('/', ' OR ') }],
  purl: where,
});

/** What npm installs: the packages of package-lock.json that are not for development alone. */
function npmPackages() {
  const { packages } = readJson('package-lock.json');
  return Object.keys(packages).flatMap((key) => {
    const { version, license, integrity, dev, optional, devOptional, dependencies } = packages[key];
    if (key === '' || dev || optional || devOptional) return [];
    const [algorithm, digest] = integrity.split('-');
    if (algorithm !== 'sha512') throw new SetupError(`${key}: a checksum that is not SHA-512`);
    // Would be a package of a package: then the edges below need more than the names.
    if (dependencies !== undefined) throw new SetupError(`${key} has dependencies: list them too`);
    const name = key.replace(/^.*node_modules\//, '');
    const content = Buffer.from(digest, 'base64').toString('hex');
    return [
      component(purl('npm', name, version), name, version, license, [{ alg: 'SHA-512', content }]),
    ];
  });
}

/**
 * The Rust that the addons were built with: this one, or it would be another's library.
 * @param {string} [prebuilds] the directory of the addons, each of which names its compiler
 */
export function rust(prebuilds = inPrebuilds('')) {
  const version = outputOf('rustc', ['--version', '--verbose']) ?? '';
  const release = /^release: (.+)$/m.exec(version)?.[1];
  const commit = /^commit-hash: ([0-9a-f]{40})$/m.exec(version)?.[1];
  if (release === undefined || commit === undefined) {
    throw new SetupError('sbom: no Rust compiler found that says which it is');
  }
  // One with a standard library of its own building names none: no release has such an addon.
  const shipped = SHIPPED.flatMap((triple) => TARGETS[triple] ?? []);
  const isRelease = shipped.every((of) => existsSync(path.join(prebuilds, prebuild(of).file)));
  const names = existsSync(prebuilds) ? readdirSync(prebuilds, { recursive: true }) : [];
  for (const name of names.map(String).filter((file) => file.endsWith('.node'))) {
    const addon = readFileSync(path.join(prebuilds, name)).toString('latin1');
    const others = [...addon.matchAll(/\/rustc\/([0-9a-f]{40})[/\\]/g)].map(([, hash]) => hash);
    if (others.length === 0) {
      const what = `${name} does not say which Rust it was built with`;
      if (isRelease) throw new SetupError(`sbom: ${what}`);
      say(`sbom: ${what}, and is taken for one of ${release}`);
    }
    const other = others.find((hash) => hash !== commit);
    if (other !== undefined) {
      throw new SetupError(`sbom: ${name} was built with the Rust of ${other}, this is ${release}`);
    }
  }
  const where = purl('github', 'rust-lang/rust', release);
  const url = `https://github.com/rust-lang/rust/commit/${commit}`;
  const std = component(where, 'rust-std', release, 'MIT OR Apache-2.0', []);
  return { ...std, externalReferences: [{ type: 'vcs', url }] };
}

/**
 * Who uses whom. What a crate of ours uses, the package does.
 * @param {string} self
 * @param {Crate[]} crates
 * @param {string[]} others what the package uses beside crates
 * @returns {Edges[]}
 */
function edges(self, crates, others) {
  const known = new Map(crates.map((crate) => [idOf(crate), crate]));
  const isOurs = (/** @type {string} */ id) => known.get(id)?.checksum === undefined;
  const ref = (/** @type {string} */ id) => {
    const { name = '', version = '' } = known.get(id) ?? {};
    return purl('cargo', name, version);
  };
  const refs = (/** @type {string[]} */ ids) =>
    [...new Set(ids)].filter((id) => !isOurs(id)).map(ref);
  const ours = crates.filter((crate) => isOurs(idOf(crate)));
  const used = refs(ours.flatMap(({ uses }) => uses)).toSorted();
  const theirs = crates.filter((crate) => !isOurs(idOf(crate)));
  return [
    { ref: self, dependsOn: [...used, ...others] },
    ...theirs.map((crate) => ({ ref: ref(idOf(crate)), dependsOn: refs(crate.uses) })),
    ...others.map((other) => ({ ref: other, dependsOn: [] })),
  ];
}

/** The whole document. */
export function sbom() {
  ensureModules();
  const { name, version, license, description } = readJson('package.json');
  const crates = linkedCrates();
  const beside = [rust(), ...npmPackages()];
  const self = purl('npm', name, version);
  const theirs = crates.flatMap((crate) => {
    if (crate.checksum === undefined) return [];
    if (crate.license === null) throw new SetupError(`${crate.name} does not name its licence`);
    const where = purl('cargo', crate.name, crate.version);
    const hash = { alg: 'SHA-256', content: crate.checksum };
    return [component(where, crate.name, crate.version, crate.license, [hash])];
  });
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${randomUUID()}`,
    version: 1,
    metadata: {
      timestamp: new Date().toISOString(),
      lifecycles: [{ phase: 'build' }],
      component: {
        type: 'library',
        'bom-ref': self,
        ...{ name, version, description },
        licenses: [{ expression: license }],
        purl: self,
      },
    },
    components: [...theirs, ...beside],
    dependencies: edges(
      self,
      crates,
      beside.map((one) => one.purl),
    ),
  };
}

if (isMain(import.meta.url)) {
  await main(() => {
    const file = path.resolve(root, process.argv[2] ?? FILE);
    mkdirSync(path.dirname(file), { recursive: true });
    const document = sbom();
    writeFileSync(file, `${JSON.stringify(document, undefined, 2)}\n`);
    process.stdout.write(`${document.components.length} components in ${file}\n`);
  });
}
