//! A thread for what touches the disk but commits nothing: it never queues behind a commit thread
//! that waits for a lock.

use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::group_commit::spawn;

/// Runs a job that may touch the disk; a panic is an error like any other.
///
/// # Errors
/// `TIDEMARK_INTERNAL` for a panic, and whatever the job answers.
pub fn caught<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_panic| {
        let message = "an operation panicked; please report this bug";
        Err(Error::new(ErrorKind::Internal, message).indeterminate())
    })
}

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

    /// Ends the thread when the jobs given so far are done.
    pub fn end(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until the jobs given so far are done; false if that took longer than `timeout`.
    /// Blocks.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> bool {
        if self.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return true;
        }
        let (done, told) = channel();
        let asked = self.run(move || {
            let _nobody_waits_any_more = done.send(());
        });
        asked.is_ok() && told.recv_timeout(timeout).is_ok()
    }
}

impl Debug for IoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IoThread")
    }
}
