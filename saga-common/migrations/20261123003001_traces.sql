-- What a call outside and an announcement are a part of: a W3C trace context, where the saga has one.
alter table saga.jobs add column traceparent text;
alter table saga.announcements add column traceparent text;
