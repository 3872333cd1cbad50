#!/usr/bin/env bash
# An hourly interval schedule skips an hour when clocks are set back, although it counts hours of UTC.
#
# Versions: server prefect==3.9.1 on SQLite, Python 3.11 or 3.12. (2.20.27 gives the same times; so does 3.9.1 with an
#           interval of 15 minutes, which leaves out four. On Python 3.13, where Prefect reckons with another library,
#           no run is left out.)
# Input:    an interval of 3600 s with the time zone America/New_York; the same interval without a time zone.
#           The night of 2 November 2025, when 01:00-04:00 is followed by 01:00-05:00.
# Expected: the same times from both. IntervalSchedule's own documentation says that an hourly schedule fires every UTC
#           hour, and twice at what looks like 01:00 when clocks are set back.
# Seen:     without a time zone  00:00-0400 01:00-0400 01:00-0500 02:00-0500 03:00-0500
#           America/New_York     00:00-0400 01:00-0400            02:00-0500 03:00-0500
# So there are two hours between two runs of an hourly schedule, once a year, and a check for late data raises an alarm.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys

from schedules import Server

ZONE = "America/New_York"
server = Server(sys.argv[1])
hourly = {"interval": 3600, "anchor_date": "2025-01-01T00:00:00-05:00"}
night = ("2025-11-02T04:00:00Z", "2025-11-02T08:00:00Z", ZONE)
without = server.starts(hourly, *night)
within = server.starts(hourly | {"timezone": ZONE}, *night)
print("server", server.call("GET", "/admin/version"), "Python", sys.version.split()[0])
print("without a time zone:", *without)
print("America/New_York:   ", *within)
assert without == ["02 00:00-0400", "02 01:00-0400", "02 01:00-0500", "02 02:00-0500", "02 03:00-0500"]
assert within == [at for at in without if at != "02 01:00-0500"]
PY
