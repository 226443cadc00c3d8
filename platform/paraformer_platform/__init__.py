"""Configurations, training, sweeps, tracking and the command line of the Paraformer platform."""
