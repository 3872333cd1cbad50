"""Runs packaging/prefect/sync_flow.py once against a server, as its schedule would.

    run_sync_flow.py URL EXECUTABLE FOLDER

FOLDER has configuration.json. The last line of the output is the result of the flow, as JSON.
"""

import json
import os
import pathlib
import sys

URL, EXECUTABLE, FOLDER = sys.argv[1:]
os.environ["PREFECT_API_URL"] = URL
os.environ["FIVETRAN_SOURCE"] = EXECUTABLE
os.chdir(FOLDER)
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "packaging" / "prefect"))

from sync_flow import sync_prefect_metadata  # noqa: E402

print(json.dumps(sync_prefect_metadata()))
