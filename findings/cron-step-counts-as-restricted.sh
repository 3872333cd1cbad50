#!/usr/bin/env bash
# `0 9 */2 * 1` means other days in Prefect than in a crontab.
#
# Versions: server prefect==3.9.1 on SQLite; cronsim==2.8, which keeps to Debian's cron.
# Input:    `0 9 */2 * 1` for September 2025, in UTC.
# Expected: Mondays with an odd date. crontab(5) joins the day of the month and the day of the week by OR only when
#           neither field contains `*`; `*/2` contains it, so both must match. Prefect documents its default, day_or,
#           as what cron does.
# Seen:     cronsim  01 15 29
#           Prefect  01 03 05 07 08 09 11 13 15 17 19 21 22 23 25 27 29: odd dates, and Mondays besides
#           Prefect with day_or=false  01 15 29
# So a line that moves from a crontab to a deployment runs 17 times in that month instead of 3, and nothing says so.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
CRONSIM=$(environment cronsim cronsim-2.8.txt)
DAYS=$("$CRONSIM/bin/python" - <<'PY'
from datetime import datetime, timedelta, timezone

from cronsim import CronSim

since = datetime(2025, 9, 1, tzinfo=timezone.utc) - timedelta(minutes=1)
for at in CronSim("0 9 */2 * 1", since):
    if at.month != 9:
        break
    print(at.strftime("%d"), end=" ")
PY
)
start_server "$VENV"
"$VENV/bin/python" - "$URL" "$DAYS" <<'PY'
import sys

from schedules import Server

server = Server(sys.argv[1])
line, month = {"cron": "0 9 */2 * 1", "timezone": "UTC"}, ("2025-09-01T00:00:00Z", "2025-10-01T00:00:00Z", "UTC")
crontab = sys.argv[2].split()
default = [at.split()[0] for at in server.starts(line, *month)]
joined = [at.split()[0] for at in server.starts(line | {"day_or": False}, *month)]
print("server", server.call("GET", "/admin/version"), "cronsim 2.8")
print("cronsim:                  ", *crontab)
print("Prefect:                  ", *default)
print("Prefect with day_or=false:", *joined)
odd, mondays = set(range(1, 31, 2)), {1, 8, 15, 22, 29}
assert crontab == joined == [f"{day:02}" for day in sorted(odd & mondays)]
assert default == [f"{day:02}" for day in sorted(odd | mondays)]
PY
