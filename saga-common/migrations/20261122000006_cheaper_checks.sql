-- What a unit asks of its transaction, and of how many rows a statement has hit, is asked several times in every unit: these
-- functions become part of the statements that call them, and PL/pgSQL runs only to say what is wrong.

create function saga.no_transaction() returns boolean
    language plpgsql volatile
as $$
begin
    raise exception 'there is no transaction that these rows belong to: they are not written';
end $$;
create or replace function saga.begin_unit(unit uuid) returns boolean
    language sql volatile
as $$
    select case when current_setting('transaction_deferrable') = 'on' then set_config('saga.unit', unit::text, true) is not null
                else saga.no_transaction() end
$$;

create function saga.another_transaction() returns boolean
    language plpgsql stable
as $$
begin
    raise exception 'this is not the transaction that the unit began in';
end $$;
create or replace function saga.must_be(unit uuid) returns boolean
    language sql stable
as $$
    select case when current_setting('saga.unit', true) is not distinct from unit::text then true
                else saga.another_transaction() end
$$;

create function saga.not_all_hit(hit bigint, wanted bigint) returns bigint
    language plpgsql immutable
as $$
begin
    raise exception '% of % rows were hit: the transaction is given up', hit, wanted;
end $$;
create or replace function saga.must_all_be_hit(hit bigint, wanted bigint) returns bigint
    language sql immutable
as $$
    select case when hit = wanted then hit else saga.not_all_hit(hit, wanted) end
$$;

-- Verdicts are written by the engine alone, which has no others. PostgreSQL reads a check's text anew for every statement.
alter table saga.idempotency_keys drop constraint idempotency_keys_verdict_check;
