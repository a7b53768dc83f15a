"""Ask one tuned model about the test slice: python -m stages.evaluate_lora 0"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_json, read_jsonl, write_json
from lora_vs_api.paths import BASE, TEST, seed_folder
from lora_vs_api.processor import peak_child_memory_bytes, peak_memory_bytes
from lora_vs_api.serving.evaluate import ask_rows, note_fallback, write_evaluation
from lora_vs_api.serving.served import Served, has_file, read_served


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds", str.isdecimal))
    folder, name = seed_folder(params.serving.weights, seed), f"lora-seed-{seed}"
    served, timings = read_served(folder), f"timings/evaluate/{name}.json"
    peak: int | None
    if has_file(served):
        rows = read_jsonl(TEST, params.evaluate.test_rows)
        found = ask_rows(params, folder, served, rows, name)
        write_evaluation(
            params,
            found,
            served,
            predictions=f"predictions/evaluate/{name}",
            timings=timings,
        )
        # vLLM answers in a process of its server's own, whose memory nobody here is told
        peak = None if served.engine == "vllm" else peak_child_memory_bytes()
    else:
        peak = in_process(params, folder, name, served)
    write_json(timings, read_json(timings) | {"peak_memory_bytes": peak})


def in_process(params: Params, folder: str, name: str, served: Served | None) -> int:
    """Answers and timings of the model in this process; the peak of its memory, or of the GPU's."""
    # torch takes seconds to load, and a server's answers need none
    import torch

    from lora_vs_api.inference.evaluate import evaluate_condition
    from lora_vs_api.model.loading import load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    evaluate_condition(params, name, load_tuned(BASE, folder, runtime), runtime)
    if served is not None:
        note_fallback(f"timings/evaluate/{name}.json", served)
    on_gpu = runtime.device == "cuda"
    return torch.cuda.max_memory_reserved() if on_gpu else peak_memory_bytes()


if __name__ == "__main__":
    run_stage(main)
