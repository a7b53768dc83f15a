"""Trainings on fewer texts: how many labels the fine-tune needs."""
