"""The parameters of a Redis URL: what follows its ?. Unknown ones are refused, because they would have no effect."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .errors import CannotConnect
from .tls import TlsOptions

IN_A_PASSWORD = "in a user or password, write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A and % as %25"
_TLS_PARAMETERS = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
_SENTINEL_PARAMETERS = ("sentinel_username", "sentinel_password", "sentinel_ssl")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

_is_parameter_name = re.compile(r"[a-z_]{1,40}").fullmatch


def read_parameters(scheme: str, query: str) -> dict[str, str]:
    """By name. Raises ValueError for a name that the scheme does not have."""
    allowed = [] if scheme.endswith("+cluster") else ["db"]
    if scheme.startswith("rediss"):
        allowed += _TLS_PARAMETERS
    if scheme.endswith("+sentinel"):
        allowed += _SENTINEL_PARAMETERS
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    for name in parameters:
        if name in allowed:
            continue
        if name in _TLS_PARAMETERS:
            raise ValueError(
                f"{name} is for TLS: then the URL has to begin with {scheme.replace('redis', 'rediss')}://"
            )
        what = name if _is_parameter_name(name) else "the text behind the ?"
        raise ValueError(
            f"{what} is no parameter of {scheme}://, which has {', '.join(allowed) or 'none'} ({IN_A_PASSWORD})"
        )
    return parameters


def read_flag(parameters: Mapping[str, str], name: str) -> bool:
    """The parameter as a boolean; True if it is not given. Raises ValueError."""
    flag = _FLAGS.get(parameters.get(name, "true").lower())
    if flag is None:
        raise ValueError(f"has a {name} that is neither true nor false")
    return flag


def read_database(text: str) -> int:
    """Its number; 0 for an empty text. Raises ValueError."""
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("has a database that is no number")
    return int(text or 0)


def read_tls(parameters: Mapping[str, str]) -> TlsOptions:
    """Certificate and host name are verified, unless the parameters turn that off. Files have to be readable now.

    Raises ValueError.
    """
    reqs = parameters.get("ssl_cert_reqs", "required")
    if reqs not in ("required", "none"):
        raise ValueError("has a ssl_cert_reqs that is neither required nor none")
    options = TlsOptions(
        ca_certs=parameters.get("ssl_ca_certs"),
        certfile=parameters.get("ssl_certfile"),
        keyfile=parameters.get("ssl_keyfile"),
        password=parameters.get("ssl_password", ""),
        verifies=reqs == "required",
        checks_host_name=read_flag(parameters, "ssl_check_hostname"),
    )
    try:
        options.make_context()
    except CannotConnect as error:
        raise ValueError(str(error)) from error
    return options
