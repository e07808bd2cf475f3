"""The book's recipes, played by programs: a stage for them, and hands at their keyboards."""
