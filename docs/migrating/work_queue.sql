-- question: `work_queue`, with the names that the Python example connector gives its columns.
-- columns: id, created, updated, name, description, is_paused, concurrency_limit, priority, work_pool_id, work_pool_name, filter, last_polled, status, active_slots, _fivetran_synced, _fivetran_deleted
-- deleted: kept, as there, but marked: `where not _fivetran_deleted` leaves out what is gone
-- needs: work_queues
--
-- Every column has its old name.
select
    id,
    created,
    updated,
    name,
    description,
    is_paused,
    concurrency_limit,
    priority,
    work_pool_id,
    work_pool_name,
    filter,
    last_polled,
    status,
    active_slots,
    _fivetran_synced,
    _fivetran_deleted
from tester.work_queues
