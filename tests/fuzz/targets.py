"""What is fuzzed: each target takes bytes, and returns a word for what came of them.

A target raises AssertionError (or anything else) when the code under test does something that it must not:
raise what it does not say it raises, take too long, let a path out. The word is the feedback: an input that
gives one that was not there yet is kept and mutated further.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import yaml

from reconciler import names
from reconciler.api import Document, check, load
from reconciler.api.name_syntax import (
    validate_label_1035,
    validate_label_1123,
    validate_label_key,
    validate_subdomain,
)
from reconciler.api.quantities import MAXIMUM, canonicalize, is_quantity, parse, to_int
from reconciler.common.durations import parse_duration
from reconciler.common.yaml_errors import YAML_VALUE_ERRORS
from reconciler.config.policy import Policy, matches_any
from reconciler.config.policy_file import parse_policy
from reconciler.controller.enforcement.host_paths import inspect_path
from reconciler.controller.enforcement.path_pinning import create_path, open_pinned
from reconciler.engines.host import image_references
from reconciler.errors import ConfigError, PlanError, PolicyDenied
from reconciler.plan.builder import build
from reconciler.plan.policy.container_rules import image_repository
from reconciler.plan.policy.host_mounts import AllowedHostPath, HostPaths, check_mount
from reconciler.plan.policy.violations import find_violations
from reconciler.sources.runtimes.builtin_runtimes import load_builtin_runtimes

Target = Callable[[bytes], str]
#: Nothing may be so large that a status could not show it.
LONGEST_MESSAGE = 20_000


def manifest(data: bytes) -> str:
    """A file in the folder: whatever it holds, faults or documents, and a plan of each job that is valid."""
    loaded = load(data, "fuzz.yaml")
    runtimes = _runtimes()
    faults = [*loaded.faults, *(f for d in loaded.documents for f in d.faults)]
    faults += check(loaded.documents, runtimes=runtimes)
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 2
    for fault in faults:
        assert 0 <= fault.line <= lines, fault
        assert fault.message, fault
        assert len(str(fault)) < LONGEST_MESSAGE, len(str(fault))
    refused = {fault.object for fault in faults if fault.severity == "error"}
    known = {(d.kind, d.name): d for d in runtimes}
    for document in loaded.documents:
        if document.kind != "TrainJob" or document.object in refused or document.model is None:
            continue
        runtime = known.get(("ClusterTrainingRuntime", document.raw["spec"]["runtimeRef"]["name"]))
        if runtime is not None:
            with suppress(PlanError):
                plan = build(document.model, runtime.model)
                if not any(v.kind == "host" for i in plan.pods for v in i.volumes):
                    find_violations(plan, Policy(), HostPaths(), {})
    return _shape(f.message for f in faults)


def policy(data: bytes) -> str:
    """``policy:`` of a reconciler.yaml: a policy, or a sentence with file and line."""
    try:
        loader = yaml.SafeLoader(data.decode("utf-8", errors="replace"))
        node = loader.get_single_node()
        if node is None:
            return "empty"
        decoded = loader.construct_document(node)
    except (yaml.YAMLError, *YAML_VALUE_ERRORS):
        return "no yaml"
    if not isinstance(node, yaml.MappingNode):
        return "no mapping"
    try:
        made = parse_policy(node, decoded, Path("/w/reconciler.yaml"))
    except ConfigError as error:
        said = error.message
    else:
        said = ""
    if said:
        assert re.match(r"/w/reconciler\.yaml:\d+: policy", said), said
        return _shape([said])
    assert all(path.path.startswith("/") for path in made.host_paths)
    return "fine"


def words(data: bytes) -> str:
    """Names, labels, quantities, durations, images, patterns: a value or ValueError, whatever the text."""
    text = data.decode("utf-8", errors="surrogateescape")
    said = [
        bool(problem(text))
        for problem in (validate_label_1035, validate_label_1123, validate_label_key, validate_subdomain)
    ]
    if not validate_label_1035(text):
        assert re.fullmatch(r"[a-z0-9.-]+", names.qualified_name("default", text))
        assert len(names.host_name(text)) <= 63
    said.append(is_quantity(text))
    if is_quantity(text):
        assert abs(parse(text)) <= MAXIMUM
        assert parse(canonicalize(text)) == parse(text)
        to_int(text)
    try:
        said.append(parse_duration(text) >= 0)
    except ValueError:
        said.append(False)
    full = image_references.full_name(text)
    assert full.startswith(image_references.registry_of(text))
    said.append(image_repository(text.partition("@")[0]).startswith("docker.io/"))
    left, _, right = text.partition("\n")
    said.append(matches_any(left[:100], (right[:20],)))
    return str(said)


def paths(data: bytes) -> str:
    """A tree of folders and links made of the bytes: what is let through is inside, and can be held."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_scratch()) as name:
        base = Path(os.path.realpath(name))
        ground = base / "ground"
        for folder in ("ground/specs", "ground/data/sub", "secret", "state"):
            (base / folder).mkdir(parents=True)
        (base / "secret" / "key").write_text("secret")
        text = data.decode("utf-8", errors="surrogateescape")
        *links, path = text.split("\n")[:12]
        for line in links:
            _link(base, line)
        grounds = HostPaths(
            workspace=str(ground),
            manifests=str(ground / "specs"),
            protected={"state": str(base / "state")},
            allowed=(AllowedHostPath(real=str(base / "extra"), read_only=True),),
        )
        shown = str(ground) + "/" + path if not path.startswith("/") else str(base) + path
        if "\0" in shown or len(shown) > 2000:
            return "no path"
        facts = inspect_path(shown)
        ruling = check_mount(facts, facts, Policy(), grounds, manifest_path=shown, writable=True)
        if ruling.denial is not None:
            return ruling.denial[0] + facts.kind
        real = os.path.realpath(shown)
        assert facts.real == real, (facts, real)
        allowed = any(real == top or real.startswith(top + "/") for top in (str(ground), str(base / "extra")))
        assert allowed, (shown, real)
        assert not f"{real}/".startswith((f"{base}/secret/", f"{base}/state/")), real
        assert real != str(ground), "the manifests could be written"
        if f"{real}/".startswith(f"{ground}/specs/"):
            assert ruling.read_only
        if facts.identity is not None:
            os.close(open_pinned(facts.real, facts.identity))
            return f"held {facts.kind} {ruling.read_only}"
        with suppress(OSError, PolicyDenied):
            create_path(facts.real, folder=True)
            assert os.path.realpath(facts.real) == facts.real
        return "made"


TARGETS: dict[str, Target] = {"manifest": manifest, "policy": policy, "words": words, "paths": paths}


def _link(base: Path, line: str) -> None:
    """``name>target``: a link; ``name/``: a folder. What cannot be made is left out."""
    with suppress(OSError, ValueError):
        place, arrow, target = line.partition(">")
        inside = base / "ground" / place.lstrip("/")
        if not os.path.realpath(inside.parent).startswith(str(base)):
            return
        if arrow:
            inside.symlink_to(target.replace("BASE", str(base)))
        else:
            inside.mkdir(parents=True)


@cache
def _runtimes() -> list[Document]:
    return load_builtin_runtimes()


@cache
def _scratch() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _shape(messages: object) -> str:
    """Messages without what differs from input to input."""
    plain = (re.sub(r"\"[^\"]*\"|'[^']*'|\d+", "_", str(m))[:120] for m in messages)  # type: ignore[attr-defined]
    return "|".join(sorted(set(plain))[:4])
