//! The names of the places in the code that call the operating system.

/// Declares the sites once, with the list of all of them and their names.
macro_rules! sites {
    ($($(#[$doc:meta])* $site:ident),* $(,)?) => {
        /// A place in the code that calls the operating system (S1).
        ///
        /// The simulated disk stops, fails or counts calls by these names. One site may serve
        /// several calls where nobody needs to tell them apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Site { $($(#[$doc])* $site),* }

        impl Site {
            /// Every site.
            pub const ALL: &'static [Self] = &[$(Self::$site),*];
        }
    };
}

sites! {
    /// Looking at a path while a store is opened.
    OpenResolve,
    /// Asking for the file system while a store is opened.
    OpenFileSystem,

    /// Opening the lock file.
    LockOpen,
    /// Making the lock file.
    LockCreate,
    /// Waiting for the lock, or trying it.
    LockAcquire,
    /// Comparing the locked file with the path.
    LockVerify,
    /// Comparing the locked file with the path once more, before what it protects is replaced.
    LockRecheck,
    /// Freeing the lock.
    LockRelease,

    /// Opening a directory that will be synced.
    DirectoryOpen,
    /// Getting what the sync of an open file or directory needs, before it is tried.
    SyncPrepare,
    /// Making the directory of a store, and syncing its parent.
    DirectoryMake,

    /// Opening or making the page on which a log's writer tells how far it is.
    StateOpen,
    /// Mapping that page.
    StateMap,
    /// Locking it, as its writer.
    StateLock,
    /// Looking whether it has a writer.
    StateProbe,
    /// Telling something on it.
    StateStore,
    /// Reading what is told on it.
    StateLoad,
    /// Waking those who wait for it.
    StateWake,
    /// Waiting for it.
    StateWait,

    /// Drawing a temporary name.
    TempName,
    /// Making the temporary file.
    TempCreate,
    /// Locking the temporary file, so that nobody sweeps it.
    TempLock,
    /// Giving the temporary file the mode and the owner of what it will replace.
    TempOwner,
    /// Writing the temporary file.
    TempWrite,
    /// Looking at the temporary file after a rename that failed.
    TempRenamed,
    /// Removing the temporary file of a write that failed.
    TempRemove,

    /// Listing a directory for the temporaries of dead writers.
    SweepList,
    /// Opening or locking a stray temporary.
    SweepLock,
    /// Removing a stray temporary.
    SweepRemove,

    /// Comparing the path of the JSON file with what is known of it.
    JsonStat,
    /// Opening the JSON file to read.
    JsonOpen,
    /// Reading the JSON file.
    JsonRead,
    /// Syncing a JSON file that somebody else wrote, before it is believed.
    JsonTrust,
    /// Syncing the directory of a JSON file that somebody else wrote, before it is believed.
    JsonTrustDir,
    /// Syncing the temporary of the JSON file.
    JsonSync,
    /// Comparing the JSON file with what was judged, before it is replaced.
    JsonRecheck,
    /// Putting the temporary in the place of the JSON file.
    JsonRename,
    /// Syncing the directory after that.
    JsonSyncDir,
    /// Moving an undecodable JSON file into quarantine.
    JsonQuarantine,

    /// Looking at the target of an atomic write.
    AtomicStat,
    /// Syncing the temporary of an atomic write.
    AtomicSync,
    /// Putting the temporary in the place of the target.
    AtomicRename,
    /// Syncing the directory after that.
    AtomicSyncDir,

    /// Listing the directory of a log.
    SegmentList,
    /// Syncing the directory of a log, before the names in it are believed.
    SegmentListSync,
    /// Opening a segment.
    SegmentOpen,
    /// Locking a segment, so that nobody recycles it, or trying whether somebody has.
    SegmentLock,
    /// Comparing an open segment with its path.
    SegmentVerify,
    /// Mapping a segment.
    SegmentMap,
    /// Reading a segment.
    SegmentRead,
    /// Writing the blocks of staged frames.
    SegmentWrite,
    /// Syncing a segment.
    SegmentSync,
    /// Writing a segment's seal.
    SegmentSeal,
    /// Syncing a segment's seal, and all that lies before it.
    SegmentSealSync,
    /// Drawing the id of a log, a salt or a nonce.
    SegmentRandom,

    /// Looking for a spare file, or at one.
    PrepareSpare,
    /// Making the blocks of a new segment exist.
    PrepareFill,
    /// Writing the header of a prepared segment.
    PrepareHeader,
    /// Syncing a prepared segment, before it gets its name.
    PrepareSync,
    /// Giving a prepared segment its name.
    PrepareRename,
    /// Syncing the directory after that.
    PrepareSyncDir,
    /// Taking the name of a prepared segment away again, because it may not last.
    PrepareUndo,
    /// Copying unproven frames into a new segment.
    RecoverWrite,
    /// Syncing that segment, before it gets its name.
    RecoverSync,
    /// Giving it the name: the commit point of a recovery.
    RecoverRename,
    /// Syncing the directory after that.
    RecoverSyncDir,
    /// Writing the seal of the segment that a recovery left.
    RecoverSeal,
    /// Syncing that.
    RecoverSealSync,
    /// Cutting that segment behind its seal.
    RecoverTrim,
    /// Removing what no recovery believes: spares and prepared segments.
    RecoverRemove,
    /// Making the quarantine's directory, or listing it.
    TailQuarantine,
    /// Syncing a file in quarantine.
    TailQuarantineSync,
    /// Giving it its name.
    TailQuarantineRename,
    /// Syncing the quarantine's directory.
    TailQuarantineSyncDir,
    /// Making a spare of a segment that is no longer needed.
    RecycleRename,
    /// Syncing the directory after that.
    RecycleSyncDir,
    /// Giving it its name back, because it may not have lost it.
    RecycleUndo,
    /// Removing a spare that is not needed.
    RecycleRemove,

    /// What a test does to the disk itself.
    Test,
}
