-- What fragile-svc did.
create table marks (saga_id uuid primary key, word text not null);
