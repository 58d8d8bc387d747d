"""Environment variables by which a container runtime gives devices to whoever sets them.

``NVIDIA_VISIBLE_DEVICES=all`` in a manifest, in a ConfigMap, or in an image (CUDA's and PyTorch's have it)
gives a container every GPU of the host where NVIDIA's runtime or its hook is in use (its setting
``accept-nvidia-visible-devices-envvar-when-unprivileged``, on by default), whatever was allocated. So every
container is created with the value that makes that runtime do nothing, as CDI specifications of GPUs have it;
GPUs come by the request for them alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

_NVIDIA: Final = "NVIDIA_VISIBLE_DEVICES"
#: Read by the runtimes of NVIDIA, AMD, Huawei, Intel (Gaudi) and Moore Threads.
_VARIABLES: Final = frozenset(
    {
        _NVIDIA,
        "AMD_VISIBLE_DEVICES",
        "ASCEND_VISIBLE_DEVICES",
        "HABANA_VISIBLE_DEVICES",
        "MTHREADS_VISIBLE_DEVICES",
    }
)
#: The value with which NVIDIA's runtime does what the plain one does.
_VOID: Final = "void"
_NO_DEVICES: Final = frozenset({"", _VOID, "none"})
_REMEDY: Final = "ask for devices by resources.limits, as in nvidia.com/gpu: 1"
#: The warning at such a variable in a manifest.
IGNORED: Final = f"has no effect: it would give devices of the host past the allocation; {_REMEDY}"


def gives_devices(name: str, value: str) -> bool:
    """Returns whether a variable gives devices to a container under some runtime."""
    return name in _VARIABLES and value not in _NO_DEVICES


def hide_devices(env: Mapping[str, str], *, given_by_variable: bool = False) -> dict[str, str]:
    """Returns the environment to create a container with: no variable in it gives devices.

    Args:
        env: of the container's specification.
        given_by_variable: the engine itself sets NVIDIA's variable, to the GPUs that were requested.
    """
    kept = {name: value for name, value in env.items() if not gives_devices(name, value)}
    if given_by_variable:
        kept.pop(_NVIDIA, None)
        return kept
    return {**kept, _NVIDIA: _VOID}


def list_hidden(env: Mapping[str, str]) -> Iterator[str]:
    """Yields a sentence for each variable that a container does not get."""
    for name, value in env.items():
        if gives_devices(name, value):
            yield f"{name} is not passed on: it would give devices past the allocation; {_REMEDY}."
