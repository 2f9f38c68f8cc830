//! Putting new content in the place of the file: temporary, sync, a last look, rename, sync.

use tidemark_storage::{File, Site, Stat};

use super::engine::{Bug, JsonFileEngine};
use super::reader::{Identity, Known};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::temporary::Temporary;

impl JsonFileEngine {
    /// Puts new content in the place of the file that was judged, durably (JF-1, JF-7). Nothing:
    /// somebody else may have been let in since then, and nothing was written (JF-11).
    pub(super) fn replace(&self, judged: Option<Identity>, json: &[u8]) -> Result<Option<Known>> {
        let reader = &self.reader;
        let replaced = match reader.storage.stat_link(Site::JsonStat, &reader.path) {
            Ok(stat) => Some(stat),
            Err(os) if os.is_not_found() => None,
            Err(os) => return Err(Error::os("look at", &reader.path, os)),
        };
        if self.has(Bug::InPlace) {
            return self.write_in_place(json).map(Some);
        }
        let directory = reader.open_dir()?;
        let temporary =
            Temporary::create(&reader.storage, &reader.directory, self.options.get().mode)?;
        if let Some(replaced) = &replaced {
            temporary.take_after(replaced)?;
        }
        temporary.write(json)?;
        let began = reader.storage.monotonic();
        if !self.has(Bug::NoFileSync) {
            temporary.sync(Site::JsonSync)?;
            reader.metrics.file_syncs.add(1);
        }
        let written = temporary.stat(Site::JsonStat)?;
        reader.commit_renames(written.id);
        if !self.is_still_alone(judged)? {
            return Ok(None);
        }
        let renamed = temporary.rename(Site::JsonRename, &reader.path);
        let file = renamed.inspect_err(|error| {
            if error.is_indeterminate() {
                reader.poison.set(error);
            }
        })?;
        // From here on the disk has changed: whatever fails leaves the outcome unknown.
        let known = self.sync_name(directory.as_ref(), &written, file)?;
        let took = reader.storage.monotonic().saturating_sub(began);
        reader.metrics.sync_us.record(took);
        if took.as_secs() >= 1 {
            reader.tell(&[Event::SlowSync { duration: took }]);
        }
        reader.metrics.replaces.add(1);
        reader.metrics.written_bytes.add(json.len() as u64);
        Ok(Some(known))
    }

    /// Makes the rename durable, and remembers the file by what it is from now on.
    fn sync_name(
        &self,
        directory: &dyn File,
        written: &Stat,
        file: Box<dyn File>,
    ) -> Result<Known> {
        let reader = &self.reader;
        if !self.has(Bug::NoDirectorySync) {
            let sync =
                || reader.sync_dir(directory, Site::JsonSyncDir).map_err(Error::indeterminate);
            reader.sync_or_poison(sync).map_err(Error::indeterminate)?;
            reader.metrics.directory_syncs.add(1);
        }
        let named = file.stat(Site::JsonStat).map_err(|os| {
            let error = Error::os("look at", &reader.path, os).indeterminate();
            reader.poison.set(&error);
            error
        })?;
        Ok(Known { identity: Identity::of_renamed(written, &named), file: Some(file) })
    }

    /// The planted bug [`Bug::InPlace`].
    fn write_in_place(&self, json: &[u8]) -> Result<Known> {
        use tidemark_storage::Open;
        let reader = &self.reader;
        let failed = |os| Error::os("write", &reader.path, os);
        let how = |exists| {
            if exists { Open::READ_WRITE } else { Open::new_file(self.options.get().mode) }
        };
        let exists = reader.storage.stat(Site::JsonStat, &reader.path).is_ok();
        let file =
            reader.storage.open(Site::JsonOpen, &reader.path, how(exists)).map_err(failed)?;
        file.set_len(Site::TempWrite, 0).map_err(failed)?;
        file.write_all(Site::TempWrite, json, 0).map_err(failed)?;
        file.sync_all(Site::JsonSync).map_err(failed)?;
        let written = file.stat(Site::JsonStat).map_err(failed)?;
        self.sync_name(reader.open_dir()?.as_ref(), &written, file)
    }
}
