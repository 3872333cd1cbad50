"""Fills a real Prefect server as its users do: by real flows, run here with Prefect's own client.

    live_flows.py URL            the first round, on an empty server
    live_flows.py URL change     the second, once after the first

Run by the Python of a server's environment (scripts/prefect-server.sh install 3|2), against a server
of that generation; URL is the API's. Everything is made under fixed names and in fixed numbers, but
for what the client itself says in logs and events. The last line of the output is JSON:

    {"version": "3.9.1", "counts": {TABLE: ROWS, …}, "states": {"flow_runs": {"Completed": N, …}, …},
     "ids": {NAME: ID, …},
     "tables": {TABLE: {"created": N, "changed": N, "deleted": N}, …}}

`counts` is what the server holds at the end, `tables` what this round did to it, side effects and
all: both are read from the API when nothing moves any more. `changed` are objects with any property
other than before, whether or not `updated` tells so.
"""

import json
import os
import sys
import tempfile
import threading
import warnings

from live_api import Api, Refused, difference, wait_for

HOME = tempfile.TemporaryDirectory(prefix="live-flows-")
for name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[name]
os.environ |= {
    "PREFECT_HOME": HOME.name,
    "PREFECT_API_URL": sys.argv[1],
    "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "DEBUG",
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "DEBUG",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_EXPERIMENTAL_WARN": "false",
    "DO_NOT_TRACK": "1",
    "NO_PROXY": "127.0.0.1",
}
warnings.filterwarnings("ignore")

import anyio  # noqa: E402
from prefect import flow, get_client, get_run_logger, pause_flow_run, suspend_flow_run, tags, task  # noqa: E402
from prefect import artifacts  # noqa: E402
from prefect.blocks.core import Block  # noqa: E402
from prefect.blocks.system import Secret  # noqa: E402
from prefect.concurrency.sync import concurrency  # noqa: E402
from prefect.input import RunInput  # noqa: E402
from prefect.logging.handlers import APILogWorker  # noqa: E402
from prefect.states import Cancelled, Scheduled  # noqa: E402

SECRET = "live-secret-value-7f3a"
FAR = "2099-01-01T06:00:00+00:00"


# Flows. Their callers catch their exceptions.


@task(task_run_name="extract-{region}", tags=["database"])
def extract(region: str) -> list[int]:
    logger = get_run_logger()
    logger.debug("extract: %s beginnt", region)
    with concurrency("warehouse", occupy=1):
        logger.info("extract: %s", region)
    return [1, 2, 3]


@task(task_run_name="transform-{number}-{factor}")
def transform(number: int, factor: int) -> int:
    return number * factor


@task(task_run_name="load")
def load(rows: list[int], source: list[int]) -> int:
    get_run_logger().warning("load: %d Zeilen aus %d 🚚", len(rows), len(source))
    artifacts.create_table_artifact(key="live-rows", table=[{"row": row} for row in rows], description="Zeilen")
    return sum(rows)


@task(task_run_name="rates-{number}-{attempt}", cache_key_fn=lambda context, given: f"live-rates-{given['number']}", persist_result=True)
def rates(number: int, attempt: int) -> float:
    return 1.1


@task(task_run_name="flaky", retries=2, retry_delay_seconds=0)
def flaky(seen: list) -> str:
    seen.append(1)
    if len(seen) < 2:
        raise ConnectionError("nicht erreichbar")
    return "ok"


@task(task_run_name="broken")
def broken() -> None:
    get_run_logger().error("broken: das geht nicht")
    raise ValueError("schlechte Zeile")


@task(task_run_name="after-broken")
def after_broken(given) -> None:
    raise AssertionError("its input never comes")


@task(task_run_name="label-{parcel}")
def label(parcel: int) -> str:
    return f"#{parcel}"


@flow(name="live-shipping", flow_run_name="shipping-{parent}", version="1")
def shipping(parent: str, parcels: int) -> list[str]:
    get_run_logger().info("shipping %s", parcels)
    return [label(parcel) for parcel in range(parcels)]


