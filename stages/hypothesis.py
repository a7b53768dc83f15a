"""Write down what is claimed, with a digest, before anything is trained: python -m stages.hypothesis"""

from __future__ import annotations

import hashlib
import json

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import write_json


def main(params: Params) -> None:
    claim = params.hypothesis.model_dump()
    canonical = json.dumps(claim, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    write_json("metrics/hypothesis.json", {**claim, "sha256": digest})


if __name__ == "__main__":
    run_stage(main)
