"""Runs the installed Prefect's API server in this process; see scripts/prefect-server.sh.

`prefect server start` lacks two things that a test needs: the system chooses the port and keeps it bound
(choosing a free port and starting a server on it later is a race), and the server is one process that ends
with its standard input.
"""

import os
import socket
import sys
import threading

import postgres_cluster


def main() -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen(128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/api", flush=True)

    if os.environ.get("UNTIL_EOF") == "1":
        threading.Thread(target=end_with_stdin, daemon=True).start()

    if "POSTGRES_BIN" in os.environ:
        url = postgres_cluster.start(os.environ["POSTGRES_BIN"], os.environ["PREFECT_HOME"])
        os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = url

    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(
        create_app(),
        timeout_keep_alive=5,
        # "info" logs each request.
        log_level=os.environ.get("UVICORN_LOG_LEVEL", "warning"),
        lifespan="on",
    )
    uvicorn.Server(config).run(sockets=[listener])


def end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
