"""Entry point of `kubectl pfd`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pfd_operator.kube.api import ApiError, KubeApi

from .models import show_models
from .reading import CannotShow
from .status import show_status
from .tables import printable

EPILOG = """examples:
  kubectl pfd status silicon          where the job stands, its iterations and stages
  kubectl pfd status silicon -w       the same, live, until the job ends
  kubectl pfd models -A               the best model of every job, with its errors
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status (0 also for a job that failed: the command worked)."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(options))
    except CannotShow as error:
        sys.stderr.write(f"kubectl pfd: {printable(str(error))}\n")
        return 1
    except ApiError as error:
        sys.stderr.write(f"kubectl pfd: {printable(error.message or str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return 130


async def _run(options: argparse.Namespace) -> int:
    api = await KubeApi.connect(options.kubeconfig, options.context)
    try:
        namespace = options.namespace or api.default_namespace or "default"
        if options.command == "status":
            await show_status(api, namespace, options.name, sys.stdout, watch=options.watch)
        else:
            await show_models(api, None if options.all_namespaces else namespace, sys.stdout)
    finally:
        await api.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-n", "--namespace", help="namespace; default: that of the kubeconfig's context")
    common.add_argument(
        "--kubeconfig",
        type=Path,
        help="kubeconfig file; default: $KUBECONFIG, in a pod its service account, ~/.kube/config",
    )
    common.add_argument("--context", help="context of the kubeconfig")
    parser = argparse.ArgumentParser(
        prog="kubectl pfd",
        description="Look at fine-tuning and distilling jobs: what runs, what it cost, how good the model is.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    status = commands.add_parser("status", parents=[common], help="stages, seconds, errors and labels of one job")
    status.add_argument("name", metavar="NAME", help="name of the job, or KIND/NAME where both kinds have one of it")
    status.add_argument("-w", "--watch", action="store_true", help="follow the job until it ends")
    models = commands.add_parser("models", parents=[common], help="the best model of every job")
    models.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    return parser


if __name__ == "__main__":
    sys.exit(main())
