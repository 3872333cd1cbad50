#!/usr/bin/env bash
# `updated` of an artifact's key goes back in time, and `created` forward, when its latest artifact is deleted.
#
# Versions: server prefect==3.9.1 on SQLite.
# Input:    three artifacts of one key, a second apart; POST /artifacts/latest/filter before and after the third is deleted
# Expected: a change of a row moves its `updated` forward, and `created` stays.
# Seen:     third created:  latest_id third,  created of the first,  updated of the third
#           third deleted:  latest_id second, created of the second, updated of the second: both at the same time
#           The id of the row stays.
# So a reader that asks for what was updated since it last looked never learns that the row changed: the time that it
# carries now was passed before. It also looks as if it had been made later than it was at first.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys
import time
from datetime import datetime

from prefect_api import Api

api = Api(sys.argv[1])
call = api.call


def latest() -> dict:
    (row,) = call("POST", "/artifacts/latest/filter", {})
    return row


def told(row: dict) -> str:
    name = next(name for name, artifact in artifacts.items() if artifact["id"] == row["latest_id"])
    return f"latest_id {name}, created {row['created']}, updated {row['updated']}"


print("server", call("GET", "/admin/version"))
artifacts = {}
for name in ("first", "second", "third"):
    artifacts[name] = call("POST", "/artifacts/", {"key": "rows-loaded", "type": "markdown", "data": name})
    time.sleep(1)
before = latest()
call("DELETE", f"/artifacts/{artifacts['third']['id']}")
after = latest()
print("third created:", told(before))
print("third deleted:", told(after))
went_back = {key: datetime.fromisoformat(after[key]) - datetime.fromisoformat(before[key]) for key in ("created", "updated")}
print("moved by", {key: f"{moved.total_seconds():+.0f} s" for key, moved in went_back.items()})
assert before["id"] == after["id"]
assert before["latest_id"] == artifacts["third"]["id"] and after["latest_id"] == artifacts["second"]["id"]
assert before["created"] == artifacts["first"]["created"] and before["updated"] == artifacts["third"]["updated"]
assert after["created"] == artifacts["second"]["created"] and after["updated"] == artifacts["second"]["updated"]
PY
