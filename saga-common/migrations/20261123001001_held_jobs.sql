-- Leases of a job in which nobody was asked, because it would have been in vain: they are no attempts, so the waits after
-- real ones do not grow by them. `attempts` goes on counting all leases, so that no two have the same number.
alter table saga.jobs add column held int not null default 0;

-- What the call's last attempt had failed with when an undo turned the job round.
alter table saga.jobs add column call_error text;
