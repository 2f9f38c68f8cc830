// The types of the public surface (index.ts), as assertions that the compiler checks:
// bigint out, bigint or number in. types.spec.ts compiles this file.
import { expectTypeOf } from 'expect-type';
import type {
  Checkpoint,
  CheckpointInput,
  CheckpointStore,
  Durability,
  Entry,
  ErrorCode,
  FileLock,
  JsonFileStore,
  JsonFileStoreOptions,
  JsonValue,
  LatencySummary,
  MemoryStore,
  Metrics,
  PutResult,
  RecoveryReport,
  ResumeKey,
  StoreEvents,
  TidemarkError,
  Wal,
  WalCallSync,
  WalEvents,
  WalOptions,
  WalRecoveryReport,
  WalSync,
  WalVisibility,
  isTidemarkError,
  writeFileAtomic,
} from '../../index.ts';

type Store = CheckpointStore;
type Nothing = Promise<void>;
type Keys = typeof ResumeKey;

expectTypeOf<Checkpoint['lastCommittedSequence']>().toEqualTypeOf<bigint>();
expectTypeOf<Checkpoint['lastEventId']>().toEqualTypeOf<string | null>();
expectTypeOf<CheckpointInput['lastCommittedSequence']>().toEqualTypeOf<bigint | number>();
expectTypeOf<Checkpoint>().toExtend<CheckpointInput>();
expectTypeOf<{ lastCommittedSequence: string }>().not.toExtend<CheckpointInput>();
expectTypeOf<PutResult['applied']>().toEqualTypeOf<boolean>();
expectTypeOf<PutResult['current']>().toEqualTypeOf<Checkpoint>();

// Every store has the one interface.
expectTypeOf<JsonFileStore>().toExtend<Store>();
expectTypeOf<MemoryStore>().toExtend<Store>();
expectTypeOf<Store>().toExtend<AsyncDisposable>();
type OpenJson = (typeof JsonFileStore)['open'];
expectTypeOf<OpenJson>().parameter(0).toEqualTypeOf<string>();
expectTypeOf<OpenJson>().parameter(1).toEqualTypeOf<JsonFileStoreOptions | undefined>();
expectTypeOf<OpenJson>().returns.toEqualTypeOf<Promise<JsonFileStore>>();
expectTypeOf<(typeof MemoryStore)['open']>().toEqualTypeOf<() => Promise<MemoryStore>>();

// What its methods return.
expectTypeOf<Store['get']>().returns.toEqualTypeOf<Promise<Checkpoint | undefined>>();
expectTypeOf<Store['getSync']>().returns.toEqualTypeOf<Checkpoint | undefined>();
expectTypeOf<Store['put']>().returns.toEqualTypeOf<Promise<PutResult>>();
expectTypeOf<Store['tryPut']>().returns.toEqualTypeOf<Promise<PutResult> | null>();
expectTypeOf<Store['putMany']>().returns.toEqualTypeOf<Promise<PutResult[]>>();
expectTypeOf<Store['putSync']>().returns.toEqualTypeOf<PutResult>();
type Deleted = 'deleted' | 'absent' | 'superseded';
expectTypeOf<Store['delete']>().returns.toEqualTypeOf<Promise<Deleted>>();
expectTypeOf<Store['prune']>().returns.toEqualTypeOf<Promise<number>>();
type Entries = AsyncIterable<[ResumeKey, Checkpoint]>;
expectTypeOf<Store['entries']>().returns.toEqualTypeOf<Entries>();
expectTypeOf<Store['refresh']>().returns.toEqualTypeOf<Nothing>();
expectTypeOf<Store['close']>().returns.toEqualTypeOf<Nothing>();
expectTypeOf<Store['size']>().toEqualTypeOf<number>();
expectTypeOf<Store['durability']>().toEqualTypeOf<Durability>();
expectTypeOf<Durability>().toEqualTypeOf<'proven' | 'unproven' | 'none'>();
expectTypeOf<Store['recovery']>().toEqualTypeOf<RecoveryReport>();
expectTypeOf<Store['metrics']>().returns.toEqualTypeOf<Metrics>();
expectTypeOf<Metrics[string]>().toEqualTypeOf<bigint | number | LatencySummary>();

// A key is a ResumeKey: no string, and no object of the same shape.
expectTypeOf<Store['put']>().parameter(0).toEqualTypeOf<ResumeKey>();
expectTypeOf<string>().not.toExtend<ResumeKey>();
expectTypeOf<Pick<ResumeKey, keyof ResumeKey>>().not.toExtend<ResumeKey>();
expectTypeOf<ResumeKey['hex']>().toEqualTypeOf<string>();
expectTypeOf<ResumeKey['equals']>().toEqualTypeOf<(other: unknown) => boolean>();
expectTypeOf<Keys['named']>().toEqualTypeOf<(name: string) => ResumeKey>();
expectTypeOf<Keys['fromHex']>().toEqualTypeOf<(hex: string) => ResumeKey>();
expectTypeOf<Keys['derive']>().returns.toEqualTypeOf<ResumeKey>();
expectTypeOf<{ a: [1n, 'x', null, { b: true }] }>().toExtend<JsonValue>();
expectTypeOf<Date>().not.toExtend<JsonValue>();

