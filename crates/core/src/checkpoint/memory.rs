//! A checkpoint store without a disk, for tests: the same interface and the same commit path, and
//! nothing survives the process.

use std::sync::Arc;

use tidemark_storage::Storage;

use super::merge::{Op, Outcome, Overlay, judge};
use super::store::{Backing, Durability, Parts, Store};
use super::view::View;
use crate::error::Result;
use crate::event::Events;
use crate::group_commit::{Engine, LockWait, Outbox, Pending};
use crate::metrics::Metrics;

/// Opens checkpoint stores in memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryStore;

impl MemoryStore {
    /// Opens an empty store; each one is its own.
    ///
    /// # Errors
    /// `TIDEMARK_IO` if the system gives no thread.
    pub fn open(storage: &Arc<dyn Storage>) -> Result<Store> {
        let view = Arc::new(View::default());
        let store = Store::new(Parts {
            backing: Box::new(Nothing),
            view: Arc::clone(&view),
            events: Events::default(),
            poison: None,
            lock_timeout: None,
            storage: Arc::clone(storage),
        });
        store.start(MemoryEngine { view }, Arc::new(()))?;
        Ok(store)
    }
}

/// Applies groups to the view.
#[derive(Debug)]
struct MemoryEngine {
    view: Arc<View>,
}

impl Engine for MemoryEngine {
    type Op = Op;
    type Output = Outcome;
    type Claim = ();

    fn claim(_op: &Op) {}

    fn acquire(&mut self, (): (), _wait: &LockWait) -> Result<()> {
        Ok(())
    }

    fn commit(
        &mut self,
        group: Vec<Pending<Op, Outcome>>,
        outbox: &mut Outbox<Outcome>,
    ) -> Vec<Pending<Op, Outcome>> {
        let mut content = self.view.write();
        for Pending { op, receipt, .. } in group {
            let mut overlay = Overlay::new();
            let outcome = judge(&op, |key| content.get(key), &mut overlay);
            content.apply(overlay);
            outbox.settle(receipt, Ok(outcome));
        }
        Vec::new()
    }

    fn release(&mut self) {}
}

/// What is behind the memory of a store without files.
#[derive(Debug)]
struct Nothing;

impl Backing for Nothing {
    fn refresh(&self) -> Result<()> {
        Ok(())
    }

    fn durability(&self) -> Durability {
        Durability::None
    }

    fn metrics(&self) -> Metrics {
        Metrics::new()
    }
}
