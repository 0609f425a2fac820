-- What a service has written together with the beginning of a unit must not be committed by itself if there was none (see
-- saga.begin_unit): its statement can ask for the unit, whichever it is. The setting is empty after a transaction that had one.
create function saga.in_unit() returns boolean
    language sql volatile
as $$
    select case when nullif(current_setting('saga.unit', true), '') is not null then true else saga.no_transaction() end
$$;
