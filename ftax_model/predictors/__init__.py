"""Predictors that ship, fitted; written by `scripts/build_predictors`, each with its card in README.md."""
