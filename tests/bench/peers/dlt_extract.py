"""What a user might pick instead: dlt's REST source reads all flow runs, into its extract step only.

    python dlt_extract.py URL FOLDER
"""

import os
import sys

url, folder = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DLT_DATA_DIR"] = folder
os.environ["DLT_PROJECT_DIR"] = folder

import dlt  # noqa: E402
from dlt.sources.rest_api import rest_api_source  # noqa: E402

PAGE = 200

source = rest_api_source(
    {
        "client": {"base_url": url + "/"},
        "resources": [
            {
                "name": "flow_runs",
                "primary_key": "id",
                "endpoint": {
                    "path": "flow_runs/filter",
                    "method": "POST",
                    "json": {"sort": "EXPECTED_START_TIME_DESC"},
                    "data_selector": "$",
                    "paginator": {
                        "type": "offset",
                        "limit": PAGE,
                        "limit_param": None,
                        "offset_param": None,
                        "limit_body_path": "limit",
                        "offset_body_path": "offset",
                        "total_path": None,
                        "stop_after_empty_page": True,
                    },
                },
            }
        ],
    }
)
pipeline = dlt.pipeline(pipeline_name="bench", destination="dummy", pipelines_dir=folder)
info = pipeline.extract(source)
metrics = info.metrics[info.loads_ids[0]][0]
print(metrics["table_metrics"]["flow_runs"].items_count)
