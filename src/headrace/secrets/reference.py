"""References to secrets, resolved late: `secret://env/NAME`, `secret://file/PATH`, `secret://gcp/NAME`.

A configuration carries the reference; only the code that opens a connection resolves it, and gets a `Secret`, which
never shows its value.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEME = "secret://"
MAX_SECRET_BYTES = 1 << 16

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A value that no repr, log, f-string, JSON or pickle shows; `reveal` is the one way to it, and greppable."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; hand it to the driver that needs it, and keep it nowhere."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***")
        )


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is kept: the store (`env`, `file`, `gcp`) and its name there. Safe to show and to store."""

    store: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `secret://STORE/NAME`. Raises ConfigError where the store is unknown or the name cannot be one."""
        store, _, name = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or store not in STORES:
            known = ", ".join(f"{SCHEME}{known}/" for known in STORES)
            raise ConfigError(f"{SCHEME}{store}/… names no store of secrets", fix=f"one of: {known}")
        if not name or (store == "env" and not _NAME.fullmatch(name)) or "\0" in name:
            raise ConfigError(f"{SCHEME}{store}/ needs a name after it", fix=f"write such as {_EXAMPLES[store]}")
        return cls(store, name)

    def __str__(self) -> str:
        return f"{SCHEME}{self.store}/{self.name}"

    def resolve(self, root: Path, environ: Mapping[str, str] | None = None) -> Secret:
        """Return the secret. `root` is the project's folder, which relative files stay inside of.

        Raises ConfigError, which names the reference and never a value.
        """
        return STORES[self.store](self, root, os.environ if environ is None else environ)


def is_reference(value: object) -> bool:
    """Whether a configuration value is a reference to a secret, well-formed or not."""
    return isinstance(value, str) and value.startswith(SCHEME)


def _from_env(reference: SecretReference, _root: Path, environ: Mapping[str, str]) -> Secret:
    if reference.name not in environ:
        raise ConfigError(
            f"{reference} is not set", at=str(reference), fix=f"export {reference.name}=… before starting headrace"
        )
    return Secret(environ[reference.name])


def _from_file(reference: SecretReference, root: Path, _environ: Mapping[str, str]) -> Secret:
    # An absolute path (secret://file//run/secrets/key) is where containers mount secrets; else it is the project's.
    path = (root / reference.name).resolve()
    if not Path(reference.name).is_absolute() and not path.is_relative_to(root.resolve()):
        raise ConfigError(f"{reference} leaves the project", at=str(reference), fix="write an absolute path to mean it")
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SECRET_BYTES + 1)
        if len(data) > MAX_SECRET_BYTES:
            raise ConfigError(f"{reference} is larger than {MAX_SECRET_BYTES:,} bytes", at=str(reference))
    except OSError as error:
        raise ConfigError(
            f"{reference} cannot be read: {error.strerror}", at=str(reference), fix="check the path and its rights"
        ) from error
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None  # the decoder's error carries the secret's bytes, so nothing is raised while it is at hand
    if text is None:
        raise ConfigError(f"{reference} is not UTF-8 text", at=str(reference), fix="store the secret as text")
    return Secret(text.rstrip("\r\n"))


def _from_gcp(reference: SecretReference, _root: Path, _environ: Mapping[str, str]) -> Secret:
    raise ConfigError(
        f"{reference} needs Google Cloud's Secret Manager, which this version does not read",
        at=str(reference),
        fix="pip install 'headrace[gcp]' brings the cloud drivers; until then use secret://env/ or secret://file/",
    )


STORES: dict[str, Callable[[SecretReference, Path, Mapping[str, str]], Secret]] = {
    "env": _from_env,
    "file": _from_file,
    "gcp": _from_gcp,
}

_EXAMPLES = {
    "env": "secret://env/STRIPE_KEY",
    "file": "secret://file/secrets/stripe.key",
    "gcp": "secret://gcp/stripe-key",
}
