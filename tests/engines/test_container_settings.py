"""Settings of a container: command, variables, working directory, users, hosts, security, namespaces."""

from __future__ import annotations

import pytest

from reconciler.engines.specs import Security
from reconciler.errors import Conflict, NotFound, StartFailed
from tests.support.benches import Bench

pytestmark = pytest.mark.engine

#: Values that have been mangled on the way: an equals sign, spaces, quotes, a line break, nothing.
AWKWARD = {"A": "b=c d", "QUOTES": "\"'$HOME", "LINES": "one\ntwo", "EMPTY": "", "UMLAUT": "für"}


def test_variables_are_unchanged(bench: Bench) -> None:
    script = "exec python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"

    printed = bench.run(script, env=AWKWARD)

    import json  # noqa: PLC0415

    assert json.loads(printed).items() >= AWKWARD.items()


@pytest.mark.parametrize("value", ["a\0b", b"\xff\xfe".decode(errors="surrogateescape")])
def test_values_that_are_no_text_are_rejected_and_not_shown(containers: Bench, value: str) -> None:
    for fields in ({"env": {"TOKEN": f"hush{value}"}}, {"command": (f"hush{value}",)}):
        with pytest.raises(StartFailed, match="no text") as refused:
            containers.create(script="true", **fields)

        assert "hush" not in str(refused.value)
    assert containers.engine.list_containers(containers.labels) == []


def test_a_zero_byte_fails_the_create(bench: Bench) -> None:
    with pytest.raises(StartFailed, match="variable TOKEN"):
        bench.create(script="true", env={"TOKEN": "a\0b"})


def test_command_and_arguments_are_joined(bench: Bench) -> None:
    container = bench.start(entrypoint=("printf", "<%s>"), command=("a b", "", "$HOME", "*"))

    bench.ended(container)

    assert bench.output(container) == "<a b><><$HOME><*>"


def test_a_missing_working_directory_is_created(containers: Bench) -> None:
    assert containers.run("pwd", working_dir="/no/such/folder") == "/no/such/folder\n"


def test_the_hostname_is_set(containers: Bench) -> None:
    network = containers.network()

    printed = containers.run("hostname", hostname="node-7", network=network.name)

    assert printed == "node-7\n"


def test_hosts_are_in_etc_hosts(containers: Bench) -> None:
    network = containers.network()
    hosts = {"job-node-0": "10.1.2.3", "job-node-1": "10.1.2.4"}

    printed = containers.run("getent ahostsv4 job-node-1; cat /etc/hosts", network=network.name, hosts=hosts)

    assert printed.startswith("10.1.2.4")
    assert "10.1.2.3\tjob-node-0" in printed


def test_dns_settings_are_in_resolv_conf(containers: Bench) -> None:
    network = containers.network()

    printed = containers.run(
        "cat /etc/resolv.conf",
        network=network.name,
        dns_searches=("example.test",),
        dns_options=("ndots:3",),
    )

    assert "search example.test" in printed
    assert "ndots:3" in printed


def test_user_and_groups_are_set(containers: Bench) -> None:
    security = Security(user="1234:5678", groups=("4321",))

    printed = containers.run("id -u; id -g; id -G", security=security)

    user, group, groups = printed.splitlines()
    assert (user, group) == ("1234", "5678")
    assert "4321" in groups.split()


def test_security_options_take_effect(containers: Bench) -> None:
    security = Security(no_new_privileges=True, read_only_root=True, cap_drop=("ALL",), cap_add=("CHOWN",))
    script = "grep -E '^(NoNewPrivs|CapEff):' /proc/self/status; touch /x 2>/dev/null || echo read-only"

    printed = containers.run(script, security=security)

    assert "NoNewPrivs:\t1" in printed
    assert "CapEff:\t0000000000000001" in printed
    assert "read-only" in printed


def test_sysctls_take_effect(containers: Bench) -> None:
    network = containers.network()
    security = Security(sysctls={"net.ipv4.ip_unprivileged_port_start": "0"})

    printed = containers.run(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", security=security, network=network.name
    )

    assert printed == "0\n"


