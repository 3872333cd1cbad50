"""Writes the requests and objects of the installed Prefect's API as a small JSON document.

    openapi_extract.py FILE

For every collection with a listing, `POST …/filter`, and for a few others, the document keeps these parts of the
server's own description of its API: the keys of a request's body, down to the last filter, the sorts, the paths at
which single objects are read, and the properties of the objects. A collection has the name of its path. No server is
started.

    {"version": "3.9.1",
     "requests": {"/flows/filter": {"sorts": ["CREATED_DESC", …],
                                    "body": {"limit": {}, "flow_runs": {"id": {"any_": {}}, …}, …}}, …},
     "reads": {"flows": ["/flows/name/{name}", "/flows/{id}"], …},
     "objects": {"flows": ["created", "id", …], …}}

A key without keys of its own, {}, takes a value (or anything at all). All lists are sorted. A collection that
this version lacks is left out.
"""

import importlib.metadata
import json
import re
import sys

# Collections without a listing of this kind.
OTHERS = ("/flow_run_states", "/task_run_states", "/deployments/{}/schedules")
# Requests of Prefect's own user interface; they may change in any release.
PRIVATE = "/ui/"
QUERIES = ("filter", "count", "paginate")


def main() -> None:
    document = api_of(create()).openapi()
    extract = Extract(document).all()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(compact(extract))


def create():
    from prefect.server.api.server import create_app

    return create_app()


def api_of(app):
    """Returns the API that the server mounts; its paths have no prefix."""
    for route in app.routes:
        if getattr(route, "path", None) == "/api" and hasattr(route.app, "openapi"):
            return route.app
    raise SystemExit("this Prefect mounts no /api")


def plain(path: str) -> str:
    """Returns a path without the names of its parameters, for comparisons."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")


class Extract:
    def __init__(self, document: dict) -> None:
        self.paths = document["paths"]
        self.schemas = document["components"]["schemas"]

    def all(self) -> dict:
        requests, reads, objects = {}, {}, {}
        for root in self.collections():
            name = root.strip("/")
            for query in QUERIES:
                path = self.find(f"{root}/{query}", "post")
                if path:
                    requests[path] = self.request(self.paths[path]["post"])
            reads[name] = self.reads(root)
            objects[name] = self.object(root, reads[name])
        return {
            "version": importlib.metadata.version("prefect"),
            "requests": requests,
            "reads": reads,
            "objects": objects,
        }

    def collections(self) -> list[str]:
        listings = [plain(path) for path in self.paths if "post" in self.paths[path] and not path.startswith(PRIVATE)]
        roots = {path.removesuffix("/filter") for path in listings if path.endswith("/filter")}
        known = {plain(path) for path in self.paths}
        return sorted(roots | {other for other in OTHERS if other in known})

    def find(self, wanted: str, method: str) -> str | None:
        found = [path for path in self.paths if plain(path) == wanted and method in self.paths[path]]
        assert len(found) < 2, found
        return found[0] if found else None

    def request(self, operation: dict) -> dict:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        keys = self.keys(body, ())
        sorts = self.values(self.properties(body).get("sort", {}))
        return {"sorts": sorted(sorts), "body": keys}

    def reads(self, root: str) -> list[str]:
        """Returns the GET paths of one object, and of all objects that belong to one."""
        wanted = re.compile(re.escape(root) + r"((/[a-z_]+)*(/\{\})+)?$")
        return sorted(path for path in self.paths if "get" in self.paths[path] and wanted.match(plain(path)))

    def object(self, root: str, reads: list[str]) -> list[str]:
        operations = [self.paths[path]["post"] for path in [self.find(f"{root}/filter", "post")] if path]
        operations += [self.paths[path]["get"] for path in reads]
        for operation in operations:
            answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            properties = self.properties(self.item(answer.get("schema", {})))
            if set(properties) == {"events", "total", "next_page"}:
                properties = self.properties(self.item(properties["events"]))
            if properties:
                return sorted(properties)
        return []

    def resolve(self, schema: dict) -> dict:
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def parts(self, schema: dict) -> list[dict]:
        """Returns the parts of a schema: alternatives (a value or null) and intersections."""
        schema = self.resolve(schema)
        inner = [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, [])]
        return [schema] + [part for each in inner for part in self.parts(each)]

    def item(self, schema: dict) -> dict:
        """Returns the schema of an array's items, or the schema itself if it is not an array."""
        items = [part["items"] for part in self.parts(schema) if isinstance(part.get("items"), dict)]
        return items[0] if items else schema

    def properties(self, schema: dict) -> dict:
        return {name: value for part in self.parts(schema) for name, value in part.get("properties", {}).items()}

    def values(self, schema: dict) -> list[str]:
        found = [part.get("enum", [part["const"]] if "const" in part else []) for part in self.parts(schema)]
        return [value for values in found for value in values]

    def keys(self, schema: dict, above: tuple) -> dict:
        found = {}
        for part in self.parts(schema):
            if any(part is outer for outer in above):
                continue  # a filter that contains itself: its keys are listed once
            if isinstance(part.get("items"), dict):
                found |= self.keys(part["items"], (*above, part))
            for name, value in part.get("properties", {}).items():
                found[name] = self.keys(value, (*above, part))
        return dict(sorted(found.items()))


def compact(extract: dict) -> str:
    """Returns one line for each path and each collection, so that differences between versions are readable."""

    def line(value) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    sections = [f'"version": {line(extract["version"])}']
    for name in ("requests", "reads", "objects"):
        lines = [f"  {line(key)}: {line(value)}" for key, value in sorted(extract[name].items())]
        sections.append(f'"{name}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    main()
