"""A connector on Fivetran's Python SDK (2.13), served over gRPC: python sdk_connector.py PORT [FAULT].

The connector has two tables, sends the rows that its state does not cover yet, and behaves correctly unless a
fault is named.
"""

import io
import os
import socket
import sys
import threading
from datetime import datetime, timezone

import grpc
from fivetran_connector_sdk import Connector, FileUpload, Logging, Operations

ROWS = 250
PAGE = 100
FAULT = sys.argv[2] if len(sys.argv) > 2 else "none"
if FAULT == "row_data":
    # Values are sent as bytes in a field of the SDK's own.
    os.environ["ConnectorSdkRemoveValueType"] = "true"


def schema(configuration):
    columns = {
        "id": "LONG",
        "name": "STRING",
        "score": "DOUBLE",
        "tags": "JSON",
        "created": "UTC_DATETIME",
    }
    if FAULT == "unspecified":
        columns = {}
    if FAULT == "reserved":
        columns["_fivetran_score"] = "DOUBLE"
    key = [] if FAULT == "no_key" else ["id"]
    tables = [{"table": name, "primary_key": key, "columns": columns} for name in ("payments", "users")]
    return tables[:1] if FAULT == "undeclared_table" else tables


def row(table, at):
    values = {
        "id": at,
        "name": f"{table} {at}",
        "score": at / 3,
        "tags": ["a", {"at": at}],
        "created": datetime.fromtimestamp(1_700_000_000 + at, timezone.utc),
    }
    if at == 0 and FAULT == "null_key":
        values["id"] = None
    if at == 0 and FAULT == "left_out":
        del values["name"]
    if at == 0 and FAULT == "number_as_text":
        values["score"] = "many"
    if FAULT == "undeclared_column":
        values["extra"] = "x"
    if FAULT == "reserved":
        values["_fivetran_score"] = 1.0
    return values


def update(configuration, state):
    if FAULT == "print":
        print("about to sync")
    if FAULT == "secret":
        Logging.info(f"syncing with {configuration['api_key']}")
    else:
        Logging.info("syncing")
    done = dict(state)
    is_again = all(done.get(table) == ROWS for table in ("payments", "users"))
    if FAULT == "fails":
        raise ValueError("no such thing")
    for table in ("payments", "users"):
        start = 0 if FAULT == "full_refresh" else done.get(table, 0)
        if is_again and FAULT == "overlap":
            start = ROWS - 1
        for first in range(start, ROWS, PAGE):
            last = min(first + PAGE, ROWS)
            done[table] = last
            if FAULT == "ahead":
                Operations.checkpoint(done)
            for at in range(first, last):
                file = FileUpload(f"{table}/{at}", io.BytesIO(b"x" * 10)) if FAULT == "file" and at % 50 == 0 else None
                Operations.upsert(table, row(table, at), file=file)
            if FAULT not in ("ahead", "no_checkpoint"):
                Operations.checkpoint(done)
            if FAULT == "exit" and last == 2 * PAGE:
                print("cannot continue", file=sys.stderr, flush=True)
                os._exit(3)
    if FAULT == "ahead" and not is_again:
        Operations.checkpoint(done)
    if is_again and FAULT == "changes":
        Operations.update("users", {"id": 1, "name": "another"})
        Operations.checkpoint(done)


def publish(port):
    """Publishes another port as a container runtime does. Returns that port after three connections were closed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        inner = free.getsockname()[1]
    closed = threading.Semaphore(0)

    def copy(source, target):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def relay(server):
        while True:
            client = server.accept()[0]
            try:
                connection = socket.create_connection(("127.0.0.1", inner))
            except ConnectionRefusedError:
                client.close()
                closed.release()
                continue
            for ends in ((client, connection), (connection, client)):
                threading.Thread(target=copy, args=ends, daemon=True).start()

    threading.Thread(target=relay, args=(socket.create_server(("127.0.0.1", port)),), daemon=True).start()
    for _ in range(3):
        closed.acquire()
    return inner


def serve(port):
    if FAULT == "published":
        port = publish(port)
    # The SDK listens on all addresses of the machine; a test must listen on the loopback address only.
    make = grpc.server

    def on_loopback(*arguments, **options):
        if FAULT == "gzip":
            options["compression"] = grpc.Compression.Gzip
        server = make(*arguments, **options)
        listen = server.add_insecure_port
        server.add_insecure_port = lambda address: listen(address.replace("[::]", "127.0.0.1"))
        return server

    grpc.server = on_loopback
    connector = Connector(update=update, schema=None if FAULT == "no_schema" else schema)
    connector.run(port=port)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
