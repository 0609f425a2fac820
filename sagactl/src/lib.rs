//! What the commands `sagactl` and `demo` are made of, and the launcher that whole-stack tests use.
//!
//! [`stack`] starts real servers and the services, [`client`] speaks the services' HTTP, [`audit`] reads the databases and says what is
//! wrong with them, [`chaos`] breaks a stack of its own on purpose, [`load`] measures one, [`cmd`] has one module per verb of the command line, [`demo`] is the guided tour.

pub mod audit;
pub mod chaos;
pub mod client;
pub mod cmd;
pub mod demo;
pub mod load;
pub mod matrix;
pub mod plot;
pub mod stack;
