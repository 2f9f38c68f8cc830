// A release says where it comes from and what it is made of, and is tried on every Node that it is
// for. What is owed to that, in the workflows, is taken away here piece by piece, and missed.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { root } from './support/compiled.ts';
import {
  type Check,
  type Planted,
  type Step,
  type Workflow,
  isFound,
  job,
  prebuild,
  rewrite,
  workflow,
} from './support/workflows.ts';

const checks = (await import(path.join(root, 'scripts/lib/workflow-release.mjs'))) as {
  artifactFaults: Check;
  ciFaults: Check;
  nodeFaults: Check;
  publishFaults: Check;
  triggerFaults: Check;
};
const { NODES } = (await import(path.join(root, 'scripts/lib/targets.mjs'))) as {
  NODES: number[];
};

/** A step of a job that a test may change. */
function step(of: Workflow, name: string, isIt: (step: Step) => boolean): Step {
  const found = job(of, name).steps?.find(isIt);
  if (found === undefined) throw new Error(`${name} has no such step`);
  return found;
}

const attests = ({ uses = '' }: Step): boolean => uses.startsWith('actions/attest@');
const ofList = (one: Step): boolean => one.with?.['sbom-path'] !== undefined;
/** Puts another name on what a step uploads or downloads. */
const rename = (one: Step, name: string): void => {
  one.with = { ...one.with, name };
};

test('the workflows owe nothing to who installs a release', (t) => {
  const [ci, release] = [workflow('ci.yml'), workflow('release.yml')];
  t.deepEqual(checks.publishFaults(release, prebuild), []);
  t.deepEqual(checks.artifactFaults(release, prebuild), []);
  t.deepEqual(checks.nodeFaults(release, prebuild), []);
  t.deepEqual(checks.ciFaults(ci, prebuild), []);
  for (const one of [ci, prebuild, release]) {
    t.deepEqual(checks.triggerFaults(one, prebuild), []);
  }
});

test('a release is tried on the Nodes that the package is tried on here', (t) => {
  const manifest = readFileSync(path.join(root, 'runtimes/package.json'), 'utf8');
  const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> };
  const names = Object.keys(dependencies).filter((name) => name.startsWith('node-'));
  t.deepEqual(NODES.map((node) => `node-${node}`).sort(), names.sort());
});

const IN_PUBLISHING: readonly Planted[] = [
  [
    'a publication without provenance',
    (of) => {
      rewrite(of, ' --provenance', '');
    },
    /^npm publish has no --provenance$/,
  ],
  [
    'a publication of whatever lies there',
    (of) => {
      rewrite(of, / \.\/package\/\*\.tgz/, '');
    },
    /^npm publish takes no tarball$/,
  ],
  [
    'a job that cannot say who it is',
    (of) => delete job(of, 'publish').permissions?.['id-token'],
    /^publish lacks id-token: write$/,
  ],
  [
    'a job that may not attest',
    (of) => (job(of, 'publish').permissions = { 'id-token': 'write' }),
    /^publish lacks attestations: write$/,
  ],
  [
    'a job that npm does not trust',
    (of) => delete job(of, 'publish').environment,
    /^publish is not in the environment that npm trusts$/,
  ],
  [
    'a list of what is in it that nobody makes',
    (of) => {
      rewrite(of, /npm run sbom -- \S+/, 'true');
    },
    /^nobody lists what the tarball is made of$/,
  ],
  [
    'a list of what is in it that nobody attests',
    (of) => delete step(of, 'publish', ofList).with?.['sbom-path'],
    /^nobody attests what the tarball is made of$/,
  ],
  [
    'an attestation of another list',
    (of) => {
      rewrite(of, 'tidemark.cdx.json', 'other.cdx.json');
    },
    /^nobody attests what the tarball is made of$/,
  ],
  [
    'addons whose origin nobody attests',
    (of) => (step(of, 'publish', attests).with = { 'subject-path': 'package/*.tgz' }),
    /^nobody attests how the addons came to be$/,
  ],
  [
    'an attestation after the publication',
    (of) => job(of, 'publish').steps?.reverse(),
    /^nobody attests how the tarball came to be$/,
  ],
  [
    'an attestation that is left out',
    (of) => (step(of, 'publish', attests).if = 'false'),
    /^publish has a step that may be left out, or fail unseen$/,
  ],
  [
    'a release without a tag',
    (of) => (of.on = { push: { branches: ['main'] } }),
    /^something else than a tag makes a release$/,
  ],
];

