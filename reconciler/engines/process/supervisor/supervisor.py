"""The parent process of one container: starts its command, outlives the daemon, records the exit.

Runs as ``python -I -S -c <BOOT> MODE FOLDER`` (see ``supervisor_launch``); modes: ``run`` a created
container, ``exec`` a further command in a running one, ``probe`` whether the kernel allows mount namespaces.

What can go wrong:

* The supervisor is killed: on Linux the kernel kills its command with it (parent-death signal); the engine
  finds neither supervisor nor ``exit.json``, kills what is left and reports an unknown exit.
* The command leaves processes behind, even in sessions of their own: on Linux they become the supervisor's
  children (subreaper) and are killed before the exit is written, so ``exited`` means that all have ended.
* The daemon dies between ``start`` and the answer: the start goes on without it; ``run.json`` is created
  exclusively, so a second start finds the first.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import time

from reconciler.engines.process.supervisor import cgroup_limits, json_files, mount_namespace, process_identity
from reconciler.engines.process.supervisor.event_pipes import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: Seconds for killed leftovers to end (they may hang in the kernel, on a dead network disk).
_LEFTOVERS_TIMEOUT = 10.0


def main() -> None:
    """Runs the mode that ``sys.argv`` names."""
    mode, folder = sys.argv[1:3]
    if mode == "run":
        run(folder)
    elif mode == "exec":
        run_exec(folder)
    else:
        probe(folder)


def probe(folder: str) -> None:
    """Exits with 0 if a mount namespace can be made with a mount point that the host does not have."""
    target = "/.reconciler-probe/deep"
    mount = {"kind": "bind", "source": folder, "target": target, "read_only": True, "size": None}
    try:
        mount_namespace.enter({"root": folder, "hostname": "probe", "mounts": [mount]})
        os.listdir(target)
    except OSError as error:
        sys.exit(f"{error}")


def run(folder: str) -> None:
    """Runs the container's command to its end; the answer to the engine is one line of JSON."""
    spec = json_files.read(f"{folder}/{json_files.SPEC}") or {}
    if os.fork() != 0:
        os._exit(0)  # the daemon waits for this process; the child has no parent to report to
    os.umask(0o022)
    me = os.getpid()
    facts: dict[str, Any] = {
        "supervisor": me,
        "supervisor_identity": process_identity.identity(me),
        "main": 0,
    }
    run_path = f"{folder}/{json_files.RUN}"
    try:
        json_files.write(run_path, facts, exclusive=True)
    except FileExistsError:
        _answer({"error": "It is being started already."})
        return
    if process_identity.LINUX:
        mount_namespace.prctl(mount_namespace.PR_SET_CHILD_SUBREAPER, 1)
    groups = spec["launch"]["groups"]
    pid, failure = _spawn(folder, spec["launch"])
    if failure is not None:
        cgroup_limits.remove(groups)
        json_files.remove(run_path)
        _answer(failure)
        return
    facts.update(main=pid, main_identity=process_identity.identity(pid), started_at=time.time())
    json_files.write(run_path, facts)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: process_identity.signal_group(pid, got))
    _publish(folder, spec, "start")
    _answer({"pid": pid})
    status = _wait(pid)
    _kill_leftovers(pid)
    code = os.waitstatus_to_exitcode(status)
    exit_record = {
        "code": code if code >= 0 else 128 - code,
        "finished_at": time.time(),
        "oom_killed": cgroup_limits.is_oom_killed(groups),
    }
    cgroup_limits.remove(groups)
    if _write_exit(folder, exit_record):
        _publish(folder, spec, "die")


def _write_exit(folder: str, record: dict[str, Any]) -> bool:
    """Writes the exit record, retrying while the disk is full; False if the folder has been removed."""
    while True:
        try:
            json_files.write(f"{folder}/{json_files.EXIT}", record)
        except FileNotFoundError:
            return False  # the container was removed by force meanwhile
        except OSError:
            time.sleep(1)
        else:
            return True


def _publish(folder: str, spec: dict[str, Any], action: str) -> None:
    listeners = os.path.join(os.path.dirname(os.path.dirname(folder)), "listeners")
    publish(listeners, kind="container", action=action, name=spec["name"], labels=spec["labels"])


