#!/bin/sh
# One database for each service, with two roles: the owner runs migrations and makes partitions, the service's own role
# can read and write rows and nothing else. Runs once, when the data volume is new.
set -eu
# Reads everything and changes nothing: what an auditor needs.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
create role auditor login password 'auditor' in role pg_read_all_data;
SQL
for service in orders inventory payment notification; do
    psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
create role ${service}_owner login password '${service}-owner';
create role ${service} login password '${service}';
create database ${service} owner ${service}_owner;
revoke connect on database ${service} from public;
grant connect on database ${service} to ${service}, auditor;
SQL
done
