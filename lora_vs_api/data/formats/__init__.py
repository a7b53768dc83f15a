"""Formats of files, each read to rows of cells or values."""
