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

    /// What a test does to the disk itself.
    Test,
}
