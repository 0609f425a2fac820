//! Speaks the services' HTTP.
