# Sourced by the other scripts: where everything that is fetched or built once is kept, outside the
# checkout so that `make clean` and a fresh clone do not throw it away.
FIVETRAN_SOURCE_CACHE=${FIVETRAN_SOURCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fivetran-source-prefect}
