"""What programs put around texts and labels that they export, undone: a module for each kind, :mod:`.undone` their order."""
