"""Maps: one YAML file for each known layout of a foreign table (see `ftax_model.foreign`)."""
