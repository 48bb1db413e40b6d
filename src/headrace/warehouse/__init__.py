"""The warehouse: dbt models over silver, built on a branch and published as pinned versions."""
