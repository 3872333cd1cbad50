#!/usr/bin/env bash
# A Python float in a column without a declared type leaves Fivetran's SDK with 32 bits, seven digits, and so does an
# integer beyond 64 bits.
#
# Versions: fivetran-connector-sdk==2.13.1, its own gRPC server, and a client of grpcio==1.80.0.
# Input:    a connector whose schema() declares nothing but the key of a table, which the SDK allows (it infers the other
#           types); one upsert with an epoch time, a duration, an amount and an integer of 67 bits.
#           The same row for a table whose columns are declared as DOUBLE.
# Expected: a Python float has 64 bits, 16 digits; the protocol has `double` for it beside `float`.
# Seen:               sent                   inferred: float        declared: double
#           epoch     1764547260.25          1764547200.0           1764547260.25
#           duration  86400.123456           86400.125              86400.123456
#           amount    16777217.0             16777216.0             16777217.0
#           big       123456789012345678901  1.2345678955701443e+20
# Nothing is written to the log. An epoch time is off by up to 64 seconds, so that a join or a cursor by it goes wrong.
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

FLOATS = {"epoch": 1764547260.25, "duration": 86400.123456, "amount": 16777217.0}
BIG = 123456789012345678901


def schema(configuration: dict) -> list[dict]:
    inferred = {"table": "inferred", "primary_key": ["id"], "columns": {"id": "LONG"}}
    declared = {"table": "declared", "primary_key": ["id"], "columns": {"id": "LONG"} | dict.fromkeys(FLOATS, "DOUBLE")}
    return [inferred, declared]


def update(configuration: dict, state: dict) -> None:
    op.upsert("inferred", {"id": 1, **FLOATS, "big": BIG})
    op.upsert("declared", {"id": 1, **FLOATS})
    op.checkpoint({})


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
constants.DEBUGGING = True  # serves 127.0.0.1 alone, and run() returns
server = Connector(update=update, schema=schema).run(port, {}, {})
seen: dict[str, dict] = {}
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    source = connector_sdk_pb2_grpc.SourceConnectorStub(channel)
    source.Schema(connector_sdk_pb2.SchemaRequest())
    for answer in source.Update(connector_sdk_pb2.UpdateRequest(state_json="{}")):
        for record in answer.structured_records.structured_records:
            kinds = {name: value.WhichOneof("inner") for name, value in record.data.items()}
            seen[record.table_name] = {name: (kind, getattr(record.data[name], kind)) for name, kind in kinds.items()}
server.stop(None)

print("fivetran-connector-sdk", version("fivetran-connector-sdk"), "grpcio", version("grpcio"))
for name, value in {**FLOATS, "big": BIG}.items():
    print(f"{name:8} sent {value!r:22}", *(f"{table}: {row.get(name)}" for table, row in seen.items()))
assert seen["declared"] == {"id": ("long", 1)} | {name: ("double", value) for name, value in FLOATS.items()}
of_32_bits = {"epoch": 1764547200.0, "duration": 86400.125, "amount": 16777216.0, "big": 1.2345678955701443e20}
assert seen["inferred"] == {"id": ("long", 1)} | {name: ("float", value) for name, value in of_32_bits.items()}
PY
