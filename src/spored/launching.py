"""Making a child's process: what the array prepared once, what the attempt adds, and the one call that makes it."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple, Protocol

from spored import joining, limits, sandbox
from spored.environment import RUNNER_MARK, as_bytes, shared, told
from spored.errors import Refused
from spored.plans import PLAN, supervisor, write_plan
from spored.programs import check_program, explain, find_program
from spored.specs import Spec, text_bytes

_ALL_SIGNALS = tuple(sorted(signal.valid_signals()))
"""All to their defaults: what the runner ignores or handles is not for its children. Asking for it also halves what the C library does in the child."""
NULL = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
"""What every child reads from."""


class Template(NamedTuple):
    """What all children of an array have in common."""

    program: bytes
    argv: list[bytes]
    environment: dict[bytes, bytes]
    workdir: bytes  #: empty: each attempt's own output directory
    shown: tuple[bytes, ...]  #: what a private /tmp must not hide
    umask: int
    through_shell: bool = True  #: a shell would hand on all of `environment`
    roomy: bool = False  #: its memory limit leaves room for a visit of the runner


class Request(NamedTuple):
    """One process to make."""

    id: str
    template: Template
    variables: dict[bytes, bytes]
    log: bytes
    tmp: bytes | None  #: the directory to put on /tmp
    again: bool  #: that directory has served an attempt before, which left it empty
    cgroup: bytes | None  #: the cgroup.procs file to join

    @property
    def workdir(self) -> bytes:
        """Where it starts."""
        return self.template.workdir or self.variables[b"TASK_OUTPUT_DIR"]


class Launcher(Protocol):
    """A way to make processes."""

    def launch(self, request: Request, log: int) -> int:
        """Make the process of `request`, whose log is open as `log`. Its pid, or 0 when that will be told later. Refused when it cannot be made."""

    def tidy(self) -> None:
        """No more processes are wanted for now: let go of what would make the next ones cheaper. Again: nothing."""


def prepare(spec: Spec, runner: str) -> Template:
    """Work out what the children of `spec` share, and write its script. Refused when its program cannot be run, NoRoom is the caller's to tell."""
    shown = sandbox.shown_paths(spec, runner) if spec.private_tmp else ()
    environment = as_bytes(shared(spec, runner, lambda path: spec.private_tmp and sandbox.is_hidden(path, shown)))
    workdir = text_bytes(spec.workdir or "")
    if spec.script is not None:
        argv = [_write_script(spec.directory, spec.script)]
    else:
        argv = [text_bytes(word) for word in spec.argv or ()]
    if not argv:
        raise Refused("it names no command, and only an image has one of its own: this compute environment runs processes, not containers")
    program = find_program(argv[0], environment[b"PATH"], workdir)
    return Template(
        program,
        argv,
        environment,
        workdir,
        tuple(text_bytes(path) for path in shown),
        spec.umask,
        joining.survive_a_shell(environment),
        limits.has_room(spec.memory),
    )


def prepare_container(spec: Spec, runner: str, engine: str) -> Template:
    """The same for children that run in containers: each is the process that supervises one. Refused when the job has no image."""
    if spec.container is None:
        raise Refused(f"it names no image: this compute environment runs containers ({engine})")
    os.makedirs(text_bytes(spec.directory), 0o700, exist_ok=True)
    write_plan(os.path.join(text_bytes(spec.directory), PLAN), spec.container)
    argv = supervisor(engine, text_bytes(spec.directory))
    environment = as_bytes({**told(spec), "PATH": spec.container.cli_environment.get("PATH") or os.defpath, RUNNER_MARK: runner})
    return Template(argv[0], argv, environment, b"/", (), 0o077)


def _write_script(directory: str, script: str) -> bytes:
    path = text_bytes(os.path.join(directory, "script"))
    draft = path + b".new"
    os.makedirs(text_bytes(directory), 0o700, exist_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o700), "wb") as file:
        file.write(text_bytes(script))
    # Renamed into place, so that a running attempt goes on reading the text it began with.
    os.rename(draft, path)
    return path


def spawn(request: Request, log: int, visits: limits.Visits | None) -> int:
    """Make the process in the namespaces this process is in now, and say its pid. The working directory changes.

    A process with a memory limit is born in its cgroup if there are `visits`, and otherwise joins it by itself.
    """
    template = request.template
    try:
        os.chdir(request.workdir)
    except OSError as error:
        raise Refused(f"its working directory {os.fsdecode(request.workdir)} cannot be entered: {error.strerror}") from error
    program, argv, environment = template.program, template.argv, {**template.environment, **request.variables}
    mine = os.umask(template.umask)
    visits = visits if request.cgroup is not None and template.roomy else None
    try:
        if visits is not None and request.cgroup is not None:
            visits.enter(request.cgroup)
        elif request.cgroup is not None:
            if not template.through_shell:
                return joining.fork_into(request.cgroup, program, argv, environment, (NULL, log, log))
            check_program(program)
            program, argv = joining.SHELL, joining.through_a_shell(request.cgroup, program, argv)
        return os.posix_spawn(
            program,
            argv,
            environment,
            file_actions=((os.POSIX_SPAWN_DUP2, NULL, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)),
            setsid=True,
            setsigmask=(),
            setsigdef=_ALL_SIGNALS,
        )
    except OSError as error:
        raise _refused(error, template, request) from error
    finally:
        if visits is not None:
            visits.leave()
        os.umask(mine)


def _refused(error: OSError, template: Template, request: Request) -> Refused:
    hidden = request.tmp is not None and sandbox.is_hidden(os.fsdecode(template.program), map(os.fsdecode, template.shown))
    return Refused(explain(error, template.program, request.workdir, hidden))


class InProcess:
    """Makes children from the runner itself; for a private /tmp it visits a new mount namespace, which takes the rights of root."""

    def __init__(self, *, namespaces: bool, visits: limits.Visits | None) -> None:
        self._namespaces = sandbox.Namespaces() if namespaces else None
        self._visits = visits

    def launch(self, request: Request, log: int) -> int:
        if request.tmp is None:
            return spawn(request, log, self._visits)
        assert self._namespaces is not None
        try:
            self._namespaces.enter(request.tmp, request.template.shown, again=request.again)
        except OSError as error:
            raise Refused(f"its private /tmp could not be made: {error}") from error
        try:
            return spawn(request, log, self._visits)
        finally:
            self._namespaces.leave()

    def tidy(self) -> None:
        if self._namespaces is not None:
            self._namespaces.tidy()
