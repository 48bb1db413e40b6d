"""What the warehouse builds from, as a project says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.warehouse.base import Inputs
from headrace.warehouse.silver import silver_table

if TYPE_CHECKING:
    from headrace.config.project import Project


def inputs(project: Project) -> Inputs:
    """Return what the warehouse builds from: the project's dbt files and its silver tables."""
    return Inputs(
        project=project.name,
        root=project.root,
        tables=tuple(
            silver_table(
                dataset,
                source_id=source.id,
                description=source.spec.description or "",
                owner=source.owner or "",
                sla_minutes=source.sla_minutes,
                gold=source.silver_to_gold if len(source.datasets) == 1 else (),
                file=str(source.file.relative_to(project.root)),
            )
            for source in project.sources.values()
            for dataset in source.datasets
        ),
    )
