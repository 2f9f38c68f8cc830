declare module 'node-gyp-build' {
  /** Loads the addon that fits this platform from `prebuilds/` in a package's directory. */
  export default function load(directory: string): unknown;
}