@flow(name="live-orders", flow_run_name="orders-{number}", version="2.1", description="Bestellungen")
def orders(number: int, region: str = "eu", options: dict | None = None) -> int:
    source = extract.submit(region)
    rows = transform.map(source, 10)
    total = load.submit(rows, source).result()
    # In sequence: the second is found in the cache.
    rates(number, attempt=1)
    rates(number, attempt=2)
    flaky([])
    documents(number)
    with tags("versand"):
        shipping(f"orders-{number}", 2)
    get_run_logger().critical("orders: nur ein Test")
    return total


@task(task_run_name="documents-{number}")
def documents(number: int) -> None:
    artifacts.create_markdown_artifact(key="live-report", markdown=f"# Bericht {number}\n\n- ünïcödé", description="d")
    artifacts.create_link_artifact(key="live-link", link="https://example.com/?a=1&b=2", link_text="Beispiel")
    if hasattr(artifacts, "create_progress_artifact"):
        progress = artifacts.create_progress_artifact(progress=10.0, key="live-progress")
        artifacts.update_progress_artifact(artifact_id=progress, progress=75.5)
    if hasattr(artifacts, "create_image_artifact"):
        artifacts.create_image_artifact(image_url="https://example.com/a.png", key="live-image")


@flow(name="live-failing", flow_run_name="failing-{number}")
def failing(number: int) -> None:
    first = broken.submit()
    second = after_broken.submit(first)
    second.wait()
    first.result()


@flow(name="live-retrying", flow_run_name="retrying-{number}", retries=1, retry_delay_seconds=0)
def retrying(number: int, seen: list) -> str:
    seen.append(1)
    ATTEMPTS.append(1)
    if len(ATTEMPTS) < 2:
        raise TimeoutError("erster Versuch")
    return "ok"


ATTEMPTS: list[int] = []


class Crash(BaseException):
    """An exception that no flow expects."""


@flow(name="live-crashing", flow_run_name="crashing-{number}")
def crashing(number: int) -> None:
    raise Crash("abgestürzt")


@flow(name="live-cancelled", flow_run_name="cancelled-{number}")
def cancelled(number: int):
    return Cancelled(message="vom Lauf selbst")


@flow(name="live-late", flow_run_name="late-{number}")
def late(number: int) -> None:
    """Only in the second round."""


class Approval(RunInput):
    approved: bool
    comment: str = ""


@flow(name="live-approval", flow_run_name="approval-{number}")
def approval(number: int) -> str:
    answer = pause_flow_run(wait_for_input=Approval, timeout=90, poll_interval=1)
    get_run_logger().info("approval: %s", answer.comment)
    return answer.comment


def run_flows(api: Api, number: int) -> None:
    def resume() -> None:
        named = {"flow_runs": {"name": {"any_": [f"approval-{number}"]}, "state": {"type": {"any_": ["PAUSED"]}}}}
        paused = wait_for("a paused run", lambda: api.post("/flow_runs/filter", named))[0]
        given = {"approved": True, "comment": "genehmigt ✓"}

        def accepted() -> bool:
            # Rejected until the client, after the pause, has reported the input that it waits for.
            answer = api.post(f"/flow_runs/{paused['id']}/resume", {"run_input": given})
            return answer["status"] == "ACCEPT"

        wait_for("the end of the pause", accepted)

    with tags("live", f"round-{number}"):
        if api.three:
            # A task outside of a flow: its task run belongs to no flow run. This call must be first, because
            # after a flow of this process the client assigns the task run to that flow's run.
            transform(number, 100)
        orders(number, options={"nested": {"list": [1, None, "zwei"]}})
        outcome(lambda: failing(number), ValueError)
        ATTEMPTS.clear()
        retrying(number, [])
        outcome(lambda: crashing(number), Crash)
        cancelled(number, return_state=True)
        helper = threading.Thread(target=resume)
        helper.start()
        approval(number)
        helper.join()


