"""The table of engine error messages: a pattern of the engine's text, what it means, and the remedy.

Collected from Podman 4 and 5, Docker 20.10 to 28, runc and crun; the letter case is ignored. Data only:
:mod:`reconciler.engines.http.error_mapping` applies it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ErrorPattern:
    """A pattern of an engine's error message, its meaning, and the remedy."""

    pattern: re.Pattern[str]
    meaning: str
    remedy: str


def _pattern(pattern: str, meaning: str, remedy: str = "") -> ErrorPattern:
    return ErrorPattern(re.compile(pattern, re.IGNORECASE | re.DOTALL), meaning, remedy)


#: What an engine refuses for the moment only, whoever's fault it is not; tried before the others, in order.
BUSY_ERRORS: Final[Sequence[ErrorPattern]] = (
    _pattern(
        r"port is already allocated|ports are not available|bind: address already in use",
        "asks for a port of the host that is in use",
        "It starts when the port is free.",
    ),
    _pattern(
        r"ip address (\S+) is already (?:allocated|in use)|address already in use|"
        r"static ip (\S+).*(?:allocated|in use)|duplicate allocation is not allowed|"
        r"requested ip address (\S+) is not available|failed to find free ip",
        "asks for an address that is still in use on its network",
        "It starts when the container that has it is gone (`podman ps -a` or `docker ps -a` shows it).",
    ),
    _pattern(
        r"removal (?:of container \S+ is )?(?:already )?in progress|is being removed|marked for removal|"
        r"container is dead",
        "is being removed",
    ),
    _pattern(
        r"cannot join network of a non running container|some dependencies of container|"
        r"dependenc\w+ .*not (?:started|running)",
        "shares the network of a container that does not run",
        "It starts when that container does: see why it ended with `reconciler logs`.",
    ),
    _pattern(
        r"xtables lock|iptables.*exit status 4|dump interrupted|results may be incomplete|exchange full|"
        r"netavark: .*(?:locked|busy|temporarily|timed out)|"
        r"failed to create endpoint .*(?:link not found|no such device|file exists)",
        "could not be given its network: the set-up of another was under way",
    ),
    _pattern(
        r"database is (?:locked|busy)|layer not known|text file busy",
        "could not be given its storage, which another was changing",
    ),
    _pattern(
        r"scope not found|Unit \S+ (?:already exists|was already loaded)|"
        r"sd-?bus call: .*(?:exists|timed out)|dbus: connection|conmon bytes|no logs from conmon",
        "could not be given its cgroup or its monitor",
    ),
    _pattern(
        r"resource temporarily unavailable|resource busy|interrupted system call|too many open files|"
        r"context deadline exceeded",
        "was refused by an engine that is busy",
    ),
)

