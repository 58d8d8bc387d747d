"""The parent of one container: starts its command, outlives the daemon, writes down how it ended.

Runs as ``python -I -S -c <BOOT> MODE FOLDER`` (see ``starting``); modes: ``run`` a created container,
``exec`` a further command in a running one, ``probe`` whether the kernel gives views of the file system.

What can go wrong:

* The supervisor is killed: on Linux the kernel kills its command with it (parent-death signal); the engine
  finds no supervisor and no ``exit.json``, ends what is left and reports an unknown exit.
* The command leaves processes behind, even in sessions of their own: on Linux they become the supervisor's
  children (subreaper) and are killed before the end is written, so ``exited`` means that all have gone.
* The daemon dies between ``start`` and the answer: the start goes on without it; ``run.json`` is created
  exclusively, so a second start finds the first.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time

from reconciler.engines.process.supervisor import cgroup_limits, json_files, process_identity
from reconciler.engines.process.supervisor.event_pipes import announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: Seconds given to killed leftovers (they may hang in the kernel, on a dead network disk).
_LEFTOVERS = 10.0


def main() -> None:
    """Do what ``sys.argv`` says."""
    mode, folder = sys.argv[1:3]
    if mode == "run":
        run(folder)
    elif mode == "exec":
        run_inside(folder)
    else:
        probe(folder)


def probe(folder: str) -> None:
    """Exit with 0 if a view with a mount point that the host does not have can be made."""
    from reconciler.engines.process.supervisor import isolation

    target = "/.reconciler-probe/deep"
    mount = {"kind": "bind", "source": folder, "target": target, "read_only": True, "size": None}
    try:
        isolation.enter({"root": folder, "hostname": "probe", "mounts": [mount]})
        os.listdir(target)
    except OSError as error:
        sys.exit(f"{error}")


def run(folder: str) -> None:
    """Start the container's command and see it to its end; the answer to the engine is one line of JSON."""
    spec = json_files.read(f"{folder}/{json_files.SPEC}") or {}
    if os.fork() != 0:
        os._exit(0)  # the daemon waits for this one; its child is nobody's
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
        _answer({"error": "It is being started already.", "kind": "conflict"})
        return
    if process_identity.LINUX:
        from reconciler.engines.process.supervisor import isolation

        isolation.prctl(isolation.PR_SET_CHILD_SUBREAPER, 1)
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
        signal.signal(number, lambda got, _frame: process_identity.send_group(pid, got) and None)
    tell = _teller(folder, spec)
    tell("start")
    _answer({"pid": pid})
    status = _wait(pid)
    _end_leftovers(pid)
    code = os.waitstatus_to_exitcode(status)
    ended = {
        "code": code if code >= 0 else 128 - code,
        "finished_at": time.time(),
        "oom_killed": cgroup_limits.out_of_memory(groups),
    }
    cgroup_limits.remove(groups)
    if _write_end(folder, ended):
        tell("die")


def _write_end(folder: str, ended: dict[str, Any]) -> bool:
    """Write how it ended, however long a full disk takes to be cleared; False if the folder has gone."""
    while True:
        try:
            json_files.write(f"{folder}/{json_files.EXIT}", ended)
        except FileNotFoundError:
            return False  # removed by force meanwhile
        except OSError:
            time.sleep(1)
        else:
            return True


def _teller(folder: str, spec: dict[str, Any]) -> Any:
    listeners = os.path.join(os.path.dirname(os.path.dirname(folder)), "listeners")

    def tell(action: str) -> None:
        announce(listeners, kind="container", action=action, name=spec["name"], labels=spec["labels"])

    return tell


