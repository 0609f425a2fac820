//! The client of the provider on real sockets: whom it asks and how (Stripe's published shapes), and when it does not ask.

mod fake;
mod gate;
mod stripe;
