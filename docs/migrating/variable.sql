-- question: `variable`, with the names that the Python example connector gives its columns.
-- columns: id, created, updated, name, value, tags, _fivetran_synced, _fivetran_deleted
-- deleted: kept, as there, but marked: `where not _fivetran_deleted` leaves out what is gone
-- needs: variables
--
-- value is JSON: a text stands in quotes, so the plain text is taken out of it here; an object or a list is its JSON.
select
    id,
    created,
    updated,
    name,
    value ->> '$' as value,
    tags,
    _fivetran_synced,
    _fivetran_deleted
from tester.variables
