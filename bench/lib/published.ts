// What is measured: the compiled files that are published. The loader that runs the benches would
// give each function of the sources its name once more, whenever one is made.
import type * as Sources from '../../index.ts';

type Published = typeof Sources;

const compiled = new URL('../../dist/index.js', import.meta.url).href;
const published = (await import(compiled)) as Published;

export const FileLock: Published['FileLock'] = published.FileLock;
export const JsonFileStore: Published['JsonFileStore'] = published.JsonFileStore;
export const ResumeKey: Published['ResumeKey'] = published.ResumeKey;
export const Wal: Published['Wal'] = published.Wal;
