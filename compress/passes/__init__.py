"""The steps of a recipe. The folder is the registry: a module's place is its step's name."""
