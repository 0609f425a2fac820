//! R3, money outside: lease, call, settle. A worker is what a process has in memory; it may be stale, or die.
//! Mirrors `saga-common/src/jobs/` and `payment-svc/src/steps/charge_payment/cards.rs`.

use crate::config::Reply;
use crate::message::{Event, Message, Service};
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::provider;
use crate::state::{
    Found, Intent, Job, Leaving, Next, Payment, Phase, Request, Saga, State, Verdict, Worker, add, take,
};

/// What one call or transaction of a worker comes to.
enum Went {
    /// It goes on with this.
    On(Next),
    /// It has ended, with or without effect.
    Ended,
    /// Its answer settles nothing: the job is tried again later.
    Unclear,
}

impl Protocol {
    /// A lease takes the job under a new epoch, with what is stored in it (`runner::lease`).
    pub(crate) fn lease(&self, state: &mut State, saga: u8) {
        let row = state.saga(saga);
        let Some(job) = row.job else { return };
        let job = Job { epoch: self.new_epoch(row, job.phase), attempts: job.attempts + 1, leased: true, ..job };
        row.job = Some(job);
        let next = Next::Begin(job.stored);
        add(&mut row.workers, Worker { phase: job.phase, epoch: job.epoch, attempt: job.attempts, next });
    }

    /// A new job. Its epochs go on from where those of an earlier one ended: a worker left over from the call must not pass
    /// for the worker of the undo (`jobs::insert`).
    pub(crate) fn new_job(&self, saga: &mut Saga, phase: Phase, stored: Option<u8>) -> Job {
        if self.drops(Mutant::EpochsUsedAgain) {
            saga.epoch = 0;
        }
        Job { phase, epoch: saga.epoch, attempts: 0, stored, leased: false }
    }

    /// An undo turns the job round under a new epoch, so that its worker can store nothing any more (R3). The job keeps
    /// its data: an intent may have been stored meanwhile.
    pub(crate) fn turn_round(&self, saga: &mut Saga, job: Job) -> Job {
        Job { phase: Phase::Undo, epoch: self.new_epoch(saga, Phase::Undo), attempts: 0, leased: false, ..job }
    }

    /// Every lease and every undo takes an epoch of its own.
    fn new_epoch(&self, saga: &mut Saga, phase: Phase) -> u8 {
        let keeps = match phase {
            Phase::Call => self.drops(Mutant::LeaseKeepsEpoch),
            Phase::Undo => self.drops(Mutant::UndoKeepsEpoch),
        };
        saga.epoch += u8::from(!keeps);
        saga.epoch
    }

    /// A worker's next call or transaction; its answer is heard.
    pub(crate) fn work(&self, state: &mut State, saga: u8, worker: Worker, reply: Reply) {
        take(&mut state.saga(saga).workers, &worker);
        match self.step(state, saga, worker, reply) {
            Went::On(next) => add(&mut state.saga(saga).workers, Worker { next, ..worker }),
            Went::Ended => {}
            Went::Unclear => postpone(state.saga(saga), worker),
        }
    }

    /// The provider carries the request out, and nobody hears of it: *unknown*, never *failed* (R3).
    pub(crate) fn work_unheard(&self, state: &mut State, saga: u8, worker: Worker, reply: Reply) {
        state.left.unheard -= 1;
        let row = state.saga(saga);
        take(&mut row.workers, &worker);
        match worker.next {
            Next::Begin(None) if worker.phase == Phase::Call => drop(provider::create(row)),
            Next::Confirm(intent) => drop(provider::confirm(row, intent, reply)),
            Next::GiveUp(intent) => drop(provider::cancel(row, intent)),
            Next::Begin(Some(intent)) if worker.phase == Phase::Undo => drop(provider::cancel(row, intent)),
            Next::Refund(intent) => provider::refund(row, intent, self.config.provider_caps_refunds),
            _ => {}
        }
        // Under its key the provider may have stored an error, which it would give again for ever.
        row.stored_error |= matches!(worker.next, Next::Confirm(_));
        if matches!(worker.next, Next::Confirm(_)) && self.drops(Mutant::UnknownIsFailed) {
            add(&mut row.workers, Worker { next: Next::Settle(Found::Declined), ..worker });
        } else {
            postpone(row, worker);
        }
    }