def _answer(message: dict[str, Any]) -> None:
    """Tell the engine, and let go of its pipe: the daemon's end must not be ours."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        pass  # the daemon has died; it will read the files
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _spawn(folder: str, launch: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    """Fork and exec; the pid, and what went wrong up to the exec."""
    log = os.open(f"{folder}/{json_files.LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            cgroup_limits.prepare(launch["groups"])
            cgroup_limits.enter(launch["groups"])
            for fd in (1, 2):
                os.dup2(log, fd)
            _become(launch, parent=parent)
        except BaseException as error:  # noqa: BLE001  (nothing may run on in the forked copy)
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
    error_text, remedy = _said(error, launch)
    os.write(writer, json.dumps({"error": error_text, "remedy": remedy}).encode())
    os._exit(127)


def _said(error: BaseException, launch: dict[str, Any]) -> tuple[str, str]:
    """What went wrong, and what to do, for a person."""
    command = launch["argv"][0]
    number = error.errno if isinstance(error, OSError) else None
    if not isinstance(error, _ExecError):
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return (text or type(error).__name__), ""
    if number == errno.EACCES:
        return f"{command!r} may not be executed: permission denied.", "Make it executable for its user."
    if number == errno.ENOEXEC:
        return (
            f"{command!r} is no program for this machine, nor a script whose first line (#!) names one.",
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


def _become(launch: dict[str, Any], *, parent: int) -> NoReturn:
    """Turn this process into the container's command."""
    if launch["view"] is not None:
        from reconciler.engines.process.supervisor import isolation

        isolation.enter(launch["view"])
    _settle(launch)
    if process_identity.LINUX:
        from reconciler.engines.process.supervisor import isolation

        # Last: a change of user clears it. The parent may have died before it was set.
        isolation.prctl(isolation.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(137)
    _exec(launch["argv"], launch["env"])


def _settle(launch: dict[str, Any]) -> None:
    """Folder, CPUs, user, signals: what the command inherits."""
    try:
        os.chdir(launch["cwd"])
    except OSError as error:
        raise OSError(
            error.errno, f"the working directory {launch['cwd']} cannot be used: {error.strerror}."
        ) from None
    if launch["cpus"]:
        os.sched_setaffinity(0, launch["cpus"])
    if launch["no_new_privileges"]:
        from reconciler.engines.process.supervisor import isolation

        isolation.prctl(isolation.PR_SET_NO_NEW_PRIVS, 1)
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
    """Replace this process by the first program of that name on ``PATH``.

    Not ``os.execvpe``: it imports modules, and the user that this process has become may not be able to
    read them.
    """
    name = argv[0]
    paths = [name] if "/" in name else [f"{d or '.'}/{name}" for d in env.get("PATH", os.defpath).split(":")]
    failure = OSError(errno.ENOENT, "no such program")
    for path in paths:
        try:
            os.execve(path, argv, env)  # noqa: S606  (that is its purpose; no shell is wanted)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.lexists(path):
                failure = OSError(errno.ENOEXEC, f"{error.strerror}: {path}")  # a script without interpreter
                break
        except OSError as error:
            failure = error
            if error.errno != errno.EACCES:  # one that may not be run does not hide another
                break
    raise _ExecError(failure.errno, failure.strerror) from None


def _wait(pid: int) -> int:
    """Wait for the command; orphans it left are reaped on the way."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return status


def _end_leftovers(pid: int) -> None:
    """Kill the group and, on Linux, every orphan, until none is left."""
    process_identity.send_group(pid, signal.SIGKILL)
    if not process_identity.LINUX:
        return
    deadline = time.monotonic() + _LEFTOVERS
    me = os.getpid()
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            for child in process_identity.children(me):
                process_identity.send(child, signal.SIGKILL)
            time.sleep(0.002)


def run_inside(folder: str) -> None:
    """Become the command of ``sys.argv[3:]`` inside the running container."""
    spec = json_files.read(f"{folder}/{json_files.SPEC}") or {}
    facts = json_files.read(f"{folder}/{json_files.RUN}") or {}
    launch = {**spec["launch"], "argv": sys.argv[3:]}
    try:
        cgroup_limits.enter(launch["groups"])
        if launch["view"] is not None:
            from reconciler.engines.process.supervisor import isolation

            isolation.join(facts["main"])
        _settle(launch)
        _exec(launch["argv"], launch["env"])
    except _ExecError as error:
        sys.stderr.write(f"{launch['argv'][0]}: {error.strerror}\n")
        sys.exit(126 if error.errno == errno.EACCES else 127)
