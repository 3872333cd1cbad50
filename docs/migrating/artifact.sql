-- question: `artifact`, with the names that the Python example connector gives its columns.
-- columns: id, created, updated, key, type, description, data, metadata_, flow_run_id, task_run_id, _fivetran_synced, _fivetran_deleted
-- deleted: kept, as there, but marked: `where not _fivetran_deleted` leaves out what is gone
-- needs: artifacts
--
-- key is called artifact_key in our table, metadata_ is called metadata. data is JSON: a text stands in quotes, so the
-- plain text is taken out of it here.
select
    id,
    created,
    updated,
    artifact_key as "key",
    type,
    description,
    data ->> '$' as data,
    metadata as metadata_,
    flow_run_id,
    task_run_id,
    _fivetran_synced,
    _fivetran_deleted
from tester.artifacts
