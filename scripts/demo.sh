#!/bin/sh
# From nothing to a published table: the steps of `make demo`, each shown as it would be typed.
# Needs `headrace` on the PATH. Leaves the project where it is, to look around in.
set -eu

folder=$(mktemp -d "${TMPDIR:-/tmp}/headrace-demo.XXXXXX")

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

cd "$folder"
run headrace init shop
cd shop
run headrace check
run headrace publish orders sample/orders.jsonl
run headrace build
run headrace status
run headrace query "select * from fct_daily_orders order by order_date, currency limit 10"
run headrace quarantine list

cat <<END

The project is in $folder/shop, and stays there. Next, in that folder:

  headrace quarantine show ID                      why a message waits, and at which field
  headrace publish orders sample/orders.jsonl      once more, then build: silver stays as it is
  headrace up                                      takes in what is published, and builds, until Ctrl-C
  headrace query "select * from silver.orders limit 5"

headrace itself is $(command -v headrace)
END