def outcome(call, error: type[BaseException]) -> None:
    try:
        call()
    except error:
        return
    raise SystemExit(f"no {error.__name__} was raised")


# Objects that flows do not create.


class LiveDatabase(Block):
    """A block that refers to another one."""

    _block_type_name = "Live Database"
    _block_type_slug = "live-database"

    host: str
    password: Secret


def schedules(api: Api) -> list[dict]:
    all_of_them = [
        {"schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin", "day_or": True}, "active": True},
        {
            "schedule": {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"},
            "active": False,
        },
        {"schedule": {"rrule": "FREQ=WEEKLY;BYDAY=MO", "timezone": "UTC"}, "active": True},
    ]
    if api.three:
        all_of_them[2] |= {"slug": "montags", "parameters": {"region": "us"}}
    return all_of_them


def deployment(api: Api, name: str, flow_name: str, **more) -> str:
    of = api.get(f"/flows/name/{flow_name}")
    return api.post("/deployments/", {"name": name, "flow_id": of["id"], "tags": ["live"], **more})["id"]


def set_state(api: Api, run: str, kind: str, name: str | None = None) -> None:
    state = {"type": kind, "name": name or kind.title(), "message": "von Hand"}
    api.post(f"/flow_runs/{run}/set_state", {"state": state, "force": True})


def run_of(deployment_id: str, name: str, when: str) -> str:
    """Schedules a run through the client, as a user does."""
    from datetime import datetime

    async def create():
        state = Scheduled(scheduled_time=datetime.fromisoformat(when))
        async with get_client() as client:
            return await client.create_flow_run_from_deployment(
                deployment_id, name=name, state=state, parameters={"number": 9, "region": "us"}
            )

    return str(anyio.run(create).id)


def before_the_flows(api: Api) -> None:
    """Creates the objects that the flows need."""
    api.post("/concurrency_limits/", {"tag": "database", "concurrency_limit": 2})
    api.post("/concurrency_limits/", {"tag": "doomed", "concurrency_limit": 0})
    api.post("/v2/concurrency_limits/", {"name": "warehouse", "limit": 3})
    rates_limit = {"name": "live-api-calls", "limit": 10, "slot_decay_per_second": 0.5, "active": False}
    api.post("/v2/concurrency_limits/", rates_limit)


def work_pools(api: Api) -> None:
    for name, kind in (("live-process", "process"), ("live-docker", "docker"), ("live-old", "process")):
        variables = {"properties": {"command": {"type": "string"}}}
        template = {"job_configuration": {"command": "{{ command }}"}, "variables": variables}
        pool = {"name": name, "type": kind, "description": "Läufe", "concurrency_limit": 5}
        api.post("/work_pools/", {**pool, "base_job_template": template})
    for name, priority in (("urgent", 1), ("slow", 9)):
        api.post("/work_pools/live-process/queues", {"name": name, "priority": priority, "concurrency_limit": 3})
    for worker in ("worker-1", "worker-2"):
        heartbeat(api, worker)


def heartbeat(api: Api, worker: str) -> None:
    body = {"name": worker, "heartbeat_interval_seconds": 30}
    api.post("/work_pools/live-process/workers/heartbeat", body)


def deployments(api: Api, ids: dict) -> None:
    variables = {"env": {"REGION": "eu", "EMPTY": ""}, "memory": 512}
    more = {"job_variables": variables, "concurrency_limit": 2} if api.three else {"infra_overrides": variables}
    ids["deployment"] = deployment(
        api,
        "live-daily",
        "live-orders",
        schedules=schedules(api),
        work_pool_name="live-process",
        work_queue_name="urgent",
        parameters={"number": 1, "region": "eu"},
        version="2.1",
        description="täglich",
        entrypoint="flows/orders.py:orders",
        path="/opt/flows",
        **more,
    )
    ids["deployment_adhoc"] = deployment(api, "live-adhoc", "live-shipping")
    ids["deployment_doomed"] = deployment(api, "live-doomed", "live-failing", work_pool_name="live-docker")
    # Two runs at the same time.
    ids["scheduled_run"] = run_of(ids["deployment"], "scheduled-1", FAR)
    ids["scheduled_run_2"] = run_of(ids["deployment"], "scheduled-2", FAR)
    ids["scheduled_run_doomed"] = run_of(ids["deployment_doomed"], "scheduled-doomed", "2099-01-02T00:00:00+00:00")
    for name in ("suspended", "running"):
        ids[f"{name}_run"] = run_of(ids["deployment"], f"{name}-1", "2026-01-01T00:00:00+00:00")
        set_state(api, ids[f"{name}_run"], "PENDING")
        set_state(api, ids[f"{name}_run"], "RUNNING")
    suspend_flow_run(flow_run_id=ids["suspended_run"], timeout=30 * 86400)


