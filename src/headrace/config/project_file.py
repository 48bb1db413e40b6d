"""The shape of headrace.yaml: the project's name, its defaults, its environments."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from headrace.config.collector import CollectorSpec
from headrace.config.jobs import JobsSpec
from headrace.config.settings import Settings
from headrace.connectors.push import PushesSpec
from headrace.spec import Spec
from headrace.words import IDENTIFIER

LOCAL = "local"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def _project_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} cannot name a project: a lower-case letter, then letters, digits, - and _")
    return text


def _environment_name(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ValueError(f"{text!r} cannot name an environment: a lower-case letter, then letters, digits and _")
    return text


Text = Annotated[str, Field(min_length=1)]


class EnvironmentSpec(Spec):
    """What differs in one environment."""

    bindings: dict[Text, Text] = Field(default={}, description="What a URI stands for here: a folder, or another URI.")
    overrides: Settings = Field(default=Settings(), description="Settings that win over the source files.")
    collector: CollectorSpec = Field(default=CollectorSpec(), description="Settings of the collector that differ here.")
    sources: dict[str, dict[str, Any]] = Field(
        default={}, description="Per source_id: keys of its file that are different here.", examples=[{"orders": {}}]
    )


class ProjectFile(Spec):
    """A project: one tenant, in a folder of its own."""

    name: Annotated[str, AfterValidator(_project_name)] = Field(description="The project's name.", examples=["shop"])
    description: str | None = Field(default=None, description="What it is for, in a sentence.")
    default_environment: str | None = Field(
        default=None, description="The environment where none is named (default: local, or the first)."
    )
    bindings: dict[Text, Text] = Field(
        default={},
        description="What a URI stands for in every environment.",
        examples=[{"gs://landing-zone/": "./landing/"}],
    )
    defaults: Settings = Field(default=Settings(), description="Settings of every source that does not say its own.")
    jobs: JobsSpec = Field(default=JobsSpec(), description="What runs beside the ticks, and when.")
    push: PushesSpec = Field(default=PushesSpec(), description="What holds for every push; who is told of builds.")
    collector: CollectorSpec = Field(
        default=CollectorSpec(), description="Where events come in over HTTP, and how much of it."
    )
    environments: dict[Annotated[str, AfterValidator(_environment_name)], EnvironmentSpec | None] = Field(
        default={}, description="By name: bindings and overrides."
    )

    def names(self) -> tuple[str, ...]:
        """Return the names of the environments; a project that lists none has `local`."""
        return tuple(self.environments) or (LOCAL,)

    def default(self) -> str:
        """Return the environment that is meant where none is named."""
        if self.default_environment is not None:
            return self.default_environment
        return LOCAL if LOCAL in self.names() else self.names()[0]

    def environment(self, name: str) -> EnvironmentSpec:
        """Return one environment, empty where the file says nothing of it."""
        return self.environments.get(name) or EnvironmentSpec()
