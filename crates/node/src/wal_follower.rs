//! A place in a log from which JavaScript reads on and on.
//!
//! One request at a time. It is answered under its ticket, or taken back: whichever of the two is
//! first, and the other then does nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::{BigInt, External};
use napi::{Either, Env, Result};
use napi_derive::napi;
use tidemark_core::wal::Follower;

use crate::failure::Failure;
use crate::hub::HubInner;
use crate::payload::{Message, Payload};
use crate::wal::{WalHandle, lsn};
use crate::wal_read::visibility;

/// A place in a log in the hands of its environment.
pub struct FollowerHandle {
    follower: Arc<Follower>,
    hub: Rc<HubInner>,
    /// The newest request, and whether it is answered or taken back.
    request: RefCell<Option<(u32, Arc<AtomicBool>)>>,
}

/// A place in a log, before the entry with this LSN.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind, ts_return_type = "ExternalObject<FollowerHandle> | Failure")]
pub fn wal_follow(
    wal: &External<WalHandle>,
    from: BigInt,
    written: bool,
) -> Result<Either<External<FollowerHandle>, Failure>> {
    match wal.wal().follow(lsn(&from)?, visibility(written)) {
        Ok(follower) => {
            let (hub, request) = (Rc::clone(wal.hub()), RefCell::default());
            Ok(Either::A(External::new(FollowerHandle { follower, hub, request })))
        }
        Err(error) => Ok(Either::B(Failure::from(error))),
    }
}

/// Asks for the next entries, which come back under the ticket; for none if there is nothing and
/// the caller does not want to wait.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_follower_next(
    env: &Env,
    follower: &External<FollowerHandle>,
    ticket: u32,
    max_bytes: u32,
    wait: bool,
) -> Result<()> {
    let bytes_max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let over = Arc::<AtomicBool>::default();
    *follower.request.borrow_mut() = Some((ticket, Arc::clone(&over)));
    follower.hub.pending.add(env, &follower.hub.channel)?;
    let channel = Arc::clone(&follower.hub.channel);
    follower.follower.next(bytes_max, wait, move |given| {
        if over.swap(true, Ordering::AcqRel) {
            return;
        }
        let result = given.map(|entries| entries.map_or(Payload::Done, Payload::LogEntries));
        channel.send(vec![Message::Settled { ticket, result }]);
    });
    Ok(())
}

/// Takes a request back; false if its answer is on its way.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_follower_withdraw(
    env: &Env,
    follower: &External<FollowerHandle>,
    ticket: u32,
) -> Result<bool> {
    let request = follower.request.borrow();
    let withdrawn = request
        .as_ref()
        .is_some_and(|(newest, over)| *newest == ticket && !over.swap(true, Ordering::AcqRel));
    if withdrawn {
        follower.follower.withdraw();
        follower.hub.pending.remove(env, &follower.hub.channel, 1)?;
    }
    Ok(withdrawn)
}