    /// A request is still under way when its worker gives it up: it will arrive some time.
    pub(crate) fn give_up_waiting(&self, state: &mut State, saga: u8, worker: Worker) {
        state.left.delayed -= 1;
        let row = state.saga(saga);
        take(&mut row.workers, &worker);
        match worker.next {
            Next::Confirm(intent) => add(&mut row.under_way, Request::Confirm(intent)),
            Next::Refund(intent) => add(&mut row.under_way, Request::Refund(intent)),
            _ => {}
        }
        postpone(row, worker);
    }

    /// It arrives, and nobody is there to hear the answer.
    pub(crate) fn arrive(&self, state: &mut State, saga: u8, request: Request, reply: Reply) {
        let row = state.saga(saga);
        take(&mut row.under_way, &request);
        match request {
            Request::Confirm(intent) => drop(provider::confirm(row, intent, reply)),
            Request::Refund(intent) => provider::refund(row, intent, self.config.provider_caps_refunds),
        }
    }

    /// A customer may still act on a charge that was not cancelled.
    pub(crate) fn authenticate(&self, state: &mut State, saga: u8, at: u8) {
        provider::authenticate(state.saga(saga), at);
    }

    /// Its worker stands still for longer than its lease; another may take the job.
    pub(crate) fn lease_runs_out(&self, state: &mut State, saga: u8) {
        state.left.stalls -= 1;
        if let Some(job) = &mut state.saga(saga).job {
            job.leased = false;
        }
    }

    /// The process dies in a call. What was in memory is gone; the job is a row and falls due when its lease runs out.
    pub(crate) fn die_in_call(&self, state: &mut State, saga: u8) {
        state.left.crashes -= 1;
        let row = state.saga(saga);
        row.workers.clear();
        match &mut row.job {
            // "A durable job" (R3), committed with the intent.
            Some(_) if self.drops(Mutant::JobInMemory) => row.job = None,
            Some(job) => job.leased = false,
            None => {}
        }
    }

    fn step(&self, state: &mut State, saga: u8, worker: Worker, reply: Reply) -> Went {
        let row = state.saga(saga);
        match (worker.phase, worker.next) {
            // Create the intent unconfirmed: no money moves.
            (Phase::Call, Next::Begin(None)) => {
                let intent = provider::create(row);
                if self.drops(Mutant::CreatesConfirmed) {
                    provider::confirm(row, intent, reply);
                }
                let confirms_first = self.drops(Mutant::ConfirmsBeforeStoring);
                Went::On(if confirms_first { Next::Confirm(intent) } else { Next::Store(intent) })
            }
            // Unknown is settled by GET of the stored id, never by replaying a key.
            (Phase::Call, Next::Begin(Some(intent))) => {
                if row.stored_error && self.drops(Mutant::ReplaysKey) {
                    return Went::Unclear;
                }
                match provider::retrieve(row, intent) {
                    Intent::Unconfirmed => Went::On(Next::Confirm(intent)),
                    known => self.heard(intent, known),
                }
            }
            // By compare-and-set on the epoch: whoever has lost the job can store nothing, and confirms nothing.
            (_, Next::Store(intent)) => {
                let ours = row.job.is_some_and(|job| job.epoch == worker.epoch);
                if !ours && !self.drops(Mutant::StoresWithoutEpoch) {
                    return Went::Ended;
                }
                if let Some(job) = &mut row.job {
                    job.stored = Some(intent);
                }
                Went::On(Next::Confirm(intent))
            }
            (_, Next::Confirm(intent)) => {
                let state = provider::confirm(row, intent, reply);
                self.heard(intent, state)
            }
            (_, Next::GiveUp(intent)) => Went::On(Next::Settle(match provider::cancel(row, intent) {
                Intent::Succeeded => Found::Charged(intent),
                _ => Found::Declined,
            })),
            // Nothing was stored, so nothing was confirmed and nothing can be.
            (Phase::Undo, Next::Begin(None)) => Went::On(Next::Settle(Found::Voided)),
            // First the cancel: it decides between a charge that is still under way and us.
            (Phase::Undo, Next::Begin(Some(intent))) => {
                let skips = self.drops(Mutant::UndoAsksOnly);
                let state = if skips { provider::retrieve(row, intent) } else { provider::cancel(row, intent) };
                if state != Intent::Succeeded || self.drops(Mutant::ChargeKept) {
                    Went::On(Next::Settle(Found::Voided))
                } else if worker.attempt == 1 || self.drops(Mutant::RefundsNotListed) {
                    Went::On(Next::Refund(intent))
                } else {
                    // After an unclear answer the refunds are listed before another is asked for.
                    Went::On(Next::ListRefunds(intent))
                }
            }
            (_, Next::ListRefunds(intent)) => {
                let given_back = provider::list_refunds(row) > 0;
                Went::On(if given_back { Next::Settle(Found::Refunded) } else { Next::Refund(intent) })
            }
            (_, Next::Refund(intent)) => {
                provider::refund(row, intent, self.config.provider_caps_refunds);
                Went::On(Next::Settle(Found::Refunded))
            }
            (_, Next::Settle(found)) => {
                self.settle_job(state, saga, worker, found);
                Went::Ended
            }
        }
    }

