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
from .results import Results, results_of
from .status import show_status
from .tables import printable

EPILOG = """examples:
  kubectl pfd status silicon          where the job stands, its iterations and stages
  kubectl pfd status silicon -w       the same, live, until the job ends
  kubectl pfd models -A               the best model of every job, with its errors
  kubectl pfd fetch silicon           its model, report and labels, into the folder silicon
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status (0 also for a job that failed: the command worked)."""
    options = _parser().parse_args(arguments)
    try:
        results = asyncio.run(_run(options))
        if results is not None:
            _fetch(results, options)
    except CannotShow as error:
        sys.stderr.write(f"kubectl pfd: {printable(str(error))}\n")
        return 1
    except ApiError as error:
        sys.stderr.write(f"kubectl pfd: {printable(error.message or str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _run(options: argparse.Namespace) -> Results | None:
    """Do what the API server is asked for; return what is left to fetch, where Ctrl-C stops it at once."""
    api = await KubeApi.connect(options.kubeconfig, options.context)
    try:
        namespace = options.namespace or api.default_namespace or "default"
        if options.command == "status":
            await show_status(api, namespace, options.name, sys.stdout, watch=options.watch)
        elif options.command == "fetch":
            return await results_of(api, namespace, options.name)
        else:
            await show_models(api, None if options.all_namespaces else namespace, sys.stdout)
    finally:
        await api.close()
    return None


def _fetch(results: Results, options: argparse.Namespace) -> None:
    try:
        # who only looks at jobs needs no boto3
        from .fetch import LABELS, REPORT, fetch  # noqa: PLC0415
    except ImportError as error:
        raise CannotShow("fetch needs boto3: pip install '.[cli]' in the checkout") from error
    wanted = [*(REPORT if options.reports else ()), *(LABELS if options.labels else ())]
    which = {"--kubeconfig": options.kubeconfig, "--context": options.context}
    kubectl = [f"{option}={value}" for option, value in which.items() if value]
    directory = options.directory or Path(results.key.name)
    fetch(results, directory, wanted, sys.stdout, endpoint=options.endpoint_url, kubectl=kubectl)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-n", "--namespace", help="namespace; default: that of the kubeconfig's context, or of the pod it runs in"
    )
    common.add_argument(
        "--kubeconfig",
        type=Path,
        help="kubeconfig file; default: $KUBECONFIG, in a pod its service account, ~/.kube/config",
    )
    common.add_argument("--context", help="context of the kubeconfig")
    parser = argparse.ArgumentParser(
        prog="kubectl pfd",
        description="Shows how far FineTuneJobs and DistillJobs are and how good their models are, and fetches models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    status = commands.add_parser(
        "status",
        parents=[common],
        help="labels, errors, stages and conditions of one job",
        description="Shows one job: labels paid, errors of each iteration, time of each stage, conditions.",
    )
    status.add_argument("name", metavar="NAME", help="name of the job, or KIND/NAME where both kinds have one of it")
    status.add_argument("-w", "--watch", action="store_true", help="follow the job until it ends")
    models = commands.add_parser(
        "models",
        parents=[common],
        help="the best model of every job",
        description="Shows the best model of every job. Errors are on the hold-out, of forces in eV/Å, of energies in "
        "eV per atom; AGAINST says whether against the reference (DFT) or the teacher.",
    )
    models.add_argument("-A", "--all-namespaces", action="store_true", help="jobs of all namespaces")
    fetch = commands.add_parser(
        "fetch",
        parents=[common],
        help="a job's model, with its report, labels and all that lies beside it",
        description="Fetches a job's best model and the files beside it. Files that are there already are left; others "
        "of the same names are replaced.",
    )
    fetch.add_argument("name", metavar="NAME", help="name of the job, or KIND/NAME where both kinds have one of it")
    fetch.add_argument("directory", metavar="DIRECTORY", nargs="?", type=Path, help="folder to write to; default: NAME")
    fetch.add_argument("--reports", action="store_true", help="fetch the report only")
    fetch.add_argument("--labels", action="store_true", help="fetch the labelled frames only")
    fetch.add_argument(
        "--endpoint-url",
        metavar="URL",
        help="address of the object store, in place of the job's; your own AWS keys are used there and at AWS only",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
