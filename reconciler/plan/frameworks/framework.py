"""The base class of framework plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from reconciler.plan.draft import JobDraft

SecretKind = Literal["ssh-keypair", "curve-certificate"]


@dataclass(frozen=True, kw_only=True)
class SecretTemplate:
    """A Secret that the controller generates once per job; its name is ``<job>-<suffix>``."""

    suffix: str
    kind: SecretKind


class Framework(ABC):
    """What a framework adds to a job.

    Attributes:
        name: ``framework`` of the plan.
        secret: what the controller has to generate; None for most.
    """

    name: ClassVar[str]
    secret: ClassVar[SecretTemplate | None] = None

    @abstractmethod
    def apply(self, draft: JobDraft) -> None:
        """Sets in ``draft`` what the framework's processes need.

        A plugin sees the draft with the runtime patches in it and before the job's image, command,
        arguments, resources and environment are applied (upstream's order).

        Raises:
            PlanError: the runtime lacks what the framework needs.
        """
