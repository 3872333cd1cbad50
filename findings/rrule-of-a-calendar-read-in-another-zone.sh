#!/usr/bin/env bash
# The times of an RRULE lose their zone: TZID is ignored, and a `Z` (UTC) is read as the schedule's local time.
#
# Versions: server prefect==3.9.1 on SQLite; python-dateutil==2.9.0.post0, by which the server reads RRULEs.
# Input:    daily at 09:00 New York, until and including 5 February 2025, without the 4th, as calendars write it
#           (RFC 5545, 3.3.10: where DTSTART has a zone, UNTIL is given in UTC):
#             DTSTART;TZID=America/New_York:20250203T090000
#             RRULE:FREQ=DAILY;UNTIL=20250205T140000Z
#             EXDATE:20250204T140000Z
# Expected: 09:00 New York on the 3rd and on the 5th: what dateutil itself makes of the text.
# Seen:     dateutil                           3rd 09:00-0500               5th 09:00-0500
#           schedule without a `timezone`      3rd 04:00-0500 4th 04:00-0500 5th 04:00-0500
#           timezone America/New_York          3rd 09:00-0500 4th 09:00-0500 5th 09:00-0500
# Nothing is refused or warned of: runs start five hours early, and on days that were excepted.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys

import dateutil
from dateutil.rrule import rrulestr
from schedules import Server

ZONE = "America/New_York"
TEXT = """DTSTART;TZID=America/New_York:20250203T090000
RRULE:FREQ=DAILY;UNTIL=20250205T140000Z
EXDATE:20250204T140000Z"""
server = Server(sys.argv[1])
days = ("2025-02-01T00:00:00Z", "2025-02-10T00:00:00Z", ZONE)
library = [at.strftime("%d %H:%M%z") for at in rrulestr(TEXT)]
without = server.starts({"rrule": TEXT}, *days)
within = server.starts({"rrule": TEXT, "timezone": ZONE}, *days)
print("server", server.call("GET", "/admin/version"), "dateutil", dateutil.__version__)
print("dateutil:                 ", *library)
print("without a timezone:       ", *without)
print("timezone America/New_York:", *within)
assert library == ["03 09:00-0500", "05 09:00-0500"]
assert without == ["03 04:00-0500", "04 04:00-0500", "05 04:00-0500"]
assert within == ["03 09:00-0500", "04 09:00-0500", "05 09:00-0500"]
PY
