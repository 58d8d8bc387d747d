"""How Kubernetes spells names, labels and times: pure predicates, and sentences for what breaks them."""

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
LABEL_LIMIT: Final = 63
SUBDOMAIN_LIMIT: Final = 253
#: Of users and groups.
LARGEST_ID: Final = 2**31 - 1


def label_1035_problem(text: str) -> str:
    """What keeps ``text`` from being an RFC 1035 label; empty when nothing does."""
    if len(text) > LABEL_LIMIT:
        return f"must be no more than {LABEL_LIMIT} characters (it has {len(text)}), an RFC 1035 label"
    if not _LABEL_1035.fullmatch(text):
        return (
            "must match RFC 1035 DNS label format: lower-case letters, digits and '-', "
            "starting with a letter and ending with a letter or digit"
        )
    return ""


def label_1123_problem(text: str) -> str:
    """What keeps ``text`` from being an RFC 1123 label; empty when nothing does."""
    if len(text) > LABEL_LIMIT:
        return f"must be no more than {LABEL_LIMIT} characters (it has {len(text)}), an RFC 1123 label"
    if not _LABEL_1123.fullmatch(text):
        return (
            "must be an RFC 1123 label: lower-case letters, digits and '-', "
            "starting and ending with a letter or digit"
        )
    return ""


def subdomain_problem(text: str) -> str:
    """What keeps ``text`` from being an RFC 1123 subdomain; empty when nothing does."""
    if len(text) > SUBDOMAIN_LIMIT:
        return f"must be no more than {SUBDOMAIN_LIMIT} characters (it has {len(text)})"
    if not _SUBDOMAIN.fullmatch(text):
        return (
            "must be an RFC 1123 subdomain: lower-case letters, digits, '-' and '.', "
            "starting and ending with a letter or digit"
        )
    return ""


def label_key_problem(text: str) -> str:
    """What keeps ``text`` from being the key of a label or annotation: ``[prefix/]name``."""
    prefix, slash, name = text.rpartition("/")
    if slash and (not prefix or subdomain_problem(prefix)):
        return "the prefix before '/' must be a DNS subdomain in lower case"
    if not name or len(name) > LABEL_LIMIT or not _QUALIFIED.fullmatch(name):
        return (
            f"the name must have 1 to {LABEL_LIMIT} letters, digits, '-', '_' or '.', "
            "starting and ending with a letter or digit"
        )
    return ""


def label_value_problem(text: str) -> str:
    """What keeps ``text`` from being a label's value; empty values are fine."""
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


def domain_prefixed_path_problem(text: str) -> str:
    """What keeps ``text`` from being a domain-prefixed path (``acme.io/manager``)."""
    domain, slash, path = text.partition("/")
    if not slash or not domain or not path:
        return "must be a domain-prefixed path, as in acme.io/manager"
    if subdomain_problem(domain):
        return f"the domain {domain!r} {subdomain_problem(domain)}"
    if not _HTTP_PATH.fullmatch(path):
        return f"the path {path!r} has characters that a URL path may not have"
    return ""


def env_name_problem(text: str) -> str:
    """What keeps ``text`` from being a variable's name: printable ASCII without ``=`` (Kubernetes 1.34)."""
    if not text:
        return "must not be empty"
    if not _ENV_NAME.fullmatch(text):
        return "must be printable ASCII characters without '='"
    return ""


def is_timestamp(text: str) -> bool:
    """Whether ``text`` is an RFC 3339 time."""
    return _TIMESTAMP.fullmatch(text) is not None
