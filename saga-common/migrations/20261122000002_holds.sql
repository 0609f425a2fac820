-- Holds (`..=hold`): what waits at a fault point until it is released. Set: over for good in this service, whether or not
-- it has held anything.
alter table saga.faults add column released_at timestamptz;