const takesPrebuilds = ({ with: given }: Step): boolean => given?.['pattern'] === 'prebuild-*';
const keeps = ({ uses = '' }: Step): boolean => uses.startsWith('actions/upload-artifact@');

const IN_ARTIFACTS: readonly Planted[] = [
  [
    'a download of what nobody uploads',
    (of) => (step(of, 'pack', takesPrebuilds).with = { pattern: 'addon-*' }),
    /^nobody uploads addon-\*$/,
  ],
  [
    'a tarball that nobody takes',
    (of) => {
      rename(step(of, 'pack', keeps), 'tarball');
    },
    /^nobody downloads tarball$/,
  ],
];

for (const [name, said] of [
  ['addon-${{ matrix.target }}', /^nobody uploads prebuild-\*$/],
  ['prebuild-addon', /^prebuild-addon is not of one target$/],
] as const) {
  test(`in prebuild.yml addons that are kept as ${name} are found`, (t) => {
    const changed = workflow('prebuild.yml');
    rename(step(changed, 'build', keeps), name);
    const faults = checks.artifactFaults(workflow('release.yml'), changed);
    t.true(
      faults.some((fault) => said.test(fault)),
      faults.join('\n'),
    );
  });
}

const oneNode = (of: Workflow, name: string): void => {
  const { strategy } = job(of, name);
  if (strategy !== undefined) strategy.matrix.node = [24];
};

const IN_NODES: readonly Planted[] = [
  [
    'a trial on one Node alone',
    (of) => {
      oneNode(of, 'test');
    },
    /^test does not try Node 20$/,
  ],
  [
    'a trial in Alpine on one Node alone',
    (of) => {
      oneNode(of, 'alpine');
    },
    /^alpine does not try Node 26$/,
  ],
  [
    'a trial that takes another Node than its matrix says',
    (of) => {
      rewrite(of, 'node:${{ matrix.node }}-alpine', 'node:24-alpine');
    },
    /^alpine does not try Node 22$/,
  ],
];

const IN_CI: readonly Planted[] = [
  [
    'a job that checks nothing',
    (of) => {
      rewrite(of, 'bash .ci/run', 'true');
    },
    /^nobody runs \.ci\/run$/,
  ],
  [
    'a Node that nothing is tested on',
    (of) => {
      oneNode(of, 'test');
    },
    /^nothing is tested on Node 22$/,
  ],
  ['a change that nobody looks at', (of) => delete of.on['pull_request'], /at a pull_request$/],
];

const IN_TRIGGERS: readonly Planted[] = [
  [
    'what runs with our rights on what others sent',
    (of) => (of.on = { ...of.on, pull_request_target: null }),
    /^pull_request_target may not start it$/,
  ],
];

for (const [name, check, planted] of [
  ['release.yml', checks.publishFaults, IN_PUBLISHING],
  ['release.yml', checks.artifactFaults, IN_ARTIFACTS],
  ['release.yml', checks.nodeFaults, IN_NODES],
  ['ci.yml', checks.ciFaults, IN_CI],
  ['ci.yml', checks.triggerFaults, IN_TRIGGERS],
] as const) {
  for (const one of planted) {
    test(`in ${name} ${one[0]} is found`, (t) => {
      isFound(t, name, check, one);
    });
  }
}
