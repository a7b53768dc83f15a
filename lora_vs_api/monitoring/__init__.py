"""Whether new texts are still those that the fine-tune was measured on. No node depends on it."""
