-- The verdicts are written in the same round trip as COMMIT, so that what is wrong with them has to stop it by itself.
create function saga.must_all_be_hit(hit bigint, wanted bigint) returns bigint
    language plpgsql immutable
as $$
begin
    if hit <> wanted then
        raise exception '% of % verdicts were written: the transaction is given up', hit, wanted;
    end if;
    return hit;
end $$;
