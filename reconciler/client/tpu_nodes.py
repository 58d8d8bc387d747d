"""``get_tpu_num_nodes()``: upstream's function for the number of nodes on TPU slices. It needs no TPU."""

from __future__ import annotations

from math import prod


def get_tpu_num_nodes(num_slices: int, topology: str, chips_per_host: int = 4) -> int:
    """Returns the number of hosts of all slices together.

    Args:
        num_slices: of the job.
        topology: of a slice, ``2x4`` or ``2x2x4``.
        chips_per_host: depends on the kind of host.

    Raises:
        ValueError: a number is not positive, or the chips of a slice do not fill its hosts.
    """
    for name, value in (("num_slices", num_slices), ("chips_per_host", chips_per_host)):
        if value <= 0:
            raise ValueError(f"{name} must be positive, got: {value}")
    if not topology:
        raise ValueError("TPU topology must be specified.")
    try:
        sides = [int(side) for side in topology.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in {2, 3}:
        raise ValueError(
            f"Invalid topology format: '{topology}'. Must be formatted as 'AxB' or 'AxBxC' "
            "(e.g. '2x2', '2x2x2')."
        )
    if min(sides) <= 0:
        raise ValueError(f"TPU topology dimensions must be positive, got: '{topology}'.")
    chips = prod(sides)
    if chips > chips_per_host and chips % chips_per_host:
        raise ValueError(
            f"Total TPU chips in slice ({chips}) must be cleanly divisible by chips_per_host "
            f"({chips_per_host})."
        )
    return num_slices * max(1, chips // chips_per_host)
