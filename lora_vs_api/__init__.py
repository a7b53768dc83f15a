"""Should I LoRA-fine-tune a small open model or call an API model? A measured answer."""

__version__ = "0.1.0"
