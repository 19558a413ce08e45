"""Measure serving against Roboflow Inference on this machine, both sides in turn.

python benchmarks/serve.py --peer-python PEER/bin/python          everything, about 25 minutes
python benchmarks/serve.py --peer-python PEER/bin/python --quick  one case, about a minute

benchmarks/README.md says how to make the peer's virtual environment, and what the figures mean.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from serving.cases import (
    BACKBONES,
    CLASS_COUNTS,
    QUICK,
    Case,
    Model,
    Weights,
    all_cases,
    chosen,
    random_model,
)
from serving.machine import machine_facts
from serving.model_run import ModelResult, Plan, measure_model, own_worker
from serving.tables import print_tables
from serving.targets import judge

from atrous.packages.directory import read_package

HERE = Path(__file__).parent
QUICK_PLAN = Plan(
    case_s=5.0,
    clients=((4, 2.0),),
    single_s=2.0,
    client_rounds=1,
    overload_s=4.0,
    capacity_s=2.0,
    convolution_runs=5,
)


def main() -> None:
    """Measure what was asked for, print tables, write JSON."""
    options = read_options()
    console = Console(width=max(Console().width, 150))
    work = (options.work or Path(tempfile.mkdtemp(prefix="atrous-serve-"))).absolute()
    work.mkdir(parents=True, exist_ok=True)
    machine = machine_facts()
    plan = make_plan(options)
    cases = choose_cases(options, work)
    models = list(dict.fromkeys(case.model for case in cases))
    console.print(f"{len(cases)} cases; packages, photos and logs in {work}", highlight=False)
    quality = measure_quality(options, work, console)  # first: it finds at once what it can't read
    results = []
    for model in models:
        ensure_package(model, console)
        own_cases = [case for case in cases if case.model == model]
        results.append(
            measure_model(model, own_cases, work, plan, lambda text: note(console, text))
        )
    targets = judge(results, quality)
    print_tables(console, results, targets)
    figures = {
        "machine": machine,
        "command": " ".join(sys.argv[1:]),
        "peer": peer_versions(results),
        "models": [result.as_json() for result in results],
        "quality": quality,
        "targets": [asdict(target) for target in targets],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2, default=str) + "\n")
    console.print(f"written to {options.out}", highlight=False)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--peer-python", help="Python of the peer's virtual environment; without, ours alone")
    add("--peer-server-python", help="the same for its HTTP server; without, that is left out")
    add("--quick", action="store_true", help="one small case, within a minute")
    add("--case", metavar="TEXT", help="cases whose name holds this, as resnet50-21 or 1232x821")
    add("--seconds", type=float, help="for one case, all sides together (default 10)")
    add("--package", type=Path, action="append", default=[], help="a trained package, too")
    add("--int8-package", type=Path, help="an int8 package; the peer runs its fp32 network")
    add("--photos", type=Path, help="folder of JPEGs to compare label maps on, in fp32")
    add("--data", type=Path, help="labelled data set: mIoU of the packages in fp32, bf16, int8")
    add("--split", default="test", help="of the data set (default test)")
    add("--classes", type=class_names, help="of a data set that doesn't say them, as sky,road")
    add("--ignore-id", type=int, help="mask id of pixels that don't count")
    add("--work", type=Path, help="folder for packages, photos and logs, to be used again")
    add("--out", type=Path, default=HERE / "results" / "serve.json", help="where the JSON goes")
    options = parser.parse_args()
    if options.data and not options.package:
        parser.error("--data needs a trained model to measure; give it with --package")
    return options


def class_names(text: str) -> list[str]:
    """Read names with commas between them."""
    return [name.strip() for name in text.split(",")]


def make_plan(options: argparse.Namespace) -> Plan:
    """How long to measure, by the options."""
    plan = QUICK_PLAN if options.quick else Plan()
    if options.seconds:
        plan = replace(plan, case_s=options.seconds)
    photos = tuple(sorted(options.photos.glob("*.jp*g"))) if options.photos else ()
    return replace(
        plan,
        peer_python=options.peer_python,
        peer_server_python=options.peer_server_python,
        photos=photos,
    )


def choose_cases(options: argparse.Namespace, work: Path) -> list[Case]:
    """The cases asked for; packages given by hand are always measured, in a random one's place."""
    packages = work / "packages"
    given = [given_model(folder, "trained", packages) for folder in options.package]
    trained = {(model.backbone, model.classes) for model in given}
    random = [
        random_model(backbone, count, packages)
        for backbone in BACKBONES
        for count in CLASS_COUNTS
        if (backbone, count) not in trained
    ]
    if options.int8_package:
        given.append(given_model(options.int8_package, "int8", packages, given))
    pattern = options.case or (QUICK if options.quick else None)
    cases = [*chosen(all_cases(random), pattern)]
    cases += [case for case in all_cases(given) if case.is_reference or not options.quick]
    if not cases:
        names = ", ".join(case.name for case in all_cases(random))
        raise SystemExit(f"no case's name holds {pattern!r}; the names are {names}")
    return cases


def given_model(
    folder: Path, weights: Weights, packages: Path, trained: Sequence[Model] = ()
) -> Model:
    """Describe a package given by hand; the peer gets the fp32 network of an int8 one."""
    package = read_package(folder)
    backbone = str(package.manifest.get("backbone", "unknown"))
    classes = len(package.class_names)
    model = Model(f"{backbone}-{classes}-{weights}", backbone, classes, weights, folder, folder)
    if weights != "int8":
        return model
    same = [m for m in trained if (m.backbone, m.classes) == (backbone, classes)]
    if not same and backbone not in BACKBONES:
        raise SystemExit(
            f"{folder} is of backbone {backbone}; give its fp32 network as --package, "
            "so that the peer has something to run"
        )
    twin = same[0] if same else random_model(backbone, classes, packages)
    return replace(model, peer_package=twin.package)


def ensure_package(model: Model, console: Console) -> None:
    """Make the packages of random weights that are not there yet."""
    for folder in {model.package, model.peer_package}:
        if folder.exists():
            continue
        note(console, f"making the package {folder.name}, once")
        command = [sys.executable, "-m", "serving.random_packages", model.backbone]
        subprocess.run([*command, str(model.classes), str(folder)], check=True, cwd=HERE)


def measure_quality(
    options: argparse.Namespace, work: Path, console: Console
) -> dict[str, dict[str, Any]]:
    """The mIoU of the first trained package in fp32 and bf16, and of the int8 package."""
    if not options.data:
        return {}
    wanted = {"fp32": (options.package[0], "fp32"), "bf16": (options.package[0], "bf16")}
    if options.int8_package:
        wanted["int8"] = (options.int8_package, "auto")
    quality = {}
    for name, (package, precision) in wanted.items():
        note(console, f"mIoU in {name}")
        with own_worker(work) as own:
            quality[name] = own.ask(
                "mean_iou",
                package=str(package),
                data=str(options.data),
                classes=options.classes,
                ignore_id=options.ignore_id,
                split=options.split,
                precision=precision,
            )
    return quality


def peer_versions(results: Sequence[ModelResult]) -> dict[str, Any] | None:
    """What the peer's environment held, as it said itself."""
    for result in results:
        if "peer" in result.start_up:
            versions: dict[str, Any] = result.start_up["peer"]["versions"]
            return versions
    return None


def note(console: Console, text: str) -> None:
    """Say what is being done."""
    console.print(f"[dim]{text}[/dim]", highlight=False)


if __name__ == "__main__":
    main()
