//! Two stops: a rival that dies while the other one works, and a stop of whoever comes after one.

use tidemark_sim::{CrashState, Explore, Stop, World};

use super::client::writer;
use super::observer::Observer;
use super::scenario::{Company, DISKS_IN_COMPANY, Scenario};
use super::torture;
use super::verdict::Jury;
use super::workload::put;

/// Of the calls of a rival it is killed at one in so many, another one for each place where it
/// begins; `TORTURE` of that size tries all.
const RIVAL_CALLS_PER_KILL: u64 = 4;

impl Scenario {
    /// Stops the next process, that opens the store, reads and writes, at each call: the power is
    /// cut, or it is killed.
    pub(super) fn stopped_again(&self, first: &CrashState, observer: &Observer, jury: &Jury) {
        let explore = Explore::new(&first.disk, DISKS_IN_COMPANY, first.seed);
        let body = |world: &World| {
            let observer = observer.fork();
            observer.gone(None);
            let next = vec![vec![put(&[(8, 1)], "next")]];
            let actor = writer(world, "next", &observer, self.options, next);
            (vec![actor], observer)
        };
        let check = |state: &CrashState, observer: &Observer| {
            if !jury.is_done() {
                self.judge(state, observer, jury);
            }
        };
        explore.power_cuts(body, check);
        explore.kills(body, check);
    }

    /// Another process that begins between any two calls of this one, and is killed in the middle.
    /// This one goes on, to its end, or until the power goes as well.
    pub(super) fn rival_killed(&self, jury: &Jury) {
        for switch in 0..self.calls() {
            let report = self.run_switched(Company::Rival, switch, None, None).1;
            let calls = (0..).zip(&report.trace).filter(|(_, call)| call.actor == "rival");
            for (at_call, rival) in calls {
                if (at_call + switch) % RIVAL_CALLS_PER_KILL < torture() {
                    let kill = Stop::Kill { process: rival.pid, at_call };
                    self.kill_rival(switch, kill, None, jury);
                    // A power cut somewhere between the kill and the end.
                    let later = 1 + (at_call * 7 + switch * 3) % (report.calls - at_call);
                    let cut = Stop::PowerCut { at_call: at_call + later };
                    self.kill_rival(switch, kill, Some(cut), jury);
                }
            }
        }
    }

    fn kill_rival(&self, switch: u64, kill: Stop, then: Option<Stop>, jury: &Jury) {
        let Stop::Kill { process, at_call: call } = kill else { return };
        if jury.is_done() {
            return;
        }
        let (world, report, observer) = self.run_switched(Company::Rival, switch, Some(kill), then);
        let (site, killed, choice, seed) = (None, Some(process), None, switch);
        let disk = world.disk();
        let state = CrashState { disk, report, call, site, killed, choice, seed };
        self.judge(&state, &observer, jury);
    }
}