def test_unconfined_seccomp_is_accepted(containers: Bench) -> None:
    printed = containers.run("grep Seccomp: /proc/self/status", security=Security(seccomp="unconfined"))

    assert printed.split() == ["Seccomp:", "0"]


def test_output_of_a_tty_is_not_framed(containers: Bench) -> None:
    container = containers.start(script="test -t 1 && echo terminal", tty=True)
    containers.ended(container)

    assert containers.output(container).split() == ["terminal"]


def test_containers_of_a_pod_share_network_and_hostname(containers: Bench) -> None:
    network = containers.network()
    owner = containers.start("a", "sleep 60", network=network.name, hostname="pod", hosts={"x": "10.9.8.7"})
    containers.awaited(owner, "running")

    printed = containers.run(
        "hostname; getent ahostsv4 x; cat /proc/net/fib_trie",
        "b",
        share_network_with=containers.name("a"),
    )

    found = containers.engine.inspect_container(owner)
    assert printed.startswith("pod\n10.9.8.7")
    assert found.address
    assert found.address in printed


def test_a_pid_namespace_is_shared(containers: Bench) -> None:
    owner = containers.start("a", "exec sleep 4321")
    containers.awaited(owner, "running")

    printed = containers.run("cat /proc/1/cmdline | tr '\\0' ' '", "b", share_pid_with=containers.name("a"))

    assert "sleep 4321" in printed


def test_the_owner_of_a_shared_network_can_be_removed(containers: Bench) -> None:
    network = containers.network()
    owner = containers.start("a", "sleep 60", network=network.name)
    containers.awaited(owner, "running")
    other = containers.start("b", "sleep 60", share_network_with=containers.name("a"))
    containers.awaited(other, "running")

    containers.engine.remove_container(owner)

    assert owner not in [each.id for each in containers.engine.list_containers(containers.labels)]


def test_the_hosts_network_is_used(containers: Bench) -> None:
    printed = containers.run("cat /proc/net/dev", host_network=True)

    with open("/proc/net/dev") as file:  # noqa: PTH123
        interfaces = {line.split(":")[0].strip() for line in file if ":" in line}
    assert "lo" in interfaces
    assert interfaces & {line.split(":")[0].strip() for line in printed.splitlines()} - {"lo"}


def test_a_taken_name_is_a_conflict(bench: Bench) -> None:
    bench.create(script="true")

    with pytest.raises(Conflict, match=bench.name("c")):
        bench.create(script="true")

    assert len(bench.engine.list_containers(bench.labels)) == 1


def test_a_missing_image_is_not_found(containers: Bench) -> None:
    spec = containers.spec(script="true")
    from dataclasses import replace  # noqa: PLC0415

    with pytest.raises(NotFound, match="localhost/no-such-image:1"):
        containers.engine.create_container(replace(spec, image="localhost/no-such-image:1"))

    assert not containers.engine.image_exists("localhost/no-such-image:1")
    assert containers.engine.image_exists(containers.image)


def test_a_missing_network_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="network"):
        bench.create(script="true", network=bench.name("no-net"))

    assert bench.engine.list_containers(bench.labels) == []


def test_a_file_that_is_not_executable_fails_the_start(containers: Bench) -> None:
    container = containers.create(entrypoint=("/etc/hostname",))

    with pytest.raises(StartFailed, match="/etc/hostname") as failed:
        containers.engine.start_container(container)

    assert failed.value.remedy


def test_an_unknown_user_fails_the_start(containers: Bench) -> None:
    with pytest.raises(StartFailed, match="user"):
        containers.start(script="true", security=Security(user="nobody-here"))


def test_an_unknown_capability_fails_the_start(containers: Bench) -> None:
    with pytest.raises(StartFailed, match="capability"):
        containers.start(script="true", security=Security(cap_add=("NO_SUCH",)))
