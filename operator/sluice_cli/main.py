"""The command line. What a command needs is imported when it runs, so that help is quick."""

import argparse
import sys
from collections.abc import Sequence

Address = tuple[str, int]

EXTRA = ("cryptography", "prometheus_client", "pydantic", "yaml")
"""Modules of the extra `local`, which the commands import."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 refused, 2 called in a wrong way."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        print(f"sluice: {error.name} is missing: pip install 'sluice[local]'", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace) -> int:
    if chosen.command == "run":
        from sluice_cli.run import run

        return run(chosen)
    if chosen.command == "check":
        from sluice_cli.check import check

        return check(chosen)
    from sluice_cli.version import version

    return version(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice", description="DatabaseProxy manifests without a cluster."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_check(commands)
    commands.add_parser("version", help="say which version this is")
    return parser


Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_run(commands: "Commands[argparse.ArgumentParser]") -> None:
    text = "serve a DatabaseProxy from files, and reload when they change"
    run = commands.add_parser("run", help=text, description=text)
    _add_files(run)
    run.add_argument(
        "--name", default="", metavar="[NAMESPACE/]NAME", help="which, if the files hold several"
    )
    run.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 6432),
        metavar="HOST:PORT",
        help="where clients connect (127.0.0.1:6432)",
    )
    run.add_argument(
        "--admin",
        type=_address,
        default=("127.0.0.1", 9127),
        metavar="HOST:PORT",
        help="where /metrics, /state and the probes are (127.0.0.1:9127)",
    )
    run.add_argument("--log-format", choices=("text", "json"), default="text")


def _add_check(commands: "Commands[argparse.ArgumentParser]") -> None:
    text = "tell what is wrong with manifests; reaches neither a cluster nor a server"
    check = commands.add_parser("check", help=text, description=text)
    _add_files(check)
    check.add_argument(
        "--secrets-elsewhere",
        action="store_true",
        help="do not mind Secrets that the files do not hold",
    )


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-f",
        "--file",
        action="append",
        required=True,
        metavar="FILE",
        help="a file with manifests, a folder of such files, or - for standard input",
    )


def _address(text: str) -> Address:
    """`HOST:PORT`, `[::1]:PORT` or `:PORT`, which is every address of this machine."""
    host, separator, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not separator or not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), number


if __name__ == "__main__":
    sys.exit(main())
