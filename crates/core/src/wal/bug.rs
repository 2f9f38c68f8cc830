//! Bugs that tests plant to see that they are caught.

use super::engine::{Waiting, WalEngine, settle};
use super::op::WalOutcome;
use super::state::KIND_TRUNCATE;
use crate::group_commit::Outbox;

/// A bug of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Callers hear of success before anything is written; what a call that blocks appends is
    /// written with what comes next.
    AcknowledgeBeforeWrite,
    /// Readers in other processes are told of entries before they are synced.
    PublishBeforeSync,
    /// A truncate is done in memory only.
    ForgetTruncate,
}

impl WalEngine {
    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub const fn with(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// Whether this bug is planted; never so in a published build.
    fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.bug == Some(bug)
    }

    /// Whether results leave before the write.
    pub(super) fn acknowledges_early(&self) -> bool {
        self.has(Bug::AcknowledgeBeforeWrite)
    }

    /// Those that still wait for the write.
    pub(super) fn honest(
        &self,
        waiting: Vec<Waiting>,
        outbox: &mut Outbox<WalOutcome>,
    ) -> Vec<Waiting> {
        if !self.acknowledges_early() {
            return waiting;
        }
        settle(waiting, &Ok(()), outbox);
        outbox.send();
        Vec::new()
    }

    /// Publishes what is written as durable.
    pub(super) fn publish_early(&self) {
        if self.has(Bug::PublishBeforeSync) {
            self.publication.durable(self.writer.written());
        }
    }

    /// Whether a frame of this kind is not written.
    pub(super) fn forgets(&self, kind: u8) -> bool {
        kind == KIND_TRUNCATE && self.has(Bug::ForgetTruncate)
    }
}
