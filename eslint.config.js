// Type-aware rules: with an API of promises, the mistake that matters is the promise nobody awaits.
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** @type {import('eslint').Linter.RulesRecord} */
const everywhere = {
  curly: ['error', 'multi-line'],
  eqeqeq: 'error',
  'max-lines-per-function': ['error', { max: 70, skipComments: true }],
  'no-console': 'error',
  'no-constructor-return': 'error',
  'no-else-return': 'error',
  'no-unreachable-loop': 'error',
  'no-useless-rename': 'error',
  'object-shorthand': 'error',
  'prefer-object-has-own': 'error',
};

const onlyNative = {
  group: ['node-gyp-build', '#binding'],
  message: 'The addon is loaded by src/native.ts alone.',
};

const noDisk = {
  group: ['node:fs', 'node:fs/*', 'fs', 'fs/*'],
  message: 'The facade does no I/O: the core does, through its storage traits.',
};

export default defineConfig(
  globalIgnores(['api/', 'binding/', 'build/', 'coverage/', 'dist/', 'prebuilds/', 'target/']),
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: everywhere,
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [{ ...onlyNative, allowTypeImports: true }] },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [{ ...onlyNative, allowTypeImports: true }, noDisk] },
      ],
    },
  },
  {
    files: ['src/native.ts'],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: [noDisk] }] },
  },
  {
    files: ['examples/**/*.ts', 'bench/**/*.ts', 'interop/torture.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['**/*.mjs', '*.config.js'],
    languageOptions: { parser: tseslint.parser },
    rules: { '@typescript-eslint/no-floating-promises': 'error' },
  },
);
