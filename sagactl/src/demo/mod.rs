//! The guided tour: five orders, each with its story, then the audit.