def _answer(message: dict[str, Any]) -> None:
    """Answers the engine, and closes its pipe: the supervisor must outlive the daemon."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        pass  # the daemon has died; the next one reads the files
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _spawn(folder: str, launch: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    """Forks and execs; returns the pid, and the failure before or in the exec."""
    log = os.open(f"{folder}/{json_files.LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            cgroup_limits.create(launch["groups"])
            cgroup_limits.enter(launch["groups"])
            for fd in (1, 2):
                os.dup2(log, fd)
            _become_command(launch, parent=parent)
        except BaseException as error:  # noqa: BLE001  (the forked copy must not continue)
            _fail(writer, error, launch)
    os.close(writer)
    os.close(log)
    with os.fdopen(reader, "rb") as pipe:
        report = pipe.read()
    if not report:
        return pid, None
    os.waitpid(pid, 0)
    return pid, json.loads(report)


def _fail(writer: int, error: BaseException, launch: dict[str, Any]) -> NoReturn:
    error_text, remedy = _describe(error, launch)
    os.write(writer, json.dumps({"error": error_text, "remedy": remedy}).encode())
    os._exit(127)


def _describe(error: BaseException, launch: dict[str, Any]) -> tuple[str, str]:
    """Returns message and remedy for the user."""
    command = launch["argv"][0]
    number = error.errno if isinstance(error, OSError) else None
    if not isinstance(error, _ExecError):
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return (text or type(error).__name__), ""
    if number == errno.EACCES:
        return f"{command!r} may not be executed: permission denied.", "Make it executable for its user."
    if number == errno.ENOEXEC:
        return (
            f"{command!r} is neither a program for this machine nor a script with a #! line that names one.",
            "Name its interpreter in the command, as in [sh, script].",
        )
    if number == errno.ENOENT:
        return (
            f"There is no program {command!r} on this machine (PATH is {launch['env'].get('PATH', '')}).",
            "Install it here, or run the job on Podman or Docker, whose images bring their programs.",
        )
    return f"{command!r} cannot be executed: {error.strerror}.", ""


class _ExecError(OSError):
    """The exec itself failed."""


def _become_command(launch: dict[str, Any], *, parent: int) -> NoReturn:
    """Turns this process into the container's command."""
    if launch["view"] is not None:
        mount_namespace.enter(launch["view"])
    _apply(launch)
    if process_identity.LINUX:
        # Last: a change of user clears it. The parent may have died before it was set.
        mount_namespace.prctl(mount_namespace.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(137)
    _exec(launch["argv"], launch["env"])


def _apply(launch: dict[str, Any]) -> None:
    """Sets what the command inherits: folder, CPUs, limit of open files, user, signals."""
    try:
        os.chdir(launch["cwd"])
    except OSError as error:
        raise OSError(
            error.errno, f"the working directory {launch['cwd']} cannot be used: {error.strerror}."
        ) from None
    if launch["cpus"]:
        os.sched_setaffinity(0, launch["cpus"])
    if launch.get("descriptors"):
        # The daemon has raised its own soft limit; select() breaks where a program has more than it expects.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = launch["descriptors"] if hard < 0 else min(launch["descriptors"], hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if launch["no_new_privileges"]:
        mount_namespace.prctl(mount_namespace.PR_SET_NO_NEW_PRIVS, 1)
    user = launch["user"]
    if user is not None:
        os.setgroups(user["groups"])
        os.setgid(user["gid"])
        os.setuid(user["uid"])
    # Python ignores these, and an ignored signal stays ignored through exec.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _exec(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Replaces this process by the first program of that name on ``PATH``.

    Not ``os.execvpe``: it imports modules, which the user that this process has become may be unable to read.
    """
    name = argv[0]
    paths = [name] if "/" in name else [f"{d or '.'}/{name}" for d in env.get("PATH", os.defpath).split(":")]
    failure = OSError(errno.ENOENT, "no such program")
    for path in paths:
        try:
            os.execve(path, argv, env)  # noqa: S606  (without a shell on purpose)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.lexists(path):
                failure = OSError(errno.ENOEXEC, f"{error.strerror}: {path}")  # a script without interpreter
                break
        except OSError as error:
            failure = error
            if error.errno != errno.EACCES:  # a program without permission does not hide a later one
                break
    raise _ExecError(failure.errno, failure.strerror) from None


def _wait(pid: int) -> int:
    """Waits for the command; reaps its orphans meanwhile."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return status


def _kill_leftovers(pid: int) -> None:
    """Kills the group and, on Linux, every orphan, until none is left."""
    process_identity.signal_group(pid, signal.SIGKILL)
    if not process_identity.LINUX:
        return
    deadline = time.monotonic() + _LEFTOVERS_TIMEOUT
    me = os.getpid()
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            for child in process_identity.children(me):
                process_identity.signal_process(child, signal.SIGKILL)
            time.sleep(0.002)


def run_exec(folder: str) -> None:
    """Becomes the command of ``sys.argv[3:]`` inside the running container."""
    spec = json_files.read(f"{folder}/{json_files.SPEC}") or {}
    facts = json_files.read(f"{folder}/{json_files.RUN}") or {}
    launch = {**spec["launch"], "argv": sys.argv[3:]}
    try:
        cgroup_limits.enter(launch["groups"])
        if launch["view"] is not None:
            mount_namespace.join(facts["main"])
        _apply(launch)
        _exec(launch["argv"], launch["env"])
    except _ExecError as error:
        sys.stderr.write(f"{launch['argv'][0]}: {error.strerror}\n")
        sys.exit(126 if error.errno == errno.EACCES else 127)
