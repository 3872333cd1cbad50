"""Calls Update as a Python program does that creates a gRPC channel with default options.

    grpcio_caller.py PORT REQUEST_FILE STALL_AFTER STALL_SECONDS

The file has the serialized UpdateRequest. After STALL_AFTER messages the caller pauses once for STALL_SECONDS. Prints one
JSON object with the numbers of records and messages, their size in bytes, and the seconds from the call to its end.
"""

import json
import pathlib
import sys
import time

import grpc

RECORD, BATCH = 1, 6


def main() -> None:
    port, request, stall_after, stall_seconds = sys.argv[1:]
    counts = {"records": 0, "messages": 0, "bytes": 0}
    # The proxy of the environment is not for servers of this machine; everything else is a default.
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        update = channel.unary_stream("/fivetran_sdk.v2.SourceConnector/Update")
        started = time.monotonic()
        for message in update(pathlib.Path(request).read_bytes()):
            counts["messages"] += 1
            counts["bytes"] += len(message)
            counts["records"] += records(message)
            if counts["messages"] == int(stall_after):
                time.sleep(float(stall_seconds))
        counts["seconds"] = time.monotonic() - started
    print(json.dumps(counts))


def records(message: bytes) -> int:
    count = 0
    for tag, start, end in fields(message, 0, len(message)):
        if tag == RECORD:
            count += 1
        elif tag == BATCH:
            count += sum(1 for _ in fields(message, start, end))
    return count


def fields(message: bytes, at: int, end: int):
    """Yields the tag and the bounds of each field; all of them are length-delimited."""
    while at < end:
        key, at = varint(message, at)
        length, at = varint(message, at)
        yield key >> 3, at, at + length
        at += length


def varint(message: bytes, at: int) -> tuple:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


main()
