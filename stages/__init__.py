"""One module a node of dvc.yaml, of the node's name."""

import os

# notes who started the node, before it imports for seconds what may outlast that
import lora_vs_api.lifetime  # noqa: F401
from lora_vs_api.threads import spin_briefly

# here, since torch's threads read it when torch is imported, and a node's own imports come next
spin_briefly(os.environ)
