-- question: `work_pool`, with the names that the Python example connector gives its columns.
-- columns: id, created, updated, name, description, type, base_job_template, is_paused, concurrency_limit, status, default_queue_id, storage_configuration, active_slots, _fivetran_synced, _fivetran_deleted
-- deleted: kept, as there, but marked: `where not _fivetran_deleted` leaves out what is gone
-- needs: work_pools
--
-- base_job_template and storage_configuration are one JSON column each instead of a column for each key.
select
    id,
    created,
    updated,
    name,
    description,
    type,
    base_job_template,
    is_paused,
    concurrency_limit,
    status,
    default_queue_id,
    storage_configuration,
    active_slots,
    _fivetran_synced,
    _fivetran_deleted
from tester.work_pools