#: Tried in order. ``meaning`` completes "Container NAME ..."; ``{0}`` is the first group that matched.
START_ERRORS: Final[Sequence[ErrorPattern]] = (
    _pattern(
        r"unresolvable CDI devices?:? ([^\s:]+)",
        "asks for the device {0}, which no CDI specification on the engine's host describes",
        "See what there is with `nvidia-ctk cdi list`; generate it with "
        "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` (AMD: `amd-ctk cdi generate`).",
    ),
    _pattern(
        r"could not select device driver .*?capabilities: (\S+)",
        "asks for a GPU, but Docker has no driver for it (capabilities {0})",
        "Install the NVIDIA Container Toolkit and run `sudo nvidia-ctk runtime configure --runtime=docker`, "
        "then restart Docker.",
    ),
    _pattern(
        r"nvidia-container-cli: (.*)",
        "cannot be given its GPU: {0}",
        "Check the driver with `nvidia-smi` on the engine's host.",
    ),
    _pattern(
        r"(CDI device injection failed.*|error gathering device information.*|"
        r"stat (/dev/\S+): no such file.*)",
        "cannot be given its device: {0}",
        "See what there is with `ls /etc/cdi /var/run/cdi` on the engine's host.",
    ),
    _pattern(
        r"(?:user specified IP address is supported only|user configured subnets|"
        r"requested static ip.*not in any subnet|not in (?:any )?subnet|does not belong to any of .*subnets)",
        "asks for an address that its network does not have",
        "Remove the network; it is made again with a suitable subnet.",
    ),
    _pattern(
        r"(?:exec: )?\\?\"(?P<command>[^\"\\]+)\\?\": (?:executable file not found|"
        r"(?:stat \S+: )?no such file or directory)",
        "has no command {0} in its image",
        "Correct `command`, or use an image that has it (a full path, or a name on the image's PATH).",
    ),
    _pattern(
        r"executable file [`'\"]?([^`'\"\s]+)[`'\"]? not found",
        "has no command {0} in its image",
        "Correct `command`, or use an image that has it (a full path, or a name on the image's PATH).",
    ),
    _pattern(
        r"(?:exec: )?\\?\"(?P<command>[^\"\\]+)\\?\": (?:permission denied|is a directory)",
        "cannot execute {0}",
        "Make it executable in the image (`chmod +x`), or name its interpreter in `command`.",
    ),
    _pattern(
        r"open executable|exec format error",
        "has a command that this machine cannot run",
        "Check that the image is built for this machine's architecture.",
    ),
    _pattern(
        r"rlimit",
        "cannot be given the engine's default limits (ulimits)",
        "Set `default_ulimits` under `[containers]` in containers.conf to what the engine may set.",
    ),
    _pattern(
        r"(?:controller|cgroup)[^:]*[`'\" ](?P<command>cpu|memory|pids|cpuset|io)[`'\"]?[^:]* (?:is )?not "
        r"(?:available|delegated|found|supported)|"
        r"(?:memory\.max|memory\.limit_in_bytes|cpu\.max|cpu\.cfs_quota_us).*"
        r"(?:no such file|permission denied|not permitted)|cgroups? v1 .*rootless|"
        r"rootless.*cgroups? v1|NanoCPUs can not be set|does not support (?:memory|cpu)",
        "asks for a limit that this engine cannot set: the cgroup controller is not available to it",
        "Rootless engines need cgroup v2 and delegated controllers: see "
        "https://rootlesscontaine.rs/getting-started/common/cgroup2/, or run the engine as root.",
    ),
    _pattern(
        r"(?:limit|memory|unable to start).*(?:minimum memory limit|memory.*too low|6MB)|"
        r"unable to set memory limit|container init was OOM-killed",
        "has a memory limit that is too small to start anything",
        "Raise `resources.limits.memory`.",
    ),
    _pattern(
        r"statfs (\S+): permission denied",
        "mounts {0}, which the engine's user may not read",
        "Give that user access to the folder and to those above it.",
    ),
    _pattern(
        r"statfs (\S+): no such file|bind source path does not exist: (\S+)|"
        r"source path (\S+) does not exist|stat (/\S+): no such file",
        "mounts {0}, which does not exist on the engine's host",
        "Create the folder, or correct the volume's path.",
    ),
    _pattern(
        r"workdir .* is not a directory|Cannot mkdir: .* is not a directory",
        "has a working directory that is a file in its image",
        "Correct `workingDir`.",
    ),
    _pattern(
        r"unable to find user (\S+?):|no matching entries in passwd file|unable to find group (\S+?):",
        "runs as a user or group that its image does not have",
        "Use a numeric id in `securityContext`.",
    ),
    _pattern(
        r"unknown capability|invalid capabilit|CapAdd|CapDrop",
        "asks for a capability that this kernel or engine does not know",
        "Correct `securityContext.capabilities`.",
    ),
    _pattern(
        r"no command or entrypoint provided|no command specified",
        "has nothing to run: neither the manifest nor the image says what",
        "Set `command`.",
    ),
    _pattern(
        r"seccomp|apparmor|sysctl",
        "has a security option that the engine refuses",
        "Correct `securityContext`.",
    ),
    _pattern(
        r"OCI runtime|runc create failed|crun:|error during container init|invalid (?:mount|argument|option)|"
        r"invalid (?:volume|reference|hostname)",
        "was refused by the container runtime",
    ),
)

#: ``meaning`` completes "Image NAME could not be pulled from REGISTRY: ...".
PULL_ERRORS: Final[Sequence[ErrorPattern]] = (
    _pattern(
        r"manifest unknown|manifest.*not found|name unknown|repository .*not found|\b404\b",
        "the registry has no such image",
        "Check the name and tag.",
    ),
    _pattern(
        r"unauthorized|authentication required|denied|access forbidden|no basic auth|\b401\b|\b403\b",
        "the registry refused access",
        "Check the name; for a private image give credentials with `imagePullSecrets`, or log in with "
        "`podman login` or `docker login`.",
    ),
    _pattern(
        r"no such host|server misbehaving|name resolution|lookup ",
        "the registry's name cannot be resolved",
        "Check the image's name, and the engine host's DNS and network.",
    ),
    _pattern(
        r"connection refused|i/o timeout|no route to host|network is unreachable|deadline exceeded|"
        r"TLS handshake timeout|context canceled|EOF",
        "the registry does not answer",
        "Check the registry, and the engine host's network and proxy.",
    ),
    _pattern(
        r"x509|certificate|server gave HTTP response to HTTPS",
        "the registry's certificate is not trusted, or it speaks plain HTTP",
        "Add the certificate, or name the registry as insecure in registries.conf or Docker's daemon.json.",
    ),
    _pattern(
        r"toomanyrequests|rate limit|\b429\b",
        "the registry limits the rate of pulls",
        "Log in, or wait.",
    ),
    _pattern(
        r"no space left|disk quota",
        "the engine's disk is full",
        "Free space, as with `podman system prune` or `docker system prune`.",
    ),
    _pattern(r"invalid reference|repository name must", "the name is not valid", "Correct it."),
)
