#!/usr/bin/env bash
# Makes deploy/secrets/ (or the directory named): passwords of PostgreSQL's roles, and what the services and PostgreSQL read
# them from.  What is there is kept.
set -euo pipefail
directory=${1:-$(dirname "$0")/secrets}
mkdir -p -m 700 "$directory"
cd "$directory"
if [[ -e postgres_password ]]; then
    echo "There are secrets in $PWD already." >&2
    exit 1
fi
password() {
    head -c 24 /dev/urandom | base64 | tr '+/' '-_'
}
password >postgres_password
for service in ingest training; do
    secret=$(password)
    echo "postgresql+psycopg://$service:$secret@postgres/$service" >"${service}_database"
    # A role can neither see the other's tables nor connect to its database.
    cat >>databases.sql <<SQL
CREATE ROLE $service LOGIN PASSWORD '$secret';
CREATE DATABASE $service OWNER $service;
REVOKE CONNECT ON DATABASE $service FROM PUBLIC;
SQL
done
# Containers have users of their own, which read them through the directory that nobody else here may enter.
chmod 444 -- *
