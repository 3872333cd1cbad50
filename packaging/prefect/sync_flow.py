"""Runs the local run as a flow of Prefect: Prefect schedules the syncs of its own workspace.

    python sync_flow.py --once                     one sync
    python sync_flow.py --every 900                a sync every 15 minutes, until the process is ended

Needs Prefect 2.20 or later and the executable `fivetran_source` in PATH. The working directory has configuration.json;
the warehouse is written below it, in files/.
"""

import argparse
import json
import os
import subprocess

from prefect import flow, get_run_logger, task

# The exit code of a sync that found another one running in the same folder.
STILL_RUNNING = 75


@task
def sync() -> dict:
    """Runs one sync, and returns its result as the executable prints it."""
    command = [os.environ.get("FIVETRAN_SOURCE", "fivetran_source"), "debug", "--json"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode == STILL_RUNNING:
        return {"outcome": "skipped", "reason": "another sync is running"}
    result = json.loads(finished.stdout.strip().splitlines()[-1])
    if finished.returncode != 0:
        raise RuntimeError(f"the sync failed: {result['failure']}")
    return result


@flow(name="sync-prefect-metadata")
def sync_prefect_metadata() -> dict:
    """Syncs the workspace, and logs the number of rows."""
    result = sync()
    get_run_logger().info("sync finished: %s", json.dumps(result)[:1000])
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--once", action="store_true")
    kind.add_argument("--every", type=int, metavar="SECONDS")
    arguments = parser.parse_args()
    if arguments.once:
        sync_prefect_metadata()
    else:
        sync_prefect_metadata.serve(name="sync-prefect-metadata", interval=arguments.every)
