"""Looking into a model: what its attention sees, where its predictor fires, what each part of it costs."""
