"""The entry point: run one verb, turn whatever happens into an exit code and one sentence."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what typing has under this name costs `spawn --version` a fifth of its time
if TYPE_CHECKING:
    from click import ClickException

EXIT_INTERRUPTED = 130
COMPLETING = "_SPAWN_COMPLETE"
EXIT_NOWHERE_TO_PRINT = 2
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports of `yes | head`


def main(argv: list[str] | None = None) -> int:
    """Run `spawn` with these arguments and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if not _open_standard_streams():
        return EXIT_NOWHERE_TO_PRINT
    if arguments == ["--version"]:  # asked so often, by other programs too, that it does not wait for the rest to be imported
        from spawn import __version__

        sys.stdout.write(f"spawn {__version__}\n")
        return 0
    code = 0
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return EXIT_BROKEN_PIPE
    except OSError as failure:
        _forget_output()
        if not code:
            sys.stderr.write(f"error: stdout could not be written: {failure.strerror}\n")
        return code or 1
    return code


def _open_standard_streams() -> bool:
    """Put /dev/null where a stream is closed, so that no file that is opened later is taken for it. False: it was stdout, and every verb has data to print."""
    had_stdout = sys.stdout is not None
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(null)
        sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - open until the end
        sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
        sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
    if not had_stdout:
        sys.stderr.write("error: stdout is closed, so there is nowhere to print to: write >/dev/null to see nothing\n")
    return had_stdout


def _forget_output() -> None:
    """What is still in the buffer cannot be written: without this, Python would complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    import click

    from spawn.cli.render.talk import error, say
    from spawn.cli.verbs import spawn
    from spawn.domain.errors import SpawnError

    try:
        if COMPLETING in os.environ:
            spawn.main(arguments, prog_name="spawn", complete_var=COMPLETING)
        # not spawn.main: it would turn a broken pipe into exit code 1
        with spawn.make_context("spawn", arguments) as context:
            result = spawn.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as shown:
        say(shown.format_message())
        return 2
    except click.ClickException as refused:
        error(_sentence(refused))
        return refused.exit_code
    except (click.Abort, KeyboardInterrupt):
        error("interrupted")
        return EXIT_INTERRUPTED
    except SpawnError as failure:
        error(str(failure))
        return failure.exit_code
    except BrokenPipeError:
        raise
    except Exception as bug:  # the last resort: a sentence, never a traceback, unless it is asked for
        if os.environ.get("SPAWN_DEBUG"):
            raise
        error(f"something unexpected went wrong ({type(bug).__name__}: {bug}); {_written_down()}")
        return 1


def _sentence(refused: ClickException) -> str:
    """Click's refusal in one sentence: which flag, where its value came from when not from the command line, and what would do."""
    from spawn.cli.refusals import sentence

    return sentence(refused)


def _written_down() -> str:
    """Keep the traceback in `cli.log` of the state directory, and say where; when that cannot be, say how to see it."""
    import traceback

    from spawn.config import state_directory

    path = state_directory() / "cli.log"
    try:
        with open(path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            traceback.print_exc(file=log)
    except OSError:
        return "SPAWN_DEBUG=1 shows where"
    return f"details are in {path}"
