"""Ask one tuned model about the perturbed texts: python -m stages.perturbed_lora 0"""

from __future__ import annotations

from lora_vs_api.api.results import write_predictions
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import BASE, PERTURBED, seed_folder
from lora_vs_api.serving.evaluate import ask_rows
from lora_vs_api.serving.served import has_file, read_served


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds", str.isdecimal))
    folder, name = seed_folder(params.serving.weights, seed), f"lora-seed-{seed}"
    served = read_served(folder)
    if has_file(served):
        found = ask_rows(params, folder, served, read_jsonl(PERTURBED), f"{name}: perturbed texts")
        write_predictions(found.answers, f"predictions/perturbed/{name}")
    else:
        in_process(params, folder, name)


def in_process(params: Params, folder: str, name: str) -> None:
    # torch takes seconds to load, and a server's answers need none
    from lora_vs_api.inference.evaluate import answer_texts
    from lora_vs_api.inference.extractor import extractor_of
    from lora_vs_api.model.loading import load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    answer_texts(
        extractor_of(
            params, load_tuned(BASE, folder, runtime), constrained=params.decoding.constrained
        ),
        read_jsonl(PERTURBED),
        description=f"{name}: perturbed texts",
        predictions=f"predictions/perturbed/{name}",
    )


if __name__ == "__main__":
    run_stage(main)
