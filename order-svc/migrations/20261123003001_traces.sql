-- The request that placed the order, for traces: what a deadline does belongs there. A W3C trace context, if the request has one.
alter table orders add column traceparent text;
