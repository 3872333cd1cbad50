#!/usr/bin/env bash
# The listing of tag-based concurrency limits is empty while 200 other concurrency limits exist.
#
# Versions: server prefect==3.9.1 on SQLite.
# Input:    a limit for the tag `warehouse`, and 200 deployments with a concurrency limit of their own;
#           POST /concurrency_limits/filter with the server's own page size (200), by offset.
# Expected: the first page holds the one limit that there is; GET /concurrency_limits/tag/warehouse finds it.
# Seen:     1 deployment:    ['warehouse']
#           200 deployments: [], at every offset; GET still finds it, the answer is 200 OK
#           limit 1 hides it beside a single deployment
# The page is cut out of all global concurrency limits, sorted by name (`deployment:...` before `tag:...`), and only then
# reduced to those of tags. A reader that ends at a short page takes every tag's limit for deleted.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys

from prefect_api import Api

api = Api(sys.argv[1])
call = api.call


def deploy(number: int) -> None:
    body = {"name": f"d{number}", "flow_id": flow, "entrypoint": "f.py:f", "concurrency_limit": 1}
    call("POST", "/deployments/", body)


def listed(**page: int) -> list[str]:
    return [limit["tag"] for limit in call("POST", "/concurrency_limits/filter", page)]


print("server", call("GET", "/admin/version"))
flow = call("POST", "/flows/", {"name": "f"})["id"]
call("POST", "/concurrency_limits/", {"tag": "warehouse", "concurrency_limit": 3})
deploy(0)
one, small = listed(), listed(limit=1)
print("1 deployment:    listed", one, "with limit 1:", small)
for number in range(1, 200):
    deploy(number)
pages = {offset: listed(offset=offset) for offset in (0, 1, 100, 199, 200, 201)}
by_tag = call("GET", "/concurrency_limits/tag/warehouse")
print("200 deployments: listed", pages, "by its tag:", by_tag["tag"], by_tag["concurrency_limit"])
assert one == ["warehouse"] and small == []
assert by_tag["concurrency_limit"] == 3
assert not any(pages.values())
PY
