//! What all environments of this process share: the machine, and the open stores.

use std::sync::{Arc, LazyLock};

use tidemark_core::checkpoint::JsonFileRegistry;
use tidemark_core::file_lock::LockRegistry;
use tidemark_core::wal::WalRegistry;
use tidemark_core::{RealStorage, Storage};

/// One per process, whatever number of worker threads loads the addon.
pub(crate) struct Process {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) json_files: JsonFileRegistry,
    pub(crate) locks: LockRegistry,
    pub(crate) wals: WalRegistry,
}

/// This process.
pub(crate) static PROCESS: LazyLock<Process> = LazyLock::new(|| Process {
    storage: Arc::new(RealStorage),
    json_files: JsonFileRegistry::default(),
    locks: LockRegistry::default(),
    wals: WalRegistry::default(),
});
