-- question: `flow`, with the names that the Python example connector gives its columns.
-- columns: id, created, updated, name, tags, labels, _fivetran_synced, _fivetran_deleted
-- deleted: kept, as there, but marked: `where not _fivetran_deleted` leaves out what is gone
-- needs: flows
--
-- labels is one JSON column instead of labels_<key>.
select
    id,
    created,
    updated,
    name,
    tags,
    labels,
    _fivetran_synced,
    _fivetran_deleted
from tester.flows
