"""The nodes of dvc.yaml, a file each."""

# notes who started the node, before it imports for seconds what may outlast that
import lora_vs_api  # noqa: F401