def plain_things(api: Api, ids: dict) -> None:
    values = {"live_text": "täglich", "live_doomed": "weg", "live_empty": ""}
    if api.three:
        values |= {"live_json": {"a": [1, 2.5, None, True], "ü": "💡"}, "live_number": 42, "live_null": None}
    for name, value in values.items():
        given = {"tags": ["live", "täglich"]} if name == "live_text" else {}
        api.post("/variables/", {"name": name, "value": value, **given})
    api.post("/v2/concurrency_limits/increment", {"names": ["warehouse"], "slots": 1})
    ids["flow_obsolete"] = api.post("/flows/", {"name": "live-obsolete", "tags": ["alt"]})["id"]
    ids["doomed_run"] = api.post("/flow_runs/", {"name": "doomed-1", "flow_id": ids["flow_obsolete"]})["id"]
    filters = [{"object": "flow_run", "property": "state", "type": "string", "operation": "equals", "value": "FAILED"}]
    ids["saved_search"] = api.call("PUT", "/saved_searches/", {"name": "live-failed", "filters": filters})["id"]
    for slug in ("live-type", "live-type-old"):
        api.post("/block_types/", {"name": slug.title(), "slug": slug, "description": "von Hand"})
    if api.three:
        ids["automation"] = automation(api, "live-alarm", True)
        ids["automation_doomed"] = automation(api, "live-doomed", False)


def automation(api: Api, name: str, enabled: bool) -> str:
    trigger = {
        "type": "event",
        "posture": "Reactive",
        "expect": ["prefect.flow-run.Failed"],
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "for_each": ["prefect.resource.id"],
        "threshold": 1,
        "within": 0,
    }
    body = {"name": name, "description": "Alarm", "enabled": enabled, "tags": ["live"], "trigger": trigger}
    return api.post("/automations/", {**body, "actions": [{"type": "do-nothing"}]})["id"]


def blocks(api: Api, ids: dict) -> None:
    secret = Secret(value=SECRET)
    ids["secret_block"] = str(secret.save("live-password", overwrite=True))
    Secret(value=SECRET).save("live-doomed", overwrite=True)
    ids["database_block"] = str(LiveDatabase(host="db.example.com", password=secret).save("live-db", overwrite=True))
    if not api.three:
        policy = {"is_active": True, "state_names": ["Failed"], "tags": [], "block_document_id": ids["secret_block"]}
        ids["policy"] = api.post("/flow_run_notification_policies/", policy)["id"]


def first_round(api: Api, before: dict) -> dict:
    ids: dict = {}
    before_the_flows(api)
    work_pools(api)
    run_flows(api, 1)
    deployments(api, ids)
    blocks(api, ids)
    plain_things(api, ids)
    # An artifact that changes after its creation, and one that is deleted later.
    ids["report"] = api.one("/artifacts/filter", {"artifacts": {"key": {"any_": ["live-report"]}}})["id"]
    edit_artifact(api, ids["report"])
    ids["artifact_doomed"] = api.post("/artifacts/", {"key": "live-doomed", "type": "markdown", "data": "weg"})["id"]
    orders_run = api.one("/flow_runs/filter", {"flow_runs": {"name": {"any_": ["orders-1"]}}})
    return ids | {"orders_run": orders_run["id"]}


