# Sourced by the other scripts: the folder of everything that is fetched or built only once. It is outside
# the checkout, so that `make clean` and a fresh clone do not delete it.
FIVETRAN_SOURCE_CACHE=${FIVETRAN_SOURCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fivetran-source-prefect}
