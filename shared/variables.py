"""The variables that settings are read from: those of the environment, and of `.env` in the working directory."""

import re
from collections.abc import Mapping
from pathlib import Path

from .errors import StartError

PREFIX = "TANNOY_"
FILE = Path(".env")

_is_of_a_service = re.compile(
    rf"{PREFIX}([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
).fullmatch
_is_port_of_a_service = re.compile(rf"{PREFIX}([A-Z0-9_]+_)?PORT").fullmatch
_is_address_of_a_service = re.compile(r"(tcp|udp|sctp)://").match


def read_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with our prefix by their names in upper case; those of `environment` take precedence.

    White space around a value is removed, and a variable without a value counts as one that is not set. Raises
    StartError if `.env` can't be read.
    """
    return own_variables(_read_file()) | own_variables(environment)


def own_variables(source: Mapping[str, str | None]) -> dict[str, str]:
    """Return those of our prefix and with a value, by their names in upper case, without white space around them."""
    named = ((name.upper(), value.strip()) for name, value in source.items() if value is not None)
    return {name: value for name, value in named if name.startswith(PREFIX) and value}


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes has set this variable, for a service whose name is `tannoy` or begins with `tannoy-`.

    Such a service sets TANNOY_PORT=tcp://10.96.0.12:8000 in every pod of its namespace, and several others.
    """
    if _is_of_a_service(name):
        return True
    return _is_port_of_a_service(name) is not None and _is_address_of_a_service(value) is not None


def _read_file() -> Mapping[str, str | None]:
    from dotenv import dotenv_values  # not a package of the SDK, whose program has an environment of its own

    try:
        # `utf-8-sig`, since an editor may have put a byte order mark in front of the first name.
        return dotenv_values(FILE, encoding="utf-8-sig") if FILE.is_file() else {}
    except UnicodeDecodeError as error:
        raise StartError(f"{FILE.absolute()}, at byte {error.start}, is not UTF-8: save the file as UTF-8") from error
    except OSError as error:
        raise StartError(f"{FILE.absolute()} can't be read: {error.strerror}") from error
