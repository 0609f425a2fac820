//! Starts real servers and the services on them.
