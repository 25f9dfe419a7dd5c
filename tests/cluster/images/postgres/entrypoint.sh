#!/bin/bash
# Starts PostgreSQL; arguments go to the server (such as -c shared_buffers=16MB).
#   POSTGRES_PASSWORD  of the superuser postgres (needed)
#   MAX_CONNECTIONS    100 unless told
#   /tls/tls.crt, /tls/tls.key   if there, the server offers TLS with them; ALTER SYSTEM may end it
set -euo pipefail
: "${POSTGRES_PASSWORD:?has to be set: the password of the superuser}"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --pgdata="$PGDATA" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --no-sync \
        --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi

settings=(-c listen_addresses='*' -c "max_connections=${MAX_CONNECTIONS:-100}")
if [ -s /tls/tls.crt ]; then
    # The server refuses a key that others may read; a mounted one has the mount's permissions.
    install -m 600 /tls/tls.key "$PGDATA/server.key"
    install -m 644 /tls/tls.crt "$PGDATA/server.crt"
    echo "ssl = on" >>"$PGDATA/postgresql.conf"
fi
exec postgres -D "$PGDATA" "${settings[@]}" "$@"
