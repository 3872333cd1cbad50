"""Imported by the scripts: requests to the API of a Prefect server."""

import time

import httpx


class Api(httpx.Client):
    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, timeout=60)

    def call(self, method: str, path: str, body: object = None):
        """Sends a request, again while SQLite is busy; gives the JSON of the response."""
        for _ in range(20):
            response = self.request(method, path, json=body)
            if response.status_code != 503:
                break
            time.sleep(0.5)
        response.raise_for_status()
        return response.json() if response.content else None
