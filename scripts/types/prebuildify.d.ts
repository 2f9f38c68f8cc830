// What scripts/prebuild.mjs uses of prebuildify, which has no types of its own.
declare module 'prebuildify' {
  interface Options {
    readonly cwd: string;
    readonly out: string;
    readonly cache: string;
    readonly name: string;
    readonly napi: boolean;
    readonly platform: string;
    readonly arch: string;
    readonly tagLibc: string | false;
    readonly nodeGyp: string;
    readonly shell: boolean;
  }
  export default function prebuildify(
    options: Options,
    done: (error: Error | null | undefined) => void,
  ): void;
}
