"""The ids of a schema registry that a source's file gives to the versions of its contract, held against these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.config.faults import did_you_mean
from headrace.contracts.versions import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.config.faults import Fault
    from headrace.config.said_versions import Said
    from headrace.config.validation import Origin
    from headrace.contracts.versions import Version


def id_faults(said: Said, message_format: str, versions: Sequence[Version], origin: Origin) -> list[Fault]:
    """Return what is wrong with the ids: a version that is not there, one that no message can name, a format."""
    ids = said.version_from.confluent if said.version_from is not None else None
    if ids is None:
        return []
    here = said.at("version_from", "confluent")
    if message_format != "json":
        message = f"behind Confluent's frame is JSON, and messages of this source are {message_format}"
        return [origin.error(here, message, "write `message_format: json`")]
    named = {number_of(name) for name in ids}
    names = [version.name for version in versions]
    found = [
        origin.error((*here, name), f"the contract has no version {name}", did_you_mean(name, names))
        for name in ids
        if number_of(name) not in {version.number for version in versions}
    ]
    for version in versions:
        if version.number not in named and version.lifecycle != "retired":
            message = f"{version.name} has no id: no framed message can name it"
            fix = f"add it as the registry has it: `{version.name}: [ID]` (headrace registry ids)"
            found.append(origin.warning(here, message, fix))
    return found
