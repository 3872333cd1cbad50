#!/usr/bin/env bash
# "Daily at 02:30" runs at three different times when clocks skip 02:30, and as an interval an hour late ever after.
#
# Versions: server prefect==3.9.1 on SQLite. (The interval of 2.20.27 does the same.)
# Input:    three schedules in America/New_York: cron `30 2 * * *`; a daily interval anchored at 02:30 on 1 January; the
#           RRULE FREQ=DAILY from 02:30 on 1 January. On 9 March 2025 clocks go from 02:00 to 03:00.
# Expected: one answer to a time that does not exist, on that day alone. IntervalSchedule's documentation says that a
#           daily schedule keeps its hour of the clock.
# Seen:              8 March     9 March     10 March    1 July
#           cron     02:30-0500  03:30-0400  02:30-0400  02:30-0400
#           interval 02:30-0500  03:30-0400  03:30-0400  03:30-0400
#           RRULE    02:30-0500  01:30-0500  02:30-0400  02:30-0400
# So the interval's runs move by an hour for good, though nobody edits the schedule (its anchor_date still says 02:30).
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys

from schedules import Server

ZONE = "America/New_York"
server = Server(sys.argv[1])
schedules = {
    "cron": {"cron": "30 2 * * *"},
    "interval": {"interval": 86400, "anchor_date": "2025-01-01T02:30:00-05:00"},
    "RRULE": {"rrule": "DTSTART:20250101T023000\nRRULE:FREQ=DAILY"},
}
print("server", server.call("GET", "/admin/version"))
seen = {}
for kind, schedule in schedules.items():
    schedule["timezone"] = ZONE
    spring = server.starts(schedule, "2025-03-08T05:00:00Z", "2025-03-11T04:00:00Z", ZONE)
    summer = server.starts(schedule, "2025-07-01T04:00:00Z", "2025-07-02T04:00:00Z", ZONE)
    seen[kind] = spring + summer
    print(f"{kind:8}", *seen[kind])
assert seen == {
    "cron": ["08 02:30-0500", "09 03:30-0400", "10 02:30-0400", "01 02:30-0400"],
    "interval": ["08 02:30-0500", "09 03:30-0400", "10 03:30-0400", "01 03:30-0400"],
    "RRULE": ["08 02:30-0500", "09 01:30-0500", "10 02:30-0400", "01 02:30-0400"],
}
PY
