"""Predict inference latency, its regime and the framework/compute crossover batch size."""
