"""Estimators: scikit-learn's contract, numbers in and numbers out; the law, operators, trees, crossovers, baselines."""