    /// What the provider says of the one intent that may be confirmed.
    fn heard(&self, intent: u8, state: Intent) -> Went {
        match state {
            Intent::Succeeded => Went::On(Next::Settle(Found::Charged(intent))),
            // `requires_action` is a decline, once it can never succeed.
            Intent::RequiresAction if self.drops(Mutant::WaitsForCustomer) => Went::Unclear,
            Intent::RequiresAction if !self.drops(Mutant::DeclinesUncancelled) => Went::On(Next::GiveUp(intent)),
            _ => Went::On(Next::Settle(Found::Declined)),
        }
    }

    /// One transaction: if the guard still says so and nobody has taken the job since, verdict, business rows, what is
    /// said, and the job ends. An undo that got in between: nothing is said. (`runner::settle`)
    fn settle_job(&self, state: &mut State, saga: u8, worker: Worker, found: Found) {
        let row = state.saga(saga);
        let expected = if worker.phase == Phase::Call { Verdict::Intent } else { Verdict::Undoing };
        let ours = row.job.is_some_and(|job| job.epoch == worker.epoch) && row.at(Service::Payment).action == expected;
        if !ours && !self.drops(Mutant::SettlesAnyway) {
            return;
        }
        row.job = None;
        let (payment, verdict, event) = match found {
            Found::Charged(intent) => {
                row.reference = Some(intent);
                (Payment::Charged, Verdict::Done, Some(Event::PaymentCharged))
            }
            Found::Declined => (Payment::Declined, Verdict::Rejected, Some(Event::PaymentDeclined)),
            Found::Voided => (Payment::Voided, Verdict::Undone, None),
            Found::Refunded => (Payment::Refunded, Verdict::Undone, None),
        };
        row.payment = payment;
        row.at_mut(Service::Payment).action = verdict;
        let mut said: Vec<Message> = event.map(|event| Message::new(saga, event)).into_iter().collect();
        // The transaction that ends the job of an undo writes the answer.
        let compensate = &mut row.at_mut(Service::Payment).compensate;
        if *compensate == Verdict::Undoing && verdict == Verdict::Undone && !self.drops(Mutant::EndOfJobSilent) {
            *compensate = Verdict::Undone;
            said.push(Message::new(saga, Event::Compensated(Service::Payment)));
        }
        self.commit(state, Service::Payment, &said, Leaving::Held);
    }
}

/// The job is due again; its worker ends. Not if somebody has the job by now (`runner::postpone`).
fn postpone(saga: &mut Saga, worker: Worker) {
    if let Some(job) = &mut saga.job
        && job.epoch == worker.epoch
    {
        job.leased = false;
    }
}
