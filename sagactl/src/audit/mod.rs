//! Reads the services' databases and says what is wrong with them.
