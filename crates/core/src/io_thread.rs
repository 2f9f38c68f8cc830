//! A thread for what touches the disk but commits nothing: it never queues behind a commit thread
//! that waits for a lock.

use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::group_commit::spawn;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs one after another. The thread starts with the first job and ends when this is dropped
/// and the jobs are done.
#[derive(Default)]
pub struct IoThread {
    jobs: Mutex<Option<Sender<Job>>>,
}

impl IoThread {
    /// Runs a job, after those that were given before. A job that panics ends alone.
    ///
    /// # Errors
    /// `TIDEMARK_IO` if the system gives no thread.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = if let Some(sender) = jobs.as_ref() {
            sender.clone()
        } else {
            let (sender, queue) = channel::<Job>();
            spawn("tidemark-io", move || {
                for job in queue {
                    // What the job owns, a promise for its result included, is dropped with it.
                    drop(catch_unwind(AssertUnwindSafe(job)));
                }
            })?;
            jobs.insert(sender).clone()
        };
        drop(jobs);
        // The thread ends only after this sender is gone, so that the job is always taken.
        drop(sender.send(Box::new(job)));
        Ok(())
    }
}

impl IoThread {
    /// Waits until the jobs given so far are done; false if that took longer than `timeout`.
    /// Blocks.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> bool {
        if self.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return true;
        }
        let (done, told) = channel();
        let asked = self.run(move || drop(done.send(())));
        asked.is_ok() && told.recv_timeout(timeout).is_ok()
    }
}

impl Debug for IoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IoThread")
    }
}
