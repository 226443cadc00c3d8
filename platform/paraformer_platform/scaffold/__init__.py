"""A new experiment folder: `paraformer init`."""
