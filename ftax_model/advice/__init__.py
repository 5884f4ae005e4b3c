"""Advice: what follows from predictions for whoever has to decide; each a call on top of the predictor."""
