-- The shop's opening stock; prices are order-svc's business. The teapot is always out of stock.
insert into stock (sku, available) values
    ('TEA-SENCHA-100',   100000),
    ('TEA-EARLGREY-100', 100000),
    ('COFFEE-ETH-250',   100000),
    ('COFFEE-DECAF-250', 100000),
    ('GRINDER-HAND',        500),
    ('KETTLE-GOOSE',     100000),
    ('MUG-STONE',        100000),
    ('FILTER-V60-100',   100000),
    ('SCALE-01',         100000),
    ('TEAPOT-CAST',           0);

insert into stock_adjustments (sku, delta) select sku, available from stock order by sku;
