"""What a process that a node starts is given of this one's environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from lora_vs_api.threads import spin_briefly

# What a child and its libraries read: where things are, languages, threads and processors. Everything else
# stays here: nobody can list the names under which keys, tokens and logins may stand.
PASSED = frozenset(
    {
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "LANG",
            "LANGUAGE",
            "TZ",
            "TMPDIR",
            "TEMP",
            "TMP",
            "SHELL",
        ),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "CONDA_PREFIX", "GLIBC_TUNABLES"),
        *("USERPROFILE", "SYSTEMROOT", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS"),
    }
)
PASSED_KINDS = (
    *(
        "LC_",
        "PYTHON",
        "XDG_",
        "DYLD_",
        "MALLOC_",
        "OMP_",
        "GOMP_",
        "KMP_",
        "MKL_",
        "OPENBLAS_",
        "BLIS_",
    ),
    *(
        "VECLIB_",
        "NUMEXPR_",
        "DNNL_",
        "ONEDNN_",
        "CUDA_",
        "CUBLAS_",
        "CUDNN_",
        "NVIDIA_",
        "NCCL_",
        "HIP_",
    ),
    *("HSA_", "ROCR_", "ROCM_", "TORCH", "PYTORCH_", "ATEN_", "TRITON_", "HF_", "TRANSFORMERS_"),
    *("TOKENIZERS_", "RAYON_", "GGML_"),
)
SECRET = re.compile(r"KEY|TOKEN(?!IZERS)|SECRET|PASS(?!IVE)|CREDENTIAL|AUTH|HEADER")


def environment_of(environ: Mapping[str, str]) -> dict[str, str]:
    """A child's environment: of this one what it needs, without hub access and telemetry."""
    kept = {
        name: value
        for name, value in environ.items()
        if (name in PASSED or name.startswith(PASSED_KINDS)) and not SECRET.search(name)
    }
    spin_briefly(kept)
    root = str(Path(__file__).resolve().parents[2])
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
