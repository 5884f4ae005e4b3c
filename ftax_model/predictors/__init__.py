"""Predictors: fitted, one file for each dataset of the project; written by `scripts/build_predictors`."""
