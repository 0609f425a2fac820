-- Lines are written only for articles that their transaction has just locked, and articles are never deleted. Both tables are locked in the
-- order in which everybody takes them, and by itself: nobody waits for what the next migration does to the log.
lock table stock, stock_adjustments in access exclusive mode;
alter table stock_adjustments drop constraint stock_adjustments_sku_fkey;
