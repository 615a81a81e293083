//! Licence and key servers: system by fault, must-deny, rehearsals, sessions, hooks, budgets, evidence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../bench/mod.rs"]
mod bench;
mod flows;
mod opinions;
mod seeds;
mod specs;
mod table;
