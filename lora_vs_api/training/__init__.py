# it keeps bitsandbytes quiet, which has to be done before peft is imported for the first time
import lora_vs_api.model  # noqa: F401
