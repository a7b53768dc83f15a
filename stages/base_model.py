"""Fetch the base model, check it and keep it as dense safetensors: python -m stages.base_model"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.log import say
from lora_vs_api.weights.fetch import fetch_base


def main(params: Params) -> None:
    weights = params.model.weights
    say(f"base model: {params.model.name} from {weights.source}")
    fetch_base(weights, "models/base_model", params.model.disk_gb, params.model.template_arguments)


if __name__ == "__main__":
    run_stage(main)
