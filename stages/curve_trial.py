"""One training on some of the texts, asked about the test slice: python -m stages.curve_trial 100-10"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.curve.trial import run_curve_trial
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.errors import UserError


def main(params: Params) -> None:
    expected = "SIZE-SEED, one of learning_curve.sizes and one of learning_curve.seeds"
    size, _, seed = argument("a size and a seed", expected).partition("-")
    if not (size.isdecimal() and seed.isdecimal()):
        raise UserError(f"stages.curve_trial: expected {expected}, such as 100-10")
    run_curve_trial(params, int(size), int(seed))


if __name__ == "__main__":
    run_stage(main)
