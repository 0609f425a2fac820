//! The rules that carry the proof (`ARCHITECTURE.md`), one by one, on real servers: each test fails when the code of its
//! rule is taken away.

mod fault_drops;
mod fault_duplicates;
mod fault_holds;
mod faulty;
mod owner;
mod parts;
mod proxy;
mod raw;
mod rule1_begin;
mod rule1_guards;
mod rule1_on_request;
mod rule2_refusals;
mod rule3_money_outside;
mod rule4_announcements;
mod rule5_commit_and_ack;
mod rule5_later;
mod rule5_sweep;
mod rule5_transactions;
mod rule6_retention;
mod rule7_locks;
mod rule8_attempts;
mod rule8_copies;
mod rule8_silence;
mod rule8_unreadable;
mod rule8_waiting;
mod running;
mod script;
mod shop;
mod world;
