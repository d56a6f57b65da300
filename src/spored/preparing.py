"""Everything an attempt needs before its process is made, and the removal of it afterwards."""

from __future__ import annotations

import errno
import os

from spored import cgroups, environment
from spored.attempts import Array, Attempt
from spored.environment import Identity
from spored.errors import NoRoom, Refused
from spored.files import remove_empty
from spored.launching import Request, Template, prepare, prepare_container
from spored.limits import MemoryLimits
from spored.sandbox import mount_points
from spored.sweeper import Sweeper

_TRANSIENT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Then the machine is what is wrong, not the attempt."""


class Preparation:
    """Files, script and cgroup of attempts. Nothing of it starts anything, so all of it may be done again."""

    def __init__(self, runner: str, sweeper: Sweeper, *, private: bool, limits: MemoryLimits | None) -> None:
        """`private`: a private /tmp can be had here; `limits`: None where memory cannot be limited."""
        self._runner = runner
        self._private = private
        self._limits = limits
        self._untidy: set[Array] = set()
        self.sweeper = sweeper

    def make(self, attempt: Attempt) -> tuple[Request, int]:
        """Make all of it; the log comes open. Refused when the attempt cannot run, NoRoom when the disk is full."""
        spec, array = attempt.spec, attempt.array
        log = -1
        try:
            array.outputs.make(attempt.output)
            private = self._is_private(attempt) and self._private
            again = private and array.tmps.make(attempt.tmp)
            log = os.open(attempt.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            template = self._template(attempt)
            if spec.memory_limit and spec.memory and self._limits is not None and attempt.placement.engine is None:
                attempt.cgroup = self._limits.make(attempt.id, spec.memory)
        except (OSError, Refused) as error:
            if log >= 0:
                os.close(log)
            if isinstance(error, Refused):
                raise
            if error.errno in _TRANSIENT:
                raise NoRoom(str(error)) from error
            raise Refused(f"its files could not be made: {error}") from error
        place = attempt.placement.compute_environment
        own = environment.own(spec, Identity(array.batch_id, attempt.id.encode("ascii"), attempt.index, attempt.number, attempt.output, place))
        group = None if attempt.cgroup is None else os.fsencode(attempt.cgroup) + b"/cgroup.procs"
        return Request(attempt.id, template, own, attempt.log, attempt.tmp if private else None, again, group), log

    def _is_private(self, attempt: Attempt) -> bool:
        return attempt.spec.private_tmp and attempt.placement.engine is None

    def _template(self, attempt: Attempt) -> Template:
        array, engine = attempt.array, attempt.placement.engine
        template = array.templates.get(engine)
        if template is None:
            template = prepare(attempt.spec, self._runner) if engine is None else prepare_container(attempt.spec, self._runner, engine)
            array.templates[engine] = template
            if engine is None:
                array.points = mount_points(template.shown)
        return template

    def discard(self, attempt: Attempt, *, keep_files: bool, alone: bool) -> None:
        """Remove the attempt's cgroup, its private /tmp (unless the files are to be kept), and its output directory when nothing is in it.

        `alone`: it is certain that no process is left of it, so that the next attempt may have its directories.
        """
        array = attempt.array
        if attempt.cgroup is not None and self._limits is not None:
            self._limits.retire(attempt.cgroup) if alone else self._limits.remove(attempt.cgroup)
        elif attempt.cgroup is not None:
            cgroups.remove(attempt.cgroup)
        if alone and array.outputs.retire(attempt.output):
            self._untidy.add(array)
        else:
            remove_empty(attempt.output)
        if self._is_private(attempt) and not keep_files:
            if alone and array.tmps.retire(attempt.tmp, array.points):
                self._untidy.add(array)
            else:
                self.sweeper.remove(attempt.tmp, array.points)

    def close(self) -> None:
        """The runner ends: remove what was kept for later."""
        self.tidy(lazily=False)
        if self._limits is not None:
            self._limits.close()

    def tidy(self, *, lazily: bool) -> bool:
        """Remove the directories kept for attempts that never came; `lazily`: not of arrays that run. False: some are left."""
        if self._limits is not None:
            self._limits.tidy()
        for array in [array for array in self._untidy if not (lazily and array.running)]:
            array.tidy()
            self._untidy.discard(array)
        return not self._untidy
