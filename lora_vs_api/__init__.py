"""Should I LoRA-fine-tune a small open model or call an API model? A measured answer."""

import time

__version__ = "0.1.0"
# noted before the imports of a node, which take seconds: see lora_vs_api.entry
STARTED = time.monotonic()