def edit_artifact(api: Api, artifact: str) -> None:
    try:
        api.patch(f"/artifacts/{artifact}", {"description": "später beschrieben"})
    except Refused as refused:
        # 2.20 returns 404, but changes the artifact.
        if api.three or refused.status != 404:
            raise


# The second round: in every collection an object is new, changed, or deleted.


def second_round(api: Api, before: dict) -> dict:
    def named(table: str, name: str) -> str:
        found = [row["id"] for row in before[table].values() if row.get("name", row.get("tag")) == name]
        if len(found) != 1:
            raise SystemExit(f"{len(found)} {table} named {name}: not after the first round")
        return found[0]

    ids = {"orders_run": named("flow_runs", "orders-1"), "renamed_task_run": named("task_runs", "load")}
    run_flows(api, 2)
    late(2)
    api.patch(f"/flows/{named('flows', 'live-orders')}", {"tags": ["später"]})
    change_runs(api, named, ids)
    change_deployments(api, named, ids)
    change_plain_things(api, before, named)
    change_work_pools(api, named)
    change_limits(api, named)
    change_blocks(api, named)
    if api.three:
        change_automations(api, named)
    return ids


def change_runs(api: Api, named, ids: dict) -> None:
    api.patch(f"/flow_runs/{ids['orders_run']}", {"name": "orders-1 umbenannt", "tags": ["neu"]})
    api.patch(f"/task_runs/{ids['renamed_task_run']}", {"name": "load umbenannt"})
    set_state(api, named("flow_runs", "running-1"), "COMPLETED")
    set_state(api, named("flow_runs", "suspended-1"), "CANCELLED")
    set_state(api, named("flow_runs", "crashing-1"), "FAILED")
    set_state(api, named("flow_runs", "failing-1"), "SCHEDULED", "AwaitingRetry")
    set_state(api, named("flow_runs", "scheduled-1"), "CANCELLED")
    api.delete(f"/flow_runs/{named('flow_runs', 'scheduled-2')}")
    # Deleting the flow also deletes its run.
    api.delete(f"/flows/{named('flows', 'live-obsolete')}")


def change_deployments(api: Api, named, ids: dict) -> None:
    daily = ids["deployment"] = named("deployments", "live-daily")
    path = f"/deployments/{daily}/schedules"
    rows = {next(iter({"cron", "interval", "rrule"} & row["schedule"].keys())): row["id"] for row in api.get(path)}
    api.delete(f"{path}/{rows['rrule']}")
    api.patch(f"{path}/{rows['cron']}", {"active": False})
    api.post(path, [{"schedule": {"cron": "30 5 1 * *", "timezone": "UTC"}, "active": True}])
    api.patch(f"/deployments/{named('deployments', 'live-adhoc')}", {"description": "jetzt beschrieben"})
    # Deleting the deployment also deletes its scheduled run.
    api.delete(f"/deployments/{named('deployments', 'live-doomed')}")
    ids["new_deployment"] = deployment(api, "live-weekly", "live-retrying", paused=True)
    ids["new_scheduled_run"] = run_of(ids["new_deployment"], "scheduled-3", FAR)


def change_plain_things(api: Api, before: dict, named) -> None:
    api.patch(f"/variables/{named('variables', 'live_text')}", {"value": "wöchentlich", "tags": []})
    api.delete(f"/variables/{named('variables', 'live_doomed')}")
    api.post("/variables/", {"name": "live_new", "value": "neu"})
    artifact_ids = {row["key"]: row["id"] for row in before["artifacts"].values()}
    edit_artifact(api, artifact_ids["live-link"])
    api.delete(f"/artifacts/{artifact_ids['live-doomed']}")
    api.delete(f"/saved_searches/{named('saved_searches', 'live-failed')}")
    api.call("PUT", "/saved_searches/", {"name": "live-late", "filters": []})
    for policy in before["flow_run_notification_policies"]:
        api.patch(f"/flow_run_notification_policies/{policy}", {"is_active": False})


