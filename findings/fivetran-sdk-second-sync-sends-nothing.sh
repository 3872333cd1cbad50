#!/usr/bin/env bash
# The second sync in one process of Fivetran's SDK succeeds and sends nothing of what the connector upserts.
#
# Versions: fivetran-connector-sdk==2.13.1, its own gRPC server, and a client of grpcio==1.80.0.
# Input:    a connector whose update() upserts the same three rows in each sync. The client calls Update three times, one
#           after another, each time with the state "{}"; the calls of Fivetran's protocol are independent.
# Expected: three rows from each call, or an error from the second one on.
# Seen:     sync 1: OK, update() ran, 3 rows
#           sync 2: OK, update() ran, 0 rows
#           sync 3: OK, update() ran, 0 rows
# Nothing is logged. The stream of operations belongs to the class and stays ended after the first sync. A program that
# keeps the process (a tester, a benchmark, a scheduler) loses all rows after the first sync and cannot detect it; with a
# checkpoint, update() waits two minutes and fails.
. "$(dirname "$0")/server.bash"

VENV=$(environment sdk fivetran-connector-sdk-2.13.1.txt)
"$VENV/bin/python" - <<'PY' | grep --line-buffered --invert-match INFO
import socket
from importlib.metadata import version

import grpc
from fivetran_connector_sdk import Connector
from fivetran_connector_sdk import Operations as op
from fivetran_connector_sdk.protos import connector_sdk_pb2, connector_sdk_pb2_grpc
from fivetran_connector_sdk_common import constants

ROWS = 3
syncs = []


def schema(configuration: dict) -> list[dict]:
    return [{"table": "t", "primary_key": ["id"], "columns": {"id": "LONG"}}]


def update(configuration: dict, state: dict) -> None:
    for number in range(ROWS):
        op.upsert("t", {"id": number})
    syncs.append(state)


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
constants.DEBUGGING = True  # serves 127.0.0.1 alone, and run() returns
server = Connector(update=update, schema=schema).run(port, {}, {})
seen = []
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    source = connector_sdk_pb2_grpc.SourceConnectorStub(channel)
    source.Schema(connector_sdk_pb2.SchemaRequest())
    for _ in range(3):
        call = source.Update(connector_sdk_pb2.UpdateRequest(state_json="{}"))
        rows = sum(len(answer.structured_records.structured_records) for answer in call)
        seen.append((call.code().name, len(syncs), rows))
server.stop(None)

print("fivetran-connector-sdk", version("fivetran-connector-sdk"), "grpcio", version("grpcio"))
for status, ran, rows in seen:
    print(f"sync {ran}: {status}, update() ran, {rows} rows")
assert seen == [("OK", 1, ROWS), ("OK", 2, 0), ("OK", 3, 0)], seen
PY
