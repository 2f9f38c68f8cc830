//! What goes back from one open store to its environment: results, events, room in its queue.

use std::sync::Arc;

use tidemark_core::checkpoint::Outcome;
use tidemark_core::event::{Event, Observer};
use tidemark_core::group_commit::{Settled, Sink};
use tidemark_core::wal::WalOutcome;

use crate::channel::Channel;
use crate::payload::{Message, Payload};
use crate::wal::outcome_lsns;

/// The way from one store, whatever its kind, to its environment.
pub(crate) struct StoreSink {
    pub(crate) store: u32,
    pub(crate) channel: Arc<Channel>,
}

impl StoreSink {
    fn send_credit(&self) {
        self.channel.send(vec![Message::Credit { store: self.store }]);
    }
}

/// Tickets come from this binding, as u32.
fn ticket<T>(settled: &Settled<T>) -> u32 {
    u32::try_from(settled.ticket).unwrap_or(u32::MAX)
}

impl Sink<Outcome> for StoreSink {
    fn deliver(&self, settled: Vec<Settled<Outcome>>) {
        let message = |settled: Settled<Outcome>| Message::Settled {
            ticket: ticket(&settled),
            result: settled.result.map(Payload::Outcome),
        };
        self.channel.send(settled.into_iter().map(message).collect());
    }

    fn credit(&self) {
        self.send_credit();
    }
}

impl Sink<WalOutcome> for StoreSink {
    fn deliver(&self, settled: Vec<Settled<WalOutcome>>) {
        // What went well, all of it in one message; then each failure.
        let mut done = Vec::with_capacity(settled.len());
        let mut messages = vec![];
        for settled in settled {
            let ticket = ticket(&settled);
            match settled.result {
                Ok(outcome) => done.push((ticket, outcome_lsns(outcome))),
                Err(error) => messages.push(Message::Settled { ticket, result: Err(error) }),
            }
        }
        if !done.is_empty() {
            messages.push(Message::Appended(done));
        }
        self.channel.send(messages);
    }

    fn credit(&self) {
        self.send_credit();
    }
}

impl Observer for StoreSink {
    fn notify(&self, event: &Event) {
        self.channel.send(vec![Message::Event { store: self.store, event: event.clone() }]);
    }
}
