//! `commit_inline`: the straight-line form that simulations drive.

use std::sync::{Arc, Mutex};

use super::super::{Engine, LockWait, Outbox, Pending, commit_inline};
use crate::error::{Error, ErrorKind, Result};

/// Settles even numbers, refuses odd ones, in reverse order.
struct Even {
    locked: Result<()>,
    held: bool,
}

impl Even {
    const fn free() -> Self {
        Self { locked: Ok(()), held: false }
    }
}

impl Engine for Even {
    type Op = u32;
    type Output = u32;
    type Claim = ();

    fn claim(_op: &u32) {}

    fn acquire(&mut self, (): (), wait: &LockWait) -> Result<()> {
        wait.during(Error::closed, || self.held = self.locked.is_ok())?;
        self.locked.clone()
    }

    fn commit(
        &mut self,
        group: Vec<Pending<u32, u32>>,
        outbox: &mut Outbox<u32>,
    ) -> Vec<Pending<u32, u32>> {
        assert!(self.held, "a commit needs its lock");
        for Pending { op, receipt, .. } in group.into_iter().rev() {
            let odd = || Error::new(ErrorKind::Conflict, "odd");
            outbox.settle(receipt, if op % 2 == 0 { Ok(op) } else { Err(odd()) });
        }
        Vec::new()
    }

    fn release(&mut self) {
        self.held = false;
    }
}

#[test]
fn an_inline_commit_returns_results_in_the_order_of_its_operations() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let mut engine = Even::free();
    let results = commit_inline(&mut engine, vec![4, 5, 6], move |index, result| {
        ears.lock().unwrap().push((index, result.is_ok()));
    });
    let results: Vec<_> =
        results.unwrap().into_iter().map(|result| result.map_err(|e| e.kind())).collect();
    assert_eq!(results, [Ok(4), Err(ErrorKind::Conflict), Ok(6)]);
    assert_eq!(*heard.lock().unwrap(), [(2, true), (1, false), (0, true)], "as they were settled");
    assert!(!engine.held);
}

#[test]
fn an_inline_commit_of_nothing_takes_no_lock() {
    let mut engine = Even { locked: Err(Error::closed()), held: false };
    assert!(commit_inline(&mut engine, Vec::new(), |_, _| ()).unwrap().is_empty());
}

#[test]
fn an_inline_commit_whose_lock_fails_commits_nothing() {
    let mut engine = Even { locked: Err(Error::closed()), held: false };
    let failed = commit_inline(&mut engine, vec![2], |_, _| panic!("nothing was settled"));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Closed);
}
