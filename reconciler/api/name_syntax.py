"""Syntax of names, labels, ids and times in Kubernetes.

A ``validate_...`` function returns why the text is invalid, for a message, and "" where it is valid.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_1123: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_HTTP_PATH: Final = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", re.ASCII)
_ENV_NAME: Final = re.compile(r"[ -<>-~]+", re.ASCII)
_TIMESTAMP: Final = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
    r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_HEADER_NAME: Final = re.compile(r"[-A-Za-z0-9]+", re.ASCII)
LABEL_LIMIT: Final = 63
_PORT_NAME_LIMIT: Final = 15
LARGEST_PORT: Final = 65535
SUBDOMAIN_LIMIT: Final = 253
#: Of the ids of users and groups.
LARGEST_ID: Final = 2**31 - 1


def validate_label_1035(text: str) -> str:
    """Returns why ``text`` is no RFC 1035 label."""
    if len(text) > LABEL_LIMIT:
        return f"must be no more than {LABEL_LIMIT} characters (it has {len(text)}), an RFC 1035 label"
    if not _LABEL_1035.fullmatch(text):
        return (
            "must match RFC 1035 DNS label format: lower-case letters, digits and '-', "
            "starting with a letter and ending with a letter or digit"
        )
    return ""


def validate_label_1123(text: str) -> str:
    """Returns why ``text`` is no RFC 1123 label."""
    if len(text) > LABEL_LIMIT:
        return f"must be no more than {LABEL_LIMIT} characters (it has {len(text)}), an RFC 1123 label"
    if not _LABEL_1123.fullmatch(text):
        return (
            "must be an RFC 1123 label: lower-case letters, digits and '-', "
            "starting and ending with a letter or digit"
        )
    return ""


def validate_subdomain(text: str) -> str:
    """Returns why ``text`` is no RFC 1123 subdomain."""
    if len(text) > SUBDOMAIN_LIMIT:
        return f"must be no more than {SUBDOMAIN_LIMIT} characters (it has {len(text)})"
    if not _SUBDOMAIN.fullmatch(text):
        return (
            "must be an RFC 1123 subdomain: lower-case letters, digits, '-' and '.', "
            "starting and ending with a letter or digit"
        )
    return ""


def validate_label_key(text: str) -> str:
    """Returns why ``text`` is no key of a label or annotation (``[prefix/]name``)."""
    prefix, slash, name = text.rpartition("/")
    if slash and (not prefix or validate_subdomain(prefix)):
        return "the prefix before '/' must be a DNS subdomain in lower case"
    if not name or len(name) > LABEL_LIMIT or not _QUALIFIED.fullmatch(name):
        return (
            f"the name must have 1 to {LABEL_LIMIT} letters, digits, '-', '_' or '.', "
            "starting and ending with a letter or digit"
        )
    return ""


def validate_label_value(text: str) -> str:
    """Returns why ``text`` is no value of a label; an empty one is valid."""
    if len(text) > LABEL_LIMIT:
        return (
            f"must be no more than {LABEL_LIMIT} characters (it has {len(text)}); use an annotation for more"
        )
    if text and not _QUALIFIED.fullmatch(text):
        return (
            "must be empty or letters, digits, '-', '_' or '.', starting and ending with a letter or digit; "
            "use an annotation for other text"
        )
    return ""


def validate_domain_prefixed_path(text: str) -> str:
    """Returns why ``text`` is no domain-prefixed path (``acme.io/manager``)."""
    domain, slash, path = text.partition("/")
    if not slash or not domain or not path:
        return "must be a domain-prefixed path, as in acme.io/manager"
    if validate_subdomain(domain):
        return f"the domain {domain!r} {validate_subdomain(domain)}"
    if not _HTTP_PATH.fullmatch(path):
        return f"the path {path!r} has characters that a URL path may not have"
    return ""


def validate_env_name(text: str) -> str:
    """Returns why ``text`` is no name of a variable: printable ASCII without ``=`` (Kubernetes 1.34)."""
    if not text:
        return "must not be empty"
    if not _ENV_NAME.fullmatch(text):
        return "must be printable ASCII characters without '='"
    return ""


def validate_port_name(text: str) -> str:
    """Returns why ``text`` is no name of a port (an IANA service name)."""
    if len(text) > _PORT_NAME_LIMIT:
        return f"must be no more than {_PORT_NAME_LIMIT} characters (it has {len(text)})"
    if not _PORT_NAME.fullmatch(text):
        return (
            "must be a port's name: lower-case letters, digits and single '-' between them, "
            "with at least one letter"
        )
    return ""


def validate_header_name(text: str) -> str:
    """Returns why ``text`` is no name of an HTTP header that a probe may send."""
    return "" if _HEADER_NAME.fullmatch(text) else "must consist of letters, digits and '-'"


def is_timestamp(text: str) -> bool:
    """Returns whether ``text`` is an RFC 3339 time."""
    return _TIMESTAMP.fullmatch(text) is not None
