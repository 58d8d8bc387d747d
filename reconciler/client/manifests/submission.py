"""Builds the manifest of ``train()``: the TrainJob that the SDK's Kubernetes backend would create.

It is checked as ``reconciler validate`` does before it is written, so that a mistake is an exception where it
was made, and not a status to be found later.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.manifests.initializer_spec import InitializerSpec, build_initializer_spec
from reconciler.client.manifests.trainer_spec import Trainer, build_trainer_spec
from reconciler.client.types.types import Initializer, Runtime
from reconciler.errors import PlanError
from reconciler.names import ANNOTATION_RUNTIME, ANNOTATION_SUBMITTED_BY

if TYPE_CHECKING:
    from reconciler.api import Document, Fault
    from reconciler.client.backends.container.types import ContainerBackendConfig

Option = Callable[[dict[str, Any], Any, Any], None]

#: Value of the annotation that marks jobs submitted by clients.
SUBMITTED_BY: Final = "client"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job to be written.

    Attributes:
        documents: the TrainJob, and after it a runtime of its own where it needs one.
        has_secrets: the file must be readable by its owner only.
    """

    name: str
    documents: tuple[dict[str, Any], ...]
    has_secrets: bool


def build_submission(
    *,
    runtime: Runtime,
    document: Document,
    initializer: Initializer | None,
    trainer: Trainer | None,
    options: Sequence[Option] | None,
    namespace: str,
    config: ContainerBackendConfig,
) -> Submission:
    """Returns the manifest of a job.

    Args:
        runtime: its trainer's command is the template of the job's.
        document: of the runtime.
        initializer: dataset and model to fetch first.
        trainer: None: the runtime's own command.
        options: applied in order.
        namespace: of the job.
        config: has the images of initializers that the runtime does not have.

    Raises:
        InvalidRequest: the arguments do not make a job.
    """
    changes: dict[str, Any] = {}
    for option in _check_options(options):
        option(changes, trainer, None)
    metadata, extra = changes.get("metadata", {}), changes.get("spec", {})
    name = metadata.get("name") or _generate_name()
    initializers = build_initializer_spec(
        initializer, document.raw, job=name, namespace=namespace, config=config
    )
    own_runtime = initializers.runtime
    annotations = {ANNOTATION_SUBMITTED_BY: SUBMITTED_BY} | dict(metadata.get("annotations") or {})
    if own_runtime is not None:
        annotations[ANNOTATION_RUNTIME] = runtime.name
    job: dict[str, Any] = {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TRAINJOB_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": _spec(runtime, initializers, build_trainer_spec(runtime, trainer, initializer), extra),
    }
    if metadata.get("labels"):
        job["metadata"]["labels"] = dict(metadata["labels"])
    job["metadata"]["annotations"] = annotations
    documents = (job,) if own_runtime is None else (job, own_runtime)
    return Submission(name=name, documents=documents, has_secrets=initializers.has_secrets)


def render_checked(submission: Submission, *, file: str, runtimes: Iterable[Document]) -> str:
    """Returns the manifest's YAML, found valid.

    Args:
        submission: to be written.
        file: where to; named in faults.
        runtimes: the available ones.

    Raises:
        InvalidRequest: admission (upstream's or this project's) would reject it; the message has every fault.
    """
    from reconciler.api import check, dump, load  # noqa: PLC0415  (builds pydantic models)

    text = dump(*submission.documents)
    loaded = load(text.encode(), file)
    faults = [*loaded.faults, *(f for doc in loaded.documents for f in doc.faults)]
    runtimes = list(runtimes)
    faults += check(loaded.documents, runtimes=runtimes)
    errors = [fault for fault in faults if fault.severity == "error"]
    errors = errors or _find_planning_errors(loaded.documents, runtimes)
    if errors:
        listed = "; ".join(dict.fromkeys(f"{f.path}: {f.message}" if f.path else f.message for f in errors))
        raise InvalidRequest(f"The TrainJob {submission.name} would be refused: {listed}.")
    return text


def _find_planning_errors(documents: Sequence[Document], runtimes: Sequence[Document]) -> list[Fault]:
    """Returns why the job makes no plan, or why its function would not run."""
    from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob  # noqa: PLC0415  (builds models)
    from reconciler.plan.builder import build  # noqa: PLC0415  (imports the models)

    job = documents[0]
    ref = job.raw["spec"]["runtimeRef"]
    known = {(runtime.kind, runtime.name): runtime for runtime in (*runtimes, *documents[1:])}
    runtime = known.get((ref.get("kind"), ref["name"]))
    model = runtime.model if runtime is not None else None
    if not isinstance(job.model, TrainJob) or not isinstance(model, ClusterTrainingRuntime | TrainingRuntime):
        return []
    try:
        plan = build(job.model, model)
    except PlanError as error:
        return [job.error(error.path, str(error))]
    return [job.error(path, message) for path, message in plan.warnings if path == "spec.trainer.command"]


def _generate_name() -> str:
    """A letter and eleven hexadecimal digits, as upstream."""
    letter = random.choice(string.ascii_lowercase)  # noqa: S311  (a name, not a secret)
    return letter + uuid.uuid4().hex[: constants.JOB_NAME_UUID_LENGTH]


def _check_options(options: Any) -> Sequence[Option]:
    if options is None:
        return ()
    if not isinstance(options, (list, tuple)) or not all(map(callable, options)):
        raise InvalidRequest(
            f"options must be a list of options, not {options!r}.",
            remedy="They are in reconciler.client.options: options=[Name(...), Labels({...})].",
        )
    return options


def _spec(
    runtime: Runtime, initializers: InitializerSpec, trainer: dict[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """``spec`` of the TrainJob; options (``extra``) win over the trainer."""
    name, kind = runtime.name, runtime.kind.value
    if initializers.runtime is not None:
        name, kind = initializers.runtime["metadata"]["name"], initializers.runtime["kind"]
    spec: dict[str, Any] = {"runtimeRef": {"name": name, "kind": kind}}
    if initializers.spec:
        spec["initializer"] = initializers.spec
    if fields := trainer | dict(extra.get("trainer") or {}):
        spec["trainer"] = fields
    return spec | {key: value for key, value in extra.items() if key != "trainer"}
