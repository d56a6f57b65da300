"""The command line of spored. Each command imports only what it needs: `complete` has to be quick."""

from __future__ import annotations

import sys

from spored.errors import USAGE, SporedError

ON_INSTANCE = ("instance", "extend", "config", "shell")
HELP = """\
spored runs attempts of job arrays on this machine, and is the voice of a running script.

In a script:
  spored complete --status success|failure [--message TEXT]
                                    say how it went, before the script ends
  spored status [-o tsv|json]       index, size, array, attempt, and the time left

On an instance on EC2, in a script or logged in:
  spored status [-o tsv|json]       what runs, how its uploads go, and when the instance ends
  spored extend DURATION            let the instance end DURATION from now (90s, 30m, 2h, 1d12h)
  spored config [KEY[=VALUE]]       show or change on-complete, idle-timeout, upload-interval
  spored shell [INDEX] [-- CMD ...]
                                    a shell, or CMD, where an attempt runs or ran

For the engine:
  spored run --directory DIR [--idle-exit SECONDS]
                                    be the runner of DIR
  spored enter --session-fd N [-- CMD ...]
                                    a shell, or CMD, where an attempt runs
  spored container --engine docker|podman --plan FILE
                                    be the process of an attempt that runs in a container
  spored container --runner DIR --remove ATTEMPT
                                    remove what is left of a container

For the launch of an instance:
  spored instance install [--bucket NAME --region REGION --key KEY --sha256 DIGEST [--endpoint URL]]
                                    fetch /etc/spored/launch.json, if it is in a bucket; write
                                    /etc/systemd/system/spored.service and start it
  spored instance run               do what /etc/spored/launch.json says

  spored version
  spored --help
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and say its exit code. Errors are one sentence on stderr."""
    if arguments is None:
        # the __main__ that zipapp writes passes nothing on of what this returns
        sys.exit(main(sys.argv[1:]))
    try:
        return _dispatch(arguments)
    except SporedError as error:
        print(f"spored: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 1


def _dispatch(words: list[str]) -> int:
    command, rest = (words[0], words[1:]) if words else ("--help", [])
    if command in ("--help", "-h", "help") or "--help" in rest[:1] or "-h" in rest[:1]:
        sys.stdout.write(HELP)
        return 0 if words else USAGE
    if command in ("version", "--version"):
        from spored import __version__

        print(f"spored {__version__}")
        return 0
    if command == "complete":
        from spored.inside import complete

        return complete(rest)
    if command == "status":
        from spored.inside import status

        return status(rest)
    if command == "run":
        return _run(rest)
    if command == "container":
        from spored.supervisor import container

        return container(rest)
    if command == "enter":
        from spored.enter import enter

        return enter(rest)
    if command == "instance":
        from spored.instance.starting import instance

        return instance(rest)
    if command in ON_INSTANCE:
        from spored.instance import verbs

        return {"extend": verbs.extend, "config": verbs.config, "shell": verbs.shell}[command](rest)
    from spored.options import unknown

    raise unknown("command", command, ["complete", "status", "run", "enter", "container", "version", *ON_INSTANCE])


def _run(words: list[str]) -> int:
    from spored.options import parse, positive

    options, rest = parse(words, {"--directory": True, "--idle-exit": True})
    if rest:
        raise SporedError(f"run takes no word {rest[0]!r}", USAGE)
    if "--directory" not in options:
        raise SporedError("run needs --directory DIR", USAGE)
    from spored.runner import run

    return run(options["--directory"], positive("--idle-exit", options.get("--idle-exit", "600")))