def change_work_pools(api: Api, named) -> None:
    api.patch("/work_pools/live-docker", {"is_paused": True})
    api.delete("/work_pools/live-old")
    api.post("/work_pools/", {"name": "live-new", "type": "process"})
    api.patch("/work_pools/live-process/queues/urgent", {"concurrency_limit": 1})
    api.delete("/work_pools/live-process/queues/slow")
    api.post("/work_pools/live-process/queues", {"name": "later", "priority": 5})
    heartbeat(api, "worker-1")
    heartbeat(api, "worker-3")
    api.delete("/work_pools/live-process/workers/worker-2")


def change_limits(api: Api, named) -> None:
    api.post("/concurrency_limits/", {"tag": "database", "concurrency_limit": 4})
    api.post("/concurrency_limits/", {"tag": "new", "concurrency_limit": 1})
    api.delete("/concurrency_limits/tag/doomed")
    api.patch("/v2/concurrency_limits/warehouse", {"limit": 5})
    api.delete("/v2/concurrency_limits/live-api-calls")
    api.post("/v2/concurrency_limits/", {"name": "live-new", "limit": 1})


def change_blocks(api: Api, named) -> None:
    Secret(value=SECRET + "-neu").save("live-password", overwrite=True)
    api.delete(f"/block_documents/{named('block_documents', 'live-doomed')}")
    Secret(value=SECRET).save("live-new", overwrite=True)
    types = {slug: api.get(f"/block_types/slug/{slug}")["id"] for slug in ("live-type", "live-type-old")}
    api.patch(f"/block_types/{types['live-type']}", {"description": "anders"})
    api.delete(f"/block_types/{types['live-type-old']}")
    new_type = api.post("/block_types/", {"name": "Live-Type-New", "slug": "live-type-new"})["id"]
    fields = {"title": "Neu", "type": "object", "properties": {"host": {"title": "Host", "type": "string"}}}
    api.post("/block_schemas/", {"block_type_id": new_type, "fields": fields, "capabilities": ["neu"]})


def change_automations(api: Api, named) -> None:
    api.patch(f"/automations/{named('automations', 'live-alarm')}", {"enabled": False})
    api.delete(f"/automations/{named('automations', 'live-doomed')}")
    automation(api, "live-new", True)


# Data that the client sends in the background and the server writes with a delay.


def settle(api: Api) -> None:
    """Waits until all logs, task runs and events have been written."""
    APILogWorker.drain_all()
    if not api.three:
        return
    from uuid import uuid4

    from prefect.events import emit_event
    from prefect.events.worker import EventsWorker

    # Events are sent in order over one connection: all events before the last one were received before it.
    last = f"live-flows.{uuid4()}"
    emit_event("live-flows.done", resource={"prefect.resource.id": last})
    EventsWorker.drain_all()
    wait_for("the last event", lambda: api.events({"resource": {"id": [last]}}))
    looks: list = []

    def quiet() -> bool:
        events = api.post("/events/filter", {"limit": 1, "filter": {}})["total"]
        runs = sorted((run["id"], run["updated"]) for run in api.rows("task_runs"))
        looks.append((events, runs))
        return len(looks) > 5 and all(look == looks[-1] for look in looks[-5:])

    wait_for("a quiet server", quiet)


def states(runs: dict) -> dict[str, int]:
    names = sorted(run["state_name"] for run in runs.values())
    return {name: names.count(name) for name in names}


def main() -> None:
    api = Api(sys.argv[1])
    round_of = {(): first_round, ("change",): second_round}.get(tuple(sys.argv[2:]))
    if round_of is None:
        raise SystemExit(__doc__)
    before = api.snapshot()
    ids = round_of(api, before)
    settle(api)
    after = api.snapshot()
    report = {
        "version": api.version,
        "counts": {table: len(rows) for table, rows in after.items()},
        "states": {table: states(after[table]) for table in ("flow_runs", "task_runs")},
        "ids": ids,
        "tables": difference(before, after),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
