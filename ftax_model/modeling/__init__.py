"""The modelling stage: measurements in; a fitted predictor out."""