// Events.
type Names = 'regressed' | 'quarantined' | 'poisoned' | 'slowSync';
expectTypeOf<keyof StoreEvents>().toEqualTypeOf<Names>();
expectTypeOf<StoreEvents['regressed'][0]['to']>().toEqualTypeOf<Checkpoint | undefined>();
expectTypeOf<StoreEvents['poisoned']>().toEqualTypeOf<[error: TidemarkError]>();

// Errors.
expectTypeOf<TidemarkError['code']>().toEqualTypeOf<ErrorCode>();
expectTypeOf<TidemarkError['indeterminate']>().toEqualTypeOf<true | undefined>();
expectTypeOf<TidemarkError['offset']>().toEqualTypeOf<bigint | undefined>();
expectTypeOf<'TIDEMARK_LOCK_TIMEOUT'>().toExtend<ErrorCode>();
expectTypeOf<typeof isTidemarkError>().guards.toExtend<Error & { readonly code: ErrorCode }>();

// The primitives.
type Locks = typeof FileLock;
expectTypeOf<Locks['acquire']>().returns.toEqualTypeOf<Promise<FileLock>>();
expectTypeOf<Locks['tryAcquire']>().returns.toEqualTypeOf<FileLock | null>();
expectTypeOf<FileLock>().toExtend<AsyncDisposable>();
expectTypeOf<typeof writeFileAtomic>().parameter(1).toEqualTypeOf<string | Uint8Array>();
expectTypeOf<typeof writeFileAtomic>().returns.toEqualTypeOf<Nothing>();

// The log.
type Lsn = bigint | number;
type OpenWal = (typeof Wal)['open'];
expectTypeOf<OpenWal>().parameter(0).toEqualTypeOf<string>();
expectTypeOf<OpenWal>().parameter(1).toEqualTypeOf<WalOptions | undefined>();
expectTypeOf<OpenWal>().returns.toEqualTypeOf<Promise<Wal>>();
expectTypeOf<Wal>().toExtend<AsyncDisposable>();
expectTypeOf<'immediate' | 'immediate_async' | 'interval_200'>().toExtend<WalSync>();
expectTypeOf<'interval'>().not.toExtend<WalSync>();
expectTypeOf<WalCallSync>().toEqualTypeOf<'immediate' | 'immediate_async'>();
expectTypeOf<WalVisibility>().toEqualTypeOf<'durable' | 'written'>();
expectTypeOf<Entry['lsn']>().toEqualTypeOf<bigint>();
expectTypeOf<Entry['data']>().toEqualTypeOf<Uint8Array>();
expectTypeOf<Wal['append']>().parameter(0).toEqualTypeOf<Uint8Array>();
expectTypeOf<Wal['append']>().returns.toEqualTypeOf<Promise<bigint>>();
expectTypeOf<Wal['tryAppend']>().returns.toEqualTypeOf<Promise<bigint> | null>();
expectTypeOf<Wal['appendSync']>().returns.toEqualTypeOf<bigint>();
type Lsns = Promise<{ first: bigint; last: bigint }>;
expectTypeOf<Wal['appendMany']>().parameter(0).toEqualTypeOf<Iterable<Uint8Array>>();
expectTypeOf<Wal['appendMany']>().returns.toEqualTypeOf<Lsns>();
expectTypeOf<Wal['read']>().parameter(0).toEqualTypeOf<Lsn>();
expectTypeOf<Wal['read']>().returns.toEqualTypeOf<Promise<Entry>>();
expectTypeOf<Wal['readRange']>().returns.toEqualTypeOf<Promise<Entry[]>>();
expectTypeOf<ReturnType<Wal['iterate']>>().toExtend<AsyncIterable<Entry[]>>();
expectTypeOf<ReturnType<Wal['iterate']>>().toExtend<AsyncDisposable>();
expectTypeOf<Wal['truncate']>().parameter(0).toEqualTypeOf<{ readonly after: Lsn }>();
expectTypeOf<Wal['purge']>().parameter(0).toEqualTypeOf<{ readonly before: Lsn }>();
expectTypeOf<Wal['hardState']>().toEqualTypeOf<Uint8Array | null>();
expectTypeOf<Wal['setHardState']>().parameter(0).toEqualTypeOf<Uint8Array | null>();
expectTypeOf<Wal['sync']>().returns.toEqualTypeOf<Promise<bigint>>();
expectTypeOf<Wal['firstLsn' | 'lastLsn' | 'durableLsn']>().toEqualTypeOf<bigint>();
expectTypeOf<Wal['durability']>().toEqualTypeOf<Durability>();
expectTypeOf<Wal['recovery']>().toEqualTypeOf<WalRecoveryReport>();
expectTypeOf<WalRecoveryReport>().toExtend<RecoveryReport>();
type WalNames = 'quarantined' | 'poisoned' | 'noSpace' | 'slowSync';
expectTypeOf<keyof WalEvents>().toEqualTypeOf<WalNames>();
