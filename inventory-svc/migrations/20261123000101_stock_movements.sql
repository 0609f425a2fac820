-- The log of stock: every change of `available` that no order made. Orders explain theirs by their reservations. What was
-- put in, line after line, is what is available, held or sold; so what was on record before is the log's beginning.
alter table stock_adjustments rename to stock_movements;
alter table stock_movements rename column delta to change;
alter table stock_movements
    -- `opening`: from before there were kinds.
    add column kind   text not null default 'opening' check (kind in ('opening', 'set', 'adjusted', 'imported')),
    add column reason text,
    -- The request's Idempotency-Key, which belongs to its article for good.
    add column key    text,
    -- What the article's lines add up to, this one included: a line that is missing is missed.
    add column total  bigint;
alter table stock_movements alter column kind set default 'set';

update stock_movements m set total = t.total
from (select id, sum(change) over (partition by sku order by id) as total from stock_movements) t
where t.id = m.id;
alter table stock_movements alter column total set not null;

-- An article's lines in their order: the article's row is locked before its line gets an id.
create index stock_movements_sku on stock_movements (sku, id) include (total);
create unique index stock_movements_key on stock_movements (sku, key) where key is not null;

create function add_up_stock_movements() returns trigger language plpgsql as $$ begin
    new.total := new.change + coalesce((select total from stock_movements where sku = new.sku order by id desc limit 1), 0);
    return new;
end $$;
create trigger add_up before insert on stock_movements for each row execute function add_up_stock_movements();

-- Lines are only ever added, whoever asks for something else.
create function refuse_to_change_the_log() returns trigger language plpgsql as $$ begin
    raise 'stock movements are only ever added' using errcode = 'restrict_violation';
end $$;
create trigger append_only before update or delete or truncate on stock_movements
    for each statement execute function refuse_to_change_the_log();

-- What the version before writes into, while replicas of it still run.
create view stock_adjustments as select id, sku, change as delta, at from stock_movements;
