"""Serves the official Python example connector for Prefect, unmodified, with the Connector SDK.

    official_connector.py CONNECTOR_FILE URL

The connector reads only Prefect Cloud: its requests to https://api.prefect.cloud go to URL, the address of a server on
this machine, instead. Prints `listening port=N` when it serves.
"""

import importlib.util
import re
import sys

import grpc
import requests

CLOUD = re.compile(r"^https://api\.prefect\.cloud/api/accounts/[^/]+/workspaces/[^/]+")


def main() -> None:
    path, url = sys.argv[1:]
    redirect_requests(url)
    announce_port()
    spec = importlib.util.spec_from_file_location("connector", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.connector.run(port=0)


def redirect_requests(url: str) -> None:
    send = requests.adapters.HTTPAdapter.send

    def redirected(self, request, **options):
        request.url = CLOUD.sub(url, request.url)
        return send(self, request, **options)

    requests.adapters.HTTPAdapter.send = redirected


def announce_port() -> None:
    create = grpc.server

    def announced(*arguments, **options):
        server = create(*arguments, **options)
        add_insecure_port = server.add_insecure_port

        def add(address):
            port = add_insecure_port(address)
            print(f"listening port={port}", flush=True)
            return port

        server.add_insecure_port = add
        return server

    grpc.server = announced


main()
