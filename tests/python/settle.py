"""Waits until a Prefect server shows a number of events.

    settle.py URL PREFIX NUMBER

PREFIX is the start of the events' names.
"""

import sys

from live_api import Api, wait_for


def main() -> None:
    url, prefix, number = sys.argv[1:]
    api = Api(url)
    asked = {"limit": 1, "filter": {"event": {"prefix": [prefix]}}}
    wait_for("the events", lambda: api.post("/events/filter", asked)["total"] >= int(number))
    print(number)


if __name__ == "__main__":
    main()
