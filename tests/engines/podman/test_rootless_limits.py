"""What rootless Podman cannot do is left out, mapped, or reported."""

from __future__ import annotations

from reconciler.engines.podman.rootless_limits import (
    UserPrivileges,
    detect_privileges,
    list_limitations,
    user_namespace,
    without_unsupported_limits,
)
from reconciler.engines.protocol import EngineInfo
from reconciler.engines.specs import ContainerSpec, Security


def info(**details: object) -> EngineInfo:
    return EngineInfo(name="podman", version="4.9.3-dev", rootless=True, details=details)


def spec(**fields: object) -> ContainerSpec:
    return ContainerSpec(name="c", image="i", labels={}, **fields)  # type: ignore[arg-type]


def limitations(asked: ContainerSpec, privileges: UserPrivileges) -> tuple[str, ...]:
    return tuple(list_limitations(asked, privileges))


def test_cgroup_v1_gives_an_ordinary_user_no_controllers() -> None:
    one = detect_privileges(info(cgroup_version="1", cgroup_controllers=("cpu", "memory")))
    two = detect_privileges(info(cgroup_version="2", cgroup_controllers=("memory", "pids")))

    assert (one.version, one.controllers) == ((4, 9, 3), frozenset())
    assert two.controllers == {"memory", "pids"}


def test_only_limits_that_cannot_be_set_are_left_out() -> None:
    privileges = UserPrivileges(rootless=True, cgroup_version="2", controllers=frozenset({"memory"}))
    asked = spec(memory_limit=64, memory_reservation=32, cpu_limit=1.0, cpu_shares=512)

    kept = without_unsupported_limits(asked, privileges)

    assert (kept.memory_limit, kept.memory_reservation) == (64, 32)
    assert (kept.cpu_limit, kept.cpu_shares) == (None, None)
    (sentence,) = limitations(asked, privileges)
    assert sentence.startswith("Limits on cpu are not enforced: ")
    assert "`reconciler doctor` says how" in sentence
    assert without_unsupported_limits(asked, UserPrivileges()) == asked
    assert limitations(asked, UserPrivileges()) == ()


def test_requests_that_cannot_be_set_are_not_reported() -> None:
    assert limitations(spec(cpu_shares=512, memory_reservation=32), UserPrivileges(rootless=True)) == ()


def test_a_privileged_port_of_the_hosts_network_is_reported() -> None:
    privileges = UserPrivileges(rootless=True, port_start=1024)

    sentences = limitations(spec(host_network=True, ports=(80, 8080)), privileges)

    assert len(sentences) == 1
    assert "cannot bind port 80:" in sentences[0]
    assert limitations(spec(ports=(80,)), privileges) == ()
    assert (
        limitations(spec(host_network=True, ports=(80,)), UserPrivileges(rootless=True, port_start=80)) == ()
    )


def test_a_privileged_container_has_only_the_users_rights() -> None:
    assert (
        "no more" in limitations(spec(security=Security(privileged=True)), UserPrivileges(rootless=True))[0]
    )


def test_users_are_mapped_from_podman_4_3() -> None:
    new, old = (
        UserPrivileges(rootless=True, version=(4, 3, 1)),
        UserPrivileges(rootless=True, version=(4, 2, 0)),
    )
    asked = spec(host_user=(1000, 100))

    assert user_namespace(asked, new) == {"userns": {"nsmode": "keep-id", "value": "uid=1000,gid=100"}}
    assert user_namespace(spec(host_user=(1, 1), share_network_with="o"), new) == {
        "userns": {"nsmode": "container", "value": "o"}
    }
    assert user_namespace(asked, old) == user_namespace(asked, UserPrivileges(version=(5, 0))) == {}
    assert "subordinate id" in limitations(asked, old)[0]
    assert limitations(asked, new) == ()
